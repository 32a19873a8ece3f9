"""A sample of `make parity`: every decision is that of the real kube-scheduler."""

from collections.abc import Iterator

import anyio
import pytest

from tools.parity.generate import SUBJECTS, scenario
from tools.parity.match import Step, compare
from tools.parity.scenario import Scenario

pytestmark = pytest.mark.e2e

CLUSTERS = 5
PODS = 40


def scenarios() -> Iterator[Scenario]:
    """Clusters that have every subject between them."""
    names = list(SUBJECTS)
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
