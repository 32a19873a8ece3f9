"""Figures in columns: what several rounds gave, and text aligned for a terminal or as markdown."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Sum values up. Raises ValueError where there are none."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def text(self, decimals: int) -> str:
        """Write it as `312 (294-313)`, or as one number where all are the same."""
        median, lowest, highest = (
            f"{value:,.{decimals}f}" for value in (self.median, self.lowest, self.highest)
        )
        return median if lowest == highest else f"{median} ({lowest}-{highest})"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first one to the left, the others to the right."""
    widths = _widths(lines)
    return "\n".join("  ".join(_cells(line, widths)).rstrip() for line in lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The same as a table of markdown, whose first line is the head."""
    widths = [max(width, 2) for width in _widths(lines)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    head, *body = ([*_cells(line, widths)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _cells(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
