"""How the model under test is run."""

from pathlib import Path

MODEL = Path(__file__).resolve().parents[1]


def commands(params, units, outputs):
    return [[str(MODEL / "simple-tax"), str(params), str(units), str(outputs)]]
