"""The contract of the simple-tax models, checked from outside.

The same file tests each of them; `this_model.py` beside it knows how that model is run. What is expected here is
worked out by hand (in the comments) or in exact fractions, never by a model's own code.

    python3 -B -m unittest discover -s tests
"""

import csv
import json
import resource
import signal
import subprocess
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

import this_model

DATA = Path(__file__).resolve().parents[1] / "data" / "units.csv"
HEADER = "unit_id,itemized,salary,married,weight"
DEFAULTS = {"RATE": "0.10", "STANDARD": "1500", "EXEMPT": "1000"}

# Six units, one for each case: the deduction below, at and above the standard one, married or not, salaries
# exactly on the bounds of bands, no salary at all.
SIX_UNITS = """\
1,0,20000,0,100
2,2500,25000,1,200
3,1200,60000,0,150.5
4,12000,120000,1,50
5,30000,250000,1,10
6,0,0,1,40
"""
# At the defaults, tax = 0.10 * (salary - deduction - exemption):
#   1:  20000 -  1500 - 1000 =  17500 ->  1750      x 100   = 175000
#   2:  25000 -  2500 - 2000 =  20500 ->  2050      x 200   = 410000
#   3:  60000 -  1500 - 1000 =  57500 ->  5750      x 150.5 = 865375
#   4: 120000 - 12000 - 2000 = 106000 -> 10600      x  50   = 530000
#   5: 250000 - 30000 - 2000 = 218000 -> 21800      x  10   = 218000
#   6:      0 -  1500 - 2000 =  -3500 ->  -350      x  40   = -14000
SIX_TAXES = [1750, 2050, 5750, 10600, 21800, -350]
SIX_SUMMARY = {
    "revenue": 2184375,  # 175000 + 410000 + 865375 + 530000 + 218000 - 14000
    "units": 6,
    "population": 550.5,  # 100 + 200 + 150.5 + 50 + 10 + 40
    # weighted salaries: 2000000 + 5000000 + 9030000 + 6000000 + 2500000 + 0 = 24530000
    "average_tax_rate": 2184375 / 24530000,
    "rate_under_25k": 0.0805,  # units 1 and 6: 161000 / 2000000
    "rate_25k_50k": 0.082,  # unit 2: 410000 / 5000000; 25000 is in the upper band
    "rate_50k_100k": 865375 / 9030000,  # unit 3
    "rate_100k_250k": 530000 / 6000000,  # unit 4
    "rate_over_250k": 0.0872,  # unit 5: 218000 / 2500000; 250000 is in the upper band
}
BANDS = {
    "rate_under_25k": (0, 25_000),
    "rate_25k_50k": (25_000, 50_000),
    "rate_50k_100k": (50_000, 100_000),
    "rate_100k_250k": (100_000, 250_000),
    "rate_over_250k": (250_000, 10**15),
}


class ModelTest(unittest.TestCase):
    """Runs the model in a fresh directory."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.params = self.directory / "params.csv"
        self.units = self.directory / "units.csv"
        self.outputs = self.directory / "outputs"
        self.outputs.mkdir()

    def write_params(self, **changes):
        values = {**DEFAULTS, **changes}
        self.params.write_text("".join(f"{name},{value}\n" for name, value in values.items()))

    def write_units(self, rows=SIX_UNITS):
        self.units.write_text(f"{HEADER}\n{rows}")

    def run_model(self, units=None, before=None):
        """Runs every step of the model until one fails; returns the last step run."""
        for command in this_model.commands(self.params, units or self.units, self.outputs):
            step = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=before)
            if step.returncode != 0:
                break
        return step

    def run_well(self, units=None):
        """Runs the model; returns the rows of its output and its summary."""
        step = self.run_model(units)
        self.assertEqual((step.returncode, step.stderr), (0, ""))
        with open(self.outputs / "output.csv", newline="") as file:
            text = file.read()
        self.assertTrue(text.startswith(HEADER + ",tax\n"), text[:60])
        self.assertNotIn("\r", text)
        self.assertNotIn(" ", text)
        self.assertEqual(sorted(path.name for path in self.outputs.iterdir()), ["output.csv", "summary.json"])
        return list(csv.DictReader(text.splitlines())), json.loads((self.outputs / "summary.json").read_text())

    def assert_close(self, got, expected, relative, what):
        self.assertLessEqual(
            abs(Fraction(got) - Fraction(expected)),
            Fraction(relative) * abs(Fraction(expected)),
            f"{what}: {got} instead of {float(expected)}",
        )


class Results(ModelTest):
    def test_taxes_and_summary_of_six_units(self):
        self.write_params()
        self.write_units()
        rows, summary = self.run_well()
        self.assertEqual([float(row["tax"]) for row in rows], SIX_TAXES)
        self.assertEqual([list(row.values())[:5] for row in rows], [line.split(",") for line in SIX_UNITS.split()])
        self.assertEqual(list(summary), list(SIX_SUMMARY))
        self.assertIsInstance(summary["units"], int)
        for name, expected in SIX_SUMMARY.items():
            self.assert_close(summary[name], expected, 1e-15, name)

    def test_every_parameter_changes_the_revenue(self):
        cases = [
            # twice the rate, twice the revenue
            ({"RATE": "0.2"}, 4368750),
            # 1000 more deducted for units 1, 3 and 6; unit 2 deducts 2500 either way:
            # -100 * (100 + 150.5 + 40) = -29050
            ({"STANDARD": "2500"}, 2155325),
            # 100 more exempt for a single, 200 for a couple: -10 * (100 + 150.5) - 20 * (200 + 50 + 10 + 40) = -8505
            ({"EXEMPT": "1100"}, 2175870),
            # 3250 * 100 + 3125 * 200 + 13250 * 150.5 + 24500 * 50 + 52500 * 10 - 3000 * 40
            ({"RATE": "0.25", "STANDARD": "2000", "EXEMPT": "5000"}, 4574125),
            ({"RATE": "0"}, 0),
            # the same numbers spelled otherwise
            ({"RATE": "1e-1", "STANDARD": "1.5E+3", "EXEMPT": "1000.0"}, 2184375),
        ]
        self.write_units()
        for changes, revenue in cases:
            with self.subTest(changes):
                self.write_params(**changes)
                _, summary = self.run_well()
                self.assert_close(summary["revenue"], revenue, 1e-15, "revenue")

    def test_parameters_go_by_name_in_any_order(self):
        self.write_units()
        for text in (
            "EXEMPT,1000\nSTANDARD,1500\nRATE,0.10\n",
            "EXEMPT,1000\r\nRATE,0.10\r\nSTANDARD,1500",
            "\n RATE , 0.10\nSTANDARD,\t1500\n\nEXEMPT,1000\n",
        ):
            with self.subTest(text):
                self.params.write_bytes(text.encode())
                _, summary = self.run_well()
                self.assertEqual(summary["revenue"], 2184375)

    def test_units_may_end_their_lines_like_windows_and_lack_the_last_end(self):
        self.write_params()
        self.units.write_bytes(f"{HEADER}\n{SIX_UNITS}".replace("\n", "\r\n").removesuffix("\r\n").encode())
        rows, summary = self.run_well()
        self.assertEqual((len(rows), summary["units"], summary["revenue"]), (6, 6, 2184375))

    def test_a_band_in_which_nobody_earns_has_no_rate(self):
        self.write_params()
        self.write_units("1,0,20000,0,100\n")
        _, summary = self.run_well()
        self.assertEqual(
            list(summary), ["revenue", "units", "population", "average_tax_rate", "rate_under_25k"]
        )

    def test_numbers_are_read_to_the_last_bit(self):
        # With rate 1 and nothing deducted a tax is the salary: Python's own reading of it is the yardstick.
        salaries = [
            "0.1", "123456.7", "99999999999999.9", "123456789012345678901", "9007199254740993", "1e22", "1e23", "8.5e-7",
            "1.7976931348623157e308", "2.2250738585072014e-308", "0.30000000000000004", "5.", ".5", "0000000000012.50",
        ]
        self.write_params(RATE="1", STANDARD="0", EXEMPT="0")
        self.write_units("".join(f"{i},0,{salary},0,1e-300\n" for i, salary in enumerate(salaries, start=1)))
        rows, _ = self.run_well()
        self.assertEqual([float(row["tax"]) for row in rows], [float(salary) for salary in salaries])

    def test_all_units_against_exact_fractions(self):
        with open(DATA, newline="") as file:
            units = list(csv.DictReader(file))
        self.assertEqual(len(units), 20_000)
        for rate, standard, exempt in (("0.10", "1500", "1000"), ("0.237", "3500", "1234.5")):
            with self.subTest(rate=rate, standard=standard, exempt=exempt):
                self.write_params(RATE=rate, STANDARD=standard, EXEMPT=exempt)
                rows, summary = self.run_well(DATA)
                self.assertEqual(len(rows), len(units))
                self.check_exactly(units, rows, summary, Fraction(rate), Fraction(standard), Fraction(exempt))

    def check_exactly(self, units, rows, summary, rate, standard, exempt):
        revenue, population, wages = Fraction(0), Fraction(0), Fraction(0)
        band_taxes, band_wages = dict.fromkeys(BANDS, Fraction(0)), dict.fromkeys(BANDS, Fraction(0))
        for unit, row in zip(units, rows):
            self.assertEqual(unit, {name: row[name] for name in unit})
            itemized, salary, weight = (Fraction(unit[name]) for name in ("itemized", "salary", "weight"))
            deduction = itemized if itemized > standard else standard
            persons = 2 if unit["married"] == "1" else 1
            tax = rate * (salary - deduction - exempt * persons)
            # A cent's millionth: taxes near zero lose relative accuracy by cancellation, not absolute.
            self.assertLess(abs(Fraction(row["tax"]) - tax), 1e-8 + 1e-14 * abs(tax), row)
            revenue += tax * weight
            population += weight
            wages += salary * weight
            band = next(name for name, (lower, upper) in BANDS.items() if lower <= salary < upper)
            band_taxes[band] += tax * weight
            band_wages[band] += salary * weight
        expected = {
            "revenue": revenue,
            "units": len(units),
            "population": population,
            "average_tax_rate": revenue / wages,
            **{name: band_taxes[name] / band_wages[name] for name in BANDS},
        }
        self.assertEqual(list(summary), list(expected))
        for name, value in expected.items():
            self.assert_close(summary[name], value, 1e-12, name)


class Refusals(ModelTest):
    """Whatever is wrong: one line that says where, a status other than zero, and no summary."""

    def assert_refused(self, *fragments, **how):
        step = self.run_model(**how)
        self.assertEqual(step.returncode, 1, step.stderr)
        self.assertEqual(step.stderr.count("\n"), 1, step.stderr)
        self.assertTrue(step.stderr.endswith("\n"))
        for fragment in fragments:
            self.assertIn(fragment, step.stderr)
        self.assertFalse((self.outputs / "summary.json").exists())
        self.assertEqual(list(self.outputs.glob("*.part")), [])
        return step

    def test_parameter_files(self):
        good = "RATE,0.10\nSTANDARD,1500\nEXEMPT,1000\n"
        cases = [
            ("", "params.csv: parameter RATE is missing"),
            ("RATE,0.10\nSTANDARD,1500\n", "params.csv: parameter EXEMPT is missing; expected RATE, STANDARD"),
            (good + "RATES,1\n", 'params.csv:4: unknown parameter "RATES"; expected RATE, STANDARD, EXEMPT'),
            (good + "rate,1\n", 'params.csv:4: unknown parameter "rate"'),
            (good + "RATE\n", "params.csv:4: parameter RATE is given twice"),
            (good + "RATE,0.10\n", "params.csv:4: parameter RATE is given twice"),
            ("NAME,value\n" + good, 'params.csv:1: unknown parameter "NAME"'),
            ("RATE,ten\n", 'params.csv:1: RATE: expected a finite number, found "ten"'),
            ("RATE,\n", 'params.csv:1: RATE: expected a finite number, found ""'),
            ("RATE\n", "params.csv:1: RATE: expected one value, found 0"),
            ("RATE,0.1,0.2\n", "params.csv:1: RATE: expected one value, found 2"),
            ("RATE,0.1,\n", "params.csv:1: RATE: expected one value, found 2"),
            ("RATE,\x1b[31mred\n", 'found "?[31mred"'),
            (",1\n", 'params.csv:1: unknown parameter ""'),
        ]
        for value in (
            "nan", "NaN", "inf", "-Infinity", "1e999", "1_000", "0x10", "1,5", "1d3", "1e", "1e+", "--1", "+1", "-",
            ".", "1 2", "0.1%", "2*3", "/", "1;", "\u0663",
        ):
            cases.append((f"RATE,{value}\n", "params.csv:1: RATE: expected "))
        self.write_units()
        for text, message in cases:
            with self.subTest(text):
                self.params.write_text(text)
                self.assert_refused(message)
                self.assertFalse((self.outputs / "output.csv").exists())

    def test_missing_parameter_file(self):
        self.write_units()
        self.assert_refused("params.csv", "No such file")

    def test_missing_units_file(self):
        self.write_params()
        self.assert_refused("units.csv", "No such file")

    def test_units_file_that_is_a_directory(self):
        self.write_params()
        self.units.mkdir()
        self.assert_refused("units.csv", "cannot read")

    def test_units_files(self):
        first = "1,0,20000,0,100\n"
        row = HEADER + "\n" + first
        at_3 = "units.csv:3: "
        cases = [
            ("", "units.csv: the file is empty"),
            (HEADER + "\n", "units.csv: no filing units after the header"),
            (HEADER, "units.csv: no filing units after the header"),
            (first, f'units.csv:1: expected the header {HEADER}, found "1,0,20000,0,100"'),
            (HEADER + " \n" + first, "units.csv:1: expected the header"),
            (row + "2,0,20000,0\n", at_3 + "expected 5 fields, found 4"),
            (row + "2,0,20000,0,1,1\n", at_3 + "expected 5 fields, found 6"),
            (row + "\n2,0,20000,0,1\n", at_3 + "expected 5 fields, found 1"),
            (row + first, at_3 + "unit_id: expected more than 1"),
            (row + "x,0,20000,0,1\n", at_3 + 'unit_id: expected a whole number, found "x"'),
            (row + "2.0,0,20000,0,1\n", at_3 + "unit_id: expected a whole number"),
            (row + "-2,0,20000,0,1\n", at_3 + "unit_id: expected a whole number"),
            (row + ",0,20000,0,1\n", at_3 + 'unit_id: expected a whole number, found ""'),
            (row + "9999999999999999999,0,20000,0,1\n", at_3 + "unit_id: expected a whole number"),
            (row + "2,,20000,0,1\n", at_3 + 'itemized: expected a finite number of at least 0, found ""'),
            (row + "2,-1,20000,0,1\n", at_3 + "itemized: expected a finite number of at least 0"),
            (row + "2,0,2OOOO,0,1\n", at_3 + 'salary: expected a finite number of at least 0, found "2OOOO"'),
            (row + "2,0,nan,0,1\n", at_3 + 'salary: expected a finite number of at least 0, found "nan"'),
            (row + "2,0,1e999,0,1\n", at_3 + "salary: expected a finite number of at least 0"),
            (row + "2,0, 20000,0,1\n", at_3 + "salary: expected a finite number of at least 0"),
            (row + "2,0,20000,2,1\n", at_3 + 'married: expected 0 or 1, found "2"'),
            (row + "2,0,20000,,1\n", at_3 + 'married: expected 0 or 1, found ""'),
            (row + "2,0,20000,01,1\n", at_3 + 'married: expected 0 or 1, found "01"'),
            (row + "2,0,20000,0,0\n", at_3 + 'weight: expected a finite number above 0, found "0"'),
            (row + "2,0,20000,0,-1\n", at_3 + "weight: expected a finite number above 0"),
            (row + "2,0,20000,0,1" + "0" * 500 + "\n", at_3 + "weight: expected a finite number above 0"),
            (row + "2,0,20000,0,1\x00\n", at_3 + 'weight: expected a finite number above 0, found "1?"'),
        ]
        self.write_params()
        for text, message in cases:
            with self.subTest(text):
                self.units.write_text(text)
                self.assert_refused(message)
                self.assertFalse((self.outputs / "output.csv").exists())

    def test_tax_beyond_a_double(self):
        self.write_params(RATE="1e308")
        self.write_units()
        self.assert_refused("a tax is beyond the range of a double")

    def test_missing_output_directory(self):
        self.write_params()
        self.write_units()
        self.outputs.rmdir()
        self.assert_refused("output.csv: cannot write")

    def test_disk_that_fills_up(self):
        # A limit on the size of files stands for the disk. It fails the write of a large file half way, and that of
        # a small one only when it leaves its buffer.
        self.write_params()
        self.write_units()
        for units, limit in ((self.units, 0), (self.units, 16), (DATA, 100_000)):
            with self.subTest(limit=limit):
                self.assert_refused("output.csv: cannot write", units=units, before=lambda: limit_files(limit))
                self.assertEqual(list(self.outputs.iterdir()), [])

    def test_wrong_number_of_arguments(self):
        command = this_model.commands(self.params, self.units, self.outputs)[0]
        for arguments in (command[:-1], command + ["more"]):
            step = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
            self.assertEqual(step.returncode, 2)
            self.assertTrue(step.stderr.startswith("usage: "), step.stderr)


def limit_files(size):
    """In a child before it starts: files cannot grow beyond the size, and the write fails instead of killing."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


if __name__ == "__main__":
    unittest.main()
