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


def budget(
    allowed: int, app: str = "web", namespace: str = "default", disrupted: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    selector = {"matchLabels": {"app": app}} if app else {}
    return selecting(selector, allowed, namespace, disrupted)


def selecting(
    selector: Mapping[str, Any] | None,
    allowed: int = 0,
    namespace: str = "default",
    disrupted: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    metadata, spec = {"namespace": namespace}, {"selector": selector}
    status = {"disruptionsAllowed": allowed, "disruptedPods": disrupted or {}}
    return {"metadata": metadata, "spec": spec, "status": status}


def expression(key: str, operator: str, *values: str) -> Mapping[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}


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
        pytest.param(selecting(None), set(), id="no selector"),
        pytest.param(budget(0, disrupted={"a": ""}), {"default/b"}, id="one is gone already"),
        pytest.param(budget(1, disrupted={"a": ""}), set(), id="one is gone already and not counted again"),
        pytest.param(selecting(expression("app", "In", "db", "web")), {"default/a", "default/b"}, id="In"),
        pytest.param(selecting(expression("app", "NotIn", "web")), set(), id="NotIn"),
        pytest.param(
            selecting(expression("app", "NotIn", "db")), {"default/a", "default/b"}, id="NotIn others"
        ),
        pytest.param(selecting(expression("app", "Exists")), {"default/a", "default/b"}, id="Exists"),
        pytest.param(selecting(expression("app", "DoesNotExist")), set(), id="DoesNotExist"),
        pytest.param(
            selecting({"matchLabels": {"app": "web"}, **expression("version", "Exists")}),
            set(),
            id="one of two",
        ),
    ],
)
def test_budgets_that_are_violated(of: Mapping[str, Any], expected: set[str]) -> None:
    assert violating([placed("a", 1), placed("b", 1)], [of]) == expected


def test_each_budget_counts_the_pods_that_another_keeps_too() -> None:
    pods = [placed("a", 1), placed("b", 1, app="db"), placed("c", 1)]
    budgets = [budget(1), selecting(expression("app", "Exists"), allowed=2)]
    assert violating(pods, budgets) == {"default/c"}
    assert violating(pods, budgets[::-1]) == {"default/c"}
    assert violating(pods[1:], budgets) == set()
