"""A plot of backlogs as SVG: speed by workload, and what a pod costs pallet as the cluster grows."""

import math
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from html import escape
from typing import TypeVar

from tools.bench.contenders import PALLET
from tools.bench.measures import Round

WIDTH, HEIGHT = 1000, 260
LEFT, RIGHT, ABOVE, BELOW = 70, 20, 80, 80
LEGEND_WIDTH, LEGEND_COLUMNS = 180, 5
COLOURS = 7
"""So many hues are told apart easily; lines beyond them are dashed."""

Key = TypeVar("Key", bound=Hashable)
Series = Mapping[str, Mapping[Key, float]]


def plot(rounds: Sequence[Round]) -> str:
    """For each number of nodes bars of pods/s, and below them lines of CPU per pod by number of nodes."""
    parts: list[str] = []
    top = 0
    for nodes in sorted({each.nodes for each in rounds}):
        speeds = [
            (each.workload, each.contender, each.measures.pods_per_second)
            for each in rounds
            if each.measures and each.nodes == nodes
        ]
        parts += _bars(f"pods/s, to the last binding; {nodes:,} nodes", _medians(speeds), top + ABOVE)
        top += ABOVE + HEIGHT + BELOW
    costs = [
        (each.workload, each.nodes, each.measures.cpu_ms_per_pod)
        for each in rounds
        if each.measures and each.contender == PALLET.name
    ]
    parts += _lines(f"{PALLET.name}'s CPU per pod by number of nodes, ms", _medians(costs), top + ABOVE)
    height = top + ABOVE + HEIGHT + BELOW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    background = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join((head, background, *parts, "</svg>")) + "\n"


def _medians(values: Iterable[tuple[str, Key, float]]) -> dict[str, dict[Key, float]]:
    """The median of the values of each pair of keys."""
    found: dict[str, dict[Key, list[float]]] = {}
    for name, key, value in values:
        found.setdefault(name, {}).setdefault(key, []).append(value)
    return {
        name: {key: statistics.median(each) for key, each in by_key.items()} for name, by_key in found.items()
    }


def _bars(title: str, groups: Series[str], top: int) -> list[str]:
    names = sorted({name for group in groups.values() for name in group})
    highest = _ceiling(groups)
    parts = _frame(title, names, highest, top)
    step = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    bar = step * 0.8 / max(len(names), 1)
    for place, (group, values) in enumerate(groups.items()):
        for number, name in enumerate(names):
            tall = values.get(name, 0.0) / highest * HEIGHT
            x = LEFT + (place + 0.1) * step + number * bar
            parts.append(
                f'<rect x="{x:.1f}" y="{top + HEIGHT - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}" '
                f'fill="{_colour(number)}"/>'
            )
        parts.append(_turned(LEFT + (place + 0.6) * step, top + HEIGHT + 14, group))
    return parts


def _lines(title: str, lines: Series[int], top: int) -> list[str]:
    highest = _ceiling(lines)
    parts = _frame(title, list(lines), highest, top)
    counts = sorted({nodes for line in lines.values() for nodes in line})
    step = (WIDTH - LEFT - RIGHT) / max(len(counts), 1)
    across = {nodes: LEFT + (place + 0.5) * step for place, nodes in enumerate(counts)}
    for number, line in enumerate(lines.values()):
        points = [(across[nodes], top + HEIGHT - line[nodes] / highest * HEIGHT) for nodes in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour, dashes = _colour(number), ' stroke-dasharray="6 3"' if number >= COLOURS else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return parts + [_text(x, top + HEIGHT + 18, f"{nodes:,}", "middle") for nodes, x in across.items()]


def _frame(title: str, names: Sequence[str], highest: float, top: int) -> list[str]:
    """The title, the legend, and the scale."""
    parts = [f'<text x="{LEFT}" y="{top - ABOVE + 20}" font-size="16">{escape(title)}</text>']
    for number, name in enumerate(names):
        row, column = divmod(number, LEGEND_COLUMNS)
        x, y = LEFT + column * LEGEND_WIDTH, top - ABOVE + 30 + row * 15
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{_colour(number)}"/>')
        dashed = " (dashed)" if number >= COLOURS else ""
        parts.append(_text(x + 15, y + 9, name + dashed, "start"))
    for part in range(5):
        y, value = int(top + HEIGHT * (1 - part / 4)), highest * part / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:,.4g}", "end"))
    return parts


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{escape(text)}</text>'


def _turned(x: float, y: float, text: str) -> str:
    return f'<g transform="rotate(-30 {x:.1f} {y:.1f})">{_text(x, y, text, "end")}</g>'


def _ceiling(series: Series[Key]) -> float:
    """A round number that is not below any of the values."""
    highest = max((value for values in series.values() for value in values.values()), default=1.0)
    unit = 10.0 ** math.floor(math.log10(highest))
    return next(unit * step for step in (1, 2, 4, 5, 8, 10) if highest <= unit * step)


def _colour(number: int) -> str:
    return f"hsl({(210 + number % COLOURS * 360 // COLOURS) % 360}, 65%, 45%)"
