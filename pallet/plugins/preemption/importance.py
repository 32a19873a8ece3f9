"""Which pods are more important than others: the least important are preempted first.

By priority, then by how long they run; a pod that has not started yet counts as started just now. The rules
are kube-scheduler's (`MoreImportantPod`).
"""

import math

from pallet.api.pod import Pod

DISRUPTION_TARGET = "DisruptionTarget"
PREEMPTED = "PreemptionByScheduler"


def started(pod: Pod) -> float:
    """When a pod started, in seconds of the Unix time; infinity if it has not: such are equal."""
    moment = pod.status.start_time
    return math.inf if moment is None else moment.timestamp()


def by_importance(pod: Pod) -> tuple[int, float]:
    """A sort key: the most important pod comes first."""
    return -pod.spec.priority, started(pod)


def terminating_by_preemption(pod: Pod) -> bool:
    """Whether a pod is terminating because it was preempted."""
    if not pod.terminating:
        return False
    target = next((each for each in pod.status.conditions if each.type == DISRUPTION_TARGET), None)
    return target is not None and target.status == "True" and target.reason == PREEMPTED
