"""Weights of score plugins, given for all extension points or for scoring alone; some are left out."""

from tools.parity.draft import Draft, Subject, undressed
from tools.parity.scenario import Manifest

PLUGINS = (
    *("TaintToleration", "NodeAffinity", "NodeResourcesFit", "VolumeBinding", "PodTopologySpread"),
    *("InterPodAffinity", "NodeResourcesBalancedAllocation", "ImageLocality"),
)
WEIGHTS = (0, 1, 2, 3, 10, 77, 1000)
"""0 stands for none given, which is 1."""


def _prepare(draft: Draft) -> None:
    for profile in draft.profiles:
        profile["plugins"] |= draft.pick((_everywhere, _at_scoring, _at_scoring, _only))(draft)


def _everywhere(draft: Draft) -> Manifest:
    return {"multiPoint": {"enabled": _weighted(draft, 5)}}


def _at_scoring(draft: Draft) -> Manifest:
    """Some in another order, with other weights, and perhaps without one of the others."""
    enabled = _weighted(draft, 5)
    others = [name for name in PLUGINS if all(each["name"] != name for each in enabled)]
    disabled = [{"name": draft.pick(others)}] if draft.chance(0.5) else []
    return {"score": {"enabled": enabled, "disabled": disabled}}


def _only(draft: Draft) -> Manifest:
    return {"score": {"enabled": _weighted(draft, 4), "disabled": [{"name": "*"}]}}


def _weighted(draft: Draft, most: int) -> list[Manifest]:
    return [{"name": name, "weight": draft.pick(WEIGHTS)} for name in draft.some(PLUGINS, most)]


SUBJECT = Subject("weights", _prepare, undressed)
