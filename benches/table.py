"""One line of the result, and the table of all."""

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Line:
    """Ours beside a peer's, measured in the same rounds.

    `ours` and `peer` hold one figure for each round, in `unit`. The ratio is the median of each round's ratio. `target`
    is the most that the ratio may be, or the figure itself with `absolute`; None where nothing is promised.
    """

    name: str
    ours: list[float]
    peer_name: str
    peer: list[float]
    unit: str = "s"
    target: float | None = None
    absolute: bool = False
    limit: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        if len(self.peer) == len(self.ours):
            return [ours / peer for ours, peer in zip(self.ours, self.peer) if peer > 0]
        return [median(self.ours) / median(self.peer)] if self.peer else []

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        if self.absolute:
            return median(self.ours) <= self.target
        return bool(self.ratios) and median(self.ratios) <= self.target

    def as_dict(self) -> dict[str, object]:
        return {
            "benchmark": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer_name,
            "peer_figures": self.peer,
            "ratio": median(self.ratios) if self.ratios else None,
            "target": self.target,
            "target_is": "figure" if self.absolute else "ratio",
            "met": self.met,
            "raw_limit": self.limit,
            "notes": self.notes,
        }


def spread(figures: list[float], unit: str = "") -> str:
    if not figures:
        return "-"
    shown = number(median(figures)) + (f" {unit}" if unit else "")
    if len(figures) > 1:
        shown += f" ({number(min(figures))}-{number(max(figures))})"
    return shown


def number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def show(lines: list[Line]) -> None:
    head = ["BENCHMARK", "OURS", "PEER", "ITS FIGURE", "RATIO", "TARGET", "", "RAW LIMIT"]
    rows = [head]
    for line in lines:
        target = "-" if line.target is None else f"<= {number(line.target)}{' ' + line.unit if line.absolute else ''}"
        verdict = {True: "met", False: "MISSED", None: ""}[line.met]
        rows.append([
            line.name, spread(line.ours, line.unit), line.peer_name, spread(line.peer, line.unit if line.peer else ""),
            spread(line.ratios), target, verdict, line.limit,
        ])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for line in lines:
        for note in line.notes:
            print(f"{line.name}: {note}")
