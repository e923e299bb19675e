"""A push to a repository of 10,000 commits and 200 manifests: how long until it is known what it touches."""

import subprocess
import time
from pathlib import Path

from benches.bench import Bench, until
from benches.hub import commit, git, write
from benches.local import Server, push
from benches.table import Line

COMMITS = 10_000
MANIFESTS = 200
TARGET_MS = 50

MANIFEST = """\
owner: bench
title: m{number:03}
description: one of many
source: {{path: models/m{number:03}}}
build: {{process: []}}
run:
  command: ["{{model}}/model", "{{params}}", "{{outputs}}"]
  params: {{format: json}}
  resources: {{vcpu: 1, memory: 256 MiB}}
parameters:
  RATE: {{type: float, default: 0.1, min: 0, max: 1, description: a rate}}
  STANDARD: {{type: float, default: 1500, min: 0, unit: USD, description: a deduction}}
  YEARS: {{type: int, default: 10, min: 1, max: 100, description: a horizon}}
outputs:
  summary: summary.json
  columns: {{revenue: {{unit: USD}}, units: {{min: 1}}}}
  files: [output.csv]
"""


def measure(bench: Bench) -> list[Line]:
    hub = repository(bench.folder("hub") / "hub")
    pushes = bench.size(40, 15)
    with Server(bench, bench.folder("server"), "process: {builds: 2}\nreconcile_every: 1h\n") as server:
        bench.say(f"pushing {COMMITS} commits with {MANIFESTS} manifests, each built once")
        push(hub, server, "main")
        until("the first builds", lambda: len(server.decided("VersionRegistered")) >= MANIFESTS and server.is_quiet(), 600)
        ours, peer = [], []
        for number in range(pushes):
            write(hub / "NOTES.md", f"note {number}\n")
            commit(hub, f"Note {number}")
            before = len(server.decided("PushInspected"))
            push(hub, server, "main")
            until("the decision", lambda: len(server.decided("PushInspected")) > before)
            received, inspected = server.decided("PushReceived")[-1], server.decided("PushInspected")[-1]
            ours.append(float(inspected[2] - received[1]))
            began = time.perf_counter()
            subprocess.run(["git", "--git-dir", str(server.git), "diff", "--name-only", "main~1", "main"],
                           check=True, capture_output=True)
            peer.append((time.perf_counter() - began) * 1e3)
        if len(server.decided("BuildRequested")) != MANIFESTS:
            raise SystemExit("bench: a push that touches no manifest built something")
        ones = []
        for number in range(3):
            write(hub / f"models/m{number:03}/model", f"#!/bin/sh\n# {number}\n")
            commit(hub, f"Change one {number}")
            before = len(server.decided("VersionRegistered"))
            push(hub, server, "main")
            until("the version", lambda: len(server.decided("VersionRegistered")) > before and server.is_quiet())
            built = len(server.decided("VersionRegistered")) - before
            if built != 1 or len(server.decided("BuildRequested")) != MANIFESTS + number + 1:
                raise SystemExit(f"bench: a push that touches one manifest built {built}")
            received, registered = server.decided("PushReceived")[-1], server.decided("VersionRegistered")[-1]
            ones.append(float(registered[2] - received[1]))
    what = f"push to {COMMITS} commits, {MANIFESTS} manifests"
    return [
        Line(f"{what}, none touched", ours, "git diff --name-only alone", peer, unit="ms", target=TARGET_MS, absolute=True,
             limit="the same `git diff`, which knows no manifest"),
        Line(f"{what}, one touched and built", ones, "", [], unit="ms"),
    ]


def repository(where: Path) -> Path:
    """Many commits by fast-import: one with everything, then one file changed again and again."""
    where.mkdir(parents=True)
    git(where, "init", "--quiet", "--initial-branch", "main")
    stream = ["commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 5\nBegin"]
    for number in range(MANIFESTS):
        stream.append(file(f"config/bench/m{number:03}.yaml", MANIFEST.format(number=number)))
        stream.append(file(f"models/m{number:03}/model", "#!/bin/sh\n"))
        stream.append(file(f"models/m{number:03}/README.md", f"Model {number}\n"))
    for number in range(COMMITS - 1):
        stream.append(f"\ncommit refs/heads/main\ncommitter Ada <ada@example.org> {1700000001 + number} +0000\ndata 4\nNote")
        stream.append(file(f"notes/{number % 50}.md", f"{number}\n"))
    git(where, "fast-import", "--quiet", stdin="\n".join(stream) + "\n")
    git(where, "reset", "--quiet", "--hard", "main")
    return where


def file(path: str, text: str) -> str:
    return f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}"
