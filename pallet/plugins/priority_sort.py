"""PrioritySort: higher priority first, then who waits longest."""

from typing import Any

from pallet.api.pod import Pod
from pallet.framework.handle import Handle
from pallet.plugins import names


class PrioritySort:
    """Orders the active queue."""

    name = names.PRIORITY_SORT

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def sort_key(self, pod: Pod, queued_at: float) -> tuple[int | float, ...]:
        """The smallest key goes first."""
        return -pod.spec.priority, queued_at
