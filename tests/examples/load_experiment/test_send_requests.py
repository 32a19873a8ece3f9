"""The load generator: its pace and its figures in virtual time, and itself against the real workload."""

import math
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
from send_requests import (
    FAILURE_PAUSE,
    TRIAL_PORTS,
    Load,
    Pace,
    Statistics,
    keep_in_flight,
    main,
    percentile,
)

from tests.examples.load_experiment.serving import EXPERIMENT, serving
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.controlplane.processes import free_port


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL_TIME


class Server:
    """Answers after some virtual seconds, and keeps when it was asked."""

    def __init__(self, seconds: float, failure: str = "") -> None:
        self.seconds = seconds
        self.failure = failure
        self.asked: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def send(self) -> str:
        """Take one request."""
        self.asked.append(anyio.current_time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await anyio.sleep(self.seconds)
        self.in_flight -= 1
        return self.failure


async def statistics_of(server: Server, load: Load) -> Statistics:
    statistics = Statistics()
    await keep_in_flight(load, server.send, statistics)
    return statistics


@pytest.mark.anyio
async def test_so_many_requests_are_kept_in_flight() -> None:
    server = Server(1.0)
    statistics = await statistics_of(server, Load(concurrency=4, duration=9.5))
    assert server.most_in_flight == 4
    assert statistics.started == statistics.finished == 40
    assert statistics.ended - statistics.began == pytest.approx(10.0)
    assert statistics.average == pytest.approx(1.0)


@pytest.mark.anyio
async def test_a_rate_spaces_requests_evenly() -> None:
    server = Server(0.28)
    start = anyio.current_time()
    await statistics_of(server, Load(concurrency=10, qps=20, duration=2.0))
    assert [asked - start for asked in server.asked] == pytest.approx([number / 20 for number in range(40)])
    assert server.most_in_flight == 6


@pytest.mark.anyio
async def test_a_slow_server_lowers_the_rate() -> None:
    server = Server(1.0)
    statistics = await statistics_of(server, Load(concurrency=2, qps=10, duration=5.0))
    assert server.most_in_flight == 2
    assert statistics.started == 10


@pytest.mark.anyio
async def test_failures_are_counted_and_do_not_flood_the_server() -> None:
    server = Server(0.0, failure="HTTP 503")
    statistics = await statistics_of(server, Load(concurrency=1, duration=1.0))
    assert statistics.failures == {"HTTP 503": len(server.asked)}
    assert len(server.asked) <= 1.0 / FAILURE_PAUSE + 1
    assert statistics.success_rate == 0
    assert math.isnan(statistics.average)


@pytest.mark.parametrize(
    ("qps", "asked", "given"),
    [
        pytest.param(0, [0, 0, 5], [0, 0, 5], id="no limit"),
        pytest.param(2, [0, 0, 0], [0, 0.5, 1], id="spaced"),
        pytest.param(2, [0, 0.1, 3, 3], [0, 0.5, 3, 3.5], id="missed places are gone"),
    ],
)
def test_the_pace(qps: float, asked: list[float], given: list[float]) -> None:
    pace = Pace(qps)
    assert [pace.take(now) for now in asked] == given


@pytest.mark.parametrize(
    ("values", "percents", "value"),
    [([3.0, 1, 2], 50, 2), ([1.0], 99, 1), ([float(n) for n in range(1, 101)], 99, 99), ([1.0, 2], 100, 2)],
)
def test_percentiles_are_values_that_were_there(values: list[float], percents: float, value: float) -> None:
    assert percentile(values, percents) == value


def test_the_figures_are_told() -> None:
    statistics = Statistics()
    assert statistics.line() == "total 0, in flight 0, success -, average latency -"
    for number in range(5):
        statistics.begin(10.0 + number)
    for number, failure in enumerate(("", "", "", "timed out")):
        statistics.end(12.0 + number, 0.1 * (number + 1), failure)
    assert statistics.line() == "total 5, in flight 1, success 75.0 %, average latency 200.0 ms"
    assert statistics.summary().splitlines() == [
        "requests      5 in 5.0 s, 0.8 a second; 1 were cut off",
        "success rate  75.0 %",
        "latency       avg 200.0 ms, p50 200.0 ms, p90 300.0 ms, p99 300.0 ms, max 300.0 ms",
        "failures      1 x timed out",
    ]
    assert Statistics().summary().splitlines()[:2] == ["requests      0", "success rate  -"]


def command(port: int, *options: str) -> list[str]:
    return [
        sys.executable,
        str(EXPERIMENT / "send_requests.py"),
        "--ip=127.0.0.1",
        f"--port={port}",
        *options,
    ]


def run(port: int, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(port, *options), capture_output=True, text=True, check=False)


def test_against_the_real_workload() -> None:
    options = ["--qps=50", "--concurrency=5", "--duration=1.5", "--prime=1000", "--bloat=1", "--sleep=5"]
    with serving() as port:
        done = run(port, *options)
    assert done.returncode == 0, done
    first, *_, requests, rate, latency = done.stdout.splitlines()
    assert re.fullmatch(r"total \d+, in flight \d, success 100\.0 %, average latency [\d.]+ ms", first)
    assert 0 < int(requests.split()[1]) <= 76
    assert rate == "success rate  100.0 %"
    figures = [float(figure) for figure in re.findall(r"([\d.]+) ms", latency)]
    assert len(figures) == 5
    assert 5 <= figures[1] <= figures[2] <= figures[3] <= figures[4]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_gives_the_figures_too() -> None:
    with serving() as port:
        options = ("--duration=0", "--sleep=50", "--concurrency=2")
        with subprocess.Popen(command(port, *options), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline().startswith("total ")
            process.send_signal(signal.SIGINT)
            said = process.stdout.read()
    assert process.returncode == 0
    assert "success rate  100.0 %" in said


def test_only_the_trial_is_sent_from_a_port_where_a_refusal_is_remembered() -> None:
    ports: list[int] = []

    class Remembering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ports.append(self.client_address[1])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Remembering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = run(server.server_port, "--duration=0.3", "--qps=50")
        server.shutdown()
        thread.join()
    assert done.returncode == 0
    trial, *load = ports
    assert trial in TRIAL_PORTS
    assert load
    assert not any(port in TRIAL_PORTS for port in load)


def test_a_server_that_is_away_is_an_error_in_a_line() -> None:
    port = free_port()
    done = run(port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: cannot reach the workload at http://127.0.0.1:{port}/: Connection refused\n"
    )


def test_parameters_that_the_workload_refuses_are_an_error_in_a_line() -> None:
    with serving() as port:
        done = run(port, "--prime=99999999")
    assert done.returncode == 1
    assert done.stderr.endswith("prime=99999999: want a whole number from 0 to 10000000\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--qps=-1", "--concurrency=0", "--duration=inf", "--sleep=1.5"])
def test_numbers_that_make_no_sense_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["send_requests.py", option])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"argument {option.partition('=')[0]}: " in capsys.readouterr().err
