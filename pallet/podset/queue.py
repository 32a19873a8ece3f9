"""The scheduling queue, as far as sets need it."""

from collections.abc import Iterable
from typing import Protocol

from pallet.api.pod import Pod
from pallet.framework.events import ClusterEvent


class Queue(Protocol):
    """Holds the pods that wait."""

    def activate(self, uids: Iterable[str]) -> object:
        """Try pods whose gate has opened, in this order where they have one priority."""
        ...

    def regate(self, uids: Iterable[str]) -> object:
        """Keep pods back whose gate has closed."""
        ...

    def move(self, event: ClusterEvent, old: Pod | None, new: Pod | None) -> object:
        """Try the pods again that something in the cluster may help."""
        ...
