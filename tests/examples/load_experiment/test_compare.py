"""The comparison: what a watch shows, and what is made of it."""

from typing import Any

import anyio
import compare
import pytest
from compare import ROUTE_PATIENCE, Experiment, ExperimentError, Placements, Result, main, table, takes_pods
from send_requests import Load, Statistics, UnreachableError

from tests.faults.virtual_time import VIRTUAL_TIME


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL_TIME


def event(uid: str, node: str = "", kind: str = "MODIFIED") -> dict[str, Any]:
    """An event of a pod that was created at 10:00:00, and placed two seconds later if it has a node."""
    scheduled = {"type": "PodScheduled", "status": "True" if node else "False"}
    pod = {
        "metadata": {"uid": uid, "creationTimestamp": "2026-05-01T10:00:00Z"},
        "spec": {"nodeName": node} if node else {},
        "status": {
            "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": "2026-05-01T10:00:01Z"},
                {**scheduled, "lastTransitionTime": "2026-05-01T10:00:02Z"},
            ]
        },
    }
    return {"type": kind, "object": pod}


def placements(*seen: tuple[float, dict[str, Any]]) -> Placements:
    made = Placements()
    for now, what in seen:
        made.see(what, now)
    return made


TWO_OF_THREE = placements(
    (1.0, event("a", kind="ADDED")),
    (1.0, event("b", kind="ADDED")),
    (1.1, event("a", "n1")),
    (1.2, event("c", kind="ADDED")),
    (1.4, event("b", "n1")),
    (9.0, event("a", "n1")),
    (9.0, event("a", "n1", kind="DELETED")),
)


def test_a_pod_is_pending_from_its_first_event_to_the_first_that_shows_it_placed() -> None:
    assert TWO_OF_THREE.pending == pytest.approx([0.1, 0.4])
    assert sorted(TWO_OF_THREE.came) == ["a", "b", "c"]


def test_nodes_without_a_pod_count() -> None:
    assert sorted(TWO_OF_THREE.per_node(["n1", "n2"])) == [0, 2]
    assert sorted(TWO_OF_THREE.per_node(["n2"])) == [0, 2]


def test_a_watch_that_fails_is_an_error() -> None:
    with pytest.raises(ExperimentError, match="too old"):
        placements((1.0, {"type": "ERROR", "object": {"message": "too old"}}))


@pytest.mark.parametrize(
    ("spec", "takes"),
    [
        ({}, True),
        ({"unschedulable": True}, False),
        ({"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}, True),
        (
            {"taints": [{"key": "a", "effect": "PreferNoSchedule"}, {"key": "b", "effect": "NoSchedule"}]},
            False,
        ),
        ({"taints": [{"key": "b", "effect": "NoExecute"}]}, False),
    ],
)
def test_only_nodes_that_take_pods_count(spec: dict[str, Any], *, takes: bool) -> None:
    assert takes_pods({"spec": spec}) is takes


def test_results_stand_side_by_side() -> None:
    load = Statistics()
    load.begin(0.0)
    load.begin(0.0)
    load.end(0.5, 0.5)
    load.end(0.5, 0.5, "timed out")
    results = [
        Result("kube-scheduler", "default-scheduler", TWO_OF_THREE, ["n1", "n2"], load),
        Result("pallet", "podset-planner-scheduler", placements(), ["n1", "n2"], Statistics()),
    ]
    assert table(results).splitlines() == [
        "                   kube-scheduler      pallet",
        "scheduler          default-scheduler   podset-planner-scheduler",
        "pods placed        2 of 3              0 of 0",
        "pending, median    250.0 ms            -",
        "pending, p99       400.0 ms            -",
        "pending, max       400.0 ms            -",
        "  max by the API   2 s                 -",
        "nodes              2                   2",
        "pods a node        0 to 2              0 to 0",
        "  max - min        2                   0",
        "  deviation        1.00                0.00",
        "requests           2                   0",
        "success rate       50.0 %              -",
        "latency, average   500.0 ms            -",
        "latency, p50       500.0 ms            -",
        "latency, p90       500.0 ms            -",
        "latency, p99       500.0 ms            -",
        "latency, max       500.0 ms            -",
        "failures           1 x timed out       none",
    ]
    without_load = [result._replace(load=None) for result in results]
    assert table(without_load).splitlines()[-1].split() == ["deviation", "1.00", "0.00"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --replicas, --address, or both"),
        (["--replicas=2", "pallet", "nothing"], "manifests/nothing/kustomization.yaml"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert message in capsys.readouterr().err


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "reached"), [(ROUTE_PATIENCE / 2, True), (ROUTE_PATIENCE * 2, False)])
async def test_an_address_that_answers_a_moment_after_its_pods_are_ready_is_waited_for(
    seconds: float, *, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_from = anyio.current_time() + seconds

    async def send_load(address: str, _load: Load, statistics: Statistics) -> None:
        if anyio.current_time() < open_from:
            raise UnreachableError(f"cannot reach {address}")
        statistics.begin(0.0)

    monkeypatch.setattr(compare, "send_load", send_load)
    experiment = Experiment("default", 1, "10.0.0.1:30080", Load())
    if reached:
        assert (await experiment._send("pallet")).started == 1
    else:
        with pytest.raises(ExperimentError, match=r"cannot reach 10\.0\.0\.1:30080"):
            await experiment._send("pallet")
