"""The benchmarks by name, and the command line."""

import argparse
import json
import sys
import time

from benches import build, containers, plan, push, receiver, runs, server, tax
from benches.bench import Bench
from benches.table import Line, show

ALL = {
    "runs": runs.measure,
    "containers": containers.measure,
    "tax": tax.measure,
    "plan": plan.measure,
    "push": push.measure,
    "server": server.measure,
    "receiver": receiver.measure,
    "build": build.measure,
}

# Takes as long as all others together, and wants the machine for itself.
ONLY_BY_NAME = {"build"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures modelship against its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(ALL)}; all but build if none")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller work")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--bin", metavar="DIRECTORY", help="measure the programs in this directory")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each benchmark")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in ALL:
            parser.error(f"there is no benchmark `{name}`; there are {', '.join(ALL)}")
    names = options.names or [name for name in ALL if name not in ONLY_BY_NAME]
    lines: list[Line] = []
    began = time.monotonic()
    with Bench(options) as bench:
        for name in names:
            bench.say(f"{name} ...")
            lines += ALL[name](bench)
    if options.json:
        json.dump([line.as_dict() for line in lines], sys.stdout, indent=1)
        print()
    else:
        show(lines)
        print(f"{time.monotonic() - began:.0f} s in all. Medians of interleaved rounds, least to most in brackets.")
    return 0 if all(line.met is not False for line in lines) else 1
