"""What is measured of large pods: their lengths, and the steps in which they are dealt with."""

import json

import pytest

from pallet.runtime import pod_limits
from tools.bench import attacks
from tools.bench.objects import STEPS, Bench, Cost, entries_within, most_scheduled, table


@pytest.mark.parametrize("field", ["anti-affinity, required", "labels", "gates"])
def test_the_largest_pod_is_just_within_the_size(field: str) -> None:
    entries = entries_within(field, 200_000)
    assert 150_000 < len(json.dumps(attacks.LONG[field]("p", entries))) <= 200_000


def test_the_longest_pod_that_is_scheduled_is_at_the_limit() -> None:
    assert most_scheduled("claims", 600) == pod_limits.CLAIMS.most
    assert most_scheduled("tolerations", 6000) == 6000
    assert most_scheduled("labels", 500) == 500


def test_each_step_is_measured() -> None:
    bench = Bench(3)
    cost = bench.measure("anti-affinity, required", 20)
    assert (cost.nodes, cost.entries, cost.scheduled) == (3, 20, True)
    assert set(cost.milliseconds) == set(STEPS)
    assert not bench.measure("claims", 600).scheduled


def test_the_table_tells_what_is_refused() -> None:
    cost = Cost("labels", 5, 1000, scheduled=True, milliseconds={"decode": 1.4})
    refused = Cost("tolerations", 5, 1000, scheduled=False, milliseconds={})
    lines = table([cost, refused]).splitlines()
    assert lines[1].split() == ["labels", "1,000", "5", "1", "0", "0", "0", "0", "0", "0"]
    assert lines[2].endswith(pod_limits.NAME)
