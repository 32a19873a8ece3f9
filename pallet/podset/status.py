"""What a trigger's status says about its set."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pallet.api.podset import Condition, ScheduleTrigger, ScheduleTriggerStatus
from pallet.podset.member import WAITING, Bound, Refused
from pallet.podset.model import Phase, PodSet
from pallet.podset.states import phase_of
from pallet.podset.triggers import Quiet

_LONGEST_MESSAGE = 1024


def status_of(
    pod_set: PodSet, trigger: ScheduleTrigger, quiet: Quiet | None, now: datetime
) -> ScheduleTriggerStatus:
    """The status of the trigger that counts.

    total: live pods of the set; bound: those with a node; planned: those in the stored plan, bound ones
    included; reserved: those for which room is held; gated: those that may not be scheduled.
    """
    members = pod_set.members
    bound, waiting = members.count(Bound), members.count(*WAITING)
    until = quiet.until if quiet is not None and waiting else None
    return ScheduleTriggerStatus(
        observed_generation=trigger.metadata.generation,
        total=len(members),
        gated=waiting - (members.admitted if pod_set.let_go else 0),
        planned=members.named_in(pod_set.stored),
        reserved=len(pod_set.room.reserved),
        bound=bound,
        quiet_until=until and _whole_second(until),
        conditions=_dated(trigger, (*_conditions(pod_set, quiet), _bound(bound, len(members))), pod_set, now),
    )


def conflict_status(
    pod_set: PodSet, trigger: ScheduleTrigger, counts: ScheduleTrigger, now: datetime
) -> ScheduleTriggerStatus:
    """The status of a trigger that does not count, because another one comes first by name."""
    message = (
        f'ScheduleTrigger "{counts.metadata.name}", the first by name, gates pod set "{pod_set.key.name}"; '
        "delete one of the two"
    )
    conflict = Condition("Conflict", "True", "SeveralTriggers", message)
    return ScheduleTriggerStatus(
        observed_generation=trigger.metadata.generation,
        conditions=_dated(trigger, (conflict,), pod_set, now),
    )


def is_news(old: ScheduleTriggerStatus, new: ScheduleTriggerStatus) -> bool:
    """Whether more than counts and words has changed."""
    return _state(old) != _state(new)


def _state(status: ScheduleTriggerStatus) -> object:
    return status.observed_generation, [(each.type, each.status, each.reason) for each in status.conditions]


def _conditions(pod_set: PodSet, quiet: Quiet | None) -> Iterator[Condition]:
    if quiet is not None and quiet.error:
        yield Condition("InvalidQuietTime", "True", "InvalidDuration", quiet.error)
    yield _planned(pod_set)


def _planned(pod_set: PodSet) -> Condition:
    """Whether every pod has a place in the stored plan, and if not, why."""
    phase, name = phase_of(pod_set), pod_set.key.plan_name
    if phase is Phase.HELD and pod_set.manual:
        words = f"SchedulePlan {name}, written by hand, is obeyed when the trigger says Schedule"
        return Condition("Planned", "True", "Manual", words)
    if phase is Phase.HELD:
        words = f"SchedulePlan {name} is made when the trigger says Schedule"
        return Condition("Planned", "False", "AwaitingTrigger", words)
    if phase is Phase.MEMBERS_MISSING:
        return Condition("Planned", "False", "NoPods", "the set has no pods")
    if pod_set.attempt is not None and pod_set.attempt.error:
        return Condition("Planned", "False", "PlannerFailed", pod_set.attempt.error)
    if phase is Phase.REFUSED or phase is Phase.DEGRADED:
        refused = [pod_set.members[uid] for uid in pod_set.members.uids_in(Refused)]
        reasons = {each.name: each.state.reason for each in refused if isinstance(each.state, Refused)}
        first = min(reasons)
        words = f"{len(reasons)} of {len(pod_set.members)} pods have no place; {first}: {reasons[first]}"
        return Condition("Planned", "False", "PodsRefused", words)
    if phase is Phase.PLANNING:
        return Condition("Planned", "False", "BeingPlanned", "the planner is at work")
    if pod_set.ordinary and pod_set.plan is None:
        return Condition("Planned", "False", "NoPlanner", "no planner looks after the set: no plan is made")
    return Condition("Planned", "True", "Manual" if pod_set.manual else "Stored", f"SchedulePlan {name}")


def _bound(bound: int, total: int) -> Condition:
    if total and bound == total:
        return Condition("Bound", "True", "AllBound", "every pod of the set is bound")
    return Condition(
        "Bound", "False", "NoPods" if not total else "Pending", f"{bound} of {total} pods are bound"
    )


def _dated(
    trigger: ScheduleTrigger, conditions: tuple[Condition, ...], pod_set: PodSet, now: datetime
) -> tuple[Condition, ...]:
    """Date each condition: from when it has had this status."""
    meta = trigger.metadata
    before = {each.type: each for each in pod_set.written.reported.get(meta.uid, trigger.status).conditions}
    return tuple(
        Condition(
            each.type,
            each.status,
            each.reason,
            each.message[:_LONGEST_MESSAGE],
            last_transition_time=(
                _not_after(now, before[each.type].last_transition_time)
                if each.type in before and before[each.type].status == each.status
                else now.replace(microsecond=0)
            ),
            observed_generation=meta.generation,
        )
        for each in conditions
    )


def _not_after(now: datetime, time: datetime | None) -> datetime | None:
    """A time that another writer may have set, if it is not in the future."""
    return time if time is None or time <= now else now.replace(microsecond=0)


def _whole_second(time: datetime) -> datetime:
    """Round up, as a countdown does."""
    return time if time.microsecond == 0 else time.replace(microsecond=0) + timedelta(seconds=1)
