"""The rows as a table of markdown, and the page of the documentation that keeps the last one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tools.conformance.comparison import Row
from tools.conformance.junit import Outcome, Result

HEADING = "## The last result\n"


def table(rows: Sequence[Row]) -> str:
    """A line for each test, and the totals below."""
    lines = ["| test | kube-scheduler | pallet | why not |", "|---|---|---|---|"]
    lines += [
        f"| {_text(row.name)} | {_cell(row.theirs)} | {_cell(row.ours)} | {_text(row.remark)} |"
        for row in rows
    ]
    return "\n".join(lines) + f"\n\n{_totals(rows)}\n"


def keep(page: Path, text: str) -> None:
    """Put a text in the place of the last one, which is all that comes after the heading."""
    before, _, _ = page.read_text().partition(HEADING)
    page.write_text(f"{before.rstrip()}\n\n{HEADING}\n{text}")


def _totals(rows: Sequence[Row]) -> str:
    theirs, ours = (Counter(results) for results in zip(*map(_outcomes, rows), strict=True))
    return "; ".join(
        f"{name}: " + ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome if counted[outcome])
        for name, counted in (("kube-scheduler", theirs), ("pallet", ours))
    )


def _outcomes(row: Row) -> tuple[Outcome, Outcome]:
    return row.theirs.outcome, row.ours.outcome


def _cell(result: Result) -> str:
    if result.outcome is Outcome.SKIPPED:
        return str(result.outcome)
    return f"{result.outcome}, {result.seconds:.0f} s"


def _text(text: str) -> str:
    return text.replace("|", r"\|")
