"""A sample of `make parity`: every decision is that of the real kube-scheduler."""

from collections.abc import Iterator

import anyio
import pytest

from tools.controlplane.binaries import version
from tools.parity import older
from tools.parity.generate import SUBJECTS, scenario
from tools.parity.match import Step, compare
from tools.parity.scenario import Scenario

pytestmark = pytest.mark.e2e

CLUSTERS = 5
PODS = 40


def scenarios() -> Iterator[Scenario]:
    """Clusters that have every subject between them, of which kube-scheduler decides alike."""
    left_out = older.SUBJECTS if older.is_older(version("kube-scheduler")) else ()
    names = [name for name in SUBJECTS if name not in left_out]
    for number in range(CLUSTERS):
        yield scenario(number + 1, PODS, names[number::CLUSTERS])


@pytest.mark.time_limit(240)
def test_decisions_are_those_of_kube_scheduler() -> None:
    steps: list[Step] = []
    anyio.run(compare, scenarios(), steps.append)
    assert {
        f"seed {each.scenario.seed}, step {each.number}": each.differences
        for each in steps
        if each.differences and each.comparable
    } == {}
    assert len(steps) == CLUSTERS * PODS
    assert {bool(step.theirs.node) for step in steps} == {True, False}
