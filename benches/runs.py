"""2,500 runs of a program that does next to nothing, two at a time: what the executor itself costs.

Ours writes a parameter file for each run, gives it a fresh directory, limits and a deadline, reads and checks its
summary, moves its table away and keeps a durable record. The peers start the same program on one parameter file.
"""

import json
import subprocess
from collections import defaultdict
from pathlib import Path

from benches.bench import HERE, Bench, Ran, run
from benches.hub import environment, grid, table_hub, write
from benches.table import Line, spread

RUNS = 2500

# Without a run that goes ahead, so that one job holds them all and can be measured by itself.
ONE_ROUND = "{max_parallel: 2, canary: 0}"
TARGET = 1.35


def measure(bench: Bench) -> list[Line]:
    hub = table_hub(bench, bench.folder("hub") / "hub", {"runs": grid("runs", "bench/table", RUNS, ONE_ROUND)})
    loop, nothing = bench.program("spawn_loop"), bench.program("nothing", "-static")
    writer = bench.program("table_writer", "-static")
    parameters = bench.folder("parameters") / "params.csv"
    write(parameters, "RATE,0.1\nSTANDARD,1500\nEXEMPT,1000\n")
    words = [writer, str(parameters), "{}.csv"]
    commands = "".join("\t".join(words).replace("{}", str(number)) + "\n" for number in range(RUNS))
    numbers = "".join(f"{number}\n" for number in range(RUNS))
    took: dict[str, list[float]] = defaultdict(list)
    sweep_job: Path | None = None
    for _ in bench.rounds(5, quick=3):
        bare = fresh(bench, [loop, "2"], commands)
        took["loop"].append(float(bare.out.split()[0]))
        took["loop CPU"].append(bare.cpu)
        if sweep_job:
            job(bench, sweep_job, took)
        wall, sweep_job = sweep(bench, hub)
        took["sweep"].append(wall)
        if not took["job"]:
            job(bench, sweep_job, took)
        took["xargs"].append(fresh(bench, ["xargs", "-P2", "-I{}", *words], numbers).wall)
        if bench.has_parallel():
            took["parallel"].append(fresh(bench, ["parallel", "-j2", "--will-cite", *words], numbers).wall)
        dask = fresh(bench, [bench.python(), str(HERE / "peers/dask_runs.py")], commands)
        took["dask"].append(float(dask.out.split()[0]))
        took["limit"].append(float(run([loop, "2"], stdin=f"{nothing}\n" * RUNS).out.split()[0]))
    limit = f"{spread(took['limit'], 's')} to spawn as many that do nothing"
    title = f"{RUNS} short runs, 2 at a time"
    return [
        Line(title + ": the job", took["job"], "bare posix_spawn loop", took["loop"], target=TARGET, limit=limit),
        Line(title + ": CPU time of the job", took["job CPU"], "bare posix_spawn loop", took["loop CPU"]),
        Line(title + ": whole `sweep run`", took["sweep"], "bare posix_spawn loop", took["loop"]),
        Line(title + ": the job", took["job"], "xargs -P2", took["xargs"]),
        Line(title + ": the job", took["job"], "GNU parallel -j2", took["parallel"]),
        Line(title + ": the job", took["job"], "Dask, 2 workers", took["dask"]),
    ]


def fresh(bench: Bench, command: list[str], stdin: str) -> Ran:
    """Runs a peer in an empty folder."""
    out = bench.folder("peer")
    settle()
    ran = run(command, cwd=out, stdin=stdin)
    if sum(1 for _ in out.iterdir()) != RUNS:
        raise SystemExit(f"bench: `{command[0]}` left {sum(1 for _ in out.iterdir())} tables")
    return ran


def settle() -> None:
    """What was written before is on the disk, so that nobody pays for anybody else's writing."""
    subprocess.run(["sync"], check=True)


def sweep(bench: Bench, hub: Path) -> tuple[float, Path]:
    """A whole sweep from a terminal, its model built before. Gives the job's folder."""
    state = bench.folder("state")
    env = environment(bench, MODELSHIP_STATE=str(state))
    run([bench.modelship, "build", "bench/table"], cwd=hub, env=env)
    settle()
    wall = run([bench.modelship, "sweep", "run", "sweeps/runs.yaml"], cwd=hub, env=env).wall
    (found,) = state.glob("**/job.json")
    check(found.parent)
    return wall, found.parent


def job(bench: Bench, place: Path, took: dict[str, list[float]]) -> None:
    """The runner alone, on the job of the sweep before: from its start until all is on the disk."""
    again = bench.folder("job")
    spec = json.loads((place / "job.json").read_text())
    spec["place"] = str(again)
    (again / "job.json").write_text(json.dumps(spec))
    settle()
    ran = run([bench.runner, str(again / "job.json")])
    check(again)
    took["job"].append(ran.wall)
    took["job CPU"].append(ran.cpu)
    took["job memory"].append(ran.peak_mib)


def check(place: Path) -> None:
    ended = json.loads((place / "ended.json").read_text())
    if ended["succeeded"] != RUNS:
        raise SystemExit(f"bench: the job in {place} ended with {ended}")
