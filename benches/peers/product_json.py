"""The plan as a script writes it: itertools.product and one JSON line a point. It hashes nothing and syncs nothing."""

import itertools
import json
import sys

rates = [round(0.01 * step, 4) for step in range(1, 101)]
standards = [float(100 * step) for step in range(100)]
exempts = [50 * step for step in range(100)]
with open(sys.argv[1], "w") as out:
    for index, (rate, standard, exempt) in enumerate(itertools.product(rates, standards, exempts)):
        point = {"run_id": index, "RATE": rate, "STANDARD": standard, "EXEMPT": exempt}
        out.write(json.dumps(point) + "\n")
