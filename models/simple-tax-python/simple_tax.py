#!/usr/bin/env python3
"""The simple tax model: one flat tax on wages, for every filing unit of a file.

    simple_tax.py PARAMETERS UNITS OUTPUTS

tax = RATE * (salary - max(itemized, STANDARD) - EXEMPT * (1 + married)), with no floor at zero.

Writes OUTPUTS/output.csv (every unit with its tax) and OUTPUTS/summary.json. Whatever is wrong ends the model
with one line on standard error and a status other than zero.
"""

import json
import math
import os
import re
import sys

PARAMETERS = ("RATE", "STANDARD", "EXEMPT")
COLUMNS = ("unit_id", "itemized", "salary", "married", "weight")

# Salary bands of the summary: a band holds its lower bound and not its upper one.
BANDS = (
    ("rate_under_25k", 25_000.0),
    ("rate_25k_50k", 50_000.0),
    ("rate_50k_100k", 100_000.0),
    ("rate_100k_250k", 250_000.0),
    ("rate_over_250k", math.inf),
)

# float() also takes "nan", "1_000" and blanks, which have no place in a data file.
NUMBER_PATTERN = r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER = re.compile(NUMBER_PATTERN)
AMOUNT_PATTERN = NUMBER_PATTERN.removeprefix("-?")
ROW = re.compile(rf"([0-9]+),({AMOUNT_PATTERN}),({AMOUNT_PATTERN}),([01]),({AMOUNT_PATTERN})")


class ModelError(Exception):
    """What is wrong, in one line, for the user."""


def quoted(text):
    """User text that is safe and short enough to stand inside a message."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text)
    return f'"{shown[:37]}..."' if len(shown) > 40 else f'"{shown}"'


def read_lines(path):
    """The lines of a text file without their ends (LF or CRLF)."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            text = file.read()
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from error
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def finite_number(text):
    """The number that the text spells, or None."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def read_parameters(path):
    """Every parameter exactly once, by name, from lines of NAME,value."""
    expected = "expected " + ", ".join(PARAMETERS)
    values = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip(" \t"):
            continue
        name, *cells = (cell.strip(" \t") for cell in line.split(","))
        where = f"{path}:{number}"
        if name not in PARAMETERS:
            raise ModelError(f"{where}: unknown parameter {quoted(name)}; {expected}")
        if name in values:
            raise ModelError(f"{where}: parameter {name} is given twice")
        if len(cells) != 1:
            raise ModelError(f"{where}: {name}: expected one value, found {len(cells)}")
        value = finite_number(cells[0])
        if value is None:
            raise ModelError(f"{where}: {name}: expected a finite number, found {quoted(cells[0])}")
        values[name] = value
    for name in PARAMETERS:
        if name not in values:
            raise ModelError(f"{path}: parameter {name} is missing; {expected}, one NAME,value to a line")
    return values


def fault(line, unit_id_before):
    """What is wrong with a row that was refused."""
    cells = line.split(",")
    if len(cells) != len(COLUMNS):
        return f"expected {len(COLUMNS)} fields, found {len(cells)}"
    unit_id, itemized, salary, married, weight = cells
    if not re.fullmatch("[0-9]{1,18}", unit_id):
        return f"unit_id: expected a whole number, found {quoted(unit_id)}"
    if int(unit_id) <= unit_id_before:
        return f"unit_id: expected more than {unit_id_before} of the row before, found {quoted(unit_id)}"
    for column, cell in (("itemized", itemized), ("salary", salary)):
        value = finite_number(cell)
        if value is None or cell.startswith("-"):
            return f"{column}: expected a finite number of at least 0, found {quoted(cell)}"
    if married not in ("0", "1"):
        return f"married: expected 0 or 1, found {quoted(married)}"
    return f"weight: expected a finite number above 0, found {quoted(weight)}"


def read_units(path):
    """The rows of the file as (line, itemized, salary, married, weight)."""
    lines = read_lines(path)
    header = ",".join(COLUMNS)
    if not lines:
        raise ModelError(f"{path}: the file is empty; expected the header {header}")
    if lines[0] != header:
        raise ModelError(f"{path}:1: expected the header {header}, found {quoted(lines[0])}")
    if len(lines) == 1:
        raise ModelError(f"{path}: no filing units after the header")
    units = []
    unit_id_before = 0
    for number, line in enumerate(lines[1:], start=2):
        match = ROW.fullmatch(line)
        if match:
            unit_id, itemized, salary, married, weight = match.groups()
            unit = (line, float(itemized), float(salary), int(married), float(weight))
            if (
                len(unit_id) <= 18
                and int(unit_id) > unit_id_before
                and unit[1] < math.inf
                and unit[2] < math.inf
                and 0.0 < unit[4] < math.inf
            ):
                unit_id_before = int(unit_id)
                units.append(unit)
                continue
        raise ModelError(f"{path}:{number}: {fault(line, unit_id_before)}")
    return units


def compute_taxes(units, parameters):
    """The tax of every unit, in order."""
    rate, standard, exempt = (parameters[name] for name in PARAMETERS)
    taxes = [
        rate * (salary - max(itemized, standard) - exempt * (1 + married))
        for _, itemized, salary, married, _ in units
    ]
    if not all(map(math.isfinite, taxes)):
        raise ModelError("a tax is beyond the range of a double: the parameters are too large")
    return taxes


def summarize(units, taxes):
    """Weighted totals and average tax rates. A band in which nobody earns has no rate, hence no entry."""
    weights = [unit[4] for unit in units]
    salaries = [unit[2] for unit in units]
    weighted_taxes = [tax * weight for tax, weight in zip(taxes, weights)]
    weighted_salaries = [salary * weight for salary, weight in zip(salaries, weights)]

    revenue = math.fsum(weighted_taxes)
    wages = math.fsum(weighted_salaries)
    summary = {"revenue": revenue, "units": len(units), "population": math.fsum(weights)}
    if wages > 0.0:
        summary["average_tax_rate"] = revenue / wages
    lower = 0.0
    for name, upper in BANDS:
        inside = [lower <= salary < upper for salary in salaries]
        band_wages = math.fsum(value for value, member in zip(weighted_salaries, inside) if member)
        band_taxes = math.fsum(value for value, member in zip(weighted_taxes, inside) if member)
        if band_wages > 0.0:
            summary[name] = band_taxes / band_wages
        lower = upper
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


def main(arguments):
    if len(arguments) != 3:
        print("usage: simple_tax.py PARAMETERS UNITS OUTPUTS", file=sys.stderr)
        return 2
    parameters_path, units_path, outputs = arguments
    try:
        parameters = read_parameters(parameters_path)
        units = read_units(units_path)
        taxes = compute_taxes(units, parameters)
        summary = summarize(units, taxes)
        rows = [f"{unit[0]},{tax!r}\n" for unit, tax in zip(units, taxes)]
        write_file(os.path.join(outputs, "output.csv"), ",".join(COLUMNS) + ",tax\n" + "".join(rows))
        write_file(os.path.join(outputs, "summary.json"), json.dumps(summary, indent=2) + "\n")
    except ModelError as error:
        print(f"simple-tax: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
