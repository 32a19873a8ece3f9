"""What decides on a fork begins with what is known of the snapshot, and answers as one that knows nothing."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallet.api.labels import Labels
from pallet.api.node import Taint
from pallet.api.pod import ContainerPort, Pod, TopologySpreadConstraint
from pallet.api.selectors import LabelSelector
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.results import PluginResult
from tests.builders import ZONE, make_node, make_pod, make_pod_on, pod_affinity, pod_term
from tests.profiles import default_profile

NODES = ("a", "b", "c")
AFFINITIES = (
    None,
    None,
    pod_affinity(away=[pod_term("x")]),
    pod_affinity(near=[pod_term("y", ZONE)]),
    pod_affinity(rather_near={pod_term("x", ZONE): 5}, rather_away={pod_term("y"): 3}),
)
SPREADS = tuple(
    TopologySpreadConstraint(1, key, action, LabelSelector(Labels({"app": "x"})))
    for key, action in ((ZONE, "DoNotSchedule"), ("kubernetes.io/hostname", "ScheduleAnyway"))
)

nodes = st.builds(
    make_node,
    st.sampled_from(NODES),
    cpu=st.sampled_from(("2", "6")),
    taints=st.sampled_from(((), (), (Taint("one", "NoSchedule"),))),
    labels=st.sampled_from(({ZONE: "z1"}, {ZONE: "z2"})),
)


@st.composite
def pods(draw: st.DrawFn, name: str) -> Pod:
    return make_pod(
        name,
        pod_set="",
        labels={"app": draw(st.sampled_from("xy"))},
        cpu=str(draw(st.integers(0, 2))),
        affinity=draw(st.sampled_from(AFFINITIES)),
        spread=draw(st.sampled_from(((), SPREADS[:1], SPREADS[1:]))),
        ports=draw(st.sampled_from(((), (), (ContainerPort(host_port=80),)))),
    )


names = st.sampled_from([f"p{number}" for number in range(6)])


@st.composite
def moves(draw: st.DrawFn) -> list[tuple[Pod, str]]:
    """Pods to be placed, or removed if they are there."""
    found = draw(st.lists(st.tuples(names, st.sampled_from(NODES)), max_size=5))
    return [(draw(pods(name)), node) for name, node in found]


def suppose(fork: Fork, moved: list[tuple[Pod, str]]) -> None:
    for pod, node in moved:
        info, rows = PodInfo(pod), [row for row in fork.rows() if fork.is_placed(pod.metadata.uid, row)]
        if rows:
            fork.remove(info, rows[0])
        else:
            fork.place(info, node)


@settings(max_examples=150)
@given(st.data())
def test_it_answers_as_one_that_knows_nothing(data: st.DataObject) -> None:
    cache = cache_of_three()
    evaluator = Evaluator(default_profile(cache), cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    asked = [PodInfo(data.draw(pods(f"asks{number}"))) for number in range(2)]
    for pod, node in data.draw(moves(), label="placed"):
        cache.put_pod(make_pod_on(pod, node))
    for info in asked:
        evaluator.choose(CycleState(), info)
    with cache.snapshot.fork() as fork:
        on_fork = evaluator.on(fork)
        suppose(fork, data.draw(moves(), label="supposed first"))
        if data.draw(st.booleans(), label="asked before the live snapshot changes"):
            check(on_fork, asked)
        for pod, node in data.draw(moves(), label="placed meanwhile"):
            cache.put_pod(make_pod_on(pod, node))
        for changed in data.draw(st.lists(nodes, max_size=1), label="changed meanwhile"):
            cache.put_node(changed)
        for info in asked:
            evaluator.choose(CycleState(), info)
        check(on_fork, asked)
        checkpoint = fork.checkpoint()
        suppose(fork, data.draw(moves(), label="supposed later"))
        check(on_fork, asked)
        fork.rollback(checkpoint)
        check(on_fork, asked)


def cache_of_three() -> Cache:
    cache = Cache()
    for name in NODES:
        cache.put_node(make_node(name, labels={ZONE: "z1"}))
    return cache


def check(on_fork: Evaluator, asked: list[PodInfo]) -> None:
    fresh = Evaluator(on_fork.profile, on_fork.snapshot, Random(0))  # noqa: S311 - breaks ties
    for info in asked:
        known, expected = on_fork.choose(CycleState(), info), fresh.choose(CycleState(), info)
        assert (known.message, known.score) == (expected.message, expected.score)
        assert on_fork.totals(CycleState(), info).tolist() == fresh.totals(CycleState(), info).tolist()


def test_what_is_known_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plugin that reads what is on a node, only the rows that were changed are."""
    cache = cache_of_three()
    evaluator = Evaluator(default_profile(cache), cache.snapshot, Random(0))  # noqa: S311 - breaks ties
    pod = PodInfo(make_pod("p", pod_set="", cpu="2"))
    evaluator.choose(CycleState(), pod)
    asked: dict[str, set[object]] = {}
    update = PluginResult._update

    def counted(
        self: PluginResult, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Sequence[int] | None
    ) -> None:
        asked.setdefault(self._methods.reads.name, set()).add(None if rows is None else tuple(rows))
        update(self, state, info, snapshot, rows)

    monkeypatch.setattr(PluginResult, "_update", counted)
    with cache.snapshot.fork() as fork:
        fork.place(PodInfo(make_pod("other", pod_set="", cpu="3")), "b")
        row = fork.table.row_of["b"]
        choice = evaluator.on(fork).choose(CycleState(), pod)
    assert choice.node in ("a", "c")
    assert asked["LOAD"] == {(), (row,)}
