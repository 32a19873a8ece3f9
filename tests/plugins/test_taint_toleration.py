from itertools import product

import pytest

from pallet.api.node import Node, Taint
from pallet.api.pod import Pod, Toleration
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import NODE_ADD, Hint, node_update, pod_update
from pallet.framework.state import CycleState
from pallet.plugins import taint_toleration as plugin
from pallet.plugins.taint_toleration import TaintToleration
from pallet.plugins.tolerations import Tolerance, tolerates
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

HARD, SOFT, OUT = (Taint("k", effect, "v") for effect in ("NoSchedule", "PreferNoSchedule", "NoExecute"))


@pytest.mark.parametrize(
    ("toleration", "taint", "expected"),
    [
        (Toleration("k", "Equal", "v"), HARD, True),
        (Toleration("k", "", "v"), HARD, True),
        (Toleration("k", "Equal", "w"), HARD, False),
        (Toleration("k", "Equal", "v", "NoSchedule"), HARD, True),
        (Toleration("k", "Equal", "v", "NoExecute"), HARD, False),
        (Toleration("k", "Exists"), HARD, True),
        (Toleration("k", "Exists", "", "NoExecute"), OUT, True),
        (Toleration("j", "Exists"), HARD, False),
        (Toleration("", "Exists"), HARD, True),
        (Toleration("", "Exists", "", "PreferNoSchedule"), HARD, False),
        (Toleration("", "Equal", ""), Taint("", "NoSchedule"), False),
        (Toleration("k", "Gt", "v"), HARD, False),
        (Toleration("k", "Equal", ""), Taint("k", "NoSchedule"), True),
    ],
)
def test_when_a_toleration_covers_a_taint(toleration: Toleration, taint: Taint, expected: bool) -> None:  # noqa: FBT001
    assert tolerates(toleration, taint) is expected
    assert Tolerance([Toleration("other"), toleration]).covers(taint) is expected


def test_many_tolerations_cover_what_each_of_them_does() -> None:
    keys, values, effects = ("", "k", "j"), ("", "v"), ("", "NoSchedule", "NoExecute")
    every = [Toleration(*each) for each in product(keys, ("", "Equal", "Exists", "Gt"), values, effects)]
    for taint in [Taint(key, effect, value) for key in keys for effect in effects for value in values]:
        for one, other in product(every, repeat=2):
            assert Tolerance((one, other)).covers(taint) is (tolerates(one, taint) or tolerates(other, taint))


def test_the_taints_of_all_nodes_are_not_compared_with_each_toleration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compare(*_: object) -> bool:
        raise AssertionError("compared")

    monkeypatch.setattr("pallet.plugins.tolerations.tolerates", compare)
    monkeypatch.setattr(plugin, "tolerated", compare)
    taints = [Taint(f"k{number}", effect) for number in range(20) for effect in ("NoSchedule", "NoExecute")]
    asked = Asked(TaintToleration, [make_node("a", taints=taints), make_node("b", taints=[SOFT, HARD])])
    info = PodInfo(make_pod("p", tolerations=[Toleration(f"k{number}", "Exists") for number in range(20)]))
    snapshot, rows = asked.cache.snapshot, slice(0, 2)
    assert asked.plugin.filter_rows(CycleState(), info, snapshot, rows).tolist() == [0, 1]
    assert asked.plugin.score_rows(CycleState(), info, snapshot, rows).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("tolerations", "taints", "fits"),
    [
        ([], [], True),
        ([], [HARD], False),
        ([], [OUT], False),
        ([], [SOFT], True),
        ([Toleration("k", "Exists", "", "NoSchedule")], [HARD, OUT], False),
        ([Toleration("k", "Exists")], [HARD, OUT, SOFT], True),
        (
            [Toleration("k", "Exists", "", "NoSchedule"), Toleration("k", "Exists", "", "NoExecute")],
            [HARD, OUT],
            True,
        ),
        ([Toleration("other", "Exists")], [HARD], False),
    ],
)
def test_taints_keep_away_pods_that_do_not_tolerate_them(
    tolerations: list[Toleration],
    taints: list[Taint],
    fits: bool,  # noqa: FBT001 - a table
) -> None:
    asked = Asked(TaintToleration, [make_node("a", taints=taints), make_node("b")])
    message = "" if fits else "!node(s) had untolerated taint(s)"
    assert asked.messages(make_pod("p", tolerations=tolerations)) == {"a": message, "b": ""}


@pytest.mark.parametrize(
    ("tolerations", "taints", "expected"),
    [
        pytest.param([], {"a": [], "b": []}, {"a": 100, "b": 100}, id="no taints at all"),
        pytest.param([], {"a": [SOFT], "b": []}, {"a": 0, "b": 100}, id="one is unwelcome"),
        pytest.param(
            [],
            {
                "a": [SOFT, Taint("l", "PreferNoSchedule"), Taint("m", "PreferNoSchedule")],
                "b": [SOFT],
                "c": [],
            },
            {"a": 0, "b": 67, "c": 100},
            id="the fewer the better",
        ),
        pytest.param([], {"a": [SOFT], "b": [SOFT]}, {"a": 0, "b": 0}, id="unwelcome everywhere"),
        pytest.param([], {"a": [HARD, OUT], "b": []}, {"a": 100, "b": 100}, id="only soft taints count"),
        pytest.param(
            [Toleration("k", "Exists")], {"a": [SOFT], "b": []}, {"a": 100, "b": 100}, id="tolerated"
        ),
        pytest.param(
            [Toleration("k", "Exists", "", "NoSchedule")],
            {"a": [SOFT], "b": []},
            {"a": 0, "b": 100},
            id="tolerations of other effects do not count",
        ),
    ],
)
def test_the_fewer_unwelcome_taints_the_better(
    tolerations: list[Toleration], taints: dict[str, list[Taint]], expected: dict[str, int]
) -> None:
    asked = Asked(TaintToleration, [make_node(name, taints=each) for name, each in taints.items()])
    assert asked.scores(make_pod("p", tolerations=tolerations)) == expected


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (None, make_node("a"), Hint.QUEUE),
        (None, make_node("a", taints=[HARD]), Hint.SKIP),
        (None, make_node("a", taints=[Taint("mine", "NoSchedule")]), Hint.QUEUE),
        (make_node("a", taints=[HARD]), make_node("a"), Hint.QUEUE),
        (make_node("a", taints=[HARD]), make_node("a", taints=[SOFT]), Hint.QUEUE),
        (make_node("a", taints=[HARD]), make_node("a", taints=[OUT]), Hint.SKIP),
        (make_node("a", taints=[SOFT]), make_node("a"), Hint.SKIP),
    ],
)
def test_which_nodes_help(old: Node | None, new: Node, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    pod = make_pod("p", tolerations=[Toleration("mine", "Exists")])
    assert Asked(TaintToleration).hint(event, pod, old, new) is hint


@pytest.mark.parametrize(
    ("new", "hint"),
    [
        (make_pod("p", tolerations=[Toleration("k", "Exists")]), Hint.QUEUE),
        (make_pod("q", tolerations=[Toleration("k", "Exists")]), Hint.SKIP),
    ],
)
def test_a_new_toleration_of_the_pod_itself_helps(new: Pod, hint: Hint) -> None:
    old = make_pod("p")
    assert Asked(TaintToleration).hint(pod_update(old, new), old, old, new) is hint
