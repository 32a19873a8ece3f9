"""What is told as events, and about what."""

from typing import Protocol

from pallet.api.pod import Pod
from pallet.api.podset import ScheduleTrigger


class Recorder(Protocol):
    """Writes events, behind everything else and without ever blocking."""

    def event(self, obj: Pod | ScheduleTrigger, *, kind: str, reason: str, action: str, note: str) -> None:
        """Record an event about an object. `kind` is Normal or Warning."""
        ...
