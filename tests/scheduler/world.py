"""The whole scheduler in virtual time, against an API server of a few lines behind a real socket.

What the server holds is told to the scheduler's handlers only when the test says so, as a slow watch would.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import anyio
from aiohttp import web

from pallet.api.codec import decoder, encode
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.client.client import Client
from pallet.extenders.extender import Extender
from pallet.extenders.extenders import Extenders
from pallet.framework.handle import Handle
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.tasks import Tasks
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.informers.view import View
from pallet.loop_budget import LoopBudget
from pallet.plugins.default_preemption import DefaultPreemption, DefaultPreemptionArgs
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.handlers import ClusterHandlers
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.recorder import EventRecorder
from pallet.scheduler.scheduler import Scheduler
from tests.builders import SCHEDULER, make_node, make_pod
from tests.profiles import make_handle
from tests.scheduler.probe import Probe, a_profile
from tools.faults.proxy import Exchange, Fault, FaultProxy, answer

ALWAYS = float("inf")


class API:
    """Pods by key, as JSON, and what was written."""

    def __init__(self, server: FaultProxy) -> None:
        self.server = server
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.conditions: list[dict[str, Any]] = []
        self.bound: list[str] = []
        self.deleted: list[str] = []
        self.lose_answers = 0
        """How many bindings are carried out, but not answered."""

    def serve(self) -> None:
        """Answer from now on, where no earlier rule does."""
        self.server.on("POST", "/binding$", self.bind, times=ALWAYS)
        self.server.on("GET", "/pods/", self.get, times=ALWAYS)
        self.server.on("DELETE", "/pods/", self.delete, times=ALWAYS)
        self.server.on("PATCH", "/pods/.*/status$", self.patch, times=ALWAYS)
        self.server.on("POST", "/events$", self.create_event, times=ALWAYS)
        self.server.on("PATCH", "/events/", answer(200), times=ALWAYS)

    def put(self, pod: Pod) -> Pod:
        self.pods[pod.key] = {"kind": "Pod", **json.loads(encode(pod))}
        return pod

    def pod(self, key: str) -> Pod:
        pod: Pod = decoder(Pod)(encode(self.pods[key]))
        return pod

    async def bind(self, exchange: Exchange) -> web.StreamResponse:
        binding = json.loads(exchange.body)
        found = self.pods.get(_key(exchange))
        if found is None:
            return _status(404, "NotFound", "gone")
        if found["metadata"]["uid"] != binding["metadata"]["uid"]:
            return _status(409, "Conflict", "the UID in the precondition does not match")
        if found["spec"].get("nodeName"):
            return _status(409, "Conflict", f"already assigned to node {found['spec']['nodeName']}")
        found["spec"]["nodeName"] = binding["target"]["name"]
        self._next_version(found)
        self.bound.append(f"{found['metadata']['name']} {binding['target']['name']}")
        if self.lose_answers:
            self.lose_answers -= 1
            assert exchange.request.transport is not None
            exchange.request.transport.abort()
        return web.json_response({"kind": "Status", "status": "Success"}, status=201)

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        found = self.pods.get(_key(exchange))
        return _status(404, "NotFound", "gone") if found is None else web.json_response(found)

    async def patch(self, exchange: Exchange) -> web.StreamResponse:
        patch = json.loads(exchange.body)
        found = self.pods.get(_key(exchange))
        if found is None:
            return _status(404, "NotFound", "gone")
        for field, required in patch["metadata"].items():
            if required != found["metadata"][field]:
                return _status(409, "Conflict", "the object has been modified")
        for condition in patch["status"].get("conditions", ()):
            self.conditions.append({"pod": found["metadata"]["name"], **condition})
            found["status"]["conditions"] = [condition]
        if "nominatedNodeName" in patch["status"]:
            found["status"]["nominatedNodeName"] = patch["status"]["nominatedNodeName"] or ""
        self._next_version(found)
        return web.json_response(found)

    async def delete(self, exchange: Exchange) -> web.StreamResponse:
        """Take note of it; the pod has a grace period."""
        found = self.pods.get(_key(exchange))
        if found is None:
            return _status(404, "NotFound", "gone")
        self.deleted.append(found["metadata"]["name"])
        found["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        self._next_version(found)
        return web.json_response(found)

    async def create_event(self, exchange: Exchange) -> web.StreamResponse:
        event = json.loads(exchange.body)
        self.events.append(event)
        return web.json_response({"kind": "Event", **event}, status=201)

    @property
    def notes(self) -> list[str]:
        """The events, as `FailedScheduling: why`."""
        return [f"{event['reason']}: {event['note']}" for event in self.events]

    def _next_version(self, found: dict[str, Any]) -> None:
        found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)


class World:
    """The scheduler's parts around one profile with probes."""

    def __init__(
        self,
        client: Client,
        server: FaultProxy,
        probes: tuple[Probe, ...],
        bind: Any,
        *,
        preempts: bool,
        extenders: Sequence[Extender],
    ) -> None:
        self.api = API(server)
        self.server = server
        self.metrics = Metrics(Instruments())
        self.cache = Cache()
        self.waiting = WaitingPods()
        self.tasks = Tasks()
        self.extenders = Extenders(extenders, client, lambda _: None, self.cache.snapshot)
        rng = Random(0)  # noqa: S311  # breaks ties
        self.recorder = EventRecorder(client, "host", rng)
        profile = a_profile(*probes, client=client, bind=bind)
        self.nominator = self.cache.snapshot.nominator
        if preempts:
            preemption = DefaultPreemption(DefaultPreemptionArgs(), self._handle(client))
            profile = replace(
                profile,
                pre_enqueue=(*profile.pre_enqueue, preemption),
                post_filter=(preemption,),
                plugins={**profile.plugins, preemption.name: preemption},
            )
        profiles = {SCHEDULER: profile}
        self.queue = SchedulingQueue(profiles, self.nominator, self.metrics, anyio.current_time)
        self.conditions = ConditionWriter(client)
        self.budget = LoopBudget(anyio.current_time)
        self.informers = InformerFactory(client, self.budget)
        self.view = View(self.informers, anyio.current_time)
        self.scheduler = Scheduler(
            profiles,
            self.cache,
            self.queue,
            self.waiting,
            self.recorder,
            self.conditions,
            self.metrics,
            rng,
            anyio.current_time,
            self.budget,
            view=self.view,
        )
        self.handlers = ClusterHandlers(
            self.cache, self.queue, self.waiting, self.conditions, self.metrics, profiles
        )
        self.seen: dict[str, Pod] = {}
        self.api.serve()

    def _handle(self, client: Client) -> Handle:
        return replace(
            make_handle(self.cache),
            client=client,
            recorder=self.recorder,
            waiting=self.waiting,
            tasks=self.tasks,
            extenders=self.extenders,
            activate=lambda uids: self.queue.activate(uids),  # noqa: PLW0108  # the queue comes later
            ungate=lambda uids: self.queue.ungate(uids),  # noqa: PLW0108  # the queue comes later
        )

    def meet(self, method: str, path: str, fault: Fault, *, times: float = 1) -> None:
        """Let the next requests meet a fault instead of the API."""
        self.server.on(method, path, fault, times=times)
        self.server._rules.insert(0, self.server._rules.pop())

    def add_node(self, name: str = "n1", cpu: str = "4", *, pods: int = 110) -> Node:
        node = make_node(name, cpu=cpu, pods=pods)
        self.handlers.add_node(node)
        return node

    def add_pod(
        self, name: str = "a", *, cpu: str = "1", priority: int = 0, uid: str = "", node: str = ""
    ) -> Pod:
        """Create a pod, on a node already where one is given, and have it seen."""
        pod = self.api.put(make_pod(name, cpu=cpu, priority=priority, uid=uid, node=node))
        self.seen[pod.key] = pod
        self.handlers.add_pod(pod)
        return pod

    def watch(self, pod: Pod) -> Pod:
        """Have the newest state of a pod seen."""
        new = self.api.pod(pod.key)
        old, self.seen[pod.key] = self.seen[pod.key], new
        self.handlers.update_pod(old, new)
        return new

    def delete(self, pod: Pod, *, seen: bool = True) -> None:
        """Delete a pod, and have that seen."""
        del self.api.pods[pod.key]
        if seen:
            self.handlers.delete_pod(self.seen.pop(pod.key))

    def held(self, node: str = "n1") -> list[str]:
        """The pods that the cache counts on a node."""
        snapshot = self.cache.snapshot
        return sorted(info.pod.metadata.name for info in snapshot.node(snapshot.table.row_of[node]).pods)

    async def until(self, done: Callable[[], bool]) -> None:
        """Let virtual time pass until something is true."""
        for _ in range(20_000):
            if done():
                return
            await anyio.sleep(0.05)
        raise AssertionError("it never came true")


@asynccontextmanager
async def a_world(
    *probes: Probe, bind: Any = None, preempts: bool = False, extenders: Sequence[Extender] = ()
) -> AsyncIterator[World]:
    """A world whose scheduler runs, with one node of 4 cpu; it preempts where that is asked for."""
    async with FaultProxy.start() as server, Client.connect(master=server.url, qps=0) as client:
        world = World(client, server, probes, bind, preempts=preempts, extenders=extenders)
        world.add_node()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.recorder.run)
            tasks.start_soon(world.conditions.run)
            tasks.start_soon(world.tasks.run)
            tasks.start_soon(world.view.run)
            tasks.start_soon(world.scheduler.run)
            yield world
            tasks.cancel_scope.cancel()


def _key(exchange: Exchange) -> str:
    found = re.search(r"/namespaces/([^/]+)/pods/([^/]+)", exchange.request.path)
    assert found is not None
    return f"{found[1]}/{found[2]}"


def _status(code: int, reason: str, message: str) -> web.StreamResponse:
    return web.json_response(
        {"kind": "Status", "code": code, "reason": reason, "message": message}, status=code
    )
