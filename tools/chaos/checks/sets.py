"""I5 and I7: pods wait for their trigger, go where the plan says, and at rest both agree."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tools.chaos.checks.bindings import placements
from tools.chaos.checks.visibility import GRACE, excused
from tools.chaos.history import Change, History, Object, Plan, Pod, Trigger, Violation, Write, replayed

Key = tuple[str, str]
"""A set: its namespace and its name."""

JITTER = 0.25
"""Seconds by which the observer may see a change later than another one."""


def waits_for_trigger(history: History) -> Iterator[Violation]:
    """I5: a set's pod is bound only while its trigger, the first by name, says Schedule."""
    states = _Timeline(_gates(history))
    for change, pod, write, _ in placements(history):
        if not pod.pod_set or write is None:
            continue
        state, since = states.at((pod.namespace, pod.pod_set), write.at)
        if state == "Schedule":
            continue
        if not excused(history.blind, write, "scheduletriggers", since):
            late = write.at - since
            yield Violation(
                "I5",
                change.at,
                pod.key,
                f"bound by {write.agent}, {late:.1f} s after its trigger said {state}",
            )


class _Timeline:
    """What each set's gate said, and from when on."""

    def __init__(self, changes: Iterable[tuple[float, Key, str]]) -> None:
        self._changes: dict[Key, list[tuple[float, str]]] = defaultdict(list)
        for at, key, state in changes:
            self._changes[key].append((at, state))

    def at(self, key: Key, time: float) -> tuple[str, float]:
        """What the gate of a set said at a time, and since when."""
        state, since = "nothing", 0.0
        for at, next_state in self._changes[key]:
            if at > time:
                break
            if next_state != state:
                state, since = next_state, at
        return state, since


def _gates(history: History) -> Iterator[tuple[float, Key, str]]:
    """Each moment at which a set's gate may have changed."""
    for change, before, state in replayed(history.changes):
        for trigger in set(_keys(before, change.object)):
            yield change.at, trigger, gate(trigger, state)


def _keys(*objects: Object | None) -> Iterator[Key]:
    return ((each.namespace, each.pod_set) for each in objects if isinstance(each, Trigger))


def gate(key: Key, state: Mapping[str, Object]) -> str:
    """What the trigger of a set says: the first by name."""
    triggers = [
        each for each in state.values() if isinstance(each, Trigger) and (each.namespace, each.pod_set) == key
    ]
    return min(triggers, key=lambda each: each.name).state if triggers else "nothing"


def obeys_plan(history: History) -> Iterator[Violation]:
    """A set's pod is bound where the stored plan said, when the binding was sent."""
    plans = _plans(history)
    for change, pod, write, _ in placements(history):
        if not pod.pod_set or write is None:
            continue
        said = [
            places.get(pod.name, "")
            for at, until, places in plans[pod.namespace, pod.pod_set]
            if at <= change.at and until >= write.at - GRACE
        ]
        if pod.node not in said:
            yield Violation(
                "plan", change.at, pod.key, f"bound by {write.agent} to {pod.node}, the plan said {said}"
            )


def _plans(history: History) -> Mapping[Key, list[tuple[float, float, Mapping[str, str]]]]:
    """From when until when each plan was stored."""
    found: dict[Key, list[tuple[float, float, Mapping[str, str]]]] = defaultdict(list)
    stored: dict[str, tuple[float, Plan]] = {}
    for change in history.changes:
        if ended := stored.pop(change.key, None):
            since, plan = ended
            found[plan.namespace, plan.pod_set].append((since, change.at, plan.places))
        if isinstance(change.object, Plan):
            stored[change.key] = change.at, change.object
    for since, plan in stored.values():
        found[plan.namespace, plan.pod_set].append((since, float("inf"), plan.places))
    return found


def switched_in_time(history: History) -> Iterator[Violation]:
    """A quiet time ends neither before it is over nor while pods join."""
    entered: dict[str, float] = {}
    joined: dict[Key, list[float]] = defaultdict(list)
    for change, before, _ in replayed(history.changes):
        after = change.object
        if isinstance(after, Pod) and after.pod_set and not isinstance(before, Pod):
            joined[after.namespace, after.pod_set].append(change.at)
        if not isinstance(after, Trigger):
            continue
        was = before.state if isinstance(before, Trigger) and before.uid == after.uid else ""
        if after.state == "Planning" and was != "Planning":
            entered[after.uid] = change.at
        if after.state == "Schedule" and was == "Planning" and after.quiet is not None:
            switch = _switch(history, after, change)
            if switch is None:
                continue
            since = [(entered[after.uid], "scheduletriggers")]
            since += [(at, "pods") for at in joined[after.namespace, after.pod_set]]
            for at, resource in since:
                early = after.quiet - JITTER - (switch.at - at)
                if early > 0 and not excused(history.blind, switch, resource, at):
                    subject = f"{after.namespace}/{after.name}"
                    text = f"switched by {switch.agent} {early:.1f} s early, after a change of {resource}"
                    yield Violation("early", change.at, subject, text)


def _switch(history: History, trigger: Trigger, change: Change) -> Write | None:
    """The write of a replica that switched a trigger; None where it was switched by hand."""
    return next(
        (
            write
            for write in reversed(history.writes)
            if write.resource == "scheduletriggers"
            and (write.namespace, write.name) == (trigger.namespace, trigger.name)
            and write.at <= change.at <= write.at + GRACE * 10
        ),
        None,
    )
