"""How good a choice of victims is: kube-scheduler's order among the nodes where preemption would help."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pallet.api.pod import Pod

Rank = tuple[int | float, ...]
"""The lower the better."""

LOWEST_PRIORITY = -(2**31)


def rank(
    preemptor: Pod, victims: frozenset[str], there: Iterable[Pod], budgets: Sequence[Mapping[str, Any]]
) -> Rank:
    """Rank some of the pods that are on one node, given as namespace/name.

    Fewest violations of budgets, lowest highest priority, lowest sum, fewest victims, and of the most
    important ones the latest start.
    """
    lower = sorted((pod for pod in there if pod.spec.priority < preemptor.spec.priority), key=_importance)
    chosen = [pod for pod in lower if pod.key in victims]
    highest = max((pod.spec.priority for pod in chosen), default=0)
    starts = [_started(pod) for pod in chosen if pod.spec.priority == highest]
    return (
        len(violating(lower, budgets) & victims),
        highest,
        sum(pod.spec.priority - LOWEST_PRIORITY for pod in chosen),
        len(chosen),
        -min(starts, default=0.0),
    )


def violating(pods: Iterable[Pod], budgets: Sequence[Mapping[str, Any]]) -> set[str]:
    """Those that must not go, when the pods go in this order and each uses up what its budgets allow."""
    allowed = [budget["status"]["disruptionsAllowed"] for budget in budgets]
    found = set()
    for pod in pods:
        for number, budget in enumerate(budgets):
            gone_already = pod.metadata.name in budget["status"].get("disruptedPods", ())
            if _covers(budget, pod) and not gone_already:
                allowed[number] -= 1
                if allowed[number] < 0:
                    found.add(pod.key)
    return found


def _covers(budget: Mapping[str, Any], pod: Pod) -> bool:
    """Whether a budget speaks of a pod; one that selects everything speaks of none to kube-scheduler."""
    selector = budget["spec"]["selector"] or {}
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", ())
    labels = pod.metadata.labels
    return (
        bool(wanted or expressions)
        and budget["metadata"]["namespace"] == pod.metadata.namespace
        and all(labels.get(key) == value for key, value in wanted)
        and all(_meets(labels, expression) for expression in expressions)
    )


def _meets(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    key = expression["key"]
    match expression["operator"]:
        case "In":
            return labels.get(key) in expression["values"]
        case "NotIn":
            return labels.get(key) not in expression["values"]
        case "Exists":
            return key in labels
    return key not in labels


def _importance(pod: Pod) -> tuple[int, float]:
    return -pod.spec.priority, _started(pod)


def _started(pod: Pod) -> float:
    return pod.status.start_time.timestamp() if pod.status.start_time else float("inf")
