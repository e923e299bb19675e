#!/usr/bin/env python3
"""Tax-Calculator on its CPS microdata: what a reform of the US income tax raises, and from whom.

    run_model.py PARAMETERS OUTPUTS

Parameters come as one JSON object: YEAR, STANDARD_DEDUCTION, EITC_SCALE and TOP_RATE (see README.md). Writes
OUTPUTS/summary.json and OUTPUTS/distribution.csv. Whatever is wrong ends the model with one line on standard error
and a status other than zero.

The taxcalc package lies in `site` beside this file; nothing is read from elsewhere and nothing is written there.
"""

import json
import math
import os
import sys
import time
from pathlib import Path

SITE = Path(__file__).resolve().parent / "site"

# STANDARD_DEDUCTION is stated at the level of this year's law, 16,100 USD for a single filer.
LAW_YEAR = 2026
LAW_STANDARD_DEDUCTION = 16_100.0
LAW_TOP_RATE = 0.37         # in every year from 2018

# Name: (type, smallest, largest). Before 2018 current law had another top rate than TOP_RATE's default;
# the microdata are extrapolated up to 2036.
PARAMETERS = {
    "YEAR": (int, 2018, 2036),
    "STANDARD_DEDUCTION": (float, 0.0, 1e6),
    "EITC_SCALE": (float, 0.0, 3.0),
    "TOP_RATE": (float, 0.0, 1.0),
}

# Rows of the distribution: name, and the quantiles of tax units by expanded income between which it lies.
GROUPS = [(f"decile_{i + 1}", i / 10, (i + 1) / 10) for i in range(10)] + [
    ("top_10_to_5_pct", 0.90, 0.95),
    ("top_5_to_1_pct", 0.95, 0.99),
    ("top_1_pct", 0.99, 1.00),
    ("all", 0.0, 1.0),
]
IN_SUMMARY = [name for name, *_ in GROUPS if name.startswith("decile_")] + ["top_1_pct"]

VARIABLES = ("s006", "expanded_income", "iitax", "payrolltax", "combined", "aftertax_income", "eitc")


class ModelError(Exception):
    """What is wrong, in one line, for the user."""


def object_without_duplicates(pairs):
    seen = {}
    for name, value in pairs:
        if name in seen:
            raise ModelError(f"parameter {json.dumps(name)} is given twice")
        seen[name] = value
    return seen


def checked(name, value):
    """The value of a parameter, if it has the right type and lies within the bounds."""
    kind, smallest, largest = PARAMETERS[name]
    is_number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if not is_number or not smallest <= value <= largest:
        what = "a whole number" if kind is int else "a number"
        bounds = f"from {smallest:.10g} to {largest:.10g}"
        raise ModelError(f"{name}: expected {what} {bounds}, found {json.dumps(value)[:40]}")
    return kind(value)


def read_parameters(path):
    """Every parameter by name, each exactly once."""
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file, object_pairs_hook=object_without_duplicates)
        if not isinstance(given, dict):
            raise ModelError("expected one JSON object of parameters")
        for name in given:
            if name not in PARAMETERS:
                raise ModelError(f"unknown parameter {json.dumps(name)}; expected {', '.join(PARAMETERS)}")
        for name in PARAMETERS:
            if name not in given:
                raise ModelError(f"parameter {name} is missing; expected {', '.join(PARAMETERS)}")
        return {name: checked(name, given[name]) for name in PARAMETERS}
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error


def import_taxcalc():
    """The package from `site`, set up to give the same bits on every x86-64 machine."""
    # Numba compiles for the machine it finds by default, and rounds according to its instructions.
    os.environ["NUMBA_CPU_NAME"] = "generic"
    sys.path.insert(0, str(SITE))
    try:
        import taxcalc
    except ImportError as error:
        raise ModelError(f"{SITE}: cannot import taxcalc ({error}); build the model first") from error
    return taxcalc


def reform_of(parameters, law):
    """What the parameters change in current law (a taxcalc Policy), in the form taxcalc takes; empty at defaults."""
    year = parameters["YEAR"]
    law.set_year(year)
    reform = {}

    # One factor for all filing statuses and for every year keeps the law's own proportions and indexing.
    factor = parameters["STANDARD_DEDUCTION"] / LAW_STANDARD_DEDUCTION
    if factor != 1.0:
        reform["STD"] = {year: [round(factor * amount, 2) for amount in law.STD[0].tolist()]}
    if parameters["EITC_SCALE"] != 1.0:
        reform["EITC_c"] = {year: [round(parameters["EITC_SCALE"] * amount, 2) for amount in law.EITC_c[0].tolist()]}
    if parameters["TOP_RATE"] != LAW_TOP_RATE:
        reform["II_rt7"] = {year: parameters["TOP_RATE"]}
    return reform


def calculate(taxcalc, records, policy, year):
    """The variables of every tax unit under a policy, by name."""
    calculator = taxcalc.Calculator(policy=policy, records=records, verbose=False)
    calculator.advance_to_year(year)
    calculator.calc_all()
    table = calculator.dataframe(list(VARIABLES))
    units = {name: table[name].to_numpy() for name in VARIABLES}
    for name, values in units.items():
        if not all(map(math.isfinite, values.tolist())):
            raise ModelError(f"taxcalc computed a {name} that is no finite number")
    return units


def weighted_total(units, name):
    """The total of a variable over the population, rounded once."""
    return math.fsum((units[name] * units["s006"]).tolist())


def distribution(law, reform):
    """What every group of tax units, by expanded income under current law, has and pays under the reform."""
    order = law["expanded_income"].argsort(kind="stable")
    reached = law["s006"][order].cumsum()
    reached /= reached[-1]
    rows = []
    for name, lower, upper in GROUPS:
        # As in Tax-Calculator's own tables, a unit belongs where the weights up to and with it reach.
        members = order[(reached >= lower) & ((reached < upper) | (upper == 1.0))]
        group_law = {key: values[members] for key, values in law.items()}
        group = {key: values[members] for key, values in reform.items()}
        tax_units = math.fsum(group["s006"].tolist())
        income = weighted_total(group_law, "expanded_income")
        change = weighted_total(group, "aftertax_income") - weighted_total(group_law, "aftertax_income")
        rows.append({
            "group": name,
            "tax_units": tax_units,
            "expanded_income": income,
            "income_tax": weighted_total(group, "iitax"),
            "payroll_tax": weighted_total(group, "payrolltax"),
            "combined_tax": weighted_total(group, "combined"),
            "average_tax_rate": weighted_total(group, "combined") / income,
            "after_tax_income_change": change / tax_units,
        })
    return rows


def summarize(law, reform, rows, standard_deduction):
    summary = {
        "income_tax_revenue": weighted_total(reform, "iitax"),
        "payroll_tax_revenue": weighted_total(reform, "payrolltax"),
        "combined_revenue": weighted_total(reform, "combined"),
        "income_tax_revenue_change": weighted_total(reform, "iitax") - weighted_total(law, "iitax"),
        "eitc_cost": weighted_total(reform, "eitc"),
        "tax_units": math.fsum(reform["s006"].tolist()),
        "standard_deduction_single": standard_deduction,
    }
    by_name = {row["group"]: row for row in rows}
    summary["average_tax_rate"] = by_name["all"]["average_tax_rate"]
    for measure in ("average_tax_rate", "after_tax_income_change"):
        for name in IN_SUMMARY:
            summary[f"{measure}_{name}"] = by_name[name][measure]
    return summary


def write_file(path, text):
    """Write a whole file or none: a disk that fills up leaves no part behind under the name."""
    part = path + ".part"
    try:
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        try:
            os.unlink(part)
        except OSError:
            pass
        raise ModelError(f"{path}: cannot write: {error.strerror}") from error


def run(parameters_path, outputs):
    start = time.monotonic()

    def log(message):
        print(f"{time.monotonic() - start:6.1f} s  {message}", flush=True)

    parameters = read_parameters(parameters_path)
    year = parameters["YEAR"]
    taxcalc = import_taxcalc()
    log(f"taxcalc {taxcalc.__version__}")

    policy = taxcalc.Policy()
    reform = reform_of(parameters, policy)
    records = taxcalc.Records.cps_constructor()
    log(f"{records.array_length} records of the CPS")
    under_law = calculate(taxcalc, records, taxcalc.Policy(), year)
    log(f"current law of {year} calculated")
    under_reform = under_law
    if reform:
        policy.implement_reform(reform)
        under_reform = calculate(taxcalc, records, policy, year)
        log(f"reform calculated: {json.dumps(reform)}")

    policy.set_year(year)
    rows = distribution(under_law, under_reform)
    summary = summarize(under_law, under_reform, rows, float(policy.STD[0][0]))
    table = [",".join(rows[0])] + [",".join(map(str, row.values())) for row in rows]
    write_file(os.path.join(outputs, "distribution.csv"), "\n".join(table) + "\n")
    write_file(os.path.join(outputs, "summary.json"), json.dumps(summary, indent=2) + "\n")
    log("done")


def main(arguments):
    if len(arguments) != 2:
        print("usage: run_model.py PARAMETERS OUTPUTS", file=sys.stderr)
        return 2
    try:
        run(*arguments)
    except ModelError as error:
        print(f"tax-calculator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
