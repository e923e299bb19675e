"""A release of modelship from nothing."""

import os
import shutil

from benches.bench import ROOT, Bench, run
from benches.table import Line


def measure(bench: Bench) -> list[Line]:
    fresh = bench.work / "release"
    ran = run(["cargo", "build", "--release", "--locked", "--bins", "--quiet"], cwd=ROOT,
              env=os.environ | {"CARGO_TARGET_DIR": str(fresh)})
    sizes = ", ".join(f"{name} {(fresh / 'release' / name).stat().st_size / 1e6:.1f} MB"
                      for name in ["modelship", "modelship-runner"])
    shutil.rmtree(fresh)
    return [
        Line("fresh release build", [ran.wall / 60], "", [], unit="min", target=8, absolute=True,
             limit=f"{ran.cpu / 60 / (os.cpu_count() or 1):.1f} min if its CPU time were spread evenly",
             notes=[f"CPU {ran.cpu:.0f} s; {sizes}"]),
    ]
