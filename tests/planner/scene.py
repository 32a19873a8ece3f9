"""Problems from a few pods and nodes, and a planner of any behaviour behind a loopback socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, cast

import anyio
import grpc
import grpc.aio
from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    Toleration,
    WeightedPodAffinityTerm,
)
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.config.load import default_configuration
from pallet.framework.handle import Handle
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.loop_budget import LoopBudget
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.interface import Plan, Planner, Problem
from pallet.planner.problem import pose
from pallet.planner.protocol import METHOD, SERVICE, TLSFiles
from pallet.planner.server import PlannerServer
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime.profile import Profile, build_profile
from pallet.runtime.registry import Registry
from tests.builders import SCHEDULER, make_node, make_pod

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def node(name: str, cpu: str = "4", *, zone: str = "", taint: str = "", cordoned: bool = False) -> Node:
    """A node, in a zone and with a NoSchedule taint of a key where given."""
    made = make_node(name, cpu=cpu, taints=[Taint(taint, "NoSchedule")] if taint else (), cordoned=cordoned)
    labels = Labels(made.metadata.labels | ({ZONE: zone} if zone else {}))
    return replace(made, metadata=replace(made.metadata, labels=labels))


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
) -> Pod:
    """A pod of set shop/web; `near`, `away` and `rather_away` name apps, `tolerates` a taint's key."""

    def term(app: str) -> PodAffinityTerm:
        return PodAffinityTerm(topology, LabelSelector(Labels({"app": app})))

    made = make_pod(
        name,
        namespace="shop",
        node=on,
        cpu=cpu,
        priority=priority,
        labels={"app": app} if app else {},
    )
    affinity = Affinity(
        pod_affinity=PodAffinity(required=tuple(map(term, near))),
        pod_anti_affinity=PodAffinity(
            required=tuple(map(term, away)),
            preferred=tuple(WeightedPodAffinityTerm(100, term(app)) for app in rather_away),
        ),
    )
    tolerations = (Toleration(tolerates, "Exists"),) if tolerates else ()
    return replace(made, spec=replace(made.spec, affinity=affinity, tolerations=tolerations))


def cache_of(nodes: Iterable[Node], placed: Iterable[Pod] = ()) -> Cache:
    """The live model with these nodes, and pods bound to them."""
    cache = Cache()
    for known in nodes:
        cache.put_node(known)
    for bound in placed:
        cache.put_pod(bound)
    return cache


def default_profile() -> Profile:
    """A profile with the real default plugins; nothing may reach the API."""
    handle = Handle(
        scheduler_name=SCHEDULER,
        client=cast("Client", None),
        informers=InformerFactory(cast("Client", None), LoopBudget()),
        cache=Cache(),
        recorder=cast("Recorder", None),
        waiting=WaitingPods(),
        rng=Random(0),  # noqa: S311  # breaks ties
    )
    return build_profile(default_configuration().profiles[0], DEFAULTS, Registry(BUILT_IN), handle)


PROFILES: Mapping[str, Profile] = {SCHEDULER: default_profile()}


def problem(
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    placed: Iterable[Pod] = (),
    *,
    only: Mapping[str, Iterable[str]] | None = None,
    seed: int = 0,
) -> Problem:
    """The problem of placing the pods of set shop/web on these nodes, with other pods bound already.

    `only` has the only nodes for some of the pods.
    """
    eligible = {name: frozenset(names) for name, names in (only or {}).items()}
    infos = map(PodInfo, pods)
    return pose(cache_of(nodes, placed), PROFILES, "shop", "web", infos, eligible=eligible, seed=seed)


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


@asynccontextmanager
async def served(
    cache: Cache,
    pods: Sequence[Pod],
    planner: Planner | None = None,
    tls: TLSFiles | None = None,
    budget: LoopBudget | None = None,
) -> AsyncIterator[str]:
    """Serve plans for the set shop/web; gives the address."""

    def members(namespace: str, pod_set: str) -> Sequence[Pod]:
        return pods if (namespace, pod_set) == ("shop", "web") else ()

    budget = budget or LoopBudget()
    server = PlannerServer(planner or GreedyPlanner(budget), cache, PROFILES, members, budget)
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(server.serve, "127.0.0.1:0", tls)
        yield f"127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def ask(
    address: str, *, namespace: str = "shop", pod_set: str = "web", pod: str = "", nodes: Sequence[str] = ()
) -> SchedulePlanResponse:
    """Call a planner, on a connection of its own."""
    request = SchedulePlanRequest(namespace=namespace, podSet=pod_set, scheduledPod=pod, eligibleNodes=nodes)
    async with grpc.aio.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=SchedulePlanRequest.SerializeToString,
            response_deserializer=SchedulePlanResponse.FromString,
        )
        answer: SchedulePlanResponse = await call(request)
        return answer
