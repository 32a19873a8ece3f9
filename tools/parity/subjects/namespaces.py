"""Terms of inter-pod affinity that select namespaces in every way, beside a list of names or without one."""

from collections.abc import Iterator

from tools.parity.draft import TEAMS, Draft, Subject, requirement
from tools.parity.scenario import Manifest
from tools.parity.subjects.affinity import PREFERRED, REQUIRED

NAME = "kubernetes.io/metadata.name"
"""A label that the API server gives every namespace."""
STAGES = ("prod", "test")


def _prepare(draft: Draft) -> None:
    """Add a namespace that no label but its name's selects, and one of a team of its own."""
    more: tuple[Manifest, ...] = ({}, {"team": "green", "stage": "prod"})
    for labels in more:
        name = f"{draft.prefix}-{len(draft.namespaces)}"
        metadata = {"name": name, "labels": labels}
        draft.namespaces.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def _dress(draft: Draft, pod: Manifest) -> None:
    for term in _terms(pod):
        term.pop("namespaceSelector", None)
        term.pop("namespaces", None)
        if draft.chance(0.85):
            term["namespaceSelector"] = _selector(draft)
        if draft.chance(0.35):
            term["namespaces"] = draft.some(_names(draft), 3)


def _terms(pod: Manifest) -> Iterator[Manifest]:
    affinity = pod["spec"].get("affinity", {})
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind, {})
        yield from terms.get(REQUIRED, ())
        for wish in terms.get(PREFERRED, ()):
            yield wish["podAffinityTerm"]


def _selector(draft: Draft) -> Manifest:
    kind = draft.rng.randrange(5)
    if kind == 0:
        return {}
    if kind == 1:
        return {"matchLabels": {"team": draft.pick((*TEAMS, "green", "nobody"))}}
    if kind == 2:
        return {"matchLabels": {"team": draft.pick(TEAMS), "stage": draft.pick(STAGES)}}
    if kind == 3:
        return {
            "matchLabels": {"stage": draft.pick(STAGES)},
            "matchExpressions": [_expression(draft)],
        }
    expressions = [_expression(draft) for _ in range(draft.rng.randint(1, 2))]
    return {"matchExpressions": expressions}


def _expression(draft: Draft) -> Manifest:
    operator = draft.pick(("In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist"))
    key, values = draft.pick((("team", [*TEAMS, "green"]), ("stage", [*STAGES]), (NAME, _names(draft))))
    return requirement(draft, key, operator, values)


def _names(draft: Draft) -> list[str]:
    return [each["metadata"]["name"] for each in draft.namespaces]


SUBJECT = Subject("namespaces", _prepare, _dress, needs=("affinity",))
