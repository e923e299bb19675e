"""Repositories with models to measure on, and environments in which no setting of the caller's counts."""

import os
import shutil
import subprocess
from pathlib import Path

from benches.bench import ROOT, Bench

TABLE_MODEL = """\
owner: bench
title: table
source: {path: models/table}
build: {process: []}
run:
  command: ["{model}/table_writer", "{params}", "{outputs}/table.csv"]
  params: {format: csv}
  resources: {vcpu: 1, memory: 256 MiB}
  timeout: 1m
parameters:
  RATE: {type: float, default: 0.1, min: 0, max: 1000000}
  STANDARD: {type: float, default: 1500, min: 0}
  EXEMPT: {type: int, default: 1000, min: 0}
outputs:
  summary: stdout
  columns: {revenue: {min: 0}, units: {min: 1}}
  files: [table.csv]
"""


def environment(bench: Bench, **more: str) -> dict[str, str]:
    names = ["PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST"]
    env = {name: os.environ[name] for name in names if name in os.environ}
    for who in ["AUTHOR", "COMMITTER"]:
        env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "Ada", "ada@example.org"
    env["MODELSHIP_USER"] = "ada"
    env["PATH"] = f"{bench.bin}:{env['PATH']}"
    return env | more


def git(where: Path, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(["git", *words], cwd=where, text=True, input=stdin, capture_output=True,
                          env=os.environ | {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
                                            "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"})
    if done.returncode != 0:
        raise SystemExit(f"bench: `git {' '.join(words)}` failed: {done.stderr}")
    return done.stdout


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def commit(hub: Path, message: str) -> None:
    git(hub, "add", "--all")
    git(hub, "commit", "--quiet", "-m", message)


def table_hub(bench: Bench, where: Path, sweeps: dict[str, str], manifest: str = TABLE_MODEL, title: str = "table") -> Path:
    """A hub whose one model costs nothing."""
    where.mkdir(parents=True)
    git(where, "init", "--quiet", "--initial-branch", "main")
    write(where / f"config/bench/{title}.yaml", manifest.replace("title: table\n", f"title: {title}\n"))
    write(where / "models/table/README.md", "Writes a table.\n")
    shutil.copy(bench.program("table_writer", "-static"), where / "models/table/table_writer")
    for name, text in sweeps.items():
        write(where / f"sweeps/{name}.yaml", text)
    write(where / ".gitignore", ".modelship/\n")
    commit(where, "Begin")
    return where


def tax_hub(where: Path, sweeps: dict[str, str]) -> Path:
    """A hub with this repository's own tax model in C++."""
    where.mkdir(parents=True)
    git(where, "init", "--quiet", "--initial-branch", "main")
    tracked = git(ROOT, "ls-files", "models/simple-tax-cpp", "config/urban/simple-tax-cpp.yaml").split()
    for name in tracked:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, where / name)
    for name, text in sweeps.items():
        write(where / f"sweeps/{name}.yaml", text)
    write(where / ".gitignore", ".modelship/\n")
    commit(where, "Begin")
    return where


def grid(name: str, model: str, count: int, limits: str = "{max_parallel: 2}") -> str:
    """A sweep of `count` points, a multiple of 100."""
    return (f"sweep: {name}\nmodel: {model}\nparameters:\n"
            f"  RATE: {{range: {{start: 0.001, stop: {count // 100 / 1000}, step: 0.001}}}}\n"
            "  STANDARD: {range: {start: 500, stop: 1400, step: 100}}\n"
            "  EXEMPT: {range: {start: 200, stop: 2000, step: 200}}\n"
            f"run: {limits}\n")
