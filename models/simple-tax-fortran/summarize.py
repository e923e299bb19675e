#!/usr/bin/env python3
"""Summarize the output of the simple tax model.

    summarize.py OUTPUTS

Reads OUTPUTS/output.csv and writes OUTPUTS/summary.json: weighted revenue, number and weight of the filing
units, and the average tax rate, overall and by salary band. Whatever is wrong ends it with one line on standard
error and a status other than zero.
"""

import json
import math
import os
import sys

HEADER = "unit_id,itemized,salary,married,weight,tax"

# Salary bands: a band holds its lower bound and not its upper one.
BANDS = (
    ("rate_under_25k", 0.0, 25_000.0),
    ("rate_25k_50k", 25_000.0, 50_000.0),
    ("rate_50k_100k", 50_000.0, 100_000.0),
    ("rate_100k_250k", 100_000.0, 250_000.0),
    ("rate_over_250k", 250_000.0, math.inf),
)


class SummaryError(Exception):
    """What is wrong, in one line, for the user."""


def read_output(path):
    """The rows of the output as (salary, weight, tax)."""
    rows = []
    with open(path, encoding="utf-8") as file:
        if file.readline().rstrip("\n") != HEADER:
            raise SummaryError(f"{path}:1: expected the header {HEADER}")
        for number, line in enumerate(file, start=2):
            try:
                _, _, salary, _, weight, tax = line.rstrip("\n").split(",")
                row = float(salary), float(weight), float(tax)
            except ValueError as error:
                raise SummaryError(f"{path}:{number}: not a row of {HEADER}: {error}") from error
            if not all(map(math.isfinite, row)):
                raise SummaryError(f"{path}:{number}: a number is not finite")
            rows.append(row)
    if not rows:
        raise SummaryError(f"{path}: no rows after the header")
    return rows


def totals(rows):
    """The sums of tax * weight and of salary * weight."""
    return (
        math.fsum(tax * weight for _, weight, tax in rows),
        math.fsum(salary * weight for salary, weight, _ in rows),
    )


def summarize(rows):
    """Weighted totals and average tax rates. A band in which nobody earns has no rate, hence no entry."""
    revenue, wages = totals(rows)
    summary = {
        "revenue": revenue,
        "units": len(rows),
        "population": math.fsum(weight for _, weight, _ in rows),
    }
    if wages > 0.0:
        summary["average_tax_rate"] = revenue / wages
    for name, lower, upper in BANDS:
        taxes, wages = totals([row for row in rows if lower <= row[0] < upper])
        if wages > 0.0:
            summary[name] = taxes / wages
    return summary


def write_file(path, text):
    """Write a whole file or none: a disk that fills up leaves no part behind under the name."""
    part = path + ".part"
    try:
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        if os.path.lexists(part):
            os.unlink(part)
        raise


def main(arguments):
    if len(arguments) != 1:
        print("usage: summarize.py OUTPUTS", file=sys.stderr)
        return 2
    outputs = arguments[0]
    try:
        summary = summarize(read_output(os.path.join(outputs, "output.csv")))
        write_file(os.path.join(outputs, "summary.json"), json.dumps(summary, indent=2) + "\n")
    except (SummaryError, UnicodeDecodeError) as error:
        print(f"summarize: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"summarize: {outputs}: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
