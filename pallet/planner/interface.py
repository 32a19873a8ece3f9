"""The contract between those who need a plan and those who make one.

Embedded, remote and test planners are the same to the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork
from pallet.runtime.profile import Profile


@dataclass(frozen=True, slots=True)
class Problem:
    """The pods of a set that need a place, and the cluster to place them in.

    `snapshot` is the planner's own fork: everything bound, assumed and reserved is in it, the pods to be
    placed are not. `profiles` are by scheduler name; every pod's scheduler name is among them. `eligible` has
    the only nodes to use for some pods, by pod name; the others may use all. `seed` makes ties repeatable.
    """

    namespace: str
    pod_set: str
    pods: tuple[PodInfo, ...]
    snapshot: Fork
    profiles: Mapping[str, Profile]
    eligible: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each pod goes, by name, and for every pod left out the reason.

    The assignments stand in an order in which each step is legal. `score` is the sum of the chosen nodes'
    weighted scores, to compare plans that place equally many pods.
    """

    planner: str
    assignments: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    score: int = 0


class PlannerError(Exception):
    """A planner gave no usable answer; the message says which planner, and why."""


class Planner(Protocol):
    """Makes plans. A planner may change the problem's fork."""

    name: str

    async def plan(self, problem: Problem) -> Plan:
        """Place the problem's pods. Raises PlannerError when there is no answer."""
        ...
