"""I9: no write starts after the renew deadline, and none is carried out when the lease is over."""

from collections.abc import Iterator

from tools.chaos.history import History, Violation, Write

RENEW_DEADLINE = 10.0
LEASE_DURATION = 15.0
"""Seconds, as in the configuration that the replicas run with."""

TRANSIT = 0.25
"""Seconds that a request may take from the process to the API server."""

ASKS_ONLY = ("tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews")
"""These are questions, in the form of writes."""


def no_write_after_the_deadline(history: History) -> Iterator[Violation]:
    """I9, over every write but those of the lease itself.

    A renewal counts from when the API server received it, which is later than when it was sent.
    """
    renewed: dict[str, float] = {}
    leader = ""
    for write in history.writes:
        if write.resource == "leases":
            if write.done:
                leader = write.agent if write.holder else ""
                renewed[write.agent] = write.at
        elif write.resource not in ASKS_ONLY and (why := _forbidden(write, renewed, leader)):
            subject = f"{write.agent}: {write.verb} {write.resource} {write.namespace}/{write.name}"
            yield Violation("I9", write.at, subject, why)


def _forbidden(write: Write, renewed: dict[str, float], leader: str) -> str:
    if write.agent not in renewed:
        return "the process has never led"
    if leader != write.agent:
        return f"the lease is held by {leader or 'nobody'}"
    late = write.at - renewed[write.agent] - RENEW_DEADLINE
    if late > TRANSIT:
        return f"{late:.2f} s after the renew deadline"
    over = write.at + write.seconds - renewed[write.agent] - LEASE_DURATION
    if write.done and over > 0:
        return f"carried out {over:.2f} s after the end of the lease"
    return ""
