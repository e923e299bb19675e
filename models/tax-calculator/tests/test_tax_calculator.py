"""Tax-Calculator as a model, checked from outside. The one full run takes about half a minute.

    python3 -B -m unittest discover -s tests

The expected revenues come from the package's own Python API and those by decile from its command line, neither of
them through run_model.py. With taxcalc 6.8.0 on the path and reform.json holding

    {"policy": {"STD": {"2026": [20125, 40250, 20125, 30187.5, 40250]},
                "EITC_c": {"2026": [996, 6640.5, 10974, 12346.5]},
                "II_rt7": {"2026": 0.45}}}

(1.25 times the standard deductions of 2026 law, which are 16100, 32200, 16100, 24150 and 32200; 1.5 times the
maximum credits, which are 664, 4427, 7316 and 8231):

    tc cps.csv 2026 --tables --reform reform.json       # writes the table that DECILES repeats

    records = taxcalc.Records.cps_constructor()
    policy = taxcalc.Policy()
    policy.implement_reform(taxcalc.Policy.read_json_reform(open("reform.json").read()))
    calculator = taxcalc.Calculator(policy=policy, records=records)
    calculator.advance_to_year(2026)
    calculator.calc_all()
    calculator.weighted_total("iitax")                  # and so on: REFORM
"""

import csv
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

MODEL = Path(__file__).resolve().parents[1]
DEFAULTS = {"YEAR": 2026, "STANDARD_DEDUCTION": 16100, "EITC_SCALE": 1, "TOP_RATE": 0.37}

REFORM = {
    "income_tax_revenue": 2001794245330.98,
    "payroll_tax_revenue": 1744856936622.33,
    "combined_revenue": 3746651181953.31,
    "eitc_cost": 90655578247.83,
    "tax_units": 220134997.82,
    "income_tax_revenue_change": 2001794245330.98 - 2050157716032.94,   # less iitax under current law
    "standard_deduction_single": 20125.0,
}
# Tax units in millions, expanded income, income tax, payroll tax and all tax in billions of USD, as `tc` prints them.
DECILES = [
    (22.01, 52.2, -0.5, 4.1, 3.6),
    (22.01, 415.4, -11.2, 36.0, 24.8),
    (22.01, 778.4, -13.3, 57.6, 44.2),
    (22.01, 1043.1, -3.8, 66.5, 62.7),
    (22.01, 1310.1, 6.1, 91.3, 97.4),
    (22.02, 1649.0, 20.2, 121.2, 141.4),
    (22.01, 2100.0, 48.4, 158.9, 207.3),
    (22.01, 2735.4, 104.9, 218.2, 323.1),
    (22.01, 3761.9, 235.0, 334.4, 569.4),
    (22.02, 9000.9, 1616.0, 656.6, 2272.6),
]
# The last column of the same file's difference table: all tax less that of current law, in billions of USD.
TAX_CHANGES = [0.2, -2.3, -9.4, -10.4, -11.5, -13.7, -15.8, -17.1, -22.6, 54.2]


class TaxCalculator(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.params = Path(temporary.name) / "params.json"
        self.outputs = Path(temporary.name) / "outputs"
        self.outputs.mkdir()

    def run_model(self, params):
        """Runs the model on the parameters: a mapping, text as it stands, or None for no file."""
        if params is not None:
            self.params.write_text(params if isinstance(params, str) else json.dumps(params))
        command = [sys.executable, "-B", str(MODEL / "run_model.py"), str(self.params), str(self.outputs)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    def test_reform_of_everything(self):
        step = self.run_model({"YEAR": 2026, "STANDARD_DEDUCTION": 20125, "EITC_SCALE": 1.5, "TOP_RATE": 0.45})
        self.assertEqual((step.returncode, step.stderr), (0, ""))
        summary = json.loads((self.outputs / "summary.json").read_text())
        for name, expected in REFORM.items():
            self.assertAlmostEqual(summary[name] / expected, 1.0, delta=1e-9, msg=name)

        with open(self.outputs / "distribution.csv", newline="") as file:
            table = {row.pop("group"): {name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)}
        for i, (units, income, income_tax, payroll_tax, combined) in enumerate(DECILES):
            row = table[f"decile_{i + 1}"]
            self.assertAlmostEqual(row["tax_units"] / 1e6, units, delta=0.0051)
            self.assertAlmostEqual(row["expanded_income"] / 1e9, income, delta=0.051)
            self.assertAlmostEqual(row["income_tax"] / 1e9, income_tax, delta=0.051)
            self.assertAlmostEqual(row["payroll_tax"] / 1e9, payroll_tax, delta=0.051)
            self.assertAlmostEqual(row["combined_tax"] / 1e9, combined, delta=0.051)
            # Nothing but taxes changes, so what is lost after tax is what is paid more.
            change = row["after_tax_income_change"] * row["tax_units"] / 1e9
            self.assertAlmostEqual(change, -TAX_CHANGES[i], delta=0.051)
            self.assertEqual(summary[f"after_tax_income_change_decile_{i + 1}"], row["after_tax_income_change"])
            self.assertEqual(summary[f"average_tax_rate_decile_{i + 1}"], row["average_tax_rate"])
        self.assertAlmostEqual(table["all"]["income_tax"], summary["income_tax_revenue"], delta=1.0)

    def test_reforms_in_taxcalc_terms(self):
        # Run in a process of its own, since it changes how numba is set up and what is on the path.
        script = (
            "import json, sys; sys.path.insert(0, '.'); import run_model\n"
            "taxcalc = run_model.import_taxcalc()\n"
            "for parameters in json.loads(sys.argv[1]):\n"
            "    print(json.dumps(run_model.reform_of(parameters, taxcalc.Policy())))\n"
        )
        cases = [
            # The defaults are current law in every year, whatever its standard deduction was.
            *(({**DEFAULTS, "YEAR": year}, {}) for year in (2018, 2021, 2026, 2036)),
            # 1.25 times the standard deductions of 2024: 14600, 29200, 14600, 21900, 29200.
            (
                {**DEFAULTS, "YEAR": 2024, "STANDARD_DEDUCTION": 20125},
                {"STD": {"2024": [18250.0, 36500.0, 18250.0, 27375.0, 36500.0]}},
            ),
            ({**DEFAULTS, "EITC_SCALE": 0}, {"EITC_c": {"2026": [0.0, 0.0, 0.0, 0.0]}}),
            ({**DEFAULTS, "EITC_SCALE": 2}, {"EITC_c": {"2026": [1328.0, 8854.0, 14632.0, 16462.0]}}),
            ({**DEFAULTS, "YEAR": 2030, "TOP_RATE": 0.396}, {"II_rt7": {"2030": 0.396}}),
        ]
        step = subprocess.run(
            [sys.executable, "-B", "-c", script, json.dumps([parameters for parameters, _ in cases])],
            capture_output=True, text=True, timeout=600, cwd=MODEL,
        )
        self.assertEqual((step.returncode, step.stderr), (0, ""))
        reforms = [json.loads(line) for line in step.stdout.splitlines()]
        self.assertEqual(reforms, [reform for _, reform in cases])

    def test_refusals(self):
        no_rate = {name: value for name, value in DEFAULTS.items() if name != "TOP_RATE"}
        cases = [
            (None, "params.json: cannot read: No such file"),
            ('{"YEAR": 2026,', "params.json:1: not JSON"),
            ("2026", "params.json: expected one JSON object"),
            (no_rate, "params.json: parameter TOP_RATE is missing; expected YEAR, STANDARD_DEDUCTION, EITC_SCALE"),
            ({**DEFAULTS, "II_rt7": 0.4}, 'params.json: unknown parameter "II_rt7"; expected YEAR'),
            ('{"YEAR": 2026, "YEAR": 2027}', 'params.json: parameter "YEAR" is given twice'),
            ({**DEFAULTS, "YEAR": 2017}, "YEAR: expected a whole number from 2018 to 2036, found 2017"),
            ({**DEFAULTS, "YEAR": 2037}, "YEAR: expected a whole number from 2018 to 2036, found 2037"),
            ({**DEFAULTS, "YEAR": 2026.5}, "YEAR: expected a whole number from 2018 to 2036, found 2026.5"),
            ({**DEFAULTS, "STANDARD_DEDUCTION": -1}, "STANDARD_DEDUCTION: expected a number from 0 to 1000000, found -1"),
            ({**DEFAULTS, "EITC_SCALE": float("nan")}, "EITC_SCALE: expected a number from 0 to 3, found NaN"),
            ({**DEFAULTS, "TOP_RATE": "37%"}, 'TOP_RATE: expected a number from 0 to 1, found "37%"'),
            ({**DEFAULTS, "TOP_RATE": 37}, "TOP_RATE: expected a number from 0 to 1, found 37"),
            ({**DEFAULTS, "TOP_RATE": True}, "TOP_RATE: expected a number from 0 to 1, found true"),
        ]
        for params, message in cases:
            with self.subTest(params):
                step = self.run_model(params)
                self.assertEqual(step.returncode, 1, step.stderr)
                self.assertEqual(step.stderr.count("\n"), 1, step.stderr)
                self.assertIn(message, step.stderr)
                self.assertEqual(list(self.outputs.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
