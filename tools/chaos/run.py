"""One run: start everything, do what the timeline says, wait for rest, and check."""

import http.client
import json
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import anyio
import anyio.abc
import anyio.to_thread
import msgspec

from tools.chaos import audit, dump, stage
from tools.chaos.checks import violations
from tools.chaos.checks.ends import ended, threw
from tools.chaos.checks.process import agrees, bounded
from tools.chaos.checks.rest import disagreeing, unplaced
from tools.chaos.history import Blind, Change, Happened, History, Object, Violation
from tools.chaos.load import Act
from tools.chaos.network import EDITS, line
from tools.chaos.observer import Observer
from tools.chaos.replicas import Pair, Replica
from tools.chaos.timeline import LEADS_SHARE, Fault, Timeline, undisturbed
from tools.controlplane import ApiError, ControlPlane

LEAD_SECONDS = 60.0
REST_SECONDS = 240.0
"""I4's bound: how long after the last fault everything may take to come to rest. A watch that was frozen for
good is given up after 90 s, and what it missed is read and scheduled after that."""

SETTLED_SECONDS = 3.0
DUMP_PAUSE = 5.0
QUIET_SECONDS = 10.0
MOST_LOOKS = 4
ORDER_SECONDS = 1.0
WATCHES_SECONDS = 4.0
"""How long a fault that is for the watches of a standby waits for them."""

SIGNAL_SECONDS = 20.0
"""How long a signal waits for a replica that runs."""


@dataclass
class Recorder:
    """What is recorded, by several threads, in memory and in a file."""

    file: Path
    records: list[Change | Happened | Blind] = field(default_factory=list)
    state: dict[str, Object] = field(default_factory=dict)
    changed_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, record: Change | Happened | Blind) -> None:
        """Keep a record."""
        with self._lock:
            self.records.append(record)
            if isinstance(record, Change):
                self.changed_at = record.at
                if record.object is None:
                    self.state.pop(record.key, None)
                else:
                    self.state[record.key] = record.object

    def snapshot(self) -> dict[str, Object]:
        """Everything as it is."""
        with self._lock:
            return dict(self.state)

    def write(self) -> None:
        """Keep everything in the file."""
        with self.file.open("wb") as out:
            for record in self.records:
                out.write(msgspec.json.encode(record) + b"\n")


class Load:
    """Sends the requests of the load one after another, each until it is answered, in a thread of its own."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._acts: SimpleQueue[Act | None] = SimpleQueue()
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def send(self, act: Act) -> None:
        """Send a request when those before it are done."""
        self._acts.put(act)

    def finish(self) -> None:
        """Wait until all are done."""
        self._acts.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (act := self._acts.get()) is not None:
            while not self._sent(act):
                time.sleep(0.2)

    def _sent(self, act: Act) -> bool:
        try:
            self._cluster.client.request(act.method, act.path, act.body)
        except ApiError as error:
            if error.code >= 500 or error.code == 429:
                return False
            expected = (act.method == "POST" and error.code == 409) or error.code == 404
            if not expected:
                self.refused.append(str(error))
        except (OSError, http.client.HTTPException):
            return False
        return True


@dataclass
class Outcome:
    """What a run gave."""

    timeline: Timeline
    history: History
    violations: list[Violation]
    rest_seconds: float | None
    remarks: list[str]


@dataclass
class Run:
    """One run with its parts."""

    timeline: Timeline
    directory: Path
    cluster: ControlPlane
    recorder: Recorder
    pair: Pair
    tasks: anyio.abc.TaskGroup
    started: float = 0.0
    orders: dict[Fault, str] = field(default_factory=dict)
    """Faults whose point has not been reached yet, and the process that was told of them last."""
    no_orders_until: float = 0.0
    restarting: anyio.Lock = field(default_factory=anyio.Lock)

    async def play(self) -> None:
        """Do what the timeline says, at its times."""
        load = Load(self.cluster)
        self.started = time.monotonic()
        steps: list[Fault | Act] = sorted(
            [*self.timeline.faults, *self.timeline.load], key=lambda each: each.at
        )
        for step in steps:
            await anyio.sleep(max(0.0, self.started + step.at - time.monotonic()))
            if isinstance(step, Act):
                load.send(step)
            else:
                self._inflict(step)
        await anyio.to_thread.run_sync(load.finish)
        if load.refused:
            print(f"refused requests of the load: {load.refused[:5]}")

    def _happened(self, fault: Fault, replica: str = "", detail: str = "") -> None:
        self.recorder.take(Happened(time.time(), fault.kind, replica, detail))

    def _inflict(self, fault: Fault) -> None:
        """Begin a fault."""
        match fault.kind:
            case "SIGKILL" | "SIGTERM" | "SIGSTOP":
                self.tasks.start_soon(self._signal, fault)
            case "killed at a point" | "stopped at a point":
                self.orders[fault] = ""
            case "taken over unseen":
                self.tasks.start_soon(self.take_over_unseen, fault)
            case "API server restarted":
                self.tasks.start_soon(self._restart_apiserver, fault)
            case "etcd compacted":
                self.tasks.start_soon(self._compact, fault)
            case "watches cut" | "watches frozen" | "watches garbled":
                self._hit_watches(self.pair.of(fault), fault)
            case _:
                self.pair.of(fault).line.arm(fault)

    async def _signal(self, fault: Fault) -> None:
        """Kill, end or stop a replica: the one that is meant, or when it does not run, another that does."""
        with anyio.move_on_after(SIGNAL_SECONDS):
            while not (running := [each for each in self.pair.by_part if each.runs]):  # noqa: ASYNC110
                await anyio.sleep(0.1)
            meant = self.pair.of(fault)
            replica = meant if meant in running else running[0]
            self._happened(fault, replica.name, f"{replica.agent} {fault.seconds or ''}")
            if fault.kind == "SIGSTOP":
                self.tasks.start_soon(partial(replica.stop_for, fault.seconds, signal_it=True))
            else:
                replica.signal(signal.Signals[fault.kind])

    async def _restart_apiserver(self, fault: Fault) -> None:
        """Restart the API server, once an earlier restart is over."""
        async with self.restarting:
            self._happened(fault)
            await anyio.to_thread.run_sync(self.cluster.restart_apiserver)

    async def take_over_unseen(self, fault: Fault) -> None:
        """Freeze what the standby sees of pods, and stop the leader for the later part of that time."""
        self._withhold(undisturbed(fault)[1] - fault.at)
        leader, standby = self.pair.by_part
        leader.go_on()
        with anyio.move_on_after(WATCHES_SECONDS):
            while not standby.line.watches(fault.what):  # noqa: ASYNC110 - it may be starting
                await anyio.sleep(0.1)
        if not (watches := standby.line.watches(fault.what)):
            return
        self.tasks.start_soon(standby.line.freeze_for, watches, fault.seconds)
        leader.line.thaw(leader.line.watches(fault.what))
        await anyio.sleep(fault.seconds * LEADS_SHARE)
        frozen = any(watch.frozen for watch in standby.line.watches(fault.what))
        if frozen and leader.runs and leader is self.pair.by_part[0]:
            self._happened(fault, standby.name, f"{fault.what} {fault.seconds}, {leader.agent} stopped")
            stopped = fault.seconds * (1 - LEADS_SHARE)
            self.tasks.start_soon(partial(leader.stop_for, stopped, signal_it=True))

    def _withhold(self, seconds: float) -> None:
        """Take back what waits for a request or a point, and order it again only after a while."""
        self.no_orders_until = time.monotonic() + seconds
        self.orders = dict.fromkeys(self.orders, "")
        for replica in self.pair.replicas:
            replica.line.disarm()
            replica.order(do="disarm")

    def _hit_watches(self, replica: Replica, fault: Fault) -> None:
        watches = replica.line.watches(fault.what)
        if not watches:
            return
        self._happened(fault, replica.name, f"{fault.what or 'all'} {fault.variant} {fault.seconds}")
        for watch in watches:
            if fault.kind == "watches cut":
                watch.cut()
            elif fault.kind == "watches garbled":
                watch.edits.append(EDITS[fault.variant])
        if fault.kind == "watches frozen":
            self.tasks.start_soon(replica.line.freeze_for, watches, fault.seconds)

    async def _compact(self, fault: Fault) -> None:
        if await anyio.to_thread.run_sync(compact, self.cluster.etcd):
            self._happened(fault)

    async def give_orders(self) -> None:
        """Tell whoever leads what is to happen at its fault points: a process that ends forgets it."""
        while True:
            await anyio.sleep(max(0.0, self.no_orders_until - time.monotonic()))
            leader = self.pair.by_part[0]
            for fault, agent in self.orders.items():
                if agent != leader.agent and leader.runs:
                    self.orders[fault] = leader.agent
                    leader.order(do=fault.variant, point=fault.what, skip=fault.times)
            await anyio.sleep(ORDER_SECONDS)

    def reached(self, do: str, point: str) -> float:
        """A fault point was reached; the seconds after which a process that is stopped there goes on."""
        fault = next((each for each in self.orders if (each.variant, each.what) == (do, point)), None)
        if fault is None:
            return 0.0
        del self.orders[fault]
        return fault.seconds

    def heal(self) -> None:
        """End all faults. What a watch missed for good stays missed until the replica gives it up."""
        self.orders.clear()
        for replica in self.pair.replicas:
            replica.line.disarm()
            replica.order(do="disarm")
            replica.go_on()

    async def rest(self) -> float | None:
        """Wait until all that can be placed is, and all agree; None where that never comes."""
        healed = time.monotonic()
        while (passed := time.monotonic() - healed) < REST_SECONDS:
            await anyio.sleep(1.0)
            quiet = time.time() - self.recorder.changed_at > SETTLED_SECONDS
            if quiet and not any(self.unrest()):
                if not await anyio.to_thread.run_sync(lambda: list(self.disagreements())):
                    return passed
                await anyio.sleep(DUMP_PAUSE)
        return None

    def unrest(self) -> Iterator[Violation]:
        """I4 and I7, as of now."""
        state = self.recorder.snapshot()
        yield from unplaced(state, time.time())
        yield from disagreeing(state, time.time())

    def disagreements(self) -> Iterator[Violation]:
        """I3 and I8, as of now. It takes a while."""
        for replica in self.pair.replicas:
            dumped = dump.take(replica)
            if dumped is None:
                yield Violation("I8", time.time(), replica.agent, "does not dump what it holds")
            else:
                yield from agrees(replica.agent, dumped, self.recorder.snapshot(), time.time())

    def excesses(self) -> Iterator[Violation]:
        """I10, over a while at rest: a set may have been waiting for the end of its quiet time until now."""
        answer = self.cluster.client.request("POST", f"{stage.METRICS_READER}/token", {"spec": {}})
        for _ in range(MOST_LOOKS):
            before = {replica.name: replica.line.served for replica in self.pair.replicas}
            changed_at = self.recorder.changed_at
            time.sleep(QUIET_SECONDS)
            if self.recorder.changed_at == changed_at:
                break
        for replica in self.pair.by_part:
            rate = (replica.line.served - before[replica.name]) / QUIET_SECONDS
            dumped = dump.take(replica)
            if dumped is not None and replica.process is not None:
                memory = dump.resident_bytes(replica.process.pid)
                told = dump.metrics(replica, answer["status"]["token"])
                found = bounded(replica.agent, dumped, told, rate, memory, time.time())
                standby = replica is not self.pair.by_part[0]
                # What cannot be placed waits to be tried by the next leader.
                yield from (each for each in found if not (standby and "active" in each.text))


def compact(etcd: str) -> bool:
    """Have etcd forget everything before its present revision; whether it did."""
    with suppress(OSError):
        found = _ask(etcd, "/v3/kv/range", {"key": "AA==", "limit": "1"})
        _ask(etcd, "/v3/kv/compaction", {"revision": found["header"]["revision"]})
        return True
    return False


def _ask(etcd: str, path: str, body: object) -> dict[str, dict[str, str]]:
    request = urllib.request.Request(etcd + path, json.dumps(body).encode())  # noqa: S310 - http, on loopback
    with urllib.request.urlopen(request, timeout=5.0) as answer:  # noqa: S310
        found: dict[str, dict[str, str]] = json.loads(answer.read())
        return found


async def run(timeline: Timeline, directory: Path) -> Outcome:
    """Run a timeline; records and logs go into a folder."""
    timeline.write(directory / "timeline.json")
    recorder = Recorder(directory / "history.jsonl")
    async with AsyncExitStack() as stack:
        cluster = await anyio.to_thread.run_sync(stage.control_plane, directory)
        stack.callback(cluster.stop)
        await anyio.to_thread.run_sync(cluster.start)
        observer = Observer(cluster.etcd, recorder.take)
        stack.callback(observer.stop)
        await anyio.to_thread.run_sync(stage.furnish, cluster, timeline.nodes)
        kubeconfig = str(cluster.kubeconfig_for_service_account(*stage.ACCOUNT))
        flags = [f"--config={stage.configuration(directory)}", f"--kubeconfig={kubeconfig}"]
        tasks = await stack.enter_async_context(anyio.create_task_group())
        replicas = []
        for name in ("a", "b"):
            started = await stack.enter_async_context(
                line(kubeconfig, stage.certificate(cluster), name, recorder.take)
            )
            replicas.append(Replica(name, started, flags, directory, cluster.group, recorder.take))
        this = Run(timeline, directory, cluster, recorder, Pair(replicas), tasks)
        for replica in replicas:
            tasks.start_soon(replica.hear, this.reached, tasks)
            tasks.start_soon(replica.supervise)
        tasks.start_soon(this.give_orders)
        await _leader(this)
        await this.play()
        this.heal()
        rest_seconds = await this.rest()
        outcome = await anyio.to_thread.run_sync(_judged, this, rest_seconds)
        if observer.failure:
            outcome.remarks.append(f"the record has a gap: {observer.failure}")
        tasks.cancel_scope.cancel()
        for replica in replicas:
            if replica.process is not None:
                replica.process.kill()
        for log in ("kube-apiserver.log", "kube-controller-manager.log"):
            shutil.copy(cluster.directory / log, directory / log)
    return outcome


async def _leader(this: Run) -> None:
    with anyio.fail_after(LEAD_SECONDS, reason=f"no replica leads after {LEAD_SECONDS:g} s; see their logs"):
        while not any(each.line.renewed_at for each in this.pair.replicas):  # noqa: ASYNC110 - of processes
            await anyio.sleep(0.1)


def _judged(this: Run, rest_seconds: float | None) -> Outcome:
    for replica in this.pair.replicas:
        replica.line.close_sights()
    this.recorder.write()
    history = History.of([*this.recorder.records, *audit.read(this.directory)])
    found = list(violations(history))
    if rest_seconds is None:
        found += this.unrest()
        found += this.disagreements()
    else:
        found += this.excesses()
    logs = {file.stem: file.read_text(errors="replace") for file in this.directory.glob("[ab]-*.log")}
    codes = {agent: code for each in this.pair.replicas for agent, code in each.codes.items()}
    found += threw(logs)
    found += ended(codes, logs)
    remarks = [f"{len(codes)} processes ended"]
    return Outcome(this.timeline, history, found, rest_seconds, remarks)
