#!/usr/bin/env python3
"""Send a load to the workload, and say how it fared.

Keeps up to `--concurrency` requests in flight, and starts at most `--qps` a second, evenly spaced. A line
each second says how far it is; statistics follow at the end: after `--duration` seconds, or at Ctrl-C.
Exit status: 0, or 1 if the workload cannot be reached or refuses the parameters. Needs aiohttp and anyio.
"""

import argparse
import math
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
import anyio

FAILURE_PAUSE = 0.1
"""Seconds that a place rests after a failure: a server that is away is not to be flooded."""
TRIAL_PORTS = range(10_000, 30_000)
"""A trial is sent from one of these ports, the load never is: systems take ports from 32768 on by themselves.
While a Service has no endpoints, its node refuses connections, and remembers the address and port of each for
two minutes. It refuses whatever else comes from there until then, endpoints or not."""
PATIENCE = 30.0
"""Seconds that an answer may take, beyond those that the workload is asked to sleep."""


class UnreachableError(Exception):
    """No load can be sent there; the message says why, in a line."""


class Load(NamedTuple):
    """Requests at once, requests a second (0: no limit), seconds (0: no end), and what each asks for."""

    concurrency: int = 10
    qps: float = 0.0
    duration: float = 30.0
    sleep: int = 0
    prime: int = 0
    bloat: int = 0


class Pace:
    """Spaces what happens at most `qps` times a second; what was missed is not caught up with."""

    def __init__(self, qps: float) -> None:
        self._interval = 1 / qps if qps else 0.0
        self._free = -math.inf

    def take(self, now: float) -> float:
        """Take the next place in time; gives when it is, `now` or later."""
        due = max(now, self._free)
        self._free = due + self._interval
        return due


@dataclass(slots=True)
class Statistics:
    """What became of requests. Times are seconds of one clock, latencies those of successful requests."""

    started: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    began: float = math.nan
    ended: float = math.nan

    @property
    def finished(self) -> int:
        """How many have ended, well or not."""
        return len(self.latencies) + self.failures.total()

    @property
    def success_rate(self) -> float:
        """The part of the finished ones that went well; not a number where none has finished."""
        return len(self.latencies) / self.finished if self.finished else math.nan

    @property
    def average(self) -> float:
        """The average latency; not a number where there is none."""
        return sum(self.latencies) / len(self.latencies) if self.latencies else math.nan

    def begin(self, now: float) -> None:
        """Count a request that starts."""
        if not self.started:
            self.began = now
        self.started += 1

    def end(self, now: float, latency: float, failure: str = "") -> None:
        """Count a request that ended, well unless there is a word for its failure."""
        self.ended = now
        if failure:
            self.failures[failure] += 1
        else:
            self.latencies.append(latency)

    def line(self) -> str:
        """How far it is."""
        return (
            f"total {self.started}, in flight {self.started - self.finished}, "
            f"success {percent(self.success_rate)}, average latency {milliseconds(self.average)}"
        )

    def kinds_of_failure(self) -> str:
        """How many requests failed, and how."""
        return ", ".join(f"{count} x {what}" for what, count in self.failures.most_common())

    def summary(self) -> str:
        """How it was, in some lines."""
        seconds = self.ended - self.began
        cut_off = self.started - self.finished
        rows = [
            f"requests      {self.started}"
            + (f" in {seconds:.1f} s, {self.finished / seconds:.1f} a second" if seconds > 0 else "")
            + (f"; {cut_off} were cut off" if cut_off else ""),
            f"success rate  {percent(self.success_rate)}",
            f"latency       avg {milliseconds(self.average)}, "
            + ", ".join(f"p{p} {milliseconds(percentile(self.latencies, p))}" for p in (50, 90, 99))
            + f", max {milliseconds(max(self.latencies, default=math.nan))}",
        ]
        if self.failures:
            rows.append(f"failures      {self.kinds_of_failure()}")
        return "\n".join(rows)


def percentile(values: list[float], percents: float) -> float:
    """Give the smallest value that so many percents of all do not exceed; not a number for no values."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(len(values) * percents / 100), 1) - 1]


def percent(part: float) -> str:
    """Write a part of one; `-` where there is none."""
    return "-" if math.isnan(part) else f"{part * 100:.1f} %"


def milliseconds(seconds: float) -> str:
    """Write seconds in milliseconds; `-` where there are none."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.1f} ms"


async def keep_in_flight(load: Load, send: Callable[[], Awaitable[str]], statistics: Statistics) -> None:
    """Send until the duration is over, then wait for the answers that are missing.

    `send` sends one request and returns a word for its failure, an empty one for success.
    """
    pace = Pace(load.qps)
    end = anyio.current_time() + (load.duration or math.inf)

    async def place() -> None:
        while (due := pace.take(anyio.current_time())) < end:
            await anyio.sleep_until(due)
            began = anyio.current_time()
            statistics.begin(began)
            failure = await send()
            now = anyio.current_time()
            statistics.end(now, now - began, failure)
            if failure:
                await anyio.sleep(FAILURE_PAUSE)

    async with anyio.create_task_group() as places:
        for _ in range(load.concurrency):
            places.start_soon(place)


async def send_load(address: str, load: Load, statistics: Statistics) -> None:
    """Send a load to the workload at IP:PORT, with a line each second; raises `UnreachableError`."""
    work = {"sleep": str(load.sleep), "prime": str(load.prime), "bloat": str(load.bloat)}
    url = f"http://{address}/"
    limits = aiohttp.ClientTimeout(PATIENCE + load.sleep / 1000)
    # A connection for each request, so that a Service spreads them over all pods, new ones too.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(timeout=limits, connector=connector) as session:

        async def send() -> str:
            try:
                async with session.get(url, params=work) as answer:
                    await answer.read()
            except TimeoutError:
                return "timed out"
            except aiohttp.ClientError as error:
                return f"{type(error).__name__} ({error})"
            return "" if answer.status == 200 else f"HTTP {answer.status}"

        await _try(url, work, limits)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_print_lines, statistics)
            await keep_in_flight(load, send, statistics)
            tasks.cancel_scope.cancel()


async def _try(url: str, work: dict[str, str], limits: aiohttp.ClientTimeout) -> None:
    """Send one request that is not counted, to learn whether it makes sense to send more."""
    connector = aiohttp.TCPConnector(socket_factory=_trial_socket)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, connector=connector) as session,
            session.get(url, params=work) as answer,
        ):
            if answer.status == 400:
                raise UnreachableError(f"{url} refuses this: {(await answer.text()).strip()}")
    except TimeoutError:
        raise UnreachableError(f"{url} does not answer in time") from None
    except aiohttp.ClientOSError as error:
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else error.strerror  # of a name that is unknown it is negative
        raise UnreachableError(f"cannot reach the workload at {url}: {reason}") from None
    except aiohttp.ClientError as error:
        raise UnreachableError(f"{url} is not the workload: {error}") from None


def _trial_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.bind(("", random.choice(TRIAL_PORTS)))  # noqa: S311 - any will do
    return made


async def _print_lines(statistics: Statistics) -> None:
    start, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    while True:
        await anyio.sleep(1.0)
        print(f"{start}{statistics.line()}", end=end, flush=True)


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a `Load`."""
    default = Load()
    add = parser.add_argument
    add(
        "--qps",
        type=_zero_or_more(float),
        default=default.qps,
        help="requests started a second at most; 0: any",
    )
    add("--concurrency", type=_one_or_more, default=default.concurrency, help="requests in flight at most")
    add("--duration", type=_zero_or_more(float), default=default.duration, help="seconds; 0: until Ctrl-C")
    add("--prime", type=_zero_or_more(int), default=default.prime, help="find the largest prime up to this")
    add("--bloat", type=_zero_or_more(int), default=default.bloat, help="megabytes to take")
    add("--sleep", type=_zero_or_more(int), default=default.sleep, help="milliseconds to sleep")


def load_of(arguments: argparse.Namespace) -> Load:
    """Make a load of what `add_load_arguments` has added."""
    return Load(**{name: getattr(arguments, name) for name in Load._fields})


def _zero_or_more(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number from 0")
        return value

    return number


def _one_or_more(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


def main() -> int:
    """Send the load of the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Send a load to the workload, and say how it fared.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--ip", default="127.0.0.1", help="where the workload is: address or name")
    parser.add_argument("--port", type=int, default=8080, help="its port")
    add_load_arguments(parser)
    arguments = parser.parse_args()
    host = f"[{arguments.ip}]" if ":" in arguments.ip else arguments.ip
    statistics = Statistics()
    try:
        anyio.run(send_load, f"{host}:{arguments.port}", load_of(arguments), statistics)
    except KeyboardInterrupt:
        print()  # leave the line with ^C
    except UnreachableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\n{statistics.summary()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
