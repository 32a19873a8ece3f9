import pytest

from tools.parity.decision import Decision, differences

NO_VICTIM = "expected at least one victim pod on node"
REFUSED = Decision(message="0/1 nodes are available: 1 Too many pods.")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(
            Decision("a", totals={"a": 5, "b": 5}),
            Decision("b", totals={"a": 5, "b": 5}),
            id="another one of the best",
        ),
        pytest.param(
            Decision("a", totals={"a": 5}), Decision("a"), id="kube-scheduler does not score a single node"
        ),
        pytest.param(REFUSED, REFUSED, id="the same words"),
        pytest.param(
            Decision(message=f"0/2. preemption: [{NO_VICTIM} a, {NO_VICTIM} b]."),
            Decision(message=f"0/2. preemption: [{NO_VICTIM} b, {NO_VICTIM} a]."),
            id="errors in another order",
        ),
        pytest.param(
            Decision("a", totals={"a": 5, "b": 1}, shares={"P": {"a": 5}}).without_scores(),
            Decision("b", totals={"a": 7, "b": 9}).without_scores(),
            id="scores that do not count",
        ),
    ],
)
def test_equal_decisions(ours: Decision, theirs: Decision) -> None:
    assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param(
            Decision("a", totals={"a": 5}),
            REFUSED,
            "verdict: ours on a; theirs '0/1 nodes are available: 1 Too many pods.'",
            id="verdict",
        ),
        pytest.param(
            REFUSED, Decision(message="0/1"), f"message: ours {REFUSED.message!r}; theirs '0/1'", id="message"
        ),
        pytest.param(
            Decision("a", totals={"a": 5, "b": 4}),
            Decision("a", totals={"a": 5}),
            "feasible for us only: b",
            id="feasible for us",
        ),
        pytest.param(
            Decision("a", totals={"a": 5, "b": 4}),
            Decision("a"),
            "feasible for us only: b",
            id="feasible for us, and theirs not scored",
        ),
        pytest.param(
            Decision("a", totals={"a": 5}),
            Decision("a", totals={"a": 5, "b": 4}),
            "feasible for kube-scheduler only: b",
            id="feasible for kube-scheduler",
        ),
        pytest.param(
            Decision("a", totals={"a": 5}).without_scores(),
            Decision("b", totals={"a": 7, "b": 9}).without_scores(),
            "feasible for kube-scheduler only: b",
            id="feasible nodes count without scores",
        ),
        pytest.param(
            Decision("a", totals={"a": 7, "b": 4}, shares={"P": {"a": 3}, "Q": {"a": 4}}),
            Decision("a", totals={"a": 5, "b": 4}, shares={"P": {"a": 1}, "Q": {"a": 4}}),
            "total of a: ours 7, theirs 5; P 3 for 1",
            id="a score, and whose",
        ),
        pytest.param(
            Decision("b", totals={"a": 5, "b": 4}),
            Decision("a", totals={"a": 5, "b": 4}),
            "our node b is not among the best, such as a",
            id="not the best",
        ),
        pytest.param(
            Decision(message="0/1", nominated="a"),
            Decision(message="0/1"),
            "preemption: ours of nobody on a, rank (); theirs none",
            id="a nomination that stands",
        ),
        pytest.param(
            Decision(message="0/1", nominated="a", victims=frozenset({"ns/v"}), rank=(1,)),
            Decision(message="0/1", nominated="a"),
            "preemption: ours of ns/v on a, rank (1,); theirs of nobody on a, rank ()",
            id="preempts once more",
        ),
    ],
)
def test_differences(ours: Decision, theirs: Decision, expected: str) -> None:
    assert differences(ours, theirs) == [expected]
