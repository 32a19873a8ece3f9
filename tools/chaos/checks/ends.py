"""Each process ends only when it is ended, or when it has lost its lease; nothing throws."""

import re
import signal
from collections.abc import Iterator, Mapping
from datetime import datetime

from tools.chaos.history import Violation

THROWN = re.compile(r"^\s*\|?\s*((?:[a-z_]+\.)*[A-Z]\w*(?:Error|Exception|Lost)\b.*)$")
LOGGED = "traceback="
EXPECTED = (None, 0, -signal.SIGKILL, -signal.SIGTERM)
"""How a process ends that is ended. SIGTERM ends it at once while it starts, and while it is ending."""
TOLD = ("leadership lost", "Traceback")
"""What says why a process ends: it has lost its lease, or `threw` tells of it."""
SHOWN = 300
"""Characters of an exception that are shown."""


def threw(logs: Mapping[str, str]) -> Iterator[Violation]:
    """What each process's log tells of exceptions that reached the top, or that were not expected."""
    for agent, log in logs.items():
        at, open_traceback = 0.0, False
        for line in log.splitlines():
            at = _time(line) or at
            if LOGGED in line:
                yield Violation("threw", at, agent, line[line.index(LOGGED) :][-SHOWN:])
            elif "Traceback (most recent call last)" in line:
                open_traceback = True
            elif open_traceback and (found := THROWN.match(line)):
                open_traceback = False
                yield Violation("threw", at, agent, found[1][:SHOWN])


def ended(codes: Mapping[str, int | None], logs: Mapping[str, str]) -> Iterator[Violation]:
    """Processes that ended by themselves for another reason than the loss of their lease."""
    for agent, code in codes.items():
        if code not in EXPECTED and not any(word in logs.get(agent, "") for word in TOLD):
            last = logs.get(agent, "").strip().splitlines()[-1:]
            yield Violation("ended", 0.0, agent, f"with {code}: {''.join(last)[:SHOWN]}")


def _time(line: str) -> float | None:
    try:
        return datetime.fromisoformat(line.partition(" ")[0]).timestamp()
    except ValueError:
        return None
