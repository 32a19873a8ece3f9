"""The benchmark's figures and tables, from what was seen."""

import json
import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import pytest

from tools.bench import machine, plot, report, switch
from tools.bench.contenders import CONTENDERS
from tools.bench.measures import Measures, Round, measure
from tools.bench.memory import Start
from tools.bench.memory import table as memory_table
from tools.bench.observer import LINE, Binding, Event, Observation, pod_events
from tools.bench.report import METRICS
from tools.bench.rules import Quality
from tools.bench.switch import Latencies
from tools.bench.tables import Spread, aligned, markdown
from tools.bench.usage import Meter, cpu_seconds, peak_bytes, resident_bytes

SPEED = METRICS[0]
MEASURES = Measures(
    pods_per_second=100.0,
    pods_per_second_with_events=80.0,
    latency_p50_seconds=2.0,
    latency_p99_seconds=4.0,
    cpu_ms_per_pod=0.5,
    peak_mib=64.0,
    start_seconds=1.5,
    start_cpu_seconds=1.0,
    apiserver_cpu_ms_per_pod=2.0,
    etcd_cpu_ms_per_pod=0.4,
    events=300,
    nodes_used=300,
    cpu_deviation=1.5,
    zone_skew=None,
    evicted=None,
)


def a_round(number: int, contender: str, speed: float, workload: str = "plain", nodes: int = 500) -> Round:
    return Round(workload, nodes, 300, number, contender, replace(MEASURES, pods_per_second=speed), [])


ROUNDS = [
    a_round(1, "kube-scheduler", 100.0),
    a_round(1, "pallet", 300.0),
    a_round(2, "pallet", 200.0),
    a_round(2, "kube-scheduler", 200.0),
    a_round(3, "kube-scheduler", 300.0),
    a_round(3, "pallet", 1500.0),
]
NO_FIGURES = Round("plain", 500, 300, 1, "pallet", None, ["3 of 3 pods were not bound"])


def cells(line: str) -> list[str]:
    """The cells of a line of a markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


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
        resident = resident_bytes(child.pid)
    child.communicate(b"\n")
    assert meter.cpu_seconds("child", 0.0, float("inf")) >= 0.25
    assert meter.peak_bytes["child"] >= resident > 1024**2


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
    assert Spread.of(values).text(decimals) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = [["head", "n"], ["a", "100"]]
    assert aligned(lines) == "head    n\na     100"
    assert markdown(lines).splitlines() == ["| head |   n |", "| ---- | --: |", "| a    | 100 |"]


def test_ratios_are_formed_round_by_round() -> None:
    # The ratio of the medians would be 1.5.
    assert report.ratio(ROUNDS, "pallet", "kube-scheduler", SPEED) == Spread(3.0, 1.0, 5.0)


def test_a_round_without_figures_is_left_out() -> None:
    rounds = [*ROUNDS[2:], NO_FIGURES]
    assert report.spread(rounds, "pallet", SPEED) == Spread(850.0, 200.0, 1500.0)
    assert report.ratio(rounds, "pallet", "kube-scheduler", SPEED) == Spread(3.0, 1.0, 5.0)


def test_a_turn_in_a_line_says_what_was_wrong() -> None:
    assert report.line(ROUNDS[1]) == "plain, 500 nodes, 300 pods, round 1, pallet: 300 pods/s"
    assert report.line(NO_FIGURES).endswith("pallet: nothing; 3 of 3 pods were not bound")


def test_a_table_has_a_line_for_each_workload_and_a_column_for_each_contender_and_ratio() -> None:
    rounds = [*ROUNDS, a_round(1, "pallet", 50.0, "affinity")]
    speeds, *_ = report.tables(rounds).split("\n\n")
    head, _, plain, affinity = map(cells, speeds.splitlines())
    assert head[1:] == ["kube-scheduler", "pallet", "pallet / kube-scheduler"]
    assert plain == ["plain (300 pods)", "200 (100-300)", "300 (200-1,500)", "3.00 (1.00-5.00)"]
    assert affinity == ["affinity (300 pods)", "-", "50", "-"]


def test_what_nobody_has_a_figure_for_has_no_table() -> None:
    assert report.tables([NO_FIGURES]).strip() == ""
    assert "skew" not in report.tables(ROUNDS)


def test_each_number_of_nodes_has_tables_of_its_own() -> None:
    text = report.tables([*ROUNDS, a_round(1, "pallet", 50.0, nodes=1000)])
    assert text.count("pods/s, to the last binding") == 2


def test_sets_are_said_to_be_compared_with_pods_without() -> None:
    assert report.SETS_NOTE in report.tables([a_round(1, "pallet", 1.0, "podsets")])
    assert report.SETS_NOTE not in report.tables(ROUNDS)


def test_figures_are_json() -> None:
    written = json.loads(json.dumps({"rounds": [asdict(each) for each in ROUNDS], **_by_name(ROUNDS)}))
    assert written["rounds"][1]["measures"]["pods_per_second"] == 300.0
    assert written["pallet"]["pods_per_second"] == {"median": 300.0, "lowest": 200.0, "highest": 1500.0}
    assert written["pallet / kube-scheduler"]["pods_per_second"]["median"] == 3.0
    assert "nodes_used" not in written["pallet / kube-scheduler"]


def _by_name(rounds: list[Round]) -> dict[str, dict[str, object]]:
    return {figure["of"]: figure for figure in report.figures(rounds)}


def test_the_plot_has_bars_for_each_number_of_nodes_and_a_line_for_each_workload() -> None:
    rounds = [*ROUNDS, a_round(1, "pallet", 50.0, "affinity"), a_round(1, "pallet", 10.0, nodes=100)]
    svg = plot.plot(rounds)
    names = [element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()]  # noqa: S314  # our own
    background, of_100_nodes, of_500_nodes, lines = 1, 1 + 1, 2 + 4, 2
    assert names.count("rect") == background + of_100_nodes + of_500_nodes + lines
    assert names.count("polyline") == 2
    assert names.count("circle") == 3


def test_nothing_can_be_plotted() -> None:
    ET.fromstring(plot.plot([]))  # noqa: S314  # our own


def test_latencies_become_a_table() -> None:
    two, none = Latencies("two pods", [30.0, 10.0, 20.4]), Latencies("many pods", [], ["wrong"])
    lines = switch.table([two, none]).splitlines()
    assert cells(lines[2]) == ["two pods", "20 (10-30)", "3"]
    assert cells(lines[3]) == ["many pods", "-", "0"]


def test_starts_become_a_table() -> None:
    starts = [
        Start("kube-scheduler", 1, 5.0, 6.0, 4.0, 900.0, 800.0),
        Start("pallet", 1, 2.0, 3.0, 1.0, 90.0, 80.0),
    ]
    lines = memory_table("beside pods", starts).splitlines()
    assert cells(lines[0]) == ["beside pods", "kube-scheduler", "pallet"]
    assert cells(lines[2]) == ["start to /readyz ok, s", "5.0", "2.0"]


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


QUALITY = Quality(nodes_used=2, cpu_deviation=0.5, zone_skew=1)


def test_measures_are_derived_from_what_was_seen() -> None:
    measures = measure(7.0, observation("a", "b", "a"), 4, SteadyMeter(), QUALITY)
    assert measures is not None
    assert measures.pods_per_second == 1.0
    assert measures.pods_per_second_with_events == pytest.approx(0.8)
    assert measures.latency_p50_seconds == 4.0
    assert measures.latency_p99_seconds == pytest.approx(4.98)
    assert measures.cpu_ms_per_pod == pytest.approx(2 * 2500 / 4)
    assert (measures.start_seconds, measures.start_cpu_seconds) == (3.0, 6.0)
    assert (measures.events, measures.nodes_used, measures.zone_skew) == (3, 2, 1)
    assert measures.peak_mib == 3.0


def test_work_begins_with_the_first_event_where_that_comes_first() -> None:
    seen = observation("a", "b", "a")
    measures = measure(
        7.0, replace(seen, events=(Event(8.0, "FailedScheduling"), *seen.events)), 3, SteadyMeter(), QUALITY
    )
    assert measures is not None
    assert measures.pods_per_second == 0.5
    assert measures.start_seconds == 1.0


def test_what_is_said_of_claims_is_no_sign_of_work() -> None:
    events: list[Event] = []
    take = pod_events(events)
    for at, kind in enumerate(("PersistentVolumeClaim", "Pod")):
        event = {"involvedObject": {"kind": kind}, "reason": kind}
        take(at, LINE.decode(json.dumps({"type": "ADDED", "object": event})))
    assert events == [Event(1, "Pod")]


def test_one_binding_makes_no_rate() -> None:
    assert measure(7.0, observation("a"), 1, SteadyMeter(), QUALITY) is None


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
