"""DefaultPreemption by cases: which pods may preempt, the victims, the best node, and the messages."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from pallet.api.node import Node, Taint
from pallet.api.pod import ContainerPort, Pod, PodCondition
from pallet.api.workloads import PodDisruptionBudget
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.config.decode import decode_args
from pallet.config.errors import ConfigError, FieldPath
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.events import ASSIGNED_POD_DELETE, Hint
from pallet.framework.state import CycleState
from pallet.framework.status import Code, unschedulable
from pallet.plugins.default_preemption import DefaultPreemptionArgs
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.plugins.preemption.scene import Scene, make_budget

PORT = [ContainerPort(host_port=80)]

PREEMPTED = PodCondition("DisruptionTarget", "True", "PreemptionByScheduler")


def pod(name: str, node: str = "", priority: int = 0, cpu: str = "1", **more: Any) -> Pod:
    return make_pod(name, pod_set="", node=node, priority=priority, cpu=cpu, **more)


def nodes(*cpus: int, **more: Any) -> list[Node]:
    """Nodes a, b, c... with so many CPUs."""
    return [make_node(name, cpu=str(cpu), **more) for name, cpu in zip("abcdef", cpus, strict=False)]


@pytest.mark.parametrize(
    ("pods", "decision"),
    [
        pytest.param(
            [pod("x", "a", 2, "2"), pod("y", "b", 1, "2")], "b: y", id="the least important most important"
        ),
        pytest.param(
            [pod("x", "a", 1), pod("y", "a", 0), pod("z", "b", 1), pod("w", "b", 1)],
            "a: x y",
            id="the lowest sum of priorities",
        ),
        pytest.param(
            [pod("x", "a", -1), pod("y", "a", -1), pod("z", "b", -1, "2")],
            "b: z",
            id="few of negative priority rather than many",
        ),
        pytest.param(
            [pod("x", "a", 1, "2", started=10), pod("y", "b", 1, "2", started=20)],
            "b: y",
            id="the latest start",
        ),
        pytest.param(
            [pod("x", "a", 1, "2", started=10), pod("y", "b", 1, "2")], "b: y", id="not started yet"
        ),
        pytest.param(
            [
                pod("x", "a", 1, started=20),
                pod("x2", "a", 1, started=5),
                pod("y", "b", 1, started=10),
                pod("y2", "b", 1, started=10),
            ],
            "b: y y2",
            id="the start that counts is the earliest of the most important",
        ),
    ],
)
def test_the_best_node(pods: list[Pod], decision: str) -> None:
    assert sorted_words(Scene(nodes(2, 2), pods).decision(pod("p", priority=5, cpu="2"))) == decision


def sorted_words(decision: str) -> str:
    node, _, victims = decision.partition(": ")
    return f"{node}: {' '.join(sorted(victims.split()))}"


@pytest.mark.parametrize(
    ("pods", "victims"),
    [
        pytest.param([pod("x", "a", 2), pod("y", "a", 1)], "y", id="the less important"),
        pytest.param([pod("x", "a", 1, started=9), pod("y", "a", 1, started=1)], "x", id="the later"),
        pytest.param([pod("x", "a", 1), pod("y", "a", 1, started=1)], "x", id="the one not started"),
        pytest.param([pod("x", "a", 2, "2"), pod("y", "a", 1, "0")], "x", id="not those without use"),
        pytest.param([pod("x", "a", 5), pod("y", "a", 6), pod("z", "a", 4, "0")], "", id="none weaker"),
    ],
)
def test_as_few_victims_as_possible_on_a_node(pods: list[Pod], victims: str) -> None:
    decision = Scene(nodes(2), pods).decide(pod("p", priority=5))
    assert " ".join(each.metadata.name for each in decision.victims) == victims


@pytest.mark.parametrize(
    ("budgets", "decision"),
    [
        pytest.param([make_budget("b", {"app": "x"})], "b: y", id="broken on one node"),
        pytest.param([make_budget("b", {"app": "x"}, 1)], "a: x", id="allows one"),
        pytest.param([make_budget("b", {"app": "x"}, disrupted=["x"])], "a: x", id="counts it already"),
        pytest.param([make_budget("b", {"app": "x"}, namespace="other")], "a: x", id="elsewhere"),
        pytest.param([make_budget("b", {})], "a: x", id="selects nothing"),
        pytest.param([make_budget("b", None)], "a: x", id="has no selector"),
        pytest.param(
            [make_budget("b", {"app": "x"}), make_budget("c", {"app": "y"})], "a: x", id="broken on both"
        ),
    ],
)
def test_budgets_come_before_priorities(budgets: list[PodDisruptionBudget], decision: str) -> None:
    pods = [pod("x", "a", 1, labels={"app": "x"}), pod("y", "b", 2, labels={"app": "y"})]
    assert Scene(nodes(1, 1), pods, budgets).decision(pod("p", priority=5)) == decision


def test_change_6_budgets_after_the_first_that_is_violated_are_not_counted_down() -> None:
    both, other = pod("x", "a", labels={"app": "x", "tier": "t"}), pod("y", "a", labels={"tier": "t"})
    budgets = [make_budget("b", {"app": "x"}), make_budget("c", {"tier": "t"}, 1)]
    found = Scene(nodes(2), [both, other], budgets).plugin._budgets
    assert found.violated_by([both, other]) == [True, False]
    assert found.violated_by([other, both]) == [False, True]
    assert found.violated_by([other, other]) == [False, True]


def test_guarded_pods_come_back_first() -> None:
    pods = [pod("x", "a", 1, labels={"app": "x"}), pod("y", "a", 2, labels={"app": "y"})]
    assert Scene(nodes(2), pods).decision(pod("p", priority=5)) == "a: x"
    scene = Scene(nodes(2), pods, [make_budget("b", {"app": "x"})])
    assert scene.decision(pod("p", priority=5)) == "a: y"


def test_a_budget_that_changes_is_heeded() -> None:
    pods = [pod("x", "a", 1, labels={"app": "x"}), pod("y", "b", 2, labels={"app": "y"})]
    scene = Scene(nodes(1, 1), pods, [make_budget("b", {"app": "x"}, 1)])
    preemptor = pod("p", priority=5)
    assert scene.decision(preemptor) == "a: x"
    scene.update_budget(make_budget("b", {"app": "x"}, 0))
    assert scene.decision(preemptor) == "b: y"
    scene.update_budget(make_budget("b", {"app": "z"}, 0))
    assert scene.decision(preemptor) == "a: x"


def test_places_that_are_only_reserved_are_no_victims() -> None:
    scene = Scene(nodes(1, 1), [pod("x", "b", 3)])
    scene.cache.reserve(PodInfo(pod("planned", priority=0)), "a", Owner())
    assert scene.decision(pod("p", priority=5)) == "b: x"
    scene.cache.assume(PodInfo(pod("planned", priority=0)), "a")
    assert scene.decision(pod("p", priority=5)) == "a: planned"


def test_nominated_pods_of_the_same_priority_keep_their_room() -> None:
    victims = [pod("x", "a", 1, "2"), pod("y", "b", 2, "2")]
    scene = Scene(nodes(2, 2), victims, nominated={"a": [pod("first", priority=5, cpu="2")]})
    assert scene.decision(pod("p", priority=5, cpu="2")) == "b: y"
    assert scene.decision(pod("p", priority=6, cpu="2")) == "a: x"


def test_a_nomination_made_since_is_heeded() -> None:
    scene = Scene(nodes(2, 2), [pod("x", "a", 1, "2"), pod("y", "b", 2, "2")])
    first = pod("first", priority=5, cpu="2")
    assert scene.decision(first) == "a: x"
    scene.handle.nominator.nominate(PodInfo(first), "a")
    assert scene.decision(pod("p", priority=5, cpu="2")) == "b: y"
    scene.handle.nominator.drop(first.metadata.uid)
    assert scene.decision(pod("p", priority=5, cpu="2")) == "a: x"


def test_a_pod_does_not_yield_to_itself() -> None:
    scene = Scene(nodes(2), [pod("x", "a", 1, "2")], nominated={"a": [pod("p", priority=5, cpu="2")]})
    assert scene.decision(pod("p", priority=5, cpu="2", nominated="a")) == "a: x"
    assert scene.decision(pod("q", priority=5, cpu="2")).startswith("0/1 nodes are available")


@pytest.mark.parametrize(
    ("wanted", "decision"),
    [
        (pod("p", priority=5, ports=[ContainerPort(host_port=80)]), "a: web"),
        (pod("p", priority=5, affinity=pod_affinity(away=[pod_term("x")])), "a: x"),
        (pod("p", priority=5, cpu="4", ports=[ContainerPort(host_port=80)]), "a: busy web x"),
    ],
    ids=["port", "anti-affinity", "port and room"],
)
def test_filters_that_look_at_more_than_sums(wanted: Pod, decision: str) -> None:
    placed = [
        pod("web", "a", 2, "1", ports=[ContainerPort(host_port=80)]),
        pod("x", "a", 1, "1", labels={"app": "x"}),
        pod("busy", "a", 3, "1"),
    ]
    assert Scene(nodes(4), placed).decision(wanted) == decision


def test_a_pod_that_keeps_the_preemptor_away_is_a_victim() -> None:
    """Once it is away, no term is about the preemptor any more; it is asked for all the same."""
    away = pod("x", "a", 1, affinity=pod_affinity(away=[pod_term("p")]))
    scene = Scene(nodes(4), [away, pod("y", "a", 2)])
    assert scene.decision(pod("p", priority=5, labels={"app": "p"})) == "a: x"


def test_affinity_to_the_victims_does_not_help() -> None:
    near = pod_affinity(near=[pod_term("x")])
    scene = Scene(nodes(1), [pod("x", "a", 1, labels={"app": "x"})])
    assert scene.decision(pod("p", priority=5, affinity=near)) == (
        "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."
    )


@pytest.mark.parametrize(
    ("placed", "wanted", "message"),
    [
        pytest.param([], pod("p", cpu="9"), "2 Preemption is not helpful for scheduling", id="never fits"),
        pytest.param(
            [pod("x", "a"), pod("y", "b")],
            pod("p"),
            "2 No preemption victims found for incoming pod",
            id="no pod is less important",
        ),
        pytest.param(
            [pod("x", "a", 9), pod("x2", "a", 0, "0"), pod("y", "b", 9)],
            pod("p", priority=5),
            "1 Insufficient cpu, 1 No preemption victims found for incoming pod",
            id="the weaker do not free enough",
        ),
        pytest.param(
            [pod("x", "a", 9)],
            pod("p", priority=5, node_selector={"kubernetes.io/hostname": "a"}),
            "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling",
            id="one node is out of the question",
        ),
        pytest.param(
            [
                pod("x", "a", 9, "0", ports=PORT),
                pod("x2", "a", 0),
                pod("y", "b", 9, "0", labels={"app": "y"}),
                pod("y2", "b", 0),
            ],
            pod("p", priority=5, cpu="1", ports=PORT, affinity=pod_affinity(away=[pod_term("y")])),
            "1 node(s) didn't have free ports for the requested pod ports, "
            "1 node(s) didn't match pod anti-affinity rules",
            id="a port is held by one that stays",
        ),
        pytest.param(
            [pod("x", "a", 9, ports=PORT), pod("x2", "a", 0, "0"), pod("y", "b", 9), pod("y2", "b", 0, "0")],
            pod("p", priority=5, ports=PORT),
            "1 Insufficient cpu, 1 node(s) didn't have free ports for the requested pod ports",
            id="a port comes before the sums",
        ),
        pytest.param(
            [pod("x", "a", 9, ports=PORT), pod("y", "b", 9, ports=PORT)],
            pod("p", priority=5, ports=PORT),
            "2 No preemption victims found for incoming pod",
            id="a port comes after the lack of victims",
        ),
    ],
)
def test_what_is_said_when_nothing_helps(placed: list[Pod], wanted: Pod, message: str) -> None:
    scene = Scene(nodes(1, 1), placed)
    decision = scene.decide(wanted)
    assert decision.node == "", "an earlier nomination is taken back"
    assert decision.status.message == f"0/2 nodes are available: {message}."


def test_the_whole_sentence() -> None:
    _, message = Scene(nodes(1), [pod("x", "a")]).message(pod("p"))
    assert message == (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_change_12_the_nominated_node_and_the_number_of_victims_are_told() -> None:
    scene = Scene(nodes(2), [pod("x", "a"), pod("y", "a")])
    node, message = scene.message(pod("p", cpu="2", priority=1))
    assert node == "a"
    assert message == (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: found a potential placement for pod on node a, preempting 2 victims"
    )
    assert scene.handle.metrics.preemption_attempts_total.value == 1


def test_a_pod_whose_policy_is_never() -> None:
    scene = Scene(nodes(1), [pod("x", "a")])
    node, message = scene.message(pod("p", priority=1, preempts=False))
    assert node is None
    assert message.endswith("preemption: not eligible due to preemptionPolicy=Never.")


TERMINATING = "not eligible due to a terminating pod on the nominated node."


@pytest.mark.parametrize(
    ("there", "decision"),
    [
        pytest.param([pod("x", "a", 1, deleted=9, conditions=[PREEMPTED])], TERMINATING, id="a victim"),
        pytest.param([pod("x", "a", 1, deleted=9)], "a: x", id="terminating for another reason"),
        pytest.param([pod("x", "a", 1, conditions=[PREEMPTED])], "a: x", id="not terminating"),
        pytest.param([pod("x", "a", 9, deleted=9, conditions=[PREEMPTED])], "b: y", id="not weaker"),
    ],
)
def test_a_pod_waits_for_its_victims(there: Iterable[Pod], decision: str) -> None:
    scene = Scene(nodes(1, 1), [*there, pod("y", "b", 2)])
    assert scene.decision(pod("p", priority=5, nominated="a")) == decision


def test_a_pod_does_not_wait_where_it_cannot_go_any_more() -> None:
    gone = pod("x", "a", 1, deleted=9, conditions=[PREEMPTED])
    tainted = make_node("a", cpu="1", taints=[Taint("new", "NoSchedule")])
    scene = Scene([tainted, make_node("b", cpu="1")], [gone, pod("y", "b", 2)])
    assert scene.decision(pod("p", priority=5, nominated="a")) == "b: y"
    assert scene.decision(pod("p", priority=5, nominated="gone")) == "b: y"


def test_where_nodes_are_tried_one_by_one_enough_candidates_are_enough() -> None:
    placed = [pod(name, name, 1, ports=[ContainerPort(host_port=80)]) for name in "abcdef"]
    wanted = pod("p", priority=5, cpu="0", ports=[ContainerPort(host_port=80)])
    few = DefaultPreemptionArgs(min_candidate_nodes_percentage=0, min_candidate_nodes_absolute=2)
    scene = Scene(nodes(1, 1, 1, 1, 1, 1), placed, args=few)
    before = scene.cache.snapshot.table.load_changes.stamp
    assert scene.decide(wanted).status.ok
    some = scene.cache.snapshot.table.load_changes.stamp - before
    scene = Scene(nodes(1, 1, 1, 1, 1, 1), placed)
    before = scene.cache.snapshot.table.load_changes.stamp
    assert scene.decide(wanted).status.ok
    assert some * 3 == scene.cache.snapshot.table.load_changes.stamp - before


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"minCandidateNodesPercentage": 101}, "minCandidateNodesPercentage"),
        ({"minCandidateNodesPercentage": -1}, "minCandidateNodesPercentage"),
        ({"minCandidateNodesAbsolute": -1}, "minCandidateNodesAbsolute"),
        ({"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0}, "must not both be 0"),
    ],
)
def test_arguments_that_are_refused(args: dict[str, int], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        decode_args(DefaultPreemptionArgs, args, FieldPath())


def test_a_deletion_is_registered_but_does_not_help_by_itself() -> None:
    plugin = Scene(nodes(1)).plugin
    (interest,) = plugin.events_to_register()
    assert interest.event.matches(ASSIGNED_POD_DELETE)
    assert interest.hint is not None
    assert interest.hint(PodInfo(pod("p")), pod("x"), None) is Hint.SKIP


def test_a_port_of_a_nominated_pod_is_as_good_as_taken() -> None:
    strong = pod("strong", priority=9, cpu="0", ports=PORT)
    scene = Scene(nodes(1), [pod("x", "a", 7), pod("y", "a", 0, "0")], nominated={"a": [strong]})
    message = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    assert scene.decision(pod("p", priority=5, ports=PORT)) == message


def test_a_node_where_the_pod_fits_after_all_is_an_error() -> None:
    """As when a pre-filter plugin refused the pod, but no filter does."""
    scene = Scene(nodes(4), [pod("x", "a")])
    row = scene.cache.snapshot.table.row_of["a"]
    refusals = [NodesToStatus(unschedulable("not now").by("Else"), np.array([row]))]
    decision = scene.plugin.decide(
        CycleState(),
        PodInfo(pod("p", priority=5)),
        scene.cache.snapshot,
        refusals,
        scene.evaluator.row_filters,
    )
    assert (decision.node, decision.status.code) == (None, Code.ERROR)
    assert decision.status.message == 'expected at least one victim pod on node "a"'


def test_where_preempting_helps_one_pod_is_not_where_it_helps_another() -> None:
    scene = Scene(nodes(1, 1), [pod("x", "a", 1), pod("y", "b", 3)])
    assert scene.decision(pod("p", priority=5, node_selector={"kubernetes.io/hostname": "b"})) == "b: y"
    assert scene.decision(pod("q", priority=5)) == "a: x"


def huge(number: int, node: str, priority: int = 0) -> Pod:
    """A pod that its creator has put on a node, and that asks for more than can be counted."""
    return pod(f"huge-{number}", node, priority, cpu="8E")


def test_pods_that_ask_for_more_than_is_counted_can_be_preempted() -> None:
    scene = Scene(nodes(8), [huge(number, "a") for number in range(3)])
    assert sorted_words(scene.decision(pod("p", priority=5, cpu="5"))) == "a: huge-0 huge-1 huge-2"


@pytest.mark.parametrize("ports", [(), PORT])
def test_no_pod_is_preempted_on_a_node_that_is_full_beyond_counting(ports: list[ContainerPort]) -> None:
    """Half of 2,048 pods with 2^53 each are 2^63: what is left without these must not look like room."""
    holder = pod("holder", "a", cpu="0", ports=ports, priority=9)
    there = [huge(number, "a", 0 if number % 2 else 9) for number in range(2048)]
    scene = Scene(nodes(8, pods=9999), [holder, *there])
    message = "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    assert scene.decision(pod("p", priority=5, cpu="5", ports=ports)) == message
    for each in there[:2047]:
        scene.cache.drop_pod(each)
    scene.cache.drop_pod(holder)
    assert scene.decision(pod("p", priority=5, cpu="5", ports=ports)) == "a: huge-2047"


@pytest.mark.parametrize("others", [(), PORT], ids=["by sums", "one by one"])
def test_of_many_resources_each_that_is_short_is_made_room_for(others: list[ContainerPort]) -> None:
    many = {f"example.com/r{number:02}": "1" for number in range(40)}
    holders = [
        pod(f"x{number}", "a", requests={name: "1"}) for number, name in enumerate(many) if number % 10 == 9
    ]
    scene = Scene([make_node("a", offers=many)], [*holders, pod("y", "a", ports=others)])
    decision = scene.decision(pod("p", priority=5, requests=many, ports=others))
    assert sorted_words(decision) == "a: x19 x29 x39 x9" + (" y" if others else "")


def test_many_huge_nominated_pods_do_not_add_up_to_room() -> None:
    there = [pod(f"n{number}", priority=9, cpu="8E") for number in range(2100)]
    scene = Scene(nodes(8, 8, pods=9999), nominated={"a": there})
    assert scene.choose(pod("p", priority=5, cpu="5"))[1].node == "b"
