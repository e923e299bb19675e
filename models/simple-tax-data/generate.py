#!/usr/bin/env python3
"""Generate the filing units that the simple-tax models read.

    python3 generate.py > units.csv         write the file
    python3 generate.py --check FILE...     exit 1 unless every FILE is what would be written

The population is made up, but its shape is meant to be plausible: about 150 million filing units, 44% of them
married, wages that are lognormal with a Pareto tail, and itemized deductions that become common as wages
rise. High wages are sampled more often than they occur and carry smaller weights, as in a real survey.

The file is a function of the seed alone. Only `Random.random()` is used, whose sequence Python guarantees to
stay the same from version to version; every distribution is drawn from it here.
"""

import argparse
import math
import random
import sys

SEED = 20_250_115
UNITS = 20_000
POPULATION = 150_000_000        # filing units that the sample stands for
HEADER = "unit_id,itemized,salary,married,weight"

NO_WAGES_SHARE = 0.06           # of those outside the tail: files a return but earns no wages
MARRIED_SHARE = 0.44            # of those outside the tail

# Wages of the body, by married: the median in USD, and the standard deviation of the logarithm.
BODY = {0: (36_000, 0.80), 1: (72_000, 0.70)}

# The tail: a Pareto distribution above a threshold, drawn OVERSAMPLING times as often as it occurs.
TAIL_SHARE = 0.010
TAIL_THRESHOLD = 260_000
TAIL_EXPONENT = 1.9
TAIL_MARRIED_SHARE = 0.80
TAIL_CEILING = 40_000_000
OVERSAMPLING = 6

# How likely a unit itemizes, by wages: (wages below, share).
ITEMIZES = [(25_000, 0.06), (50_000, 0.14), (100_000, 0.30), (250_000, 0.55), (math.inf, 0.85)]


def normal(rng):
    """One standard normal deviate (Box-Muller; 1 - random() is never zero)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    return radius * math.cos(2.0 * math.pi * rng.random())


def pareto(rng, threshold, exponent):
    return threshold * (1.0 - rng.random()) ** (-1.0 / exponent)


def draw_unit(rng):
    """One filing unit: (itemized, salary, married, weight before scaling)."""
    in_tail = rng.random() < TAIL_SHARE * OVERSAMPLING
    married = int(rng.random() < (TAIL_MARRIED_SHARE if in_tail else MARRIED_SHARE))
    if in_tail:
        salary = min(pareto(rng, TAIL_THRESHOLD, TAIL_EXPONENT), TAIL_CEILING)
    elif rng.random() < NO_WAGES_SHARE:
        salary = 0.0
    else:
        median, spread = BODY[married]
        salary = median * math.exp(spread * normal(rng))
    salary = round(salary)

    itemizes = rng.random() < next(share for below, share in ITEMIZES if salary < below)
    itemized = round((1_500 + 0.14 * salary) * math.exp(0.55 * normal(rng))) if itemizes else 0

    weight = 0.5 + rng.random()
    return itemized, salary, married, weight / OVERSAMPLING if in_tail else weight


def generate(seed, units):
    """The whole file as text."""
    rng = random.Random(seed)
    drawn = [draw_unit(rng) for _ in range(units)]
    scale = POPULATION / math.fsum(weight for *_, weight in drawn)
    lines = [HEADER]
    for unit_id, (itemized, salary, married, weight) in enumerate(drawn, start=1):
        lines.append(f"{unit_id},{itemized},{salary},{married},{weight * scale:.2f}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Generate the filing units of the simple-tax models.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--check", nargs="+", metavar="FILE", help="compare instead of writing")
    options = parser.parse_args()

    text = generate(options.seed, options.units)
    if not options.check:
        sys.stdout.write(text)
        return 0
    different = []
    for path in options.check:
        with open(path, newline="", encoding="ascii") as file:
            if file.read() != text:
                different.append(path)
    for path in different:
        print(f"generate.py: {path} is not what seed {options.seed} gives", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
