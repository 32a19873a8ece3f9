"""Why no node was found, in kube-scheduler's words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pallet.cache.changes import Rows
from pallet.framework.status import Status, unresolvable


@dataclass(frozen=True, slots=True)
class NodesToStatus:
    """Some rows and the answer they all got; the status names the plugin."""

    status: Status
    rows: Rows


def blame(status: Status, plugins: tuple[str, ...], rows: Rows) -> tuple[NodesToStatus, ...]:
    """One answer that several plugins gave together: the rows count once, but each of them is named."""
    first, *others = (status.by(plugin) for plugin in plugins)
    return (NodesToStatus(first, rows), *(NodesToStatus(other, rows[:0]) for other in others))


def not_satisfied(plugins: tuple[str, ...]) -> Status:
    """Why a node is out of the question that is none of those to which some plugins confine the pod."""
    return unresolvable(f"node(s) didn't satisfy plugin(s) {_listed(plugins)}")


def nothing_left(plugins: tuple[str, ...]) -> Status:
    """Why there is no node to look at, when some plugins together left none."""
    if len(plugins) == 1:
        return unresolvable(f"node(s) didn't satisfy plugin {plugins[0]}")
    return unresolvable(f"node(s) didn't satisfy plugin(s) {_listed(plugins)} simultaneously")


def fit_message(node_count: int, refusals: Iterable[NodesToStatus]) -> str:
    """The sentence of a FailedScheduling event (kube-scheduler's FitError).

    Reasons are counted over nodes and sorted as text.
    """
    counts: Counter[str] = Counter()
    for refused in refusals:
        for reason in refused.status.reasons:
            counts[reason] += len(refused.rows)
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return _sentence(node_count, reasons)


def rejection_message(node_count: int, status: Status) -> str:
    """The same sentence when a pre-filter plugin refused the pod outright: its words once, not by node."""
    return _sentence(node_count, status.message)


def _sentence(node_count: int, reasons: str) -> str:
    ended = reasons if not reasons or reasons.endswith(".") else f"{reasons}."
    return f"0/{node_count} nodes are available: {ended}".rstrip()


def _listed(plugins: tuple[str, ...]) -> str:
    return f"[{' '.join(sorted(plugins))}]"
