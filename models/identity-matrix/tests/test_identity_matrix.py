"""The identity matrix model, checked from outside.

    python3 -B -m unittest discover -s tests
"""

import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

MODEL = Path(__file__).resolve().parents[1] / "identity_matrix.py"


class IdentityMatrix(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.params = Path(temporary.name) / "params.json"
        self.outputs = Path(temporary.name) / "outputs"
        self.outputs.mkdir()

    def run_model(self, params):
        """Runs the model on the parameters: a mapping, text as it stands, or None for no file."""
        self.params.unlink(missing_ok=True)
        if params is not None:
            self.params.write_text(params if isinstance(params, str) else json.dumps(params))
        command = [sys.executable, "-B", str(MODEL), str(self.params), str(self.outputs)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_results(self):
        # det(s I) = s * s * ... * s, trace(s I) = s + s + ... + s, and the rank is full unless s = 0.
        cases = [
            ({"N": 1, "SCALE": 7.5}, "7.5\n", {"trace": 7.5, "determinant": 7.5, "rank": 1, "size": 1}),
            (
                {"N": 3, "SCALE": -2, "SLEEP": 0},
                "-2.0,0.0,0.0\n0.0,-2.0,0.0\n0.0,0.0,-2.0\n",
                {"trace": -6, "determinant": -8, "rank": 3, "size": 3},
            ),
            ({"N": 2, "SCALE": 0}, "0.0,0.0\n0.0,0.0\n", {"trace": 0, "determinant": 0, "rank": 0, "size": 2}),
        ]
        for params, matrix, summary in cases:
            with self.subTest(params):
                step = self.run_model(params)
                self.assertEqual((step.returncode, step.stderr), (0, ""))
                self.assertEqual((self.outputs / "matrix.csv").read_text(), matrix)
                self.assertEqual(json.loads((self.outputs / "summary.json").read_text()), summary)

    def test_largest(self):
        step = self.run_model({"N": 64, "SCALE": 2})
        self.assertEqual(step.returncode, 0, step.stderr)
        summary = json.loads((self.outputs / "summary.json").read_text())
        self.assertEqual(summary, {"trace": 128, "determinant": 18446744073709551616, "rank": 64, "size": 64})

    def test_sleep(self):
        start = time.monotonic()
        self.assertEqual(self.run_model({"N": 1, "SCALE": 1, "SLEEP": 0.3}).returncode, 0)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_refusals(self):
        cases = [
            (None, "params.json: cannot read: No such file"),
            ("", "params.json:1: not JSON"),
            ('{\n"N": 1,\n}', "params.json:3: not JSON"),
            ("[1]", "params.json: expected one JSON object"),
            ("{}", "params.json: parameter N is missing; expected N, SCALE, SLEEP"),
            ({"N": 1}, "params.json: parameter SCALE is missing"),
            ({"N": 1, "SCALE": 1, "SIZE": 2}, 'params.json: unknown parameter "SIZE"; expected N, SCALE, SLEEP'),
            ('{"N": 1, "N": 2, "SCALE": 1}', 'params.json: parameter "N" is given twice'),
            ({"N": 0, "SCALE": 1}, "N: expected a whole number from 1 to 64, found 0"),
            ({"N": 65, "SCALE": 1}, "N: expected a whole number from 1 to 64, found 65"),
            ({"N": 2.5, "SCALE": 1}, "N: expected a whole number from 1 to 64, found 2.5"),
            ({"N": "3", "SCALE": 1}, 'N: expected a whole number from 1 to 64, found "3"'),
            ({"N": True, "SCALE": 1}, "N: expected a whole number from 1 to 64, found true"),
            ('{"N": 1, "SCALE": NaN}', "SCALE: expected a finite number, found NaN"),
            ('{"N": 1, "SCALE": 1e999}', "SCALE: expected a finite number, found Infinity"),
            ('{"N": 1, "SCALE": 1' + "0" * 400 + "}", "SCALE: expected a finite number, found 1000"),
            ({"N": 1, "SCALE": None}, "SCALE: expected a finite number, found null"),
            ({"N": 64, "SCALE": 1e300}, "the determinant 1e+300**64 is beyond the range of a double"),
            ({"N": 1, "SCALE": 1, "SLEEP": -1}, "SLEEP: expected a number of seconds from 0 to 60, found -1"),
            ({"N": 1, "SCALE": 1, "SLEEP": 61}, "SLEEP: expected a number of seconds from 0 to 60, found 61"),
            ({"N": 1, "SCALE": 1, "SLEEP": "1"}, "SLEEP: expected a number of seconds from 0 to 60"),
        ]
        for params, message in cases:
            with self.subTest(params):
                step = self.run_model(params)
                self.assertEqual(step.returncode, 1, step.stderr)
                self.assertEqual(step.stderr.count("\n"), 1, step.stderr)
                self.assertIn(message, step.stderr)
                self.assertEqual(list(self.outputs.iterdir()), [])

    def test_missing_output_directory(self):
        self.outputs.rmdir()
        step = self.run_model({"N": 1, "SCALE": 1})
        self.assertEqual(step.returncode, 1)
        self.assertRegex(step.stderr, r"\Aidentity-matrix: .*matrix.csv: cannot write: No such file or directory\n\Z")


if __name__ == "__main__":
    unittest.main()
