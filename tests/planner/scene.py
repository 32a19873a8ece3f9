"""Builders for planner tests: problems from a few pods and nodes, and planners behind a loopback socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.planner.interface import Problem
from pallet.planner.problem import pose
from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse
from tests.builders import default_profile

PROFILES = {"default-scheduler": default_profile()}

Answer = Callable[[SchedulePlanRequest, Any], Awaitable[SchedulePlanResponse | bytes]]
