"""How the model under test is run: the model, then the summary of its output."""

import sys
from pathlib import Path

MODEL = Path(__file__).resolve().parents[1]


def commands(params, units, outputs):
    return [
        [str(MODEL / "simple-tax"), str(params), str(units), str(outputs)],
        [sys.executable, "-B", str(MODEL / "summarize.py"), str(outputs)],
    ]
