"""Several profiles in one configuration, each with plugins of its own; every pod names one of them."""

from tools.parity.draft import Draft, Subject, is_bound
from tools.parity.scenario import Manifest

UNNEEDED = ("NodeUnschedulable", "TaintToleration", "NodeAffinity", "PodTopologySpread")
"""Filters that a profile may do without: their pods then land where others' may not."""
SCORES = ("ImageLocality", "NodeResourcesBalancedAllocation", "TaintToleration", "PodTopologySpread")
FIRST = ("InterPodAffinity", "NodeResourcesFit", "TaintToleration", "VolumeBinding")
"""Filters that may come first, so that a node is refused for another reason."""


def _prepare(draft: Draft) -> None:
    for number in range(draft.rng.randint(1, 3)):
        draft.profiles.append({"schedulerName": f"profile-{number}", "pluginConfig": [], "plugins": {}})
    for profile in draft.profiles[1:]:
        for make in draft.some(
            (_without_filters, _without_scores, _in_another_order, _without_preemption), 2
        ):
            profile["plugins"] |= make(draft)


def _without_filters(draft: Draft) -> Manifest:
    return {"filter": _disabled(draft.some(UNNEEDED, 2))}


def _without_scores(draft: Draft) -> Manifest:
    return {"score": _disabled(draft.some(SCORES, 3))}


def _in_another_order(draft: Draft) -> Manifest:
    return {"filter": {"enabled": [{"name": name} for name in draft.some(FIRST, 3)]}}


def _without_preemption(draft: Draft) -> Manifest:
    return {"postFilter": _disabled([draft.pick(("DefaultPreemption", "DefaultPreemption", "*"))])}


def _disabled(names: list[str]) -> Manifest:
    return {"disabled": [{"name": name} for name in names]}


def _dress(draft: Draft, pod: Manifest) -> None:
    if not is_bound(pod):
        pod["spec"]["schedulerName"] = draft.pick(draft.profiles)["schedulerName"]


SUBJECT = Subject("profiles", _prepare, _dress)
