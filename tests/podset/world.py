"""A controller with everything around it in memory, in virtual time."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from pallet.api.core import ObjectReference
from pallet.api.meta import Object
from pallet.api.node import NODES, Node
from pallet.api.pod import PODS, Pod
from pallet.api.podset import SCHEDULE, SCHEDULE_PLANS, SCHEDULE_TRIGGERS, ScheduleTrigger
from pallet.api.resource import Resource
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import ASSIGNED_POD_DELETE, ClusterEvent
from pallet.framework.instruments import Instruments
from pallet.framework.status import unresolvable
from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Plan, Problem
from pallet.podset.controller import PodSetController
from pallet.podset.decisions import RESERVATION_TIMEOUT
from pallet.podset.gates import Gates
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.sets import PodSets
from pallet.podset.triggers import LabelNaming
from pallet.podset.workqueue import Workqueue
from pallet.runtime.profile import Profile
from tests.builders import EPOCH, SCHEDULER, at, make_pod
from tests.podset.fake_api import FakeApi
from tests.podset.sets_of import WEB

if TYPE_CHECKING:
    from pallet.framework.interface import QueueSortPlugin
    from pallet.informers.informer import Handler

T = TypeVar("T", bound=Object)

NO_PLUGINS = Profile(SCHEDULER, {}, cast("QueueSortPlugin", None))


@dataclass
class ScriptedPlanner:
    """Gives pods the nodes of its script, by name; others the default; those of `refusing` a reason."""

    name: str = "scripted"
    default: str = "n1"
    script: dict[str, str] = field(default_factory=dict)
    refusing: dict[str, str] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    placed: list[set[str]] = field(default_factory=list)
    """By problem, the pods that have a node in its snapshot."""
    order: list[str] = field(default_factory=list)
    """Pods that come first, in this order."""
    meanwhile: Callable[[], object] = lambda: None
    """Done while the planner is at work."""

    async def plan(self, problem: Problem) -> Plan:
        self.problems.append(problem)
        fork = problem.snapshot
        self.placed.append({info.uid for row in fork.rows() for info in fork.pods(row)})
        await anyio.lowlevel.checkpoint()
        self.meanwhile()
        if self.failures:
            raise self.failures.pop(0)
        names = [info.pod.metadata.name for info in problem.pods]
        names.sort(key=lambda name: self.order.index(name) if name in self.order else len(self.order))
        places = {name: self.script.get(name, self.default) for name in names if name not in self.refusing}
        return Plan(self.name, places, {name: why for name, why in self.refusing.items() if name in names})

    @property
    def asked(self) -> list[list[str]]:
        """The pods of each call."""
        return [[info.pod.metadata.name for info in problem.pods] for problem in self.problems]


@dataclass
class Told:
    """The conditions and events that were asked for."""

    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def set(self, pod: Pod, reason: str, message: str) -> None:
        self.conditions[pod.metadata.name] = (reason, message)

    def forget(self, pod: Pod) -> None:
        self.conditions.pop(pod.metadata.name, None)

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        self.events.append((regarding.name, reason, note))

    def notes(self, name: str, reason: str) -> list[str]:
        """What an object's events of a reason say."""
        return [note for regarding, why, note in self.events if (regarding, why) == (name, reason)]

    def reasons(self, name: str) -> list[str]:
        """The reasons of an object's events."""
        return [reason for regarding, reason, _ in self.events if regarding == name]


class World:
    """The API server, the cache as the informers keep it, and one controller, which can be replaced.

    Bindings are done by `bind`, only where the gate says so.
    """

    def __init__(
        self,
        profile: Callable[[Cache], Profile] = lambda _: NO_PLUGINS,
        budget: LoopBudget | None = None,
    ) -> None:
        self.api = FakeApi(self._tell)
        self.planner: ScriptedPlanner | None = ScriptedPlanner()
        self._profile = profile
        self.told = Told()
        self.activated: list[str] = []
        self.regated: list[str] = []
        self.released: list[Pod] = []
        self.switched = anyio.Event()
        self.budget = budget or LoopBudget()
        self._start()

    def _start(self) -> None:
        self.cache = Cache()
        self.profiles = {SCHEDULER: self._profile(self.cache)}
        self.metrics = PodSetMetrics(Instruments(), self.now)
        self.gates = Gates(PodSets(LabelNaming({SCHEDULER})), Workqueue(self.now), self.now)
        self.controller = PodSetController(
            gates=self.gates,
            cache=self.cache,
            api=self.api,
            profiles=self.profiles,
            planner_for=lambda _: self.planner,
            queue=self,
            conditions=self.told,
            recorder=self.told,
            metrics=self.metrics,
            now=self.now,
            rng=Random(1),  # noqa: S311  # breaks ties
            budget=self.budget,
            reservation_timeout=RESERVATION_TIMEOUT,
        )
        self._handlers: dict[str, Handler[Any]] = {
            PODS.plural: self.controller.pod_handler(),
            NODES.plural: self.controller.node_handler(),
            SCHEDULE_TRIGGERS.plural: self.controller.trigger_handler(),
            SCHEDULE_PLANS.plural: self.controller.plan_handler(),
        }

    def activate(self, uids: Iterable[str]) -> None:
        """Take note of pods that are let into the queue."""
        self.activated.extend(uids)

    def regate(self, uids: Iterable[str]) -> None:
        """Record pods whose gate has closed."""
        self.regated.extend(uids)

    def move(self, event: ClusterEvent, old: Pod | None, new: Pod | None) -> None:
        """Record a pod whose reserved room was released."""
        assert (event, new) == (ASSIGNED_POD_DELETE, None)
        assert old is not None
        self.released.append(old)

    def now(self) -> datetime:
        """The API server's time: the event loop's, which is virtual."""
        try:
            return at(anyio.current_time())
        except RuntimeError:
            return EPOCH

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start a process that knows nothing yet, have it see everything, and kill it in the end."""
        self.stand_by()
        await self.controller.restore()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.controller.run)
            yield
            tasks.cancel_scope.cancel()

    def stand_by(self) -> None:
        """Start a process that knows nothing yet, have it see everything, and do nothing so far."""
        self._start()
        self.activated.clear()
        self._tell_all(NODES)
        self._tell_all(SCHEDULE_PLANS)
        self._tell_all(PODS)
        self._tell_all(SCHEDULE_TRIGGERS)

    def add(self, *objects: Node | Pod | ScheduleTrigger) -> None:
        """Create, or change, objects as their owner."""
        for obj in objects:
            if isinstance(obj, Node):
                self.api.put(NODES, obj)
            elif isinstance(obj, Pod):
                self.api.put(PODS, obj)
            else:
                self.api.put(SCHEDULE_TRIGGERS, obj)

    def remove_pods(self, *names: str) -> None:
        """Delete pods for good."""
        for name in names:
            self.api.remove(PODS, name)

    def lose(self, name: str) -> str:
        """Have a pod's planned node refuse it; returns what the pod is told."""
        pod = self.pod(name)
        node = self.gates.verdict(pod).node
        refusal = unresolvable("node(s) were unschedulable").by("NodeUnschedulable")
        return self.gates.blocked(PodInfo(pod), node, [refusal], self.cache.snapshot, lambda _: False)

    def bind(self, *names: str) -> None:
        """Bind pods to where their gates send them."""
        for name in names:
            pod = self.pod(name)
            gate = self.gates.verdict(pod)
            assert gate.open, gate.message
            self.cache.assume(PodInfo(pod), gate.node)
            self.api.put(PODS, make_pod(name, uid=pod.metadata.uid, node=gate.node))

    def remove_node(self, name: str) -> None:
        """Delete a node."""
        self.api.remove(NODES, name)

    def bind_all(self) -> None:
        """Bind every pod whose gate is open."""
        for pod in self.api.all(PODS):
            if not pod.spec.node_name and self.gates.verdict(pod).open:
                self.bind(pod.metadata.name)

    def bound_after_opening(self) -> dict[str, str]:
        """Bind every pod whose gate is open, and give the node of every bound pod."""
        self.bind_all()
        return self.bindings()

    def bindings(self) -> dict[str, str]:
        """The node of every bound pod, by name."""
        pods = self.api.all(PODS)
        return {pod.metadata.name: pod.spec.node_name for pod in pods if pod.spec.node_name}

    def pod(self, name: str) -> Pod:
        """A pod as the API has it."""
        found = self.api.read(PODS, name)
        assert found is not None
        return found

    def trigger(self, name: str = "trigger") -> ScheduleTrigger:
        """A trigger as the API has it."""
        found = self.api.read(SCHEDULE_TRIGGERS, name)
        assert found is not None
        return found

    def plan(self) -> dict[str, str] | None:
        """The stored plan of the set `default/web`; None when there is none."""
        found = self.api.read(SCHEDULE_PLANS, WEB.plan_name)
        return None if found is None else {each.pod: each.node for each in found.spec.plan}

    def reserved(self) -> dict[str, str]:
        """Where each pod that is not bound has room kept, by UID."""
        table = self.cache.snapshot.table
        return {
            info.uid: table.name(row)
            for row in self.cache.snapshot.rows()
            for info in self.cache.snapshot.pods(row)
            if not info.pod.spec.node_name
        }

    def open(self, names: Iterable[str]) -> list[str]:
        """Those of the pods whose gate is open."""
        return [name for name in names if self.gates.verdict(self.pod(name)).open]

    def _tell_all(self, resource: Resource[T]) -> None:
        for obj in self.api.all(resource):
            self._tell(resource.plural, "add", obj, None)

    def _note_switch(self, old: object, new: object) -> None:
        match old, new:
            case ScheduleTrigger(), ScheduleTrigger() if old.spec.state != new.spec.state == SCHEDULE:
                self.switched.set()

    def _tell(self, plural: str, what: str, obj: Any, new: Any) -> None:
        """Tell the controller of pods before the cache, of nodes after it, as the process does."""
        if plural == NODES.plural:
            if what == "delete":
                self.cache.drop_node(obj.metadata.name)
            else:
                self.cache.put_node(new or obj)
        elif what == "update":
            self._note_switch(obj, new)
        self._tell_controller(plural, what, obj, new)
        if plural == PODS.plural:
            pod = new or obj
            if what == "delete" or pod.finished:
                self.cache.drop_pod(pod)
            elif pod.spec.node_name:
                self.cache.put_pod(pod)

    def _tell_controller(self, plural: str, what: str, obj: Any, new: Any) -> None:
        handler = self._handlers[plural]
        if what == "add":
            handler.on_add(obj)
        elif what == "update":
            handler.on_update(obj, new)
        else:
            handler.on_delete(obj)


async def settle(seconds: float = 0.5) -> None:
    """Let virtual time pass: enough by default for all that does not wait for a time."""
    await anyio.sleep(seconds)
