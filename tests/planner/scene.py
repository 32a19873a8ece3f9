"""Problems from a few pods and nodes, and a planner of any behaviour behind a loopback socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node, NodeSpec, NodeStatus, Taint
from pallet.api.pod import (
    Affinity,
    Container,
    NodeAffinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    ResourceRequirements,
    Toleration,
    WeightedPodAffinityTerm,
)
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache
from pallet.config.load import default_configuration
from pallet.framework.handle import Handle
from pallet.framework.profile import Profile, build_profile
from pallet.framework.registry import Registry
from pallet.framework.waiting import WaitingPods
from pallet.planner.interface import Plan, Problem
from pallet.planner.problem import pose
from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest
from pallet.plugins.registry import BUILT_IN, DEFAULTS

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder
    from pallet.informers.factory import InformerFactory

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def node(name: str, cpu: str = "4", *, zone: str = "", taint: str = "", unschedulable: bool = False) -> Node:
    """A node with a hostname label, and with a NoSchedule taint if its key is given."""
    labels = {HOSTNAME: name} | ({ZONE: zone} if zone else {})
    taints = (Taint(taint, "NoSchedule"),) if taint else ()
    return Node(
        ObjectMeta(name=name, uid=f"uid-{name}", labels=Labels(labels)),
        NodeSpec(unschedulable=unschedulable, taints=taints),
        NodeStatus(Labels({"cpu": cpu, "memory": "8Gi", "pods": "110"})),
    )


def pod(
    name: str,
    cpu: str = "1",
    *,
    app: str = "",
    near: Iterable[str] = (),
    away: Iterable[str] = (),
    rather_away: Iterable[str] = (),
    topology: str = HOSTNAME,
    tolerates: str = "",
    on: str = "",
    priority: int = 0,
    scheduler: str = "default-scheduler",
) -> Pod:
    """A pod of set `web`; `near`, `away` and `rather_away` name apps, `tolerates` a taint's key."""

    def term(app: str) -> PodAffinityTerm:
        return PodAffinityTerm(topology, LabelSelector(Labels({"app": app})))

    affinity = Affinity(
        NodeAffinity(),
        PodAffinity(required=tuple(map(term, near))),
        PodAffinity(
            required=tuple(map(term, away)),
            preferred=tuple(WeightedPodAffinityTerm(100, term(app)) for app in rather_away),
        ),
    )
    return Pod(
        ObjectMeta(
            name=name,
            namespace="shop",
            uid=f"uid-{name}",
            labels=Labels({"planner.ciena.io/pod-set": "web"} | ({"app": app} if app else {})),
        ),
        PodSpec(
            scheduler_name=scheduler,
            priority=priority,
            node_name=on,
            containers=(Container("main", "image", ResourceRequirements(Labels({"cpu": cpu}))),),
            affinity=affinity if near or away or rather_away else None,
            tolerations=(Toleration(tolerates, "Exists"),) if tolerates else (),
        ),
    )


def cache_of(nodes: Iterable[Node], placed: Iterable[Pod] = ()) -> Cache:
    """The live model with these nodes, and pods bound to them."""
    cache = Cache()
    for known in nodes:
        cache.put_node(known)
    for bound in placed:
        cache.put_pod(bound)
    return cache


def default_profile() -> Profile:
    """The profile `default-scheduler` with the real default plugins; nothing may reach the API."""
    handle = Handle(
        scheduler_name="default-scheduler",
        client=cast("Client", None),
        informers=cast("InformerFactory", None),
        cache=Cache(),
        recorder=cast("Recorder", None),
        waiting=WaitingPods(),
        rng=Random(0),  # noqa: S311  # breaks ties
    )
    return build_profile(default_configuration().profiles[0], DEFAULTS, Registry(BUILT_IN), handle)


PROFILES: Mapping[str, Profile] = {"default-scheduler": default_profile()}


def problem(
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    placed: Iterable[Pod] = (),
    *,
    only: Iterable[str] | None = None,
    seed: int = 0,
) -> Problem:
    """The problem of placing the pods of set shop/web on these nodes, with other pods bound already."""
    names = None if only is None else frozenset(only)
    return pose(cache_of(nodes, placed), PROFILES, "shop", "web", pods, nodes=names, seed=seed)


class FixedPlanner:
    """A planner that gives a prepared plan or raises a prepared error, and remembers what it was asked."""

    def __init__(self, name: str, answer: Plan | Exception) -> None:
        self.name = name
        self.asked: list[Problem] = []
        self._answer = answer

    async def plan(self, problem: Problem) -> Plan:
        self.asked.append(problem)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


Respond = Callable[[SchedulePlanRequest, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]


@asynccontextmanager
async def planner_behind_socket(respond: Respond) -> AsyncIterator[str]:
    """Serve a planner that answers with raw bytes; gives its address."""
    server = grpc.aio.server(options=(("grpc.max_send_message_length", -1),))
    method = grpc.unary_unary_rpc_method_handler(
        respond, request_deserializer=SchedulePlanRequest.FromString, response_serializer=None
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
