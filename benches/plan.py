"""A plan of a million points: expanded, canonicalised, hashed, written, within 64 MiB."""

import hashlib
import json
import shutil
import time

from benches.bench import HERE, Bench, run
from benches.hub import environment, table_hub
from benches.runs import settle
from benches.table import Line, spread

SWEEP = """\
sweep: million
model: bench/table
parameters:
  RATE: {range: {start: 0.01, stop: 1, step: 0.01}}
  STANDARD: {range: {start: 0, stop: 9900, step: 100}}
  EXEMPT: {range: {start: 0, stop: 4950, step: 50}}
"""


def measure(bench: Bench) -> list[Line]:
    hub = table_hub(bench, bench.folder("hub") / "hub", {"million": SWEEP})
    state = bench.folder("state")
    env = environment(bench, MODELSHIP_STATE=str(state))
    run([bench.modelship, "build", "bench/table"], cwd=hub, env=env)
    ours, memory, peer, limit = [], [], [], []
    for _ in bench.rounds(5, quick=3):
        sweeps = state / "artifacts/sweeps"
        shutil.rmtree(sweeps, ignore_errors=True)
        settle()
        ran = run([bench.modelship, "sweep", "plan", "sweeps/million.yaml", "--output", "json"], cwd=hub, env=env)
        if json.loads(ran.out)["counts"]["runs"] != 1_000_000:
            raise SystemExit(f"bench: no plan of a million points: {ran.out[:500]}")
        ours.append(ran.wall)
        memory.append(ran.peak_mib)
        out = bench.work / "points.jsonl"
        settle()
        peer.append(run([bench.python(), str(HERE / "peers/product_json.py"), str(out)]).wall)
        # No plan with a hash for each point can be written in less time than hashing and writing takes.
        (points,) = sweeps.glob("*/points.jsonl")
        copy = bench.work / "copy"
        settle()
        limit.append(run(["dd", f"if={points}", f"of={copy}", "bs=1M", "conv=fdatasync", "status=none"]).wall)
        for left in [out, copy]:
            left.unlink()
    began = time.perf_counter()
    for _ in range(1_000_000):
        hashlib.sha256(b"0" * 64)
    hashing = time.perf_counter() - began
    return [
        Line("plan of 10^6 points", ours, "itertools.product and json", peer, target=1,
             limit=f"{spread(limit, 's')} to write as many bytes durably; {hashing:.2f} s for as many hashes in Python"),
        Line("plan of 10^6 points: peak memory", memory, "", [], unit="MiB", target=64, absolute=True),
    ]
