"""Priorities, and budgets that protect pods from preemption."""

from tools.parity.draft import APPS, VERSIONS, Draft, Subject, is_bound
from tools.parity.scenario import Manifest

LEVELS = {"low": -10, "middle": 100, "high": 1000, "polite": 1000}
CLASSES: list[Manifest] = [
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **({"preemptionPolicy": "Never"} if name == "polite" else {}),
    }
    for name, value in LEVELS.items()
]
"""There before every cluster: admission reads them from a cache."""


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:  # small ones: there must be something to fight for
        room = {"cpu": draft.pick(("1", "2")), "pods": str(draft.rng.randint(2, 8))}
        for part in ("capacity", "allocatable"):
            node["status"][part] = {**node["status"][part], **room}
    for namespace in draft.namespaces:
        for number in range(draft.pick((0, 1, 1, 2))):
            draft.objects.append(_budget(draft, namespace["metadata"]["name"], number))


def _budget(draft: Draft, namespace: str, number: int) -> Manifest:
    labels = {"app": draft.pick(APPS), **({"version": draft.pick(VERSIONS)} if draft.chance(0.3) else {})}
    selector = {} if draft.chance(0.1) else {"matchLabels": labels}
    allowed = draft.pick((0, 0, 1, 2))
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"budget-{number}", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": selector},
        "status": {
            "disruptionsAllowed": allowed,
            "currentHealthy": allowed + 1,
            "desiredHealthy": 1,
            "expectedPods": allowed + 1,
            "observedGeneration": 1,
        },
    }


def _dress(draft: Draft, pod: Manifest) -> None:
    spec = pod["spec"]
    if "deletionTimestamp" not in pod["metadata"]:
        spec["terminationGracePeriodSeconds"] = draft.pick((0, 0, 600))
    if is_bound(pod):
        names = ["", "low", "low", "middle", "high"]
    else:
        names = ["low", "middle", "middle", "high", "high", "polite"]
    if name := draft.pick(names):
        spec["priorityClassName"] = name


SUBJECT = Subject("priority", _prepare, _dress)
