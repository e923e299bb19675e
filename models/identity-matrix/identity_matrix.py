#!/usr/bin/env python3
"""A very small model: the identity matrix, scaled.

    identity_matrix.py PARAMETERS OUTPUTS

Parameters come as one JSON object: N, SCALE and, if wanted, SLEEP. Writes OUTPUTS/matrix.csv (N rows of N numbers)
and OUTPUTS/summary.json. Whatever is wrong ends the model with one line on standard error and a status other than
zero.
"""

import json
import math
import os
import sys
import time

LARGEST_N = 64
LONGEST_SLEEP = 60.0


class ModelError(Exception):
    """What is wrong, in one line, for the user."""


def whole_number(value):
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_N:
        raise ValueError(f"a whole number from 1 to {LARGEST_N}")
    return value


def finite_number(value):
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)
    except OverflowError:       # a whole number beyond the range of a double
        pass
    raise ValueError("a finite number")


def seconds(value):
    try:
        value = finite_number(value)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= LONGEST_SLEEP:
        raise ValueError(f"a number of seconds from 0 to {LONGEST_SLEEP:g}")
    return value


CHECKS = {"N": whole_number, "SCALE": finite_number, "SLEEP": seconds}
DEFAULTS = {"SLEEP": 0.0}


def object_without_duplicates(pairs):
    seen = {}
    for name, value in pairs:
        if name in seen:
            raise ModelError(f"parameter {json.dumps(name)} is given twice")
        seen[name] = value
    return seen


def read_parameters(path):
    """Every parameter by name, checked, with defaults where there are any."""
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file, object_pairs_hook=object_without_duplicates)
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error
    if not isinstance(given, dict):
        raise ModelError(f"{path}: expected one JSON object of parameters")

    for name in given:
        if name not in CHECKS:
            raise ModelError(f"{path}: unknown parameter {json.dumps(name)}; expected {', '.join(CHECKS)}")
    values = dict(DEFAULTS)
    for name, check in CHECKS.items():
        if name in given:
            try:
                values[name] = check(given[name])
            except ValueError as error:
                found = json.dumps(given[name])
                raise ModelError(f"{path}: {name}: expected {error}, found {found[:40]}") from error
        elif name not in DEFAULTS:
            raise ModelError(f"{path}: parameter {name} is missing; expected {', '.join(CHECKS)}")
    return values


def summarize(n, scale):
    """What linear algebra says of SCALE times the identity."""
    try:
        determinant = scale**n
    except OverflowError as error:
        raise ModelError(f"the determinant {scale}**{n} is beyond the range of a double") from error
    return {"trace": scale * n, "determinant": determinant, "rank": n if scale else 0, "size": n}


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
    if len(arguments) != 2:
        print("usage: identity_matrix.py PARAMETERS OUTPUTS", file=sys.stderr)
        return 2
    parameters_path, outputs = arguments
    try:
        parameters = read_parameters(parameters_path)
        n, scale = parameters["N"], parameters["SCALE"]
        summary = summarize(n, scale)
        time.sleep(parameters["SLEEP"])
        rows = (",".join(repr(scale if row == column else 0.0) for column in range(n)) for row in range(n))
        write_file(os.path.join(outputs, "matrix.csv"), "\n".join(rows) + "\n")
        write_file(os.path.join(outputs, "summary.json"), json.dumps(summary, indent=2) + "\n")
    except ModelError as error:
        print(f"identity-matrix: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
