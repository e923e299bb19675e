"""The server: its memory, idle and while a large sweep runs, and how soon it acts on a delivery."""

import json
import subprocess
import threading
import time
from statistics import median

from benches.bench import Bench, run, until
from benches.hub import commit, git, grid, table_hub, write
from benches.local import Server, push
from benches.table import Line


def measure(bench: Bench) -> list[Line]:
    runs = bench.size(100_000, 10_000)
    deliveries = bench.size(400, 100)
    hub = table_hub(bench, bench.folder("hub") / "hub", {})
    with Server(bench, bench.folder("server"), "reconcile_every: 1h\n") as server:
        push(hub, server, "main")
        until("the first version", lambda: server.decided("VersionRegistered") and server.is_quiet())
        time.sleep(1)
        idle = server.memory()["VmRSS"]
        waits = delays(bench, hub, server, deliveries)
        peak, seconds = sweep(bench, hub, server, runs)
    percentile = sorted(waits)[int(len(waits) * 0.99)]
    return [
        Line("server memory, idle", [idle], "", [], unit="MiB", limit="peers idle: webhook 9, octokit 47, probot 67 MiB"),
        Line(f"server memory, most during a sweep of {runs} runs", [peak], "", [], unit="MiB",
             notes=[f"the sweep took {seconds:.0f} s from `/modelship run` to its analysis"]),
        Line("delivery to first effect done, p50", [median(waits)], "", [], unit="ms",
             limit="two commits to the database and a look at a git tree"),
        Line("delivery to first effect done, p99", [percentile], "", [], unit="ms"),
    ]


def delays(bench: Bench, hub, server: Server, count: int) -> list[float]:
    """One push after another: from the moment in which a delivery is kept to the moment in which its first effect, the
    look at the push, has reported."""
    before = len(server.decided("PushInspected"))
    for number in range(count):
        git(hub, "commit", "--quiet", "--allow-empty", "-m", f"Nothing {number}")
        push(hub, server, "main")
    until("the deliveries", lambda: server.is_quiet() and len(server.decided("PushReceived")) >= count)
    received = [created for _, created, _ in server.decided("PushReceived")][-count:]
    done = [created for _, created, _ in server.decided("PushInspected")][before:]
    # Looks at one branch coalesce, so each delivery is answered by the first look that ended after it.
    waits = []
    for at in received:
        after = [end for end in done if end >= at]
        if after:
            waits.append(float(after[0] - at))
    if len(waits) < count:
        raise SystemExit(f"bench: {count - len(waits)} deliveries had no effect")
    return waits


def sweep(bench: Bench, hub, server: Server, runs: int) -> tuple[float, float]:
    git(hub, "checkout", "--quiet", "-b", "large")
    write(hub / "sweeps/large.yaml", grid("large", "bench/table", runs, "{max_parallel: 2}"))
    commit(hub, "A large sweep")
    push(hub, server, "large")
    run([bench.modelship, "pr", "open", "--title", "Large"], cwd=hub, env=server.env)
    until("the plan", lambda: server.decided("SweepPlanned") and server.is_quiet(), 300)
    server.forget_peak()
    began = time.monotonic()
    run([bench.modelship, "pr", "comment", "1", "/modelship run"], cwd=hub, env=server.env)
    until("the sweep", lambda: server.decided("AnalysisWritten"), 1200, every=0.2)
    seconds = time.monotonic() - began
    peak = server.memory()["VmHWM"]
    told = run([bench.modelship, "sweep", "status", "--output", "json"], cwd=hub, env=server.env).out
    if json.loads(told)[0]["succeeded"] != runs:
        raise SystemExit(f"bench: the large sweep ended otherwise: {told[:500]}")
    return peak, seconds
