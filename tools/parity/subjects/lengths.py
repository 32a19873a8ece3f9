"""Pods with parts longer than in ordinary ones, which pallet schedules one at a time."""

from tools.parity.draft import APPS, HOSTNAME, ZONE, Draft, Subject, nothing
from tools.parity.scenario import Manifest
from tools.parity.subjects.affinity import PREFERRED, REQUIRED
from tools.parity.subjects.basics import ZONES

TAINTS = ("dedicated", "spot")


def _dress(draft: Draft, pod: Manifest) -> None:
    draft.pick((_terms, _wishes, _constraints, _node_terms, _tolerations))(draft, pod["spec"])


def _terms(draft: Draft, spec: Manifest) -> None:
    anti = spec.setdefault("affinity", {}).setdefault("podAntiAffinity", {})
    anti[REQUIRED] = [_term(draft, draft.pick((HOSTNAME, HOSTNAME, ZONE))) for _ in range(_count(draft))]


def _wishes(draft: Draft, spec: Manifest) -> None:
    kind = draft.pick(("podAffinity", "podAntiAffinity"))
    wishes = spec.setdefault("affinity", {}).setdefault(kind, {})
    wishes[PREFERRED] = [
        {"weight": draft.rng.randint(1, 100), "podAffinityTerm": _term(draft, draft.pick((HOSTNAME, ZONE)))}
        for _ in range(_count(draft))
    ]


def _count(draft: Draft) -> int:
    """How many terms."""
    least = draft.pick((51, 251, 2500))
    return draft.rng.randint(least, 3 * least // 2)


def _term(draft: Draft, key: str) -> Manifest:
    app = draft.pick(APPS) if draft.chance(0.02) else f"none-{draft.rng.randint(0, 2000)}"
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}


def _constraints(draft: Draft, spec: Manifest) -> None:
    known = [ZONE] if draft.chance(0.5) else []
    spec["topologySpreadConstraints"] = [
        {
            "maxSkew": draft.pick((1, 2, 5)),
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": draft.pick(APPS)}},
        }
        for key in (*known, *(f"{HOSTNAME}-{number}" for number in range(draft.rng.randint(33, 60))))
    ]


def _node_terms(draft: Draft, spec: Manifest) -> None:
    """Many that few nodes meet, and perhaps one or a thousand that most do."""
    count = draft.pick((draft.rng.randint(251, 400), draft.rng.randint(2500, 4000)))
    operator = draft.pick(("In", "In", "Gt", "Lt", "Exists"))
    terms = [[_unmet(operator, number)] for number in range(count)]
    if draft.chance(0.3):  # two expressions that must both be met
        terms = [[*term, {"key": HOSTNAME, "operator": "Exists"}] for term in terms]
    if draft.chance(0.4):
        terms.append([{"key": HOSTNAME, "operator": "Exists"}])
    if draft.chance(0.4):
        zones = [*(f"none-{number}" for number in range(50)), draft.pick(ZONES)]
        terms.append([{"key": ZONE, "operator": draft.pick(("In", "NotIn")), "values": zones}])
    if draft.chance(0.3):  # all of many that every node meets
        terms.append([{"key": f"none-{number}", "operator": "DoesNotExist"} for number in range(count)])
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    if draft.chance(0.7):
        affinity[REQUIRED] = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    else:
        affinity[PREFERRED] = [
            {"weight": draft.rng.randint(1, 100), "preference": {"matchExpressions": term}} for term in terms
        ]


def _unmet(operator: str, number: int) -> Manifest:
    """An expression that no node meets; Gt and Lt may be met by the tier of a node (see `selection`)."""
    if operator == "Exists":
        return {"key": f"none-{number}", "operator": operator}
    if operator == "In":
        return {"key": ZONE, "operator": operator, "values": [f"none-{number}"]}
    return {"key": "tier", "operator": operator, "values": [str(number)]}


def _tolerations(draft: Draft, spec: Manifest) -> None:
    count = draft.pick((draft.rng.randint(501, 700), draft.rng.randint(5001, 7000)))
    spec["tolerations"] = [
        *({"key": f"none-{number}", "operator": "Exists"} for number in range(count)),
        *({"key": TAINTS[0], "operator": "Equal", "value": f"none-{number}"} for number in range(50)),
        *({"key": key, "operator": "Exists"} for key in TAINTS if draft.chance(0.5)),
    ]


SUBJECT = Subject("lengths", nothing, _dress)
