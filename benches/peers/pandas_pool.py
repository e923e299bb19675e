"""A sweep as a script does it: a pool of two processes runs the model and sums its table up with pandas; then one table.

pandas_pool.py MODEL UNITS POINTS.csv ROOT
"""

import csv
import json
import os
import subprocess
import sys
from multiprocessing import Pool

MODEL, UNITS, POINTS, ROOT = sys.argv[1:5]
BINS = [0, 25_000, 50_000, 100_000, 250_000, float("inf")]
LABELS = ["rate_under_25k", "rate_25k_50k", "rate_50k_100k", "rate_100k_250k", "rate_over_250k"]


def one(job: tuple[int, dict[str, str]]) -> dict[str, float]:
    import pandas

    index, point = job
    place = os.path.join(ROOT, f"r{index:05d}")
    os.makedirs(place, exist_ok=True)
    parameters = os.path.join(place, "params.csv")
    with open(parameters, "w") as out:
        out.writelines(f"{name},{value}\n" for name, value in point.items())
    subprocess.run([MODEL, parameters, UNITS, place], stdout=subprocess.DEVNULL, check=True)
    table = pandas.read_csv(os.path.join(place, "output.csv"))
    weighted = table["tax"] * table["weight"]
    wages = table["salary"] * table["weight"]
    summary = {
        "revenue": float(weighted.sum()),
        "units": len(table),
        "population": float(table["weight"].sum()),
        "average_tax_rate": float(weighted.sum() / wages.sum()),
    }
    band = pandas.cut(table["salary"], bins=BINS, labels=LABELS, right=False)
    rates = weighted.groupby(band, observed=False).sum() / wages.groupby(band, observed=False).sum()
    summary.update(rates.to_dict())
    with open(os.path.join(place, "summary.json"), "w") as out:
        json.dump(summary, out)
    return summary


def main() -> None:
    import pandas

    with open(POINTS, newline="") as file:
        points = list(csv.DictReader(file))
    with Pool(2) as pool:
        summaries = pool.map(one, list(enumerate(points)), chunksize=4)
    inputs = pandas.DataFrame(points)
    inputs.join(pandas.DataFrame(summaries)).to_csv(os.path.join(ROOT, "analysis.csv"), index=False)


if __name__ == "__main__":
    main()
