"""What is done to the replicas and to the API server, and when: a pure function of the seed."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random

import msgspec

from tools.chaos.load import Act, contest, draw_load
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


UNSEEN = "taken over unseen"
LEADS_SHARE = 0.25
"""The part of the time in which the standby sees no pods before the leader is stopped: it binds some in that
part, and the standby takes over and binds in the rest."""

SEEN_SECONDS = 5.0
"""How long before that time the pods are made that the standby will bind, and how long after its beginning
those that it does not see."""

LEASE_SECONDS = 20.0
"""How long after the leader was stopped the standby leads."""

PER_HOUR: Mapping[str, int] = {
    "SIGKILL": 26,
    "SIGTERM": 26,
    "SIGSTOP": 28,
    "killed at a point": 40,
    "stopped at a point": 36,
    UNSEEN: 24,
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
    faults = [fault for kind, count in PER_HOUR.items() for fault in _of_kind(seed, kind, count, minutes)]
    faults = sorted(_moved(faults), key=lambda fault: fault.at)
    load = [*draw_load(seed, minutes, nodes), *_contests(faults, minutes * 60)]
    load.sort(key=lambda act: act.at)
    return Timeline(seed, minutes, nodes, tuple(faults), tuple(load))


def undisturbed(fault: Fault) -> tuple[float, float]:
    """From when until when no other fault begins."""
    return fault.at - SEEN_SECONDS, _switched(fault) + SEEN_SECONDS


def _moved(faults: list[Fault]) -> Iterator[Fault]:
    """Let a take-over unseen meet no other fault: those come one after another when it is done."""
    unseen = [undisturbed(fault) for fault in faults if fault.kind == UNSEEN]
    for fault in faults:
        at = fault.at
        if fault.kind != UNSEEN:
            for start, end in unseen:
                at = round(end + (at - start) / 4, 1) if start < at < end else at
        yield msgspec.structs.replace(fault, at=at)


def _switched(fault: Fault) -> float:
    """When the standby leads, and gets pods to bind."""
    return fault.at + fault.seconds * LEADS_SHARE + LEASE_SECONDS


def _contests(faults: Iterable[Fault], end: float) -> Iterator[Act]:
    """For each take-over unseen, pods that the standby has seen wait, and others that it does not see."""
    for index, fault in enumerate(each for each in faults if each.kind == UNSEEN):
        before, meanwhile = fault.at - SEEN_SECONDS, fault.at + SEEN_SECONDS
        moments = (before, meanwhile, _switched(fault), fault.at + fault.seconds + 10)
        yield from contest(f"contest-{index}", *(round(min(max(0.0, at), end), 2) for at in moments))


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
        case "taken over unseen":
            return Fault(at, kind, STANDBY, round(rng.uniform(45, 60), 1), "pods")
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
