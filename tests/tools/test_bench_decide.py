"""The benchmark of the decision alone."""

import pytest

from pallet.plugins.registry import BUILT_IN
from tools.bench import decide
from tools.bench.decide import DECIDED, cost, table
from tools.bench.decisions import Decider, Run
from tools.bench.workloads import WORKLOADS

PODS = 12


@pytest.mark.parametrize("name", DECIDED)
def test_every_pod_that_fits_gets_a_place(name: str) -> None:
    workload = WORKLOADS[name]
    if workload.needs not in ("", *BUILT_IN):
        pytest.skip(f"there is no {workload.needs}")
    run = Decider(workload, node_count=24, pods=PODS).run()
    assert len(run.microseconds) == PODS
    assert run.placed == run.fitting == {"unschedulable": 8, "mixed": 11}.get(name, PODS)


def test_runs_are_summed_up() -> None:
    summed = cost("plain", 500, [Run([10.0, 30.0], 2, 2), Run([50.0, 70.0], 1, 2)])
    assert (summed.mean.lowest, summed.mean.median, summed.mean.highest) == (20.0, 40.0, 60.0)
    assert (summed.p50, summed.pods, summed.placed, summed.fitting) == (40.0, 2, 1, 2)


@pytest.mark.parametrize(
    ("workload", "microseconds", "missing", "verdict"),
    [
        ("plain", 49.0, "", "50"),
        ("plain", 51.0, "", "above"),
        ("affinity", 51.0, "", "200"),
        ("affinity", 201.0, "", "above"),
        ("affinity", 51.0, "VolumeBinding", "VolumeBinding"),
    ],
)
def test_a_line_says_whether_the_aim_is_reached(
    workload: str, microseconds: float, missing: str, verdict: str
) -> None:
    _, line = table([cost(workload, 500, [Run([microseconds], 1, 1)], missing)]).splitlines()
    assert line.split()[-1] == verdict


def test_workloads_that_are_plain_to_the_decision_are_left_out() -> None:
    assert set(WORKLOADS) - set(DECIDED) == decide.SAME_AS_PLAIN
