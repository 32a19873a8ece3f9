"""The answers of planners: read as they come over gRPC, and checked on a small cluster."""

import asyncio
from functools import cache
from random import Random
from typing import Final

from pallet.cache.pod_info import PodInfo
from pallet.config.load import default_configuration
from pallet.loop_budget import LoopBudget
from pallet.planner.check import check
from pallet.planner.interface import Problem
from pallet.planner.problem import pose
from pallet.planner.wire.planner_pb2 import SchedulePlanResponse
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime.profile import build_profile
from pallet.runtime.registry import Registry
from pallet.testing.builders import make_node, make_pod
from pallet.testing.handle import make_handle

_PODS: Final = ("a", "b", "c")
_NAMES: Final = (*_PODS, "n", "m", "", "x" * 300, "\u0000", "é")


def read(data: bytes) -> str:
    """Read and check an answer; give how many pods it places. Raises DecodeError for what is no answer."""
    answer = SchedulePlanResponse.FromString(data)
    plan = _runner().run(check(_problem(), "fuzzed", answer.assignments, answer.refused, LoopBudget()))
    if plan.assignments.keys() | plan.refused.keys() != set(_PODS):
        raise AssertionError("a pod has neither a node nor a reason")
    return f"{len(plan.assignments)} placed"


def draw(rng: Random) -> bytes:
    """An answer for some pods, wrong ones among them."""
    answer = SchedulePlanResponse()
    for _ in range(rng.randint(0, 4)):
        answer.assignments[rng.choice(_NAMES)] = rng.choice(_NAMES)
    for _ in range(rng.randint(0, 1)):
        answer.refused[rng.choice(_NAMES)] = rng.choice(_NAMES) * rng.randint(0, 3)
    data: bytes = answer.SerializeToString()
    return data


@cache
def _problem() -> Problem:
    """Three pods and two nodes, on which only two of them fit."""
    handle = make_handle()
    for name in ("n", "m"):
        handle.cache.put_node(make_node(name, cpu="1"))
    profile = build_profile(default_configuration().profiles[0], DEFAULTS, Registry(BUILT_IN), handle)
    pods = [PodInfo(make_pod(name)) for name in _PODS]
    return pose(handle.cache, {profile.scheduler_name: profile}, "default", "set", pods)


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()
