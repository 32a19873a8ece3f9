"""What pods in flight are told of, and that no pod, however long it stays, holds memory (kubernetes
120622, 126962)."""

from pallet.framework.events import NODE_ADD, EventResource
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.scheduler.in_flight import MAX_EVENTS, InFlight
from pallet.scheduler.queued_pod import QueuedPod
from tests.builders import make_pod


class Scene:
    def __init__(self) -> None:
        self.kept = Metrics(Instruments()).inflight_events
        self.flights = InFlight(self.kept)
        self.happened = 0

    def begin(self, name: str) -> str:
        pod = make_pod(name)
        self.flights.begin(QueuedPod(pod, queued_at=0))
        return pod.metadata.uid

    def happen(self, count: int = 1, only: str = "") -> None:
        for _ in range(count):
            self.happened += 1
            self.flights.record(NODE_ADD, None, self.happened, only)

    def end(self, uid: str) -> list[object] | None:
        missed = self.flights.end(uid)
        return None if missed is None else [new for _, _, new in missed]

    @property
    def held(self) -> int:
        assert self.kept["NodeAdd"].value == len(self.flights._events)
        return len(self.flights._events)


def test_each_pod_is_told_what_happened_since_its_own_pop() -> None:
    scene = Scene()
    scene.happen()
    first = scene.begin("a")
    scene.happen()
    second = scene.begin("b")
    scene.happen()
    assert scene.end(first) == [2, 3]
    assert scene.end(second) == [3]
    assert scene.held == 0


def test_an_event_of_one_pod_is_not_told_to_another() -> None:
    scene = Scene()
    first, second = scene.begin("a"), scene.begin("b")
    scene.happen(only=second)
    assert scene.end(first) == []
    assert scene.end(second) == [1]


def test_events_go_with_the_oldest_pod_that_listens() -> None:
    scene = Scene()
    first = scene.begin("a")
    scene.happen(5)
    second = scene.begin("b")
    scene.happen(3)
    scene.end(first)
    assert scene.held == 3
    scene.end(second)
    assert scene.held == 0


def test_a_settled_pod_is_in_flight_but_keeps_no_events() -> None:
    scene = Scene()
    uid = scene.begin("a")
    scene.happen(5)
    scene.flights.settle(uid)
    scene.happen(5)
    assert uid in scene.flights
    assert scene.held == 0
    assert scene.end(uid) is None
    assert uid not in scene.flights


def test_a_pod_that_listens_for_ever_holds_bounded_memory_and_is_told_anything_may_have_happened() -> None:
    scene = Scene()
    stuck = scene.begin("a")
    scene.happen(3 * MAX_EVENTS)
    assert scene.held <= MAX_EVENTS
    fresh = scene.begin("b")
    scene.happen()
    assert scene.end(fresh) == [3 * MAX_EVENTS + 1]
    missed = scene.flights.end(stuck)
    assert missed is not None
    assert missed[0][0].resource is EventResource.WILDCARD
    assert scene.held == 0


def test_the_end_of_an_unknown_pod_is_nothing() -> None:
    scene = Scene()
    assert scene.end("nobody") is None
    assert len(scene.flights) == 0
