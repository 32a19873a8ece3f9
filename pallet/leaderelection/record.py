"""The decisions of leader election, pure: what to do about a lease, and what to write into it.

The rules are those of k8s.io/client-go/tools/leaderelection, so that replicas of either kind exclude each
other. No time of another machine is ever compared with ours: a lease has run out when, for as long as it
says it lasts, nobody here has seen its record change.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from math import ceil

from pallet.api.core import Lease, LeaseSpec


class Action(Enum):
    """What to do about a lease."""

    WAIT = auto()
    CREATE = auto()
    TAKE = auto()
    RENEW = auto()


@dataclass(frozen=True, slots=True)
class Observation:
    """A lease as last read (None: there is none), and when its record was first like that, in local time."""

    lease: Lease | None
    at: float

    def then(self, lease: Lease | None, now: float) -> "Observation":
        """Take in what was read at `now`: only a changed record counts as a sign of life of its holder."""
        same = lease and self.lease and lease.spec == self.lease.spec
        return Observation(lease, self.at if same else now)

    @property
    def holder(self) -> str:
        """The identity in the lease; empty when nobody holds it."""
        return self.lease.spec.holder_identity if self.lease else ""

    @property
    def runs_out(self) -> float:
        """The local time at which another process may take the lease."""
        return self.at + (self.lease.spec.lease_duration_seconds if self.lease else 0)


def decide(seen: Observation, now: float, identity: str) -> Action:
    """Say what the candidate `identity` does at the local time `now`."""
    if seen.lease is None:
        return Action.CREATE
    if seen.holder == identity:
        return Action.RENEW
    if not seen.holder or now >= seen.runs_out:
        return Action.TAKE
    return Action.WAIT


def claimed(old: Lease | None, identity: str, lease_duration: float, wall: datetime) -> LeaseSpec:
    """Give the record by which `identity` holds the lease for `lease_duration` seconds from `wall` (UTC)."""
    now = _micro_time(wall)
    ours = old is not None and old.spec.holder_identity == identity
    transitions = old.spec.lease_transitions if old else 0
    return LeaseSpec(
        holder_identity=identity,
        lease_duration_seconds=ceil(lease_duration),  # whole seconds; longer is safe, shorter is not
        acquire_time=old.spec.acquire_time if old and ours else now,
        renew_time=now,
        lease_transitions=transitions if ours or old is None else transitions + 1,
    )


def released(old: Lease, wall: datetime) -> LeaseSpec:
    """Give the record that lets the next one take the lease at once."""
    now = _micro_time(wall)
    return LeaseSpec(
        lease_duration_seconds=1,  # 0 is not allowed
        acquire_time=now,
        renew_time=now,
        lease_transitions=old.spec.lease_transitions,
    )


def _micro_time(wall: datetime) -> str:
    """Write a UTC time as a MicroTime of the Kubernetes API."""
    return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
