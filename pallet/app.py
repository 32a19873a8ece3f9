"""The object graph: built from the settings, started, and taken down again."""

import random
import sys
import time

import anyio
import anyio.abc

from pallet.cache.cache import Cache
from pallet.client.client import Client
from pallet.config.settings import Settings
from pallet.framework.handle import Handle
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.framework.profile import Profile, build_profile
from pallet.framework.registry import Registry
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.leaderelection.elector import new_identity
from pallet.logs import get_logger, logging_to
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.scheduler.conditions import ConditionWriter
from pallet.scheduler.handlers import ClusterHandlers
from pallet.scheduler.queue import SchedulingQueue
from pallet.scheduler.recorder import EventRecorder
from pallet.scheduler.scheduler import Scheduler

log = get_logger(__name__)

SYNC_SECONDS = 120.0


async def run(settings: Settings) -> int:
    """Run the scheduler until it is told to stop; give the status to exit with."""
    with logging_to(sys.stderr, settings.verbosity):
        return await _run(settings)


async def _run(settings: Settings) -> int:
    connection = settings.configuration.client_connection
    async with (
        Client.connect(
            settings.kubeconfig or None, settings.master or None, qps=connection.qps, burst=connection.burst
        ) as client,
        client.with_limiter(connection.qps, connection.burst) as event_client,
    ):
        rng = random.Random()
        instruments = Instruments()
        metrics = Metrics(instruments)
        cache = Cache()
        informers = InformerFactory(client)
        recorder = EventRecorder(event_client, new_identity(), rng)
        waiting = WaitingPods()
        registry = Registry(BUILT_IN)
        profiles: dict[str, Profile] = {}
        for profile in settings.configuration.profiles:
            handle = Handle(profile.scheduler_name, client, informers, cache, recorder, waiting, rng)
            profiles[profile.scheduler_name] = build_profile(profile, DEFAULTS, registry, handle)
        queue = SchedulingQueue(profiles, metrics, time.monotonic)
        conditions = ConditionWriter(client)
        scheduler = Scheduler(
            profiles, cache, queue, waiting, recorder, conditions, metrics, rng, time.monotonic
        )
        ClusterHandlers(cache, queue, profiles).register(informers)
        async with anyio.create_task_group() as tasks:
            informers.start(tasks)
            await informers.wait_for_sync(SYNC_SECONDS)
            log.info("Synced", nodes=cache.snapshot.table.node_count)
            tasks.start_soon(recorder.run)
            tasks.start_soon(conditions.run)
            tasks.start_soon(scheduler.run)
    return 0
