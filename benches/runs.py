"""2,500 runs of a program that does next to nothing, two at a time: what the executor itself costs.

Ours writes a parameter file for each run, gives it a fresh directory, limits and a deadline, reads and checks its
summary, moves its table away and keeps a durable record. The peers start the same program on one parameter file.
"""

import json
import shutil
import subprocess
from pathlib import Path

from benches.bench import HERE, Bench, Ran, run
from benches.hub import commit, environment, grid, table_hub, write
from benches.table import Line, spread

RUNS = 2500
TARGET = 1.35


def measure(bench: Bench) -> list[Line]:
    hub = table_hub(bench, bench.work / "hub", {"runs": grid("runs", "bench/table", RUNS)})
    loop, nothing = bench.program("spawn_loop"), bench.program("nothing", "-static")
    writer = bench.program("table_writer", "-static")
    parameters = bench.work / "params.csv"
    write(parameters, "RATE,0.1\nSTANDARD,1500\nEXEMPT,1000\n")
    out = bench.work / "out"
    lines = [f"{writer}\t{parameters}\t{out}/{number}.csv" for number in range(RUNS)]
    commands = "\n".join(lines) + "\n"
    numbers = "\n".join(str(number) for number in range(RUNS)) + "\n"
    one = f"{writer} {parameters} {out}/{{}}.csv"
    took: dict[str, list[float]] = {name: [] for name in ["job", "sweep", "loop", "xargs", "parallel", "dask", "limit"]}
    sweep_job: Path | None = None
    for _ in bench.rounds(5, quick=3):
        took["loop"].append(float(fresh(out, [loop, "2"], commands).out.split()[0]))
        if sweep_job:
            took["job"].append(job(bench, sweep_job))
        wall, sweep_job = sweep(bench, hub, sweep_job)
        took["sweep"].append(wall)
        if not took["job"]:
            took["job"].append(job(bench, sweep_job))
        took["xargs"].append(fresh(out, ["xargs", "-P2", "-I{}", *one.split()], numbers).wall)
        if bench.has_parallel():
            fresh_parallel = fresh(out, ["parallel", "-j2", "--will-cite", *one.split()], numbers)
            took["parallel"].append(fresh_parallel.wall)
        dask = fresh(out, [bench.python(), str(HERE / "peers/dask_runs.py")], commands)
        took["dask"].append(float(dask.out.split()[0]))
        took["limit"].append(float(run([loop, "2"], stdin=f"{nothing}\n" * RUNS).out.split()[0]))
    limit = f"{spread(took['limit'], 's')} to spawn as many that do nothing"
    title = f"{RUNS} short runs, 2 at a time"
    return [
        Line(title + ": the job", took["job"], "bare posix_spawn loop", took["loop"], target=TARGET, limit=limit),
        Line(title + ": whole `sweep run`", took["sweep"], "bare posix_spawn loop", took["loop"]),
        Line(title + ": the job", took["job"], "xargs -P2", took["xargs"]),
        Line(title + ": the job", took["job"], "GNU parallel -j2", took["parallel"]),
        Line(title + ": the job", took["job"], "Dask, 2 workers", took["dask"]),
    ]


def fresh(out: Path, command: list[str], stdin: str) -> Ran:
    """Runs a peer into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    settle()
    ran = run(command, stdin=stdin)
    if sum(1 for _ in out.iterdir()) != RUNS:
        raise SystemExit(f"bench: `{command[0]}` left {sum(1 for _ in out.iterdir())} tables")
    return ran


def settle() -> None:
    """What was written before is on the disk, so that nobody pays for anybody else's writing."""
    subprocess.run(["sync"], check=True)


def sweep(bench: Bench, hub: Path, before: Path | None) -> tuple[float, Path]:
    """A whole sweep from a terminal, its model built before. Gives the job's folder, with its runs cleared away."""
    state = hub / ".modelship"
    if state.exists():
        subprocess.run(["chmod", "-R", "u+w", state], check=True)
        shutil.rmtree(state)
    env = environment(bench)
    run([bench.modelship, "build", "bench/table"], cwd=hub, env=env)
    settle()
    wall = run([bench.modelship, "sweep", "run", "sweeps/runs.yaml"], cwd=hub, env=env).wall
    (found,) = state.glob("**/job.json")
    check(found.parent)
    return wall, found.parent


def job(bench: Bench, place: Path) -> float:
    """The runner alone, on the job of the sweep before: from its start until all is on the disk."""
    again = place.parent / "again"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    spec = json.loads((place / "job.json").read_text())
    spec["place"] = str(again)
    (again / "job.json").write_text(json.dumps(spec))
    settle()
    wall = run([bench.runner, str(again / "job.json")]).wall
    check(again)
    shutil.rmtree(again)
    return wall


def check(place: Path) -> None:
    ended = json.loads((place / "ended.json").read_text())
    if ended["succeeded"] != RUNS:
        raise SystemExit(f"bench: the job in {place} ended with {ended}")
