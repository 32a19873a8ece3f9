"""Pods with parts longer than in ordinary ones, which pallet schedules one at a time."""

from tools.parity.draft import APPS, HOSTNAME, ZONE, Draft, Subject, nothing
from tools.parity.scenario import Manifest
from tools.parity.subjects.affinity import PREFERRED, REQUIRED

TAINTS = ("dedicated", "spot")


def _dress(draft: Draft, pod: Manifest) -> None:
    draft.pick((_terms, _wishes, _constraints, _node_terms, _tolerations))(draft, pod["spec"])


def _terms(draft: Draft, spec: Manifest) -> None:
    anti = spec.setdefault("affinity", {}).setdefault("podAntiAffinity", {})
    anti[REQUIRED] = [_term(draft, HOSTNAME) for _ in range(draft.rng.randint(51, 120))]


def _wishes(draft: Draft, spec: Manifest) -> None:
    kind = draft.pick(("podAffinity", "podAntiAffinity"))
    wishes = spec.setdefault("affinity", {}).setdefault(kind, {})
    wishes[PREFERRED] = [
        {"weight": draft.rng.randint(1, 100), "podAffinityTerm": _term(draft, draft.pick((HOSTNAME, ZONE)))}
        for _ in range(draft.rng.randint(51, 120))
    ]


def _term(draft: Draft, key: str) -> Manifest:
    app = draft.pick(APPS) if draft.chance(0.02) else f"none-{draft.rng.randint(0, 200)}"
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
    zones = [f"none-{number}" for number in range(draft.rng.randint(251, 400))]
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]} for zone in zones]
    if draft.chance(0.7):
        terms.append({"matchExpressions": [{"key": HOSTNAME, "operator": "Exists"}]})
    required = {"nodeSelectorTerms": terms}
    spec.setdefault("affinity", {})["nodeAffinity"] = {REQUIRED: required}


def _tolerations(draft: Draft, spec: Manifest) -> None:
    spec["tolerations"] = [
        *({"key": f"none-{number}", "operator": "Exists"} for number in range(draft.rng.randint(501, 700))),
        *({"key": key, "operator": "Exists"} for key in TAINTS if draft.chance(0.5)),
    ]


SUBJECT = Subject("lengths", nothing, _dress)
