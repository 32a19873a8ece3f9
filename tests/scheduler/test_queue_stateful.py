"""Whatever happens, every pending pod is in exactly one place (I3), and none is lost."""

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pallet.api.pod import Pod
from pallet.framework.events import ASSIGNED_POD_DELETE, NODE_ADD, Hint
from pallet.framework.status import SUCCESS, Status, unresolvable
from tests.builders import make_node, make_pod
from tests.scheduler.queue_world import QueueWorld, hinting, relabelled

if TYPE_CHECKING:
    from pallet.scheduler.queued_pod import QueuedPod

NAMES = st.sampled_from("abcde")
PLUGINS = st.sets(st.sampled_from(("Probe", "NodeResourcesFit", "DefaultBinder"))).map(frozenset)


class QueueMachine(RuleBasedStateMachine):
    """Pods come, go and are scheduled in every order; `pending` is what the queue must hold."""

    @initialize()
    def begin(self) -> None:
        self.world = QueueWorld()
        self.world.probe.interests[:] = [hinting(Hint.QUEUE, [])]
        self.world.probe.said["pre_enqueue"] = self.gate
        self.closed: set[str] = set()
        self.fails = False
        self.pending: dict[str, Pod] = {}
        self.flying: dict[str, QueuedPod] = {}
        self.stale: list[QueuedPod] = []

    def gate(self, pod: Pod) -> Status:
        if self.fails:
            raise ValueError("broken")
        return unresolvable("closed") if pod.metadata.name in self.closed else SUCCESS

    @rule(name=NAMES, priority=st.integers(0, 2))
    def add(self, name: str, priority: int) -> None:
        pod = self.pending.setdefault(name, make_pod(name, priority=priority))
        self.world.queue.add(pod)

    @rule(name=NAMES, label=st.sampled_from("xy"))
    def update(self, name: str, label: str) -> None:
        if name in self.pending:
            old = self.pending[name]
            self.pending[name] = relabelled(old, app=label)
            self.world.queue.update(old, self.pending[name])

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.pending:
            self.world.queue.delete(self.pending.pop(name))
            if name in self.flying:
                self.stale.append(self.flying.pop(name))

    @rule()
    def pop(self) -> None:
        queued = self.world.queue.pop()
        if queued is not None:
            name = queued.pod.metadata.name
            assert name not in self.flying
            assert name not in self.closed
            assert queued.pod is self.pending[name]
            self.flying[name] = queued

    @rule(name=NAMES, plugins=PLUGINS)
    def refuse(self, name: str, plugins: frozenset[str]) -> None:
        if name in self.flying:
            self.world.queue.refuse(self.flying.pop(name), plugins)

    @rule(name=NAMES)
    def settle(self, name: str) -> None:
        if name in self.flying:
            self.world.queue.settle(self.flying[name].uid)

    @rule(name=NAMES)
    def retry(self, name: str) -> None:
        if name in self.flying:
            self.world.queue.retry(self.flying.pop(name))

    @rule(name=NAMES)
    def done(self, name: str) -> None:
        if name in self.flying:
            self.world.queue.done(self.flying.pop(name).uid)
            del self.pending[name]

    @rule(plugins=PLUGINS)
    def a_deleted_pod_comes_back(self, plugins: frozenset[str]) -> None:
        if self.stale and self.stale[0].pod.metadata.name not in self.flying:
            self.world.queue.refuse(self.stale.pop(), plugins)

    @rule(event=st.sampled_from((NODE_ADD, ASSIGNED_POD_DELETE)))
    def move(self, event: object) -> None:
        what = make_node("n") if event is NODE_ADD else make_pod("gone", node="n")
        self.world.queue.move(event, what, what)  # type: ignore[arg-type]  # of a strategy

    @rule(seconds=st.sampled_from((0.1, 1.0, 12.0, 400.0)))
    def pass_seconds(self, seconds: float) -> None:
        self.world.pass_seconds(seconds)

    @rule(name=NAMES)
    def close_gate(self, name: str) -> None:
        self.closed.add(name)
        self.world.queue.regate([f"uid-{name}"])

    @rule(name=NAMES)
    def open_gate(self, name: str) -> None:
        self.closed.discard(name)
        self.world.queue.activate([f"uid-{name}"])

    @rule(fails=st.booleans())
    def break_gate(self, *, fails: bool) -> None:
        self.fails = fails

    @invariant()
    def each_is_in_one_place(self) -> None:
        for name in "abcde":
            places = self.world.places(f"uid-{name}")
            assert len(places) == (name in self.pending), (name, places)
            assert (places == ["in flight"]) == (name in self.flying)

    @invariant()
    def what_can_be_popped_has_a_time(self) -> None:
        queue = self.world.queue
        if queue._backoff or queue._error_backoff or queue._unschedulable or queue._gated:
            assert queue.next_flush() is not None

    @invariant()
    def nothing_is_kept_for_nobody(self) -> None:
        if not self.flying:
            assert not self.world.queue._in_flight._events
        blamed = {key: gauge.value for key, gauge in self.world.metrics.unschedulable_pods.rows()}
        assert all(0 <= value <= len(self.pending) for value in blamed.values())
        if not self.pending:
            assert not any(blamed.values())

    def teardown(self) -> None:
        """Once gates are open and time passes, every pending pod is popped."""
        if not hasattr(self, "world"):
            return
        self.fails = False
        self.closed.clear()
        for queued in self.flying.values():
            self.world.queue.retry(queued)
        self.world.queue.activate([f"uid-{name}" for name in self.pending])
        self.world.pass_seconds(400)
        assert sorted(self.world.drain()) == sorted(self.pending)


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestQueueMachine = QueueMachine.TestCase
