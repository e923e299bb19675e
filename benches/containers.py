"""The same runs in containers of a Docker engine: packed, so that many runs share a container."""

import shutil
import subprocess
from pathlib import Path

from benches.bench import ROOT, Bench, run
from benches.hub import TABLE_MODEL, commit, environment, grid, table_hub, write
from benches.runs import RUNS, settle
from benches.table import Line

TARGET = 3

# How many containers are started for the figure of one container a run.
ALONE = 100


def measure(bench: Bench) -> list[Line]:
    if not has_docker():
        bench.say("no Docker engine answers; left out")
        return []
    static = runner()
    manifest = TABLE_MODEL.replace("build: {process: []}", "build: {process: [], dockerfile: Dockerfile}")
    manifest = manifest.replace("{model}/table_writer", "/table_writer")
    sweeps = {"runs": grid("runs", "bench/bench-table", RUNS)}
    hub = table_hub(bench, bench.folder("hub") / "hub", sweeps, manifest, "bench-table")
    write(hub / "models/table/Dockerfile", "FROM scratch\nCOPY table_writer /table_writer\n")
    commit(hub, "Add a Dockerfile")
    processes = table_hub(bench, bench.folder("hub") / "hub", {"runs": grid("runs", "bench/table", RUNS)})
    ours, plain, alone = [], [], []
    before = images()
    try:
        for _ in bench.rounds(3):
            plain.append(sweep(bench, processes, "executor: process\n"))
            ours.append(sweep(bench, hub, f"executor: docker\ndocker: {{runner: {static}}}\n"))
            alone.append(one_each(bench, sorted(images() - before)))
    finally:
        for image in images() - before:
            subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)
    title = f"{RUNS} short runs in containers: whole `sweep run`"
    return [
        Line(title, ours, "processes: whole `sweep run`", plain, target=TARGET),
        Line(title, ours, f"docker run for each, 2 at a time (from {ALONE})", alone),
    ]


def has_docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def runner() -> Path:
    """The static runner that goes into images."""
    subprocess.run([str(ROOT / "scripts/build-runner")], check=True)
    return ROOT / "target/static/modelship-runner"


def images() -> set[str]:
    """The images of this benchmark's model, and nobody else's."""
    asked = ["docker", "image", "ls", "--quiet", "--no-trunc", "--filter", "label=org.modelship.model=bench/bench-table"]
    return set(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())


def sweep(bench: Bench, hub: Path, settings: str) -> float:
    state = bench.folder("state")
    write(state / "settings.yaml", settings)
    env = environment(bench, MODELSHIP_STATE=str(state))
    run([bench.modelship, "build"], cwd=hub, env=env)
    settle()
    return run([bench.modelship, "sweep", "run", "sweeps/runs.yaml"], cwd=hub, env=env).wall


def one_each(bench: Bench, made: list[str]) -> float:
    """What a container for each run would take."""
    out = bench.folder("alone")
    write(out / "params.csv", "RATE,0.1\n")
    start = (f"seq {ALONE} | xargs -P2 -I{{}} docker run --rm --network none -v {out}:/o --entrypoint /table_writer "
             f"{made[0]} /o/params.csv /o/{{}}.csv")
    return run(["sh", "-c", start]).wall * RUNS / ALONE
