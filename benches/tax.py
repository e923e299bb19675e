"""A sweep of a model that computes for some milliseconds, with its analysis file, against the models' own CPU time."""

import csv
import shutil
import subprocess
from pathlib import Path

from benches.bench import HERE, Bench, run
from benches.hub import environment, grid, tax_hub, write
from benches.runs import settle
from benches.table import Line, spread

TARGET = 1.05


def measure(bench: Bench) -> list[Line]:
    count = bench.size(2500, 500)
    hub = tax_hub(bench.folder("hub") / "hub", {"tax": grid("tax", "urban/simple-tax-cpp", count)})
    # Once, to have the model's program for the others too.
    built = bench.folder("model") / "model"
    shutil.copytree(hub / "models/simple-tax-cpp", built)
    subprocess.run(["make", "--silent"], cwd=built, check=True)
    model, units = str(built / "simple-tax"), str(built / "data/units.csv")
    points = bench.folder("points") / "points.csv"
    bare, pool, commands = bench.folder("bare"), bench.folder("pool"), []
    with open(points, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["RATE", "STANDARD", "EXEMPT"])
        for index in range(count):
            values = [(index // 100 + 1) / 1000, 500 + 100 * (index // 10 % 10), 200 * (index % 10 + 1)]
            rows.writerow(values)
            place = bare / str(index)
            commands.append((place, "".join(f"{n},{v}\n" for n, v in zip(["RATE", "STANDARD", "EXEMPT"], values))))
    ours, half, bare_wall, peer = [], [], [], []
    for _ in bench.rounds(3):
        for place, text in commands:
            write(place / "params.csv", text)
        lines = "".join(f"{model}\t{place}/params.csv\t{units}\t{place}\n" for place, _ in commands)
        settle()
        wall, cpu = map(float, run([bench.program("spawn_loop"), "2"], stdin=lines).out.split())
        half.append(cpu / 2)
        bare_wall.append(wall)
        state = bench.folder("state")
        env = environment(bench, MODELSHIP_STATE=str(state))
        run([bench.modelship, "build", "urban/simple-tax-cpp"], cwd=hub, env=env)
        settle()
        ours.append(run([bench.modelship, "sweep", "run", "sweeps/tax.yaml"], cwd=hub, env=env).wall)
        (table,) = state.glob("**/analysis.csv")
        if sum(1 for _ in open(table)) != count + 1:
            raise SystemExit(f"bench: {table} has not {count} rows")
        settle()
        script = [bench.python(), str(HERE / "peers/pandas_pool.py"), model, units, str(points), str(pool)]
        peer.append(run(script).wall)
        agree(table, pool / "analysis.csv")
    title = f"sweep of {count} tax runs with analysis"
    return [
        Line(title, ours, "the models' own CPU over 2 cores", half, target=TARGET,
             limit=f"{spread(bare_wall, 's')} in a bare posix_spawn loop"),
        Line(title, ours, "Python pool with pandas", peer),
    ]


def agree(ours: Path, theirs: Path) -> None:
    """The same revenue from both, point by point."""
    def revenues(path: Path) -> dict[tuple[float, ...], float]:
        with open(path, newline="") as file:
            return {tuple(float(row[name]) for name in ["RATE", "STANDARD", "EXEMPT"]): float(row["revenue"])
                    for row in csv.DictReader(file)}
    left, right = revenues(ours), revenues(theirs)
    if left.keys() != right.keys() or any(abs(left[at] - right[at]) > 1e-9 * abs(right[at]) for at in left):
        raise SystemExit("bench: our analysis and the script's differ")
