"""Node selectors and node affinity."""

from tools.parity.draft import HOSTNAME, ZONE, Draft, Subject, nothing
from tools.parity.scenario import Manifest
from tools.parity.subjects.basics import ZONES

VALUES = {"disk": ("ssd", "hdd", "tape"), ZONE: ZONES, "tier": ("1", "2", "3", "4")}


def _dress(draft: Draft, pod: Manifest) -> None:
    spec = pod["spec"]
    if draft.chance(0.3):
        keys = draft.some(list(VALUES), 2)
        spec["nodeSelector"] = {key: draft.pick(VALUES[key]) for key in keys}
    affinity: Manifest = {}
    if draft.chance(0.4):
        terms = [term(draft) for _ in range(draft.rng.randint(1, 2))]
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if draft.chance(0.5):
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": draft.pick((1, 10, 50, 100)), "preference": term(draft)}
            for _ in range(draft.rng.randint(1, 3))
        ]
    if affinity:
        spec.setdefault("affinity", {})["nodeAffinity"] = affinity


def term(draft: Draft) -> Manifest:
    """Draw a node selector term."""
    drawn: Manifest = {}
    if draft.chance(0.9):
        drawn["matchExpressions"] = [_expression(draft) for _ in range(draft.rng.randint(1, 2))]
    if draft.chance(0.1):
        name = f"node-{draft.rng.randrange(len(draft.nodes) + 2)}"
        operator = draft.pick(("In", "In", "NotIn"))
        drawn["matchFields"] = [{"key": "metadata.name", "operator": operator, "values": [name]}]
    return drawn


def _expression(draft: Draft) -> Manifest:
    operator = draft.pick(("In", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
    if operator in ("Gt", "Lt"):
        key = draft.pick(("tier", "tier", "disk"))
        return {"key": key, "operator": operator, "values": [draft.pick(("1", "2", "3"))]}
    key = draft.pick(("disk", ZONE, "tier", HOSTNAME))
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    values = VALUES.get(key) or [node["metadata"]["name"] for node in draft.nodes]
    return {"key": key, "operator": operator, "values": draft.some(values, 3)}


SUBJECT = Subject("selection", nothing, _dress)
