from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.pod import Pod
from tests.builders import at, make_pod
from tools.parity.preemption import rank, violating

PREEMPTOR = make_pod("preemptor", priority=1000)


def placed(name: str, priority: int, started: float = 0, app: str = "web") -> Pod:
    pod = make_pod(name, node="node", priority=priority, labels={"app": app})
    return replace(pod, status=replace(pod.status, start_time=at(started)))


def budget(allowed: int, app: str = "web", namespace: str = "default") -> Mapping[str, Any]:
    selector = {"matchLabels": {"app": app}} if app else {}
    metadata, spec = {"namespace": namespace}, {"selector": selector}
    return {"metadata": metadata, "spec": spec, "status": {"disruptionsAllowed": allowed}}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param([placed("a", 500)], [placed("b", 1, app="db")], id="fewer budgets are violated"),
        pytest.param([placed("a", 1), placed("b", 1)], [placed("c", 2)], id="the highest priority is lower"),
        pytest.param(
            [placed("a", 5), placed("b", 1)], [placed("c", 5), placed("d", 2)], id="the sum is lower"
        ),
        pytest.param([placed("a", 5)], [placed("b", 5), placed("c", -5)], id="there are fewer"),
        pytest.param([placed("a", 5, started=9)], [placed("b", 5, started=8)], id="they started later"),
    ],
)
def test_ranks(better: list[Pod], worse: list[Pod]) -> None:
    budgets = [budget(0, app="db")]

    def ranked(pods: list[Pod]) -> tuple[float, ...]:
        return rank(PREEMPTOR, frozenset(pod.key for pod in pods), pods, budgets)

    assert ranked(better) < ranked(worse)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(budget(0), {"default/a", "default/b"}, id="none may go"),
        pytest.param(budget(1), {"default/b"}, id="the first may go"),
        pytest.param(budget(2), set(), id="both may go"),
        pytest.param(budget(0, app="db"), set(), id="other pods"),
        pytest.param(budget(0, namespace="other"), set(), id="another namespace"),
        pytest.param(budget(0, app=""), set(), id="one for everything is one for nothing"),
    ],
)
def test_budgets_that_are_violated(of: Mapping[str, Any], expected: set[str]) -> None:
    assert violating([placed("a", 1), placed("b", 1)], [of]) == expected
