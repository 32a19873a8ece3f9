"""The object graph: every long-lived object, and who knows whom."""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from yarl import URL

from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.api.pod_metadata import keep
from pallet.api.whole import WHOLE_NODES
from pallet.app.build_info import show_build
from pallet.app.rights import Right, needed
from pallet.cache.cache import Cache, Hold
from pallet.client.client import Client
from pallet.client.discovery import is_served
from pallet.config.feature_gates import GATES, GENERIC_WORKLOAD
from pallet.config.settings import Settings
from pallet.extenders.binder import ExtenderBinder
from pallet.extenders.extender import Extender
from pallet.extenders.extenders import Extenders
from pallet.extenders.wire import Document
from pallet.framework.client_metrics import ClientMetrics
from pallet.framework.handle import Handle
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.tasks import Tasks
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.informers.view import View
from pallet.leaderelection.fence import steady_now
from pallet.loop_budget import LoopBudget
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.podset.gates import Gates
from pallet.podset.plugin import PodSetPlanner, args_of, with_whole_plugin
from pallet.podset.sets import PodSets
from pallet.podset.triggers import LabelNaming
from pallet.podset.workqueue import Workqueue
from pallet.runtime.contract import pod_metadata_of
from pallet.runtime.profile import Profile, build_profile
from pallet.runtime.registry import Registry
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.counting_gate import CountingGates
from pallet.scheduler.debugger import CacheDebugger
from pallet.scheduler.group_gate import GroupGate
from pallet.scheduler.handlers import ClusterHandlers
from pallet.scheduler.large_pods import LargePods
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.recorder import EventRecorder
from pallet.scheduler.scheduler import Scheduler
from pallet.scheduler.wrong_declarations import WrongDeclarations

if TYPE_CHECKING:
    from pallet.app.pod_sets import PodSetParts


class Graph:
    """The objects of one process. Making them reads the configuration, and sends nothing.

    `events` is a client of its own, so that bindings never wait behind events. `extenders` are those of the
    configuration. Raises ConfigError.
    """

    def __init__(
        self, settings: Settings, client: Client, events: Client, extenders: Sequence[Extender] = ()
    ) -> None:
        configuration = settings.configuration
        configured = [with_whole_plugin(profile) for profile in configuration.profiles]
        rng = Random()  # noqa: S311  # it breaks ties, it guards nothing
        waiting = WaitingPods()
        self.instruments = Instruments()
        self.metrics = Metrics(self.instruments)
        self.client_metrics = ClientMetrics(self.instruments, URL(client.address).authority)
        show_build(self.instruments, settings.version, settings.commit)
        self.cache = Cache()
        self.loop_budget = LoopBudget()
        self.informers = InformerFactory(client, self.loop_budget)
        self.view = View(self.informers, steady_now)
        self.recorder = EventRecorder(events, socket.gethostname(), rng)
        self.conditions = ConditionWriter(client)
        self.tasks = Tasks()
        self.extenders = Extenders(extenders, client, self._whole_nodes(extenders), self.cache.snapshot)
        now, names = client.server_clock.now, [profile.scheduler_name for profile in configured]
        args, gates = args_of(configured), Gates(PodSets(LabelNaming(names)), Workqueue(now), now)
        of_sets = {PodSetPlanner.name: PodSetPlanner.factory(gates)} if args else {}
        registry = Registry({**BUILT_IN, **of_sets})
        self.counting = CountingGates(self.cache.snapshot, self.loop_budget, self.recorder, self._leads)
        self.group_gate = GroupGate(self.recorder, self.conditions)
        self.large_pods = LargePods(self.recorder, self._leads)
        self.profiles: dict[str, Profile] = {}
        for profile in configured:
            name = profile.scheduler_name
            handle = Handle(
                name,
                client,
                self.informers,
                self.cache,
                self.recorder,
                waiting,
                rng,
                tasks=self.tasks,
                metrics=self.metrics,
                activate=self._activate,
                ungate=self._ungate,
                extenders=self.extenders,
            )
            built = build_profile(profile, DEFAULTS, registry, handle)
            if any(each.configuration.bind_verb for each in extenders):
                built = replace(built, bind=(ExtenderBinder(self.extenders, client), *built.bind))
            self.profiles[name] = replace(
                built,
                pre_enqueue=(
                    self.group_gate,
                    *built.pre_enqueue,
                    self.counting.gate(built),
                    self.large_pods,
                ),
            )

        enabled = (plugin for profile in self.profiles.values() for plugin in profile.plugins.values())
        declared = frozenset[str]().union(*map(pod_metadata_of, enabled))
        self.informers.informer(PODS).set_transform(keep(declared))

        self.queue = SchedulingQueue(
            self.profiles,
            self.cache.snapshot.nominator,
            self.metrics,
            time.monotonic,
            initial_backoff=configuration.pod_initial_backoff_seconds,
            max_backoff=configuration.pod_max_backoff_seconds,
        )
        self.scheduler = Scheduler(
            self.profiles,
            self.cache,
            self.queue,
            waiting,
            self.recorder,
            self.conditions,
            self.metrics,
            rng,
            time.monotonic,
            self.loop_budget,
            self.extenders,
            self.view,
            WrongDeclarations(self.metrics).report if settings.check_plugins else None,
        )
        self.pod_sets: PodSetParts | None = None
        if args:
            from pallet.app import pod_sets  # noqa: PLC0415 - gRPC takes 19 MiB, and only sets need it

            self.pod_sets = pod_sets.PodSetParts(
                args,
                gates=gates,
                client=client,
                informers=self.informers,
                cache=self.cache,
                profiles=self.profiles,
                queue=self.queue,
                conditions=self.conditions,
                recorder=self.recorder,
                instruments=self.instruments,
                now=now,
                rng=rng,
                budget=self.loop_budget,
            )
            self.pod_sets.listen_to_sets()
        ClusterHandlers(
            self.cache, self.queue, waiting, self.conditions, self.metrics, self.profiles
        ).register(self.informers, self.queue.asks_for())
        if self.pod_sets:
            self.pod_sets.listen_to_nodes()
        nodes, pods = self.informers.informer(NODES).store, self.informers.informer(PODS).store
        self.debugger = CacheDebugger(self.cache, self.queue, nodes, pods, self.profiles)
        self.started = False
        """Whether scheduling has begun; false while another replica leads."""
        self._watch_cache_size()
        self._client = client
        self._generic_workload = settings.feature_gates.generic_workload
        for name, value in settings.feature_gates.enabled.items():
            self.metrics.feature_enabled[name, GATES[name].stage].set(value)

    def _whole_nodes(self, extenders: Sequence[Extender]) -> Callable[[str], Document | None]:
        """Where to find whole nodes, which are watched only if some extender wants to be sent them."""
        if all(each.configuration.node_cache_capable for each in extenders):
            return lambda _: None
        nodes = self.informers.informer(WHOLE_NODES).store
        return lambda name: found.json if (found := nodes.get(name)) else None

    def pods(self) -> Iterable[Pod]:
        """All pods, for the resource metrics; none while another replica leads, as in kube-scheduler."""
        return self.informers.informer(PODS).store.list() if self.started else ()

    async def discover(self) -> None:
        """Ask what the API server serves, before pods come."""
        enabled = self._generic_workload
        if enabled is None:
            enabled = await is_served(self._client, "scheduling.k8s.io/v1beta1", "podgroups")
        self.group_gate.enabled = enabled
        self.metrics.feature_enabled[GENERIC_WORKLOAD, GATES[GENERIC_WORKLOAD].stage].set(enabled)

    def _activate(self, uids: Iterable[str]) -> None:
        self.queue.activate(uids)

    def _ungate(self, uids: Iterable[str]) -> None:
        self.queue.ungate(uids)

    def _leads(self) -> bool:
        return self.started

    def needed_rights(self, settings: Settings) -> frozenset[Right]:
        """What this process must be allowed to do."""
        plugins = {name for profile in self.profiles.values() for name in profile.plugins}
        election = settings.configuration.leader_election
        return needed(plugins, self.informers.resources, election, serving=bool(settings.secure_port))

    def sizes(self) -> dict[str, int]:
        """How many nodes and pods there are, for the log."""
        return {
            "nodes": self.cache.snapshot.table.node_count,
            "pods": len(self.informers.informer(PODS).store),
        }

    def _watch_cache_size(self) -> None:
        sizes = self.metrics.cache_size
        sizes["nodes"].follow(lambda: self.cache.snapshot.table.node_count)
        sizes["pods"].follow(lambda: self.cache.count(Hold.BOUND) + self.cache.count(Hold.ASSUMED))
        sizes["assumed_pods"].follow(lambda: self.cache.count(Hold.ASSUMED))
