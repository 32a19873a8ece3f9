"""Inter-pod affinity and anti-affinity."""

from tools.parity.draft import APPS, HOSTNAME, TEAMS, VERSIONS, ZONE, Draft, Subject, nothing
from tools.parity.scenario import Manifest

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
KEYS = (ZONE, ZONE, HOSTNAME, HOSTNAME, "disk")


def _dress(draft: Draft, pod: Manifest) -> None:
    affinity = pod["spec"].setdefault("affinity", {})
    for kind, required in (("podAffinity", 0.25), ("podAntiAffinity", 0.3)):
        terms: Manifest = {}
        if draft.chance(required):
            terms[REQUIRED] = [_term(draft) for _ in range(draft.pick((1, 1, 1, 2)))]
        if draft.chance(0.35):
            terms[PREFERRED] = [
                {"weight": draft.pick((1, 20, 100)), "podAffinityTerm": _term(draft)}
                for _ in range(draft.rng.randint(1, 2))
            ]
        if terms:
            affinity[kind] = terms


def _term(draft: Draft) -> Manifest:
    term: Manifest = {"topologyKey": draft.pick(KEYS)}
    if draft.chance(0.95):
        term["labelSelector"] = selector(draft)
        if draft.chance(0.2) and not _asks_for_version(term["labelSelector"]):
            term[draft.pick(("matchLabelKeys", "mismatchLabelKeys"))] = ["version"]
    if draft.chance(0.15):
        term["namespaces"] = draft.some([each["metadata"]["name"] for each in draft.namespaces], 2)
    if draft.chance(0.2):
        term["namespaceSelector"] = draft.pick(({}, {"matchLabels": {"team": draft.pick(TEAMS)}}))
    return term


def _asks_for_version(selector: Manifest) -> bool:
    return "version" in str(selector)


def selector(draft: Draft) -> Manifest:
    """Draw a label selector over pods."""
    kind = draft.rng.randrange(4)
    if kind == 0:
        values = draft.some(APPS, 2)
        return {"matchExpressions": [{"key": "app", "operator": "In", "values": values}]}
    if kind == 1:
        operator = draft.pick(("Exists", "DoesNotExist"))
        return {"matchExpressions": [{"key": "version", "operator": operator}]}
    if kind == 2 and draft.chance(0.5):
        return {"matchLabels": {"app": draft.pick(APPS), "version": draft.pick(VERSIONS)}}
    return {"matchLabels": {"app": draft.pick(APPS)}}


SUBJECT = Subject("affinity", nothing, _dress)
