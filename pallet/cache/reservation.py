"""Room that is reserved for pods which are planned, and neither bound nor about to be."""

from typing import TYPE_CHECKING, NamedTuple

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo

if TYPE_CHECKING:
    from collections.abc import Callable


class Owner:
    """What room is reserved for, such as a pod set.

    firm: whether the room is held against every pod; if not, only against pods of an equal or lower priority
    reserved: the node by UID of each pod with a reservation; the cache alone changes it
    outranked: called with each pod whose room was taken for a pod of a higher priority; set by the owner
    """

    __slots__ = ("firm", "outranked", "reserved")

    def __init__(self, *, firm: bool = False) -> None:
        self.firm = firm
        self.reserved: dict[str, Reservation] = {}
        self.outranked: Callable[[Pod], object] = _nothing


class Reservation(NamedTuple):
    """The room of one pod on a node, by name."""

    info: PodInfo
    node: str
    owner: Owner


def _nothing(_: Pod) -> None:
    """Do nothing."""
