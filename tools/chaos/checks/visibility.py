"""When a replica could know of a change: the price of an asynchronous world, and where it ends.

A write that a change made wrong is excused when it was sent

- within `GRACE` seconds of the change, or
- before the change could reach the replica (its watch of that resource was cut, frozen, or the process was
  stopped), or within `GRACE` of the moment when it could, as long as the watch had not been silent for longer
  than `DEADLINE`: by then a replica must have noticed.

Everything else is a violation.
"""

from collections.abc import Iterable

from pallet.informers.reflector import SILENCE
from tools.chaos.history import Blind, Write

GRACE = 1.0
DEADLINE = SILENCE


def excused(blind: Iterable[Blind], write: Write, resource: str, changed: float) -> bool:
    """Whether the sender of a write could not know of a change of a resource at a time."""
    if write.at - changed <= GRACE:
        return True
    replica = write.agent.partition("-")[0]
    mine = sorted(
        (each for each in blind if each.replica == replica and each.resource in ("", resource)),
        key=lambda each: each.start,
    )
    since, until = changed, changed
    for each in mine:
        if each.start <= until + GRACE and each.end >= until:
            since, until = min(since, each.start), each.end
    return until > changed and write.at <= until + GRACE and write.at - since <= DEADLINE + GRACE
