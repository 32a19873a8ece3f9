"""What an HTTP extender says about a pod's nodes, before the decision is made."""

from collections.abc import Mapping

import msgspec

from pallet.cache.pod_info import PodInfo
from pallet.framework.status import Status


class ExtenderResult(msgspec.Struct, frozen=True):
    """The only nodes to choose from, why others that were feasible are left out, and scores to add."""

    names: frozenset[str]
    refused: Mapping[str, Status] = {}
    scores: Mapping[str, int] = {}


class Victims(msgspec.Struct, frozen=True):
    """The pods that would have to go from a node, and how many of them a disruption budget would keep."""

    pods: tuple[PodInfo, ...]
    violations: int = 0
