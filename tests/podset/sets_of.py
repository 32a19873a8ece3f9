"""A pod set as it is known after some objects were seen."""

from collections.abc import Iterable, Mapping

from pallet.api.pod import Pod
from pallet.api.podset import SchedulePlan, ScheduleTrigger
from pallet.podset.model import Attempt, PodSet
from pallet.podset.sets import PodSets
from pallet.podset.states import take_plan
from pallet.podset.triggers import LabelNaming, labelled
from tests.builders import SCHEDULER, at

WEB = labelled("default", "web")


def sets_of(
    *pods: Pod, triggers: Iterable[ScheduleTrigger] = (), plan: SchedulePlan | None = None, now: float = 0
) -> PodSets:
    """All sets, after a process that has just started saw these objects."""
    sets = PodSets(LabelNaming({SCHEDULER}))
    for trigger in triggers:
        sets.put_trigger(trigger, at(now))
    if plan is not None:
        sets.put_plan(plan)
    for pod in pods:
        sets.put_pod(pod, at(now))
    sets.restore()
    return sets


def set_of(
    *pods: Pod, trigger: ScheduleTrigger | None = None, plan: SchedulePlan | None = None, now: float = 0
) -> PodSet:
    """The set `default/web`, likewise."""
    pod_set = sets_of(*pods, triggers=() if trigger is None else (trigger,), plan=plan, now=now).get(WEB)
    assert pod_set is not None
    return pod_set


def answer(
    pod_set: PodSet,
    assignments: Mapping[str, str],
    refused: Mapping[str, str],
    attempt: Attempt | None = None,
) -> None:
    """Have a planner answer, nodes and reasons by UID."""
    take_plan(pod_set, assignments, refused, planner="", attempt=attempt)
