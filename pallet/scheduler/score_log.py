"""What each plugin gave a pod's nodes, for the log: from -v 6 the best two of them, at 10 all."""

from pallet.cache.pod_info import PodInfo
from pallet.logs import get_logger
from pallet.runtime.evaluator import Choice, Evaluator, Scored

log = get_logger(__name__)

BEST = 6
EVERY_NODE = 10
"""As in kube-scheduler, whose words these are."""


def log_scores(evaluator: Evaluator, info: PodInfo, choice: Choice) -> None:
    """Log the scores that led to a choice. They are asked for once more: it is slow, and -v must want it."""
    if not log.enabled(BEST) or choice.node is None or choice.feasible < 2:
        return
    scored = sorted(evaluator.scored(info), key=lambda each: (each.node != choice.node, -each.total))
    pod, (chosen, *others) = info.pod.key, scored
    log.v(
        BEST,
        "Chose a node",
        pod=pod,
        node=chosen.node,
        score=choice.score,
        scores=_listed(chosen),
        feasible=choice.feasible,
        **_next(others),
    )
    if log.enabled(EVERY_NODE):
        for each in scored:
            for plugin, score in each.shares.items():
                log.v(
                    EVERY_NODE,
                    "Plugin scored node for pod",
                    pod=pod,
                    plugin=plugin,
                    node=each.node,
                    score=score,
                )
            log.v(
                EVERY_NODE, "Calculated node's final score for pod", pod=pod, node=each.node, score=each.total
            )


def _next(others: list[Scored]) -> dict[str, object]:
    """The best of the others; they come in the order of their totals."""
    return {"next": others[0].node, "next_scores": _listed(others[0])} if others else {}


def _listed(scored: Scored) -> str:
    return " ".join(f"{plugin}={score}" for plugin, score in scored.shares.items())
