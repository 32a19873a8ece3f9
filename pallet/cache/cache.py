"""The cache: what the API says, plus what was decided and is not seen there yet.

A pod's way through it:

    reserve ──→ Reserved ──assume──→ Assumed ──its binding is seen──→ Bound ──gone or finished──→ (out)
       (out) ────────────assume────────┘  └──forget: the bind definitely failed──→ (out, or Reserved again)
       (out) ──────────────────── seen with a node ─────────────────────↗

Promised: an assumed pod leaves only by one of the arrows above, never by time. The API wins over an
assumption: a pod seen on another node than assumed is counted there. Events may come in any order between
nodes and pods. A pod on a node that there is not, or not any more, is held all the same. It is counted in
the snapshot once there is such a node; until then it takes no row there.

A reservation is held for an owner. Until that owner is firm, pods of a higher priority do not have to respect
it: one that finds no node is tried again on a fork without them (`yielding`, `outrank`).
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import TYPE_CHECKING

import msgspec

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner, Reservation

if TYPE_CHECKING:
    from pallet.cache.snapshot import Snapshot


class Hold(Enum):
    """Why a pod is counted on a node."""

    RESERVED = auto()
    ASSUMED = auto()
    BOUND = auto()


class PodLocation(msgspec.Struct, frozen=True, gc=False):
    """On which node a pod is counted, by name, and why. There may be no such node."""

    info: PodInfo
    node: str
    hold: Hold


class Cache:
    """The live snapshot, which others read, and the only one who changes it."""

    def __init__(self) -> None:
        self._live = LiveSnapshot()
        self.snapshot: Snapshot = self._live
        self._placed: dict[str, PodLocation] = {}
        self._reservations: dict[str, Reservation] = {}
        self._owners: dict[Owner, None] = {}
        self._without_node: dict[str, dict[str, PodInfo]] = {}
        """By name of a node that there is not, the pods on it by UID."""

    def location(self, uid: str) -> PodLocation | None:
        """Where a pod is counted, if it is."""
        return self._placed.get(uid)

    def locations(self) -> list[tuple[str, PodLocation]]:
        """Where every counted pod is, by UID."""
        return list(self._placed.items())

    def count(self, hold: Hold) -> int:
        """How many pods are held for a reason."""
        return sum(placement.hold is hold for placement in self._placed.values())

    def put_node(self, node: Node) -> None:
        """Add or update a node; the pods on a new one are counted there from now on."""
        self._live.put_node(node)
        for info in self._without_node.pop(node.metadata.name, {}).values():
            self._live.place(info, node.metadata.name)

    def drop_node(self, name: str) -> None:
        """Remove a node; the pods on it are counted again when it comes back."""
        pods = self._live.drop_node(name)
        if pods:
            self._without_node[name] = {info.uid: info for info in pods}

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of a namespace's labels."""
        self._live.set_namespace(name, labels)

    def put_pod(self, pod: Pod) -> None:
        """Take note of a pod that the API shows with a node."""
        if pod.finished:
            self.drop_pod(pod)
            return
        info, node = PodInfo(pod), pod.spec.node_name
        held = self._placed.get(info.uid)
        if held is not None and held.node == node and node in self.snapshot.table.row_of:
            self._end_reservation(info.uid)
            self._live.replace(info, self.snapshot.table.row_of[node])
            self._placed[info.uid] = PodLocation(info, node, Hold.BOUND)
        else:
            if held is not None:
                self._release(held)
            self._hold(info, node, Hold.BOUND)

    def drop_pod(self, pod: Pod) -> None:
        """Take note that a pod is gone, or has finished."""
        held = self._placed.get(pod.metadata.uid)
        if held is not None:
            self._release(held)

    def reserve(self, info: PodInfo, node_name: str, owner: Owner) -> None:
        """Hold room for a planned pod; a pod assumed or bound already stays so."""
        held = self._placed.get(info.uid)
        if held is None or held.hold is Hold.RESERVED:
            if held is not None:
                self._release(held)
            self._hold(info, node_name, Hold.RESERVED)
            self._reservations[info.uid] = owner.reserved[info.uid] = Reservation(info, node_name, owner)
            self._owners[owner] = None

    def unreserve(self, uid: str) -> Reservation | None:
        """Give up the room held for a planned pod, if it is still only reserved, and tell what it was."""
        reservation = self._reservations.get(uid)
        if reservation is not None:
            self._release(self._placed[uid])
        return reservation

    def yielding(self, priority: int) -> list[Reservation]:
        """Give the reservations that do not count against pods of a priority.

        They are those of a lower priority whose owner is not firm yet.
        """
        return [
            reservation
            for owner in self._owners
            if not owner.firm
            for reservation in owner.reserved.values()
            if reservation.info.pod.spec.priority < priority
        ]

    def outrank(self, reservations: Iterable[Reservation]) -> None:
        """Give up reservations whose room is taken by a pod of a higher priority; their owners are told."""
        for reservation in reservations:
            self.unreserve(reservation.info.uid)
            reservation.owner.outranked(reservation.info.pod)

    def assume(self, info: PodInfo, node_name: str) -> None:
        """Count a pod on the node it is about to be bound to."""
        held = self._placed.get(info.uid)
        if held is not None:
            if held.hold is not Hold.RESERVED:
                raise ValueError(f"pod {info.pod.key} is {held.hold.name.lower()} already")
            self._release(held)
        self._hold(info, node_name, Hold.ASSUMED)

    def forget(self, uid: str) -> None:
        """Take an assumption back: the bind definitely failed, or never started."""
        held = self._placed.get(uid)
        if held is not None and held.hold is Hold.ASSUMED:
            self._release(held)

    def _hold(self, info: PodInfo, node_name: str, hold: Hold) -> None:
        if node_name in self.snapshot.table.row_of:
            self._live.place(info, node_name)
        else:
            self._without_node.setdefault(node_name, {})[info.uid] = info
        self._placed[info.uid] = PodLocation(info, node_name, hold)

    def _release(self, held: PodLocation) -> None:
        del self._placed[held.info.uid]
        self._end_reservation(held.info.uid)
        row = self.snapshot.table.row_of.get(held.node)
        if row is not None:
            self._live.remove(held.info, row)
            return
        others = self._without_node[held.node]
        del others[held.info.uid]
        if not others:
            del self._without_node[held.node]

    def _end_reservation(self, uid: str) -> None:
        reservation = self._reservations.pop(uid, None)
        if reservation is not None:
            owner = reservation.owner
            del owner.reserved[uid]
            if not owner.reserved:
                del self._owners[owner]
