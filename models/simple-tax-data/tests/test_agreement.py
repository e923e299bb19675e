"""The three simple-tax models agree with each other, on data that are what the generator makes.

    python3 -B -m unittest discover -s tests

Builds the models in a temporary directory with make, unless SIMPLE_TAX_FORTRAN, SIMPLE_TAX_CPP and SIMPLE_TAX_PYTHON
name folders in which they are built already.
"""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
MODELS = DATA.parent
LANGUAGES = ("fortran", "cpp", "python")
TOLERANCE = 1e-9

# Defaults, each parameter by itself, all of them, and corners: no tax, a tax on everything, nothing deducted.
POINTS = [
    {"RATE": "0.10", "STANDARD": "1500", "EXEMPT": "1000"},
    {"RATE": "0.237", "STANDARD": "1500", "EXEMPT": "1000"},
    {"RATE": "0.10", "STANDARD": "3500", "EXEMPT": "1000"},
    {"RATE": "0.10", "STANDARD": "1500", "EXEMPT": "5000"},
    {"RATE": "0.3333333333333333", "STANDARD": "12345.67", "EXEMPT": "4321"},
    {"RATE": "0", "STANDARD": "1500", "EXEMPT": "1000"},
    {"RATE": "1", "STANDARD": "0", "EXEMPT": "0"},
    {"RATE": "1e-7", "STANDARD": "1e9", "EXEMPT": "1e9"},
]


class Agreement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.folders = {language: cls.built(language) for language in LANGUAGES}

    @classmethod
    def built(cls, language):
        """The folder in which the model lies built."""
        given = os.environ.get(f"SIMPLE_TAX_{language.upper()}")
        if given:
            return Path(given)
        folder = cls.temporary / language
        shutil.copytree(MODELS / f"simple-tax-{language}", folder)
        if (folder / "Makefile").exists():
            subprocess.run(["make", "--always-make", "--silent"], cwd=folder, check=True)
        return folder

    def run_model(self, language, point):
        """Runs a model; returns the rows of its output and its summary, all as they stand."""
        folder = self.folders[language]
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        params = directory / "params.csv"
        params.write_text("".join(f"{name},{value}\n" for name, value in point.items()))
        command = [str(folder / "simple-tax")]
        if language == "python":
            command = [sys.executable, "-B", str(folder / "simple_tax.py")]
        subprocess.run([*command, str(params), str(folder / "data" / "units.csv"), str(directory)], check=True)
        if language == "fortran":
            subprocess.run([sys.executable, "-B", str(folder / "summarize.py"), str(directory)], check=True)
        with open(directory / "output.csv", newline="") as file:
            rows = list(csv.reader(file))
        return rows, json.loads((directory / "summary.json").read_text())

    def test_every_output_agrees(self):
        for point in POINTS:
            with self.subTest(point):
                results = {language: self.run_model(language, point) for language in LANGUAGES}
                rows, summary = results["fortran"]
                self.assertEqual(len(rows), 20_001)
                for language in ("cpp", "python"):
                    other_rows, other_summary = results[language]
                    self.assertEqual(len(rows), len(other_rows))
                    self.assertEqual([row[:5] for row in rows], [row[:5] for row in other_rows])
                    for row, other in zip(rows[1:], other_rows[1:]):
                        self.assertTrue(math.isclose(float(row[5]), float(other[5]), rel_tol=TOLERANCE), (row, other))
                    self.assertEqual(list(summary), list(other_summary))
                    for name, value in summary.items():
                        self.assertTrue(math.isclose(value, other_summary[name], rel_tol=TOLERANCE), name)

    def test_copies_are_the_same(self):
        for path in ("data/units.csv", "tests/test_simple_tax.py"):
            copies = {(MODELS / f"simple-tax-{language}" / path).read_bytes() for language in LANGUAGES}
            self.assertEqual(len(copies), 1, path)

    def test_data_are_what_the_generator_makes(self):
        copies = [str(MODELS / f"simple-tax-{language}" / "data" / "units.csv") for language in LANGUAGES]
        subprocess.run([sys.executable, "-B", str(DATA / "generate.py"), "--check", *copies], check=True)


if __name__ == "__main__":
    unittest.main()
