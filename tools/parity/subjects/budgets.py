"""Several budgets on one pod, selected in every way, some of which count a pod as gone already."""

from tools.parity.draft import APPS, VERSIONS, Draft, Subject, requirement, undressed
from tools.parity.scenario import Manifest
from tools.parity.subjects.basics import DELETED

LABELS = (("app", APPS), ("version", VERSIONS))
MOST_PODS = 200
"""More than there are from the beginning: budgets may name pods that do not exist."""


def _prepare(draft: Draft) -> None:
    for namespace in draft.namespaces:
        for number in range(draft.rng.randint(2, 5)):
            draft.objects.append(_budget(draft, namespace["metadata"]["name"], number))


def _budget(draft: Draft, namespace: str, number: int) -> Manifest:
    allowed = draft.pick((0, 1, 1, 2, 3, 5))
    disrupted = draft.rng.sample(range(1, MOST_PODS), draft.pick((0, 0, 40)))
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"more-{number}", "namespace": namespace},
        "spec": {"maxUnavailable": allowed, "selector": _selector(draft)},
        "status": {
            "disruptionsAllowed": allowed,
            "currentHealthy": 9,
            "desiredHealthy": 9 - allowed,
            "expectedPods": 9,
            "observedGeneration": 1,
            "disruptedPods": {f"bound-{each}": DELETED for each in disrupted},
        },
    }


def _selector(draft: Draft) -> Manifest | None:
    """Mostly one that selects much, so that budgets overlap."""
    if draft.chance(0.05):
        return None
    selector: Manifest = {}
    if draft.chance(0.5):
        key, values = draft.pick(LABELS)
        selector["matchLabels"] = {key: draft.pick(values)}
    if not selector or draft.chance(0.3):
        selector["matchExpressions"] = [_expression(draft) for _ in range(draft.rng.randint(1, 2))]
    return selector


def _expression(draft: Draft) -> Manifest:
    key, values = draft.pick(LABELS)
    operator = draft.pick(("In", "In", "NotIn", "Exists", "DoesNotExist"))
    return requirement(draft, key, operator, values)


SUBJECT = Subject("budgets", _prepare, undressed, needs=("priority",))
