"""The life of the process: start, leadership, shutdown.

In this order: read what the API has, become the leader, put back what stored plans say, schedule. On SIGTERM
or SIGINT: start nothing new, let bindings under way end, give the lease up.
"""

import asyncio
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from math import inf

import anyio
import anyio.abc
import anyio.to_thread

from pallet.api.pod import PODS
from pallet.app import handover
from pallet.app.files import file_mistakes
from pallet.app.garbage import collect_in_steps
from pallet.app.graph import Graph
from pallet.app.heap import find_trim, trim_heap
from pallet.app.loop_errors import report
from pallet.app.own_pod import OtherReplicaError, own_namespace, own_pod, require_no_other_replica
from pallet.app.rights_check import RightsCheck
from pallet.client.client import Client
from pallet.client.errors import ConfigError as ConnectionConfigError
from pallet.config.errors import ConfigError, refuse
from pallet.config.schema import DEFAULT_SCHEDULER_NAME, KUBE_SCHEDULER_LEASE
from pallet.config.settings import Settings
from pallet.extenders.extender import extenders_of
from pallet.informers.factory import NotSyncedError
from pallet.leaderelection import (
    ElectionThread,
    LeaderElector,
    LeadershipLostError,
    LeaseLock,
    LeaseObserver,
    LeaseRenewedError,
    new_identity,
)
from pallet.logs import get_logger, logging_to
from pallet.server.certificate import server_context
from pallet.server.loop_watch import watch_loop
from pallet.server.server import Endpoints, ListenError, listen, serve
from pallet.server.watchdog import LoopWatchdog

log = get_logger(__name__)

SYNC_SECONDS = 60.0
"""How long the first lists may take; a process that cannot read them ends and says why."""

GRACE_SECONDS = 5.0
"""How long bindings under way may take at the end."""

REVIEW_QPS, REVIEW_BURST = 20.0, 20
"""How fast it is asked which rights are missing: some sixty questions, which nothing waits for."""

LEASE_QPS, LEASE_BURST = 5.0, 10

_EXPECTED = (
    ConnectionConfigError,
    NotSyncedError,
    LeadershipLostError,
    LeaseRenewedError,
    ListenError,
    OtherReplicaError,
    OSError,
)
"""What ends the process with a line that says why, instead of a traceback."""


async def run(settings: Settings) -> int:
    """Run the scheduler until it is told to stop; give the status to exit with.

    Raises ConfigError for what is wrong in the settings.
    """
    _raise_file_limit()
    asyncio.get_running_loop().set_exception_handler(report)
    with logging_to(sys.stderr, settings.verbosity):
        for warning in settings.feature_gates.warnings:
            log.warning(warning)
        try:
            await _live(settings)
        except Exception as failure:
            cause = _cause(failure)
            if isinstance(cause, ConfigError):
                raise cause from None
            if not isinstance(cause, _EXPECTED):
                raise
            log.error("The scheduler ends", error=cause)  # noqa: TRY400  # the traceback tells nobody anything
            return 1
    return 0


def _raise_file_limit() -> None:
    """Take as many files as are allowed, as programs in Go do: shells set the limit for programs of old."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems name a limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _live(settings: Settings) -> None:
    refuse(await anyio.to_thread.run_sync(lambda: list(file_mistakes(settings.configuration))))
    async with (
        _clients(settings) as (client, events, leases),
        client.with_limiter(REVIEW_QPS, REVIEW_BURST) as reviews,
        _campaign(settings) as election,
        extenders_of(
            settings.configuration.extenders,
            election.elector.fence.remaining if election is not None else None,
        ) as extenders,
    ):
        graph = Graph(settings, client, events, extenders)
        for each in (client, events, leases, reviews):
            each.observer = graph.client_metrics
        if election is not None:
            client.fence = events.fence = remaining = election.elector.fence.remaining
            lease = settings.configuration.leader_election.resource_name
            graph.metrics.leader[lease].follow(lambda: float(remaining() > 0))
        controller = settings.configuration.profiles[0].scheduler_name
        rights = RightsCheck(reviews, graph.needed_rights(settings), graph.recorder, controller)
        async with (
            _serving(settings, graph, election, rights, client),
            anyio.create_task_group() as services,
        ):
            try:
                with _watchdog(settings, election) as watchdog:
                    async with anyio.create_task_group() as tasks:
                        beats = watchdog.beat, graph.view.beat
                        tasks.start_soon(watch_loop, graph.metrics.loop_held_seconds, *beats)
                        tasks.start_soon(rights.run)
                        await _start(graph, election, _kube_scheduler(settings, leases), tasks, services)
            finally:  # when all that writes has ended; what serves takes longer, and needs no lease
                if election is not None:
                    with anyio.CancelScope(shield=True):
                        await election.release()
            services.cancel_scope.cancel()


@asynccontextmanager
async def _campaign(settings: Settings) -> AsyncIterator[ElectionThread | None]:
    """The candidate of this process; None without leader election."""
    election = settings.configuration.leader_election
    if not election.leader_elect:
        yield None
        return

    @asynccontextmanager
    async def elector() -> AsyncIterator[LeaderElector]:
        async with _connect(settings, LEASE_QPS, LEASE_BURST) as client:
            lock = LeaseLock(client, election.resource_namespace, election.resource_name)
            yield LeaderElector(lock, election, new_identity())

    async with ElectionThread.start(elector) as thread:
        yield thread


@contextmanager
def _watchdog(settings: Settings, election: ElectionThread | None) -> Iterator[LoopWatchdog]:
    """Watch the loop. One that does not run any more may not lead for ever; alone, it is only reported."""
    watchdog = LoopWatchdog(
        dead_after=settings.configuration.leader_election.renew_deadline if election is not None else inf,
        at_death=election.abdicate if election is not None else lambda: None,
    )
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


def _kube_scheduler(settings: Settings, leases: Client) -> LeaseObserver | None:
    """What looks out for a kube-scheduler; None where its lease is ours to take, or it has other pods."""
    election = settings.configuration.leader_election
    takes_it = (election.resource_namespace, election.resource_name) == KUBE_SCHEDULER_LEASE
    names = {profile.scheduler_name for profile in settings.configuration.profiles}
    if (
        settings.ignore_kube_scheduler_lease
        or DEFAULT_SCHEDULER_NAME not in names
        or (election.leader_elect and takes_it)
    ):
        return None
    lease = "/".join(KUBE_SCHEDULER_LEASE)
    remedy = (
        f"let this process take that lease (leaderElection: leaderElect, and {lease} as resourceNamespace "
        "and resourceName, or neither), or give its profile a schedulerName of its own, or override this "
        "with --ignore-kube-scheduler-lease"
    )
    return LeaseObserver(LeaseLock(leases, *KUBE_SCHEDULER_LEASE), remedy)


async def _start(
    graph: Graph,
    election: ElectionThread | None,
    kube_scheduler: LeaseObserver | None,
    tasks: anyio.abc.TaskGroup,
    services: anyio.abc.TaskGroup,
) -> None:
    """Start everything in its order; the task groups then live until the process ends.

    `services` are what serves others: they write nothing, and end last.
    """
    ended = anyio.Event()
    tasks.start_soon(_end_on_signal, graph, election, ended, tasks.cancel_scope)
    tasks.start_soon(_dump_on_signal, graph)
    tasks.start_soon(graph.counting.run, graph.queue)
    tasks.start_soon(graph.large_pods.run, graph.queue)
    tasks.start_soon(collect_in_steps)
    tasks.start_soon(trim_heap, find_trim())
    if kube_scheduler is not None:
        tasks.start_soon(kube_scheduler.run)
    await _discover(graph)
    graph.informers.start(tasks)
    tasks.start_soon(graph.view.run)
    await graph.informers.wait_for_sync(SYNC_SECONDS)
    log.info("Synced with the API server", **graph.sizes())
    if election is None:
        require_no_other_replica(graph.informers.informer(PODS).store, own_namespace(), own_pod())
    if graph.pod_sets:
        await graph.pod_sets.listen(services)
    if kube_scheduler is not None:
        await kube_scheduler.wait_until_free()
    if election is not None:
        await _lead(graph, election, tasks)
    tasks.start_soon(graph.recorder.run)
    tasks.start_soon(graph.conditions.run)
    tasks.start_soon(graph.group_gate.run, graph.queue)
    tasks.start_soon(graph.tasks.run)
    if graph.pod_sets:
        await graph.pod_sets.start(tasks)
    graph.started = True
    tasks.start_soon(_schedule, graph, ended)
    log.info("Scheduling", profiles=",".join(graph.profiles))


async def _discover(graph: Graph) -> None:
    """Ask what the API server serves; as with the first lists, a process that cannot learn it ends."""
    with anyio.move_on_after(SYNC_SECONDS):
        await graph.discover()
        return
    raise NotSyncedError(f"the API server has not said in {SYNC_SECONDS:g} s what it serves")


async def _lead(graph: Graph, election: ElectionThread, tasks: anyio.abc.TaskGroup) -> None:
    """Become the leader, with a view of the cluster that has all that the leader before did.

    It is brought up to date while the lease is overdue: its holder writes no more, so nothing is left to
    learn when the lease has run out. A leader that gives the lease up says what it has seen.
    """
    was_overdue = await election.acquire(at_overdue=graph.view.doubt)
    if not was_overdue and not await handover.received(graph.informers, election.elector.last_word):
        graph.view.doubt()
    tasks.start_soon(election.hold)
    with anyio.move_on_after(SYNC_SECONDS):
        await graph.view.settled()
        return
    raise NotSyncedError(f"the watches have not come as far as the API in {SYNC_SECONDS:g} s")


async def _dump_on_signal(graph: Graph) -> None:
    """On each SIGUSR2 log what is held, and where it differs from the API, as kube-scheduler does."""
    with anyio.open_signal_receiver(signal.SIGUSR2) as signals:
        async for _ in signals:
            for line in graph.debugger.lines():
                if line is not None:
                    log.info(line.message, **line.fields)
                if graph.loop_budget.exhausted:
                    await graph.loop_budget.pause()


async def _schedule(graph: Graph, ended: anyio.Event) -> None:
    await graph.scheduler.run()
    ended.set()


async def _end_on_signal(
    graph: Graph, election: ElectionThread | None, ended: anyio.Event, scope: anyio.CancelScope
) -> None:
    """On the first signal end politely."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("Ending", signal=signal.Signals(number).name)
            graph.scheduler.stop()
            if graph.started:
                with anyio.move_on_after(GRACE_SECONDS):
                    await ended.wait()
                    if election is not None:
                        election.word = await handover.word(graph.informers, graph.cache)
            scope.cancel()
            return


def _connect(settings: Settings, qps: float, burst: int) -> AbstractAsyncContextManager[Client]:
    return Client.connect(settings.kubeconfig or None, settings.master or None, qps=qps, burst=burst)


@asynccontextmanager
async def _clients(settings: Settings) -> AsyncIterator[tuple[Client, Client, Client]]:
    """Ways to the API server for work, for events, and for leases of others: none waits for another."""
    connection = settings.configuration.client_connection
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_connect(settings, connection.qps, connection.burst))
        events = await stack.enter_async_context(client.with_limiter(connection.qps, connection.burst))
        leases = await stack.enter_async_context(client.with_limiter(LEASE_QPS, LEASE_BURST))
        yield client, events, leases


@asynccontextmanager
async def _serving(
    settings: Settings,
    graph: Graph,
    election: ElectionThread | None,
    rights: RightsCheck,
    client: Client,
) -> AsyncIterator[None]:
    """Serve health and metrics while the block runs, unless the port is 0."""
    if not settings.secure_port:
        yield
        return
    live = {"leaderElection": election.elector.live} if election else {}
    ready = {
        "informer-sync": graph.informers.unsynced,
        **({"leaderElection": election.elector.ready} if election else {}),
        **({"pod-set-rights": rights.ready} if graph.pod_sets else {}),
    }
    endpoints = Endpoints(live, ready, graph.instruments, graph.pods, settings.configuration)
    files = settings.tls_cert_file, settings.tls_private_key_file
    tls = await anyio.to_thread.run_sync(server_context, *files)
    listener = listen(settings.bind_address, settings.secure_port)
    async with serve(listener, tls, endpoints, client, graph.loop_budget):
        yield


def _cause(failure: BaseException) -> BaseException:
    """The first exception within groups of exceptions."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
