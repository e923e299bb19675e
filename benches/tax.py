"""A sweep of a model that computes for some milliseconds, with its analysis file, against the models' own CPU time."""

import csv
import shutil
import subprocess
from pathlib import Path

from benches.bench import HERE, Bench, run
from benches.hub import commit, environment, grid, tax_hub, write
from benches.runs import settle
from benches.table import Line, spread

TARGET = 1.05

# So many times the data, and a run takes 50 ms, as long as one of the model of Urban's sweeps.
LONGER = 8


def measure(bench: Bench) -> list[Line]:
    return shipped(bench, bench.size(2500, 500)) + longer(bench, bench.size(400, 100))


def shipped(bench: Bench, count: int) -> list[Line]:
    """The model as it is: a run is 6 ms, so what is not the model's own shows."""
    hub = tax_hub(bench.folder("hub") / "hub", {"tax": grid("tax", "urban/simple-tax-cpp", count)})
    loop = Loop(bench, hub, count)
    pool = bench.folder("pool")
    ours, peer = [], []
    for _ in bench.rounds(3):
        loop.round()
        wall, table = sweep(bench, hub, count)
        ours.append(wall)
        settle()
        script = [bench.python(), str(HERE / "peers/pandas_pool.py"), loop.model, loop.units, str(loop.points), str(pool)]
        peer.append(run(script).wall)
        agree(table, pool / "analysis.csv")
    title = f"sweep of {count} tax runs with analysis"
    return [
        Line(title, ours, "the models' own CPU over 2 cores", loop.half, target=TARGET, limit=loop.limit()),
        Line(title, ours, "Python pool with pandas", peer),
    ]


def longer(bench: Bench, count: int) -> list[Line]:
    """The same model on more filing units."""
    hub = tax_hub(bench.folder("hub") / "hub", {"tax": grid("tax", "urban/simple-tax-cpp", count)})
    units = hub / "models/simple-tax-cpp/data/units.csv"
    names, *rows = units.read_text().splitlines(keepends=True)
    rest = [row.split(",", 1)[1] for row in rows] * LONGER
    units.write_text(names + "".join(f"{number},{row}" for number, row in enumerate(rest, 1)))
    # Its tests know the sums over the data as they were.
    manifest = hub / "config/urban/simple-tax-cpp.yaml"
    manifest.write_text(manifest.read_text().split("tests:\n")[0])
    commit(hub, "More filing units")
    loop = Loop(bench, hub, count)
    ours = []
    for _ in bench.rounds(3):
        loop.round()
        ours.append(sweep(bench, hub, count)[0])
    title = f"sweep of {count} tax runs of {1000 * 2 * min(loop.half) / count:.0f} ms with analysis"
    return [Line(title, ours, "the models' own CPU over 2 cores", loop.half, target=TARGET, limit=loop.limit())]


class Loop:
    """The same runs in a bare posix_spawn loop."""

    def __init__(self, bench: Bench, hub: Path, count: int) -> None:
        self.bench = bench
        built = bench.folder("model") / "model"
        shutil.copytree(hub / "models/simple-tax-cpp", built)
        subprocess.run(["make", "--silent"], cwd=built, check=True)
        self.model, self.units = str(built / "simple-tax"), str(built / "data/units.csv")
        self.points = bench.folder("points") / "points.csv"
        self.parameters: list[str] = []
        self.half: list[float] = []
        self.wall: list[float] = []
        names = ["RATE", "STANDARD", "EXEMPT"]
        with open(self.points, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(names)
            for index in range(count):
                values = [(index // 100 + 1) / 1000, 500 + 100 * (index // 10 % 10), 200 * (index % 10 + 1)]
                rows.writerow(values)
                self.parameters.append("".join(f"{name},{value}\n" for name, value in zip(names, values)))

    def round(self) -> None:
        # New files each time, as ours are: to write over a file costs less than to make one.
        bare = self.bench.folder("bare")
        lines = ""
        for index, text in enumerate(self.parameters):
            place = bare / str(index)
            write(place / "params.csv", text)
            lines += f"{self.model}\t{place}/params.csv\t{self.units}\t{place}\n"
        settle()
        wall, cpu = map(float, run([self.bench.program("spawn_loop"), "2"], stdin=lines).out.split())
        self.half.append(cpu / 2)
        self.wall.append(wall)

    def limit(self) -> str:
        return f"{spread(self.wall, 's')} in a bare posix_spawn loop"


def sweep(bench: Bench, hub: Path, count: int) -> tuple[float, Path]:
    """A whole sweep from a terminal, its model built before. Gives its analysis file."""
    state = bench.folder("state")
    env = environment(bench, MODELSHIP_STATE=str(state))
    run([bench.modelship, "build", "urban/simple-tax-cpp"], cwd=hub, env=env)
    settle()
    wall = run([bench.modelship, "sweep", "run", "sweeps/tax.yaml"], cwd=hub, env=env).wall
    (table,) = state.glob("**/analysis.csv")
    if sum(1 for _ in open(table)) != count + 1:
        raise SystemExit(f"bench: {table} has not {count} rows")
    return wall, table


def agree(ours: Path, theirs: Path) -> None:
    """The same revenue from both, point by point."""
    def revenues(path: Path) -> dict[tuple[float, ...], float]:
        with open(path, newline="") as file:
            return {tuple(float(row[name]) for name in ["RATE", "STANDARD", "EXEMPT"]): float(row["revenue"])
                    for row in csv.DictReader(file)}
    left, right = revenues(ours), revenues(theirs)
    if left.keys() != right.keys() or any(abs(left[at] - right[at]) > 1e-9 * abs(right[at]) for at in left):
        raise SystemExit("bench: our analysis and the script's differ")
