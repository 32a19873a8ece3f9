"""Pods that are nominated to nodes before they may be scheduled, as by another scheduler or a controller."""

from tools.parity.draft import Draft, Subject, is_bound, nothing, pod_patch
from tools.parity.scenario import Manifest

GONE = "gone"
"""A node that there is not."""


def _dress(draft: Draft, pod: Manifest) -> None:
    if is_bound(pod):
        return
    if draft.chance(0.5):
        pod["status"] = {"nominatedNodeName": _node(draft)}
    if draft.chance(0.6):
        change = draft.pick((touch(pod), _nominate(pod, draft.pick((_node(draft), _node(draft), None)))))
        draft.changes.append({**change, "before": draft.rng.randint(0, draft.coming)})


def touch(pod: Manifest) -> Manifest:
    """An update of a pod that does not concern its nomination, at the beginning."""
    return pod_patch(pod, {"metadata": {"labels": {"touched": "yes"}}})


def _nominate(pod: Manifest, node: str | None) -> Manifest:
    return pod_patch(pod, {"status": {"nominatedNodeName": node}}, "status")


def _node(draft: Draft) -> str:
    name: str = draft.pick(draft.nodes)["metadata"]["name"]
    return GONE if draft.chance(0.05) else name


SUBJECT = Subject("nominated", nothing, _dress)
