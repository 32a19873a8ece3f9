"""What happens to nodes between two pods: both schedulers have to take it in."""

from tools.controlplane import nodes
from tools.parity.draft import ZONE, Draft, Subject, undressed
from tools.parity.scenario import Manifest
from tools.parity.subjects.basics import CPUS, MEMORY, ZONES

STEPS = 80
EVERY = 6
"""Steps between two changes, about."""


def _prepare(draft: Draft) -> None:
    makers = (_label, _label, _taint, _cordon, _resize, _resize, _add, _delete)
    names = [node["metadata"]["name"] for node in draft.nodes]
    for step in sorted(draft.rng.sample(range(1, STEPS), STEPS // EVERY)):
        change = draft.pick(makers)(draft, names)
        draft.changes.append({"before": step, **change})


def _patch(name: str, patch: Manifest, subresource: str = "") -> Manifest:
    return {"action": "patch", "object": _node(name), "patch": patch, "subresource": subresource}


def _node(name: str) -> Manifest:
    return {"kind": "Node", "metadata": {"name": name}}


def _label(draft: Draft, names: list[str]) -> Manifest:
    labels = draft.pick(
        ({"disk": draft.pick(("ssd", "hdd", None))}, {ZONE: draft.pick((*ZONES, None))}, {"tier": "9"})
    )
    return _patch(draft.pick(names), {"metadata": {"labels": labels}})


def _taint(draft: Draft, names: list[str]) -> Manifest:
    taint = {"key": "dedicated", "effect": draft.pick(("NoSchedule", "PreferNoSchedule"))}
    return _patch(draft.pick(names), {"spec": {"taints": draft.pick(([], [taint]))}})


def _cordon(draft: Draft, names: list[str]) -> Manifest:
    return _patch(draft.pick(names), {"spec": {"unschedulable": draft.pick((True, None))}})


def _resize(draft: Draft, names: list[str]) -> Manifest:
    room = {"cpu": draft.pick(CPUS), "memory": draft.pick(MEMORY), "pods": draft.pick(("2", "9", "110"))}
    return _patch(draft.pick(names), {"status": {"allocatable": room}}, "status")


def _add(draft: Draft, names: list[str]) -> Manifest:
    name = f"late-{len(draft.changes)}"
    names.append(name)
    labels = {ZONE: draft.pick(ZONES), "tier": "2"}
    capacity = {"cpu": draft.pick(CPUS), "memory": draft.pick(MEMORY)}
    made = nodes.manifest(name, labels=labels, taints=(), capacity=capacity, ready=True)
    return {"action": "create", "object": made}


def _delete(draft: Draft, names: list[str]) -> Manifest:
    """Take a node away, with the pods that are on it.

    One without images: kube-scheduler learns late how many nodes have an image, node by node.
    """
    with_images = {node["metadata"]["name"] for node in draft.nodes if node["status"].get("images")}
    choice = [name for name in names[1:] if name not in with_images]
    if not choice:
        return _cordon(draft, names)
    gone = draft.pick(choice)
    names.remove(gone)
    return {"action": "delete", "object": _node(gone)}


SUBJECT = Subject("changes", _prepare, undressed)
