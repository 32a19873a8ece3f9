"""Taints, cordoned nodes, tolerations."""

from tools.parity.draft import Draft, Subject
from tools.parity.scenario import Manifest

KEYS = ("dedicated", "spot")
VALUES = ("", "gpu", "batch")
EFFECTS = ("NoSchedule", "NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute")
CORDONED = "node.kubernetes.io/unschedulable"


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        taints = {}
        for _ in range(draft.pick((0, 1, 1, 2, 3))):
            key, effect = draft.pick(KEYS), draft.pick(EFFECTS)
            taints[key, effect] = {"key": key, "value": draft.pick(VALUES), "effect": effect}
        node["spec"]["taints"] = list(taints.values())
        if draft.chance(0.1):
            node["spec"]["unschedulable"] = True


def _dress(draft: Draft, pod: Manifest) -> None:
    tolerations = [_toleration(draft) for _ in range(draft.pick((0, 1, 1, 2, 3)))]
    if draft.chance(0.1):
        tolerations.append({"key": CORDONED, "operator": "Exists"})
    if draft.chance(0.05):
        tolerations.append({"operator": "Exists"})
    pod["spec"]["tolerations"] = tolerations


def _toleration(draft: Draft) -> Manifest:
    toleration = {"key": draft.pick(KEYS), "operator": draft.pick(("Equal", "Exists"))}
    if toleration["operator"] == "Equal":
        toleration["value"] = draft.pick(VALUES)
    if draft.chance(0.6):
        toleration["effect"] = draft.pick(EFFECTS)
    return toleration


SUBJECT = Subject("taints", _prepare, _dress)
