"""PrioritySort: higher priority first, then who waits longest."""

from typing import Any

from pallet.cache.pod_info import PodInfo
from pallet.framework.handle import Handle
from pallet.plugins import names


class PrioritySort:
    """Orders the active queue."""

    name = names.PRIORITY_SORT

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def sort_key(self, info: PodInfo, queued_at: float) -> tuple[int | float, ...]:
        """The smallest key goes first."""
        return -info.pod.spec.priority, queued_at
