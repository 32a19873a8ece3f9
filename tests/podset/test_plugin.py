from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.snapshot import Fork, Snapshot
from pallet.config.decode import decode_args
from pallet.config.errors import ConfigError, FieldPath
from pallet.config.schema import ExtensionPoint
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import Code, Status
from pallet.framework.waiting import WaitingPods
from pallet.plugins.node_resources_fit import NodeResourcesFit, NodeResourcesFitArgs
from pallet.plugins.node_unschedulable import NodeUnschedulable
from pallet.podset.member import OPEN, Gate, Why
from pallet.podset.plugin import PodSetPlanner, PodSetPlannerArgs
from pallet.podset.termination import fits_after_termination
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.profile import Profile
from tests.builders import SCHEDULER, at, make_node, make_pod

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder
    from pallet.framework.interface import QueueSortPlugin
    from pallet.informers.factory import InformerFactory
    from pallet.podset.gates import Gates

REFUSED = Code.UNSCHEDULABLE_AND_UNRESOLVABLE
CLOSED = Gate(why=Why.HELD, message="waiting for ScheduleTrigger")


class Keeper:
    """Answers with one gate, and remembers what it was told."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.refusals: list[tuple[str, str, list[str]]] = []
        self.fits: list[bool] = []
        """Whether the refused node would take the pod if no pod was on it."""
        self.begun: list[str] = []
        self.looked_at: list[str] = []

    def verdict(self, pod: Pod) -> Gate:
        return self.gate

    def blocked(
        self,
        info: PodInfo,
        node: str,
        refusals: Sequence[Status],
        snapshot: Snapshot,
        fits: Callable[[Fork], bool],
    ) -> str:
        with snapshot.fork() as fork:
            for row in fork.rows():
                for placed in list(fork.pods(row)):
                    fork.remove(placed, row)
            if node in fork.table.row_of:
                self.fits.append(fits(fork))
        self.refusals.append((info.uid, node, [f"{each.plugin}: {each.message}" for each in refusals]))
        return "re-planned"

    def begin(self, pod: Pod) -> None:
        self.begun.append(pod.metadata.name)

    def look_at(self, pod: Pod) -> None:
        self.looked_at.append(pod.metadata.name)


class Scene:
    """A profile of PodSetPlanner, NodeUnschedulable and NodeResourcesFit on some nodes."""

    def __init__(self, gate: Gate, *nodes: Node, placed: Sequence[Pod] = ()) -> None:
        self.cache = Cache()
        for node in nodes:
            self.cache.put_node(node)
        for pod in placed:
            self.cache.put_pod(pod)
        self.keeper = Keeper(gate)
        handle = Handle(
            SCHEDULER,
            cast("Client", None),
            cast("InformerFactory", None),
            self.cache,
            cast("Recorder", None),
            WaitingPods(),
            Random(1),  # noqa: S311  # breaks ties
        )
        self.plugin = PodSetPlanner(PodSetPlannerArgs(), handle, cast("Gates", self.keeper))
        self.profile = Profile(
            SCHEDULER,
            {self.plugin.name: self.plugin},
            cast("QueueSortPlugin", None),
            pre_filter=(self.plugin,),
            filter=(NodeUnschedulable(None, handle), NodeResourcesFit(NodeResourcesFitArgs(), handle)),
        )

        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(1))  # noqa: S311  # breaks ties

    def choose(self, pod: Pod, state: CycleState) -> Choice:
        return self.evaluator.choose(state, PodInfo(pod))

    def post_filter(self, pod: Pod, state: CycleState, choice: Choice) -> tuple[str | None, Status]:
        filters = self.evaluator.row_filters
        return self.plugin.post_filter(state, PodInfo(pod), self.cache.snapshot, choice.refusals, filters)

    def fits_after_termination(self, info: PodInfo) -> datetime | None:
        def fits(fork: Fork) -> bool:
            return self.evaluator.fits(CycleState(), info, "n1", fork)

        return fits_after_termination(fits, self.cache.snapshot, info, "n1", at(0))


@pytest.mark.parametrize(("gate", "code"), [(OPEN, Code.SUCCESS), (CLOSED, REFUSED)])
def test_a_pod_enters_the_queue_only_through_an_open_gate(gate: Gate, code: Code) -> None:
    status = Scene(gate).plugin.pre_enqueue(PodInfo(make_pod("web-0")))
    assert (status.code, status.message) == (code, gate.message)


def test_fault_1_a_gate_that_closed_meanwhile_stops_the_cycle_even_with_one_feasible_node() -> None:
    choice = Scene(CLOSED, make_node("n1")).choose(make_pod("web-0"), CycleState())
    assert choice.node is None
    assert "waiting for ScheduleTrigger" in choice.message


def test_fault_8_the_planned_node_is_the_one_looked_at_among_however_many() -> None:
    scene = Scene(Gate("n150"), *(make_node(f"n{number}") for number in range(300)))
    choice = scene.choose(make_pod("web-0"), CycleState())
    assert (choice.node, choice.evaluated) == ("n150", 1)


def test_a_pod_without_a_plan_may_go_anywhere() -> None:
    choice = Scene(OPEN, make_node("n1", cpu="1"), make_node("n2")).choose(
        make_pod("bare", cpu="2"), CycleState()
    )
    assert choice.node == "n2"


def test_planners_are_not_bound_by_the_plan_that_they_are_to_replace() -> None:
    scene = Scene(CLOSED, make_node("n1"))
    evaluator = Evaluator(scene.profile.for_planning(), scene.cache.snapshot, Random(0))  # noqa: S311 - ties
    assert evaluator.choose(CycleState(), PodInfo(make_pod("web-0"))).node == "n1"


def test_fault_14_a_refused_planned_node_is_reported_with_the_reason_of_that_node_alone() -> None:
    scene = Scene(Gate("n1"), make_node("n1", cordoned=True), make_node("n2", cpu="0"))
    state = CycleState()
    choice = scene.choose(make_pod("web-0"), state)
    nominated, status = scene.post_filter(make_pod("web-0"), state, choice)
    assert (nominated, status.reasons) == (None, ("re-planned",))
    assert scene.keeper.refusals == [
        ("uid-web-0", "n1", ["NodeUnschedulable: node(s) were unschedulable"]),
    ]


@pytest.mark.parametrize(("cordoned", "expected"), [(False, True), (True, False)])
def test_the_filters_can_be_asked_whether_the_planned_node_would_fit_without_its_pods(
    *, cordoned: bool, expected: bool
) -> None:
    full = make_pod("other", node="n1", cpu="4")
    scene = Scene(Gate("n1"), make_node("n1", cordoned=cordoned), placed=[full])
    state = CycleState()
    scene.post_filter(make_pod("web-0"), state, scene.choose(make_pod("web-0"), state))
    assert scene.keeper.fits == [expected]


def test_a_planned_node_that_is_gone_is_reported() -> None:
    scene = Scene(Gate("gone"), make_node("n1"))
    state = CycleState()
    choice = scene.choose(make_pod("web-0"), state)
    scene.post_filter(make_pod("web-0"), state, choice)
    assert scene.keeper.refusals == [("uid-web-0", "gone", [])]


def test_a_refused_pod_without_a_plan_is_none_of_its_business() -> None:
    scene = Scene(OPEN, make_node("n1", cordoned=True))
    state = CycleState()
    choice = scene.choose(make_pod("bare"), state)
    _, status = scene.post_filter(make_pod("bare"), state, choice)
    assert status.reasons == ()
    assert scene.keeper.refusals == []


@pytest.mark.parametrize("gate", [Gate("n1"), OPEN], ids=["planned", "without a plan"])
def test_only_the_binding_of_a_planned_pod_is_told(gate: Gate) -> None:
    scene, state, pod = Scene(gate, make_node("n1")), CycleState(), make_pod("web-0")
    scene.choose(pod, state)
    assert scene.plugin.reserve(state, PodInfo(pod), "n1").ok
    assert scene.keeper.begun == (["web-0"] if gate.node else [])


def test_a_binding_that_did_not_come_about_has_the_set_looked_at() -> None:
    scene = Scene(OPEN)
    scene.plugin.unreserve(CycleState(), PodInfo(make_pod("web-0")), "n1")
    assert scene.keeper.looked_at == ["web-0"]


def test_it_serves_every_point_that_the_original_s_configuration_names() -> None:
    named = {"preFilter", "postFilter", "preScore", "score", "reserve"}
    points = PodSetPlanner.factory(cast("Gates", Keeper(OPEN))).points
    assert named <= {point.value for point in points}
    assert ExtensionPoint.PRE_ENQUEUE in points


@pytest.mark.parametrize(
    ("raw", "timeout", "embedded", "namespaces"),
    [
        ({}, 15, True, ("planner-system",)),
        ({"debug": True, "callTimeout": "5s", "updatePeriod": "30s"}, 5, True, ("planner-system",)),
        ({"planner": {"embedded": False, "namespaces": ["a", "b"]}}, 15, False, ("a", "b")),
    ],
)
def test_arguments(
    raw: dict[str, Any], timeout: float, *, embedded: bool, namespaces: tuple[str, ...]
) -> None:
    args = decode_args(PodSetPlannerArgs, raw, FieldPath())
    assert args.call_timeout == timeout
    assert args.planner.embedded is embedded
    assert args.planner.namespaces == namespaces


@pytest.mark.parametrize("timeout", ["0s", "-5s"])
def test_room_must_be_reserved_for_some_time(timeout: str) -> None:
    with pytest.raises(ConfigError, match="reservationTimeout must be longer than 0s"):
        decode_args(PodSetPlannerArgs, {"reservationTimeout": timeout}, FieldPath())


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(ConfigError, match="callTimeout"):
        decode_args(PodSetPlannerArgs, {"callTimeuot": "5s"}, FieldPath())


def on_n1(name: str, *, cpu: str = "4", deleted: float | None = None) -> Pod:
    return make_pod(name, node="n1", cpu=cpu, deleted=deleted)


@pytest.mark.parametrize(
    ("placed", "cordoned", "expected"),
    [
        pytest.param([on_n1("victim", deleted=10)], False, True, id="full of a pod that leaves"),
        pytest.param([on_n1("other")], False, False, id="full of a pod that stays"),
        pytest.param(
            [on_n1("other"), on_n1("victim", cpu="0", deleted=10)],
            False,
            False,
            id="full all the same",
        ),
        pytest.param([on_n1("victim", deleted=10)], True, False, id="cordoned as well"),
        pytest.param([on_n1("stuck", deleted=-60)], False, False, id="full of one that never leaves"),
        pytest.param([], True, False, id="nobody leaves"),
    ],
)
def test_what_passes_by_itself(placed: list[Pod], *, cordoned: bool, expected: bool) -> None:
    scene = Scene(Gate("n1"), make_node("n1", cordoned=cordoned), placed=placed)
    until = scene.fits_after_termination(PodInfo(make_pod("web-0")))
    assert until == (at(40) if expected else None)


def test_looking_whether_it_passes_leaves_the_cluster_as_it_is() -> None:
    scene = Scene(Gate("n1"), make_node("n1"), placed=[make_pod("victim", node="n1", cpu="4", deleted=10)])
    info = PodInfo(make_pod("web-0"))
    scene.cache.reserve(info, "n1", Owner())
    assert scene.fits_after_termination(info) == at(40)
    assert {placed.uid for placed in scene.cache.snapshot.pods(scene.cache.snapshot.table.row_of["n1"])} == {
        "uid-victim",
        "uid-web-0",
    }
