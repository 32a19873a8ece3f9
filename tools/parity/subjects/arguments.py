"""Arguments of plugins, the same for both schedulers."""

from tools.parity.draft import HOSTNAME, ZONE, Draft, Subject, undressed
from tools.parity.scenario import Manifest
from tools.parity.subjects.resources import GPU
from tools.parity.subjects.selection import term

SHAPES = (
    [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}],
    [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}],
    [{"utilization": 10, "score": 3}, {"utilization": 50, "score": 9}, {"utilization": 90, "score": 1}],
)


def _prepare(draft: Draft) -> None:
    makers = {
        "NodeResourcesFit": _fit,
        "NodeResourcesBalancedAllocation": _balance,
        "InterPodAffinity": _affinity,
        "NodeAffinity": _added_affinity,
        "PodTopologySpread": _default_constraints,
    }
    for profile in draft.profiles:
        for name in draft.some(list(makers), 3):
            profile["pluginConfig"].append({"name": name, "args": makers[name](draft)})


def _fit(draft: Draft) -> Manifest:
    kind = draft.pick(("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"))
    names = draft.some(("cpu", "memory", "ephemeral-storage", GPU), 3)
    strategy: Manifest = {
        "type": kind,
        "resources": [{"name": name, "weight": draft.pick((1, 3, 100))} for name in names],
    }
    if kind == "RequestedToCapacityRatio":
        strategy["requestedToCapacityRatio"] = {"shape": draft.pick((*SHAPES, _shape(draft)))}
    ignored = draft.pick(({}, {"ignoredResources": [GPU]}, {"ignoredResourceGroups": ["example.com"]}))
    return {"scoringStrategy": strategy, **ignored}


def _shape(draft: Draft) -> list[Manifest]:
    """One to five points, which may begin above nothing and end below everything."""
    utilizations = draft.rng.sample(range(101), draft.rng.randint(1, 5))
    return [{"utilization": each, "score": draft.rng.randint(0, 10)} for each in sorted(utilizations)]


def _balance(draft: Draft) -> Manifest:
    names = draft.some(("cpu", "memory", GPU), 3)
    return {"resources": [{"name": name, "weight": 1} for name in names]}


def _affinity(draft: Draft) -> Manifest:
    return {
        "hardPodAffinityWeight": draft.pick((0, 1, 50, 100)),
        "ignorePreferredTermsOfExistingPods": draft.chance(0.5),
    }


def _added_affinity(draft: Draft) -> Manifest:
    preferred = [{"weight": draft.pick((1, 30)), "preference": term(draft)}]
    added: Manifest = {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    if draft.chance(0.5):
        required = {"nodeSelectorTerms": [term(draft), term(draft)]}
        added["requiredDuringSchedulingIgnoredDuringExecution"] = required
    return {"addedAffinity": added}


def _default_constraints(draft: Draft) -> Manifest:
    constraints = [
        {
            "maxSkew": draft.pick((1, 2, 4)),
            "topologyKey": key,
            "whenUnsatisfiable": draft.pick(("ScheduleAnyway", "ScheduleAnyway", "DoNotSchedule")),
        }
        for key in draft.some((ZONE, HOSTNAME, "disk"), 2)
    ]
    return {"defaultingType": "List", "defaultConstraints": constraints}


SUBJECT = Subject("arguments", _prepare, undressed)
