"""What is done to the replicas and to the API server, and when: a pure function of the seed."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random

import msgspec

from tools.chaos.load import Act, draw_load
from tools.chaos.replica import POINTS

LEADER, STANDBY = "leader", "standby"


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault, `at` seconds after the start.

    target: which replica it meets, by the part it plays at that moment; empty for the API server
    seconds: how long it lasts, or by how much an answer is delayed
    what: which requests or watches it meets, or at which point a process is killed or stopped
    times: how many requests it meets; how often a point is passed before
    variant: an HTTP status, what becomes of a watch's line, whether the request is carried out
    """

    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    what: str = ""
    times: int = 1
    variant: str = ""


class Timeline(msgspec.Struct, frozen=True):
    """Everything that is done in a run."""

    seed: int
    minutes: float
    nodes: int
    faults: tuple[Fault, ...]
    load: tuple[Act, ...]

    def write(self, file: Path) -> None:
        """Keep it, to be replayed."""
        file.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, file: Path) -> "Timeline":
        """Read one that was kept. Raises `msgspec.DecodeError`."""
        return msgspec.json.decode(file.read_bytes(), type=cls)


PER_HOUR: Mapping[str, int] = {
    "SIGKILL": 26,
    "SIGTERM": 26,
    "SIGSTOP": 28,
    "killed at a point": 40,
    "stopped at a point": 36,
    "API server restarted": 24,
    "etcd compacted": 30,
    "watches cut": 70,
    "watches frozen": 80,
    "watches garbled": 70,
    "answers delayed": 130,
    "answers dropped": 130,
    "answers truncated": 110,
    "answers lost": 100,
    "answers garbled": 100,
    "answers 4xx": 130,
    "answers 5xx": 130,
}
"""How many faults of each kind an hour has; some meet nothing."""

WATCHED = ("pods", "nodes", "scheduletriggers", "scheduleplans", "")
WATCH_WEIGHTS = (4, 1, 1, 1, 2)
"""Whose watches are met, and how often; empty for all. A take-over is worst where only pods are not seen."""

ASKED = ("lease", "binding", "plan", "trigger", "status", "event", "read", "any")
WEIGHTS = (14, 30, 10, 10, 8, 8, 10, 10)
"""Which requests' answers are met, and how often."""

GARBLES = ("half", "noise", "error 410", "error 500", "twice", "empty object")
REFUSALS = ("401", "403", "408", "409", "429")
FAILURES = ("500", "502", "503", "504", "500 done", "504 done")


def draw(seed: int, minutes: float, nodes: int) -> Timeline:
    """Draw the timeline of a seed."""
    faults = (fault for kind, count in PER_HOUR.items() for fault in _of_kind(seed, kind, count, minutes))
    ordered = sorted(faults, key=lambda fault: fault.at)
    return Timeline(seed, minutes, nodes, tuple(ordered), tuple(draw_load(seed, minutes, nodes)))


def counts(faults: Iterable[Fault]) -> dict[str, int]:
    """How many faults of each kind there are."""
    found = dict.fromkeys(PER_HOUR, 0)
    for fault in faults:
        found[fault.kind] += 1
    return found


def _of_kind(seed: int, kind: str, per_hour: int, minutes: float) -> Iterator[Fault]:
    """Spread the faults of a kind evenly, each at a random moment of its share of the time."""
    rng = Random(f"{seed} {kind}")  # noqa: S311 - it is to be repeated
    number = max(1, round(per_hour * minutes / 60))
    share = minutes * 60 / number
    for index in range(number):
        at = round((index + rng.random()) * share, 1)
        yield _fault(rng, kind, at)


def _fault(rng: Random, kind: str, at: float) -> Fault:
    target = rng.choices((LEADER, STANDBY), (0.5, 0.5))[0]
    seconds = round(rng.uniform(5, 40), 1)
    match kind:
        case "SIGKILL" | "SIGTERM":
            return Fault(at, kind, target)
        case "SIGSTOP":
            return Fault(at, kind, target, seconds)
        case "killed at a point" | "stopped at a point":
            do = "kill" if kind.startswith("killed") else "stop"
            return Fault(at, kind, LEADER, seconds, rng.choice(POINTS), rng.randrange(4), do)
        case "API server restarted" | "etcd compacted":
            return Fault(at, kind)
        case "watches cut" | "watches frozen" | "watches garbled":
            # One in three freezes lasts until the replica gives the watch up.
            forever = kind == "watches frozen" and rng.random() < 1 / 3
            lasts = 0.0 if forever else round(rng.uniform(2, 60), 1)
            what = rng.choices(WATCHED, WATCH_WEIGHTS)[0]
            return Fault(at, kind, target, lasts, what, 1, rng.choice(GARBLES))
    return _of_answers(rng, kind, at)


def _of_answers(rng: Random, kind: str, at: float) -> Fault:
    target = rng.choices((LEADER, STANDBY), (0.9, 0.1))[0]
    what = rng.choices(ASKED, WEIGHTS)[0]
    variant = rng.choice(("done", "not done"))
    if kind == "answers 4xx":
        variant = rng.choice(REFUSALS)
    elif kind == "answers 5xx":
        variant = rng.choice(FAILURES)
    return Fault(at, kind, target, round(rng.uniform(0.5, 12), 1), what, rng.randint(1, 4), variant)
