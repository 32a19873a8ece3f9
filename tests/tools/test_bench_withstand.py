"""What attacks are made of, and how what they do is judged."""

import json
import math
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from tools.bench import attacks
from tools.bench.siege import ATTACKS
from tools.bench.stream import Arrival
from tools.bench.withstand import Outcome, bound_rate, holds, longest_hold, median_wait, table

ETCD_LIMIT = 1_500_000

HARMLESS = Outcome(
    attack="none",
    arriving=100.0,
    undisturbed=100.0,
    disturbed=99.0,
    wait_before=0.01,
    wait_during=0.02,
    unbound=0,
    held_before=0.004,
    held=0.008,
    renewed_after=2.5,
    before_mib=100.0,
    peak_mib=110.0,
    after_mib=101.0,
    ended=None,
    errors=[],
)


@pytest.mark.parametrize("field", attacks.LONG)
def test_each_long_field_is_as_long_as_asked_for(field: str) -> None:
    short, long = (len(json.dumps(attacks.LONG[field]("p", count))) for count in (10, 1010))
    assert long - short >= 1000 * 8
    assert len(json.dumps(attacks.LONG[field]("p", 4000))) < ETCD_LIMIT


def test_a_greedy_set_has_a_place_for_each_pod() -> None:
    pods, plan = attacks.greedy_set("greedy", ["n1", "n2"])
    names = [each["metadata"]["name"] for each in pods]
    assert [each["pod"] for each in plan["spec"]["plan"]] == names
    assert {each["node"] for each in plan["spec"]["plan"]} == {"n1", "n2"}
    assert all(each["spec"]["schedulingGates"] for each in pods)


def test_what_is_harmless_has_no_faults() -> None:
    assert HARMLESS.faults == []


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (replace(HARMLESS, disturbed=49.0), "none: 49 pods/s were bound, of 100 undisturbed"),
        (replace(HARMLESS, renewed_after=10.5), "none: the lease was not renewed for 10.5 s"),
        (replace(HARMLESS, ended=1), "none: the process ended with status 1"),
        (replace(HARMLESS, errors=["refused"]), "none: the attack could not be carried out: refused"),
    ],
)
def test_what_is_a_fault(outcome: Outcome, fault: str) -> None:
    assert outcome.faults == [fault]


ARRIVALS = [Arrival(created=float(second), bound=second + 0.5) for second in range(20)]


def test_rates_and_waits_are_those_of_a_span() -> None:
    assert bound_rate(ARRIVALS, 0.0, 10.0) == 1.0
    assert median_wait(ARRIVALS, 0.0, 10.0) == 0.5
    stuck = [*ARRIVALS[:10], *(Arrival(each.created, None) for each in ARRIVALS[10:])]
    assert bound_rate(stuck, 10.0, 20.0) == 0.0
    assert median_wait(stuck, 10.0, 20.0) == math.inf
    assert median_wait([], 0.0, 1.0) == math.inf


def test_the_longest_hold_is_that_of_the_time_between_two_readings() -> None:
    instruments = Instruments()
    held = Metrics(instruments).loop_held_seconds
    held.observe(1.5)
    before = holds(generate_latest(instruments.registry).decode())
    for seconds in (0.0005, 0.003, 0.0005):
        held.observe(seconds)
    after = holds(generate_latest(instruments.registry).decode())
    assert longest_hold(before, after) == 0.004
    assert longest_hold(before, {}) == math.inf
    held.observe(99.0)
    assert longest_hold(after, holds(generate_latest(instruments.registry).decode())) == math.inf


def test_the_table_has_a_line_for_each_attack() -> None:
    lines = table([replace(HARMLESS, attack=name, ended=1) for name in ATTACKS]).splitlines()
    assert len(lines) == 2 + len(ATTACKS)
    assert all("status 1" in line for line in lines[2:])
