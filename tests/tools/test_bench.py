"""The benchmark's parts that need no cluster."""

import json
import platform
import subprocess
import sys

import pytest

from tools.bench import machine, report
from tools.bench.contenders import CONTENDERS
from tools.bench.observer import Binding, Event, Observation
from tools.bench.podsets import Latencies
from tools.bench.report import Spread
from tools.bench.throughput import Measures, Round, measure
from tools.bench.usage import Meter, cpu_seconds, peak_bytes
from tools.bench.workload import faults

MEASURES = Measures(
    pods_per_second=100.0,
    pods_per_second_with_events=80.0,
    last_event_seconds=3.0,
    cpu_ms_per_pod=0.5,
    peak_mib=64.0,
    start_seconds=1.5,
    start_cpu_seconds=1.0,
    apiserver_cpu_ms_per_pod=2.0,
    etcd_cpu_ms_per_pod=0.4,
    events=300,
    nodes_used=300,
    most_pods_on_a_node=1,
)


def a_round(number: int, contender: str, pods_per_second: float) -> Round:
    measures = {field: getattr(MEASURES, field) for field in MEASURES.__slots__}
    return Round(number, contender, Measures(**{**measures, "pods_per_second": pods_per_second}), [])


ROUNDS = [
    a_round(1, "kube-scheduler", 100.0),
    a_round(1, "pallet", 300.0),
    a_round(2, "pallet", 200.0),
    a_round(2, "kube-scheduler", 200.0),
    a_round(3, "kube-scheduler", 300.0),
    a_round(3, "pallet", 1500.0),
]


@pytest.mark.parametrize(
    ("stat", "ticks"),
    [
        ("7 (python) S 1 7 7 0 -1 4194304 9 0 0 0 25 5 0 0 20 0 1 0 100 1 1", 30),
        ("7 (with (odd) name) S 1 7 7 0 -1 4194304 9 0 0 0 1 2 3 4 20 0 1 0 100 1 1", 10),
    ],
    ids=["user and kernel mode", "ended children, whatever the name"],
)
def test_cpu_time_is_read_from_stat(stat: str, ticks: int) -> None:
    assert cpu_seconds(stat) == pytest.approx(ticks / 100)  # the kernel always says 100 ticks a second


def test_peak_memory_is_read_from_status() -> None:
    assert peak_bytes("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  512 kB\nVmRSS:\t  300 kB\n") == 512 * 1024


def test_an_ended_process_has_no_memory() -> None:
    assert peak_bytes("Name:\tpython\nState:\tZ (zombie)\n") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_meter_counts_children_and_outlives_the_process() -> None:
    burn = "import time; before = time.process_time()\nwhile time.process_time() - before < 0.3: pass"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{inner}; print(); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with Meter({"child": child.pid}) as meter:
        assert child.stdout is not None
        child.stdout.readline()
    child.communicate(b"\n")
    assert meter.cpu_seconds("child", 0.0, float("inf")) >= 0.25
    assert meter.peak_bytes["child"] > 1024**2


@pytest.mark.parametrize(
    ("values", "decimals", "text"),
    [
        ([294.4, 312.6, 313.1], 0, "313 (294-313)"),
        ([1.0, 2.0], 2, "1.50 (1.00-2.00)"),
        ([3000.0, 3000.0], 0, "3,000"),
    ],
)
def test_a_spread_is_the_median_the_lowest_and_the_highest(
    values: list[float], decimals: int, text: str
) -> None:
    spread = Spread.of(values)
    assert spread is not None
    assert spread.text(decimals) == text


def test_ratios_are_formed_round_by_round() -> None:
    ratios = report.ratios(ROUNDS)
    # The ratio of the medians would be 1.5.
    assert ratios["pallet / kube-scheduler"]["pods_per_second"] == Spread(3.0, 1.0, 5.0)
    assert list(ratios) == ["pallet / kube-scheduler"]


def test_a_round_without_figures_is_left_out() -> None:
    rounds = [*ROUNDS[2:], Round(1, "pallet", None, ["3 of 3 pods were not bound"])]
    assert report.figures(rounds)["pallet"]["pods_per_second"] == Spread(850.0, 200.0, 1500.0)
    assert report.ratios(rounds)["pallet / kube-scheduler"]["pods_per_second"] == Spread(3.0, 1.0, 5.0)


def test_the_table_has_a_column_for_each_contender() -> None:
    lines = report.table("3 rounds", report.figures(ROUNDS)).splitlines()
    assert lines[0].split() == ["3", "rounds", "kube-scheduler", "pallet"]
    assert lines[1].split("  ")[0] == "pods/s, first to last binding"
    assert lines[1].endswith("200 (100-300)  300 (200-1,500)")
    assert len({len(line) for line in lines}) == 1


def test_a_table_without_any_figure_is_its_head() -> None:
    rounds = [Round(1, "pallet", None, ["3 of 3 pods were not bound"])]
    assert report.table("", report.figures(rounds)).split() == ["pallet"]


def test_latencies_become_a_table() -> None:
    two, none = Latencies("two pods", [30.0, 10.0, 20.4]), Latencies("many pods", [], ["wrong"])
    lines = report.latency_table([two, none]).splitlines()
    assert lines[1].split() == ["two", "pods", "20", "(10-30)", "3"]
    assert lines[2].split() == ["many", "pods", "-", "0"]


def test_the_document_is_json() -> None:
    document = report.document({"cores": "2"}, {"pods": 300}, ROUNDS, [Latencies("two pods", [30.0])])
    written = json.loads(json.dumps(document))
    assert written["rounds"][1]["measures"]["pods_per_second"] == 300.0
    assert written["figures"]["pallet"]["pods_per_second"]["median"] == 300.0
    assert written["podsets"] == [{"title": "two pods", "milliseconds": [30.0], "faults": []}]


def observation(*nodes: str) -> Observation:
    """Pods p0, p1... bound a second apart, their events half a second later."""
    bindings = tuple(Binding(10.0 + at, f"p{at}", node) for at, node in enumerate(nodes))
    return Observation(bindings, tuple(Event(each.at + 0.5, "Scheduled") for each in bindings))


class SteadyMeter(Meter):
    """Whatever it measures has always used two cores."""

    def __init__(self) -> None:
        super().__init__({})
        self.peak_bytes = {"contender": 3 * 1024**2}

    def cpu_seconds(self, name: str, since: float, until: float) -> float:
        return 2 * (until - since)


def test_measures_are_derived_from_what_was_seen() -> None:
    seen = observation("a", "b", "a")
    measures = measure(7.0, seen, {"p0": "a", "p1": "b", "p2": "a"}, SteadyMeter())
    assert measures is not None
    assert measures.pods_per_second == 1.0
    assert measures.pods_per_second_with_events == pytest.approx(0.8)
    assert measures.cpu_ms_per_pod == pytest.approx(2 * 2500 / 3)
    assert (measures.start_seconds, measures.start_cpu_seconds) == (3.0, 6.0)
    assert (measures.events, measures.nodes_used, measures.most_pods_on_a_node) == (3, 2, 2)
    assert measures.peak_mib == 3.0


def test_one_binding_makes_no_rate() -> None:
    assert measure(7.0, observation("a"), {"p0": "a"}, SteadyMeter()) is None


@pytest.mark.parametrize(
    ("nodes", "seen", "found"),
    [
        ({"p0": "a", "p1": "b"}, observation("a", "b"), []),
        ({"p0": "a", "p1": ""}, observation("a"), ["1 of 2 pods were not bound"]),
        ({"p0": "a", "p1": "a"}, observation("a", "a"), ["1 nodes have more pods than fit"]),
        (
            {"p0": "a", "p1": "b"},
            Observation((Binding(1, "p0", "c"), Binding(2, "p0", "a"), Binding(3, "p1", "b")), ()),
            ["1 pods were seen on more than one node"],
        ),
    ],
    ids=["right", "not bound", "overcommitted", "moved"],
)
def test_a_wrong_result_is_seen(nodes: dict[str, str], seen: Observation, found: list[str]) -> None:
    assert faults(2, nodes, seen, pods_per_node=1) == found


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel\t: 1\n", "Some CPU @ 2.0GHz"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", platform.machine()),
    ],
)
def test_the_processor_has_a_name(cpuinfo: str, name: str) -> None:
    assert machine.processor(cpuinfo) == name


def test_ratios_name_contenders_that_exist() -> None:
    names = {contender.name for contender in CONTENDERS.values()}
    assert {name for pair in report.RATIOS for name in pair} <= names
