"""I4 and I7: what must be so once faults have ceased and the load has stopped."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tools.chaos.checks.bindings import conflicts, refusal
from tools.chaos.checks.sets import Key, gate
from tools.chaos.history import Node, Object, Plan, Pod, Violation


def unplaced(state: Mapping[str, Object], at: float) -> Iterator[Violation]:
    """I4: every pod that may be bound and fits somewhere is bound."""
    nodes = [each for each in state.values() if isinstance(each, Node)]
    on: dict[str, dict[str, Pod]] = defaultdict(dict)
    for pod in _pods(state):
        if pod.node and not pod.finished:
            on[pod.node][pod.uid] = pod
    for pod in _pods(state):
        if not pod.ours or pod.node or pod.terminating or pod.finished:
            continue
        if pod.pod_set and gate((pod.namespace, pod.pod_set), state) != "Schedule":
            continue
        for node in nodes:
            if not refusal(pod, node) and not any(conflicts(pod, node, on[node.name])):
                yield Violation("I4", at, pod.key, f"is pending although {node.name} has room for it")
                break


def disagreeing(state: Mapping[str, Object], at: float) -> Iterator[Violation]:
    """I7: each plan says where the set's pods are, and there is none for a set without pods."""
    bound: dict[Key, dict[str, str]] = defaultdict(dict)
    for pod in _pods(state):
        if pod.ours and pod.pod_set and not pod.finished and not pod.terminating:
            bound[pod.namespace, pod.pod_set][pod.name] = pod.node
    plans = {(each.namespace, each.pod_set): each.places for each in state.values() if isinstance(each, Plan)}
    for key in sorted(bound.keys() | plans.keys()):
        members, subject = bound.get(key, {}), "/".join(key)
        places = plans.get(key, {})
        placed = {name: node for name, node in members.items() if node}
        if key in plans and not members:
            yield Violation("I7", at, subject, f"a plan without pods: {places}")
        elif gate(key, state) == "Schedule" and (wrong := _differences(placed, places)):
            yield Violation("I7", at, subject, f"the plan is not what is bound: {wrong}")
        elif gate(key, state) != "Schedule" and key in plans and (wrong := _differences(placed, places)):
            yield Violation("I7", at, subject, f"a plan of a set that waits: {wrong}")


def _differences(bound: Mapping[str, str], places: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} is on {bound.get(name) or 'no node'}, the plan says {places.get(name) or 'nothing'}"
        for name in sorted(bound.keys() | places.keys())
        if bound.get(name) != places.get(name)
    )


def _pods(state: Mapping[str, Object]) -> list[Pod]:
    return [each for each in state.values() if isinstance(each, Pod)]
