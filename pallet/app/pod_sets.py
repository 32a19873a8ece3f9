"""The part of the object graph that looks after pod sets, where a profile enables PodSetPlanner."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

import anyio
import anyio.abc

from pallet.api.core import ENDPOINT_SLICES, SERVICES
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.api.podset import SCHEDULE_PLANS, SCHEDULE_TRIGGERS
from pallet.app.own_pod import own_namespace, own_pod
from pallet.cache.cache import Cache
from pallet.client.client import Client
from pallet.config.errors import fail
from pallet.framework.handle import Recorder
from pallet.framework.instruments import Instruments
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import SharedInformer
from pallet.informers.reflector import Scope
from pallet.loop_budget import LoopBudget
from pallet.planner import own_service
from pallet.planner.discovery import DiscoveredPlanners
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.interface import Planner
from pallet.planner.own_service import OwnService
from pallet.planner.protocol import TLSFiles
from pallet.planner.remote import RemotePlanner
from pallet.planner.resolver import Resolver
from pallet.planner.server import PlannerServer
from pallet.podset.controller import PodSetController
from pallet.podset.gates import Gates
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.plugin import PodSetPlannerArgs
from pallet.podset.source import SetKey
from pallet.podset.triggers import labelled
from pallet.runtime.profile import Profile
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.queue import SchedulingQueue

SLICES_SECONDS = 1.0
"""How long the start waits to learn whether the own Service has endpoints, where that matters."""


class PodSetParts:
    """Controller, planners and the planner's server."""

    def __init__(
        self,
        args: PodSetPlannerArgs,
        *,
        gates: Gates,
        client: Client,
        informers: InformerFactory,
        cache: Cache,
        profiles: Mapping[str, Profile],
        queue: SchedulingQueue,
        conditions: ConditionWriter,
        recorder: Recorder,
        instruments: Instruments,
        now: Callable[[], datetime],
        rng: Random,
        budget: LoopBudget,
    ) -> None:
        metrics = PodSetMetrics(instruments, now)
        gates.workqueue.show(instruments, "podsets")
        self._args = args
        self._budget = budget
        self._informers = informers
        tls = args.planner.tls
        self._tls = TLSFiles(tls.ca_file, tls.cert_file, tls.key_file) if tls else None
        greedy = GreedyPlanner(budget)
        services, pods = informers.informer(SERVICES), informers.informer(PODS)
        namespace = own_namespace()
        # Not one of the factory's, which are all needed to start: this one may be forbidden.
        self._slices = SharedInformer(
            client, ENDPOINT_SLICES, budget, Scope(namespace, own_service.SLICE_LABEL)
        )
        self._own_service = OwnService(services, pods, self._slices, namespace, own_pod())
        self._resolver = Resolver(services.store, args.planner.resolver, args.planner.addresses)
        self._planners = DiscoveredPlanners(
            services.store,
            built_in=greedy,
            embedded=args.planner.embedded,
            own_service=self._own_service,
            allowed_namespaces=frozenset(args.planner.namespaces),
            connect=self._connect,
            observe=metrics.planner_called,
        )
        self.controller = PodSetController(
            gates=gates,
            cache=cache,
            api=client,
            profiles=profiles,
            planner_for=self._planner_for,
            queue=queue,
            conditions=conditions,
            recorder=recorder,
            metrics=metrics,
            now=now,
            rng=rng,
            budget=budget,
            reservation_timeout=timedelta(seconds=args.reservation_timeout),
        )
        self._server = PlannerServer(greedy, cache, profiles, self._members, budget)

    def listen_to_sets(self) -> None:
        """Hear of pods, triggers and plans; to be called before the queue listens, which asks the gate."""
        self._informers.informer(SCHEDULE_TRIGGERS).add_handler(self.controller.trigger_handler())
        self._informers.informer(SCHEDULE_PLANS).add_handler(self.controller.plan_handler())
        self._informers.informer(PODS).add_handler(self.controller.pod_handler())

    def listen_to_nodes(self) -> None:
        """Hear of nodes; to be called after the cache listens, which is asked about them."""
        self._informers.informer(NODES).add_handler(self.controller.node_handler())

    async def listen(self, tasks: anyio.abc.TaskGroup) -> None:
        """Serve plans where the configuration says so, or while the own Service sends its callers here.

        That Service selects all replicas, so those that do not lead serve too. To be called when the
        informers have synced. Raises ConfigError where the configured address cannot be listened on.
        """
        tasks.start_soon(self._slices.run)
        with anyio.move_on_after(SLICES_SECONDS):
            await self._own_service.known()
        address = self._args.planner.address
        if not address:
            tasks.start_soon(self._server.serve_while_selected, self._own_service, self._tls)
            return
        try:
            await tasks.start(self._server.serve, address, self._tls)
        except OSError as error:
            fail(self._args.path.field("planner").field("address"), str(error))

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Put back what stored plans say, and begin to look after the sets."""
        await self.controller.restore()
        tasks.start_soon(self.controller.run)

    def _planner_for(self, key: SetKey) -> Planner | None:
        return self._planners if self._planners.planners(key.name) else None

    def _connect(self, namespace: str, service: str) -> Planner:
        return RemotePlanner(
            namespace,
            service,
            self._budget,
            self._resolver,
            call_timeout=self._args.call_timeout,
            tls=self._tls,
        )

    def _members(self, namespace: str, pod_set: str) -> Sequence[Pod]:
        found = self.controller.sets.get(labelled(namespace, pod_set))
        return [member.pod for member in found.members.values()] if found else []
