"""The cache: what the API says, plus what was decided and is not seen there yet.

A pod's way through it:

    reserve ──→ Reserved ──assume──→ Assumed ──its binding is seen──→ Bound ──gone or finished──→ (out)
       (out) ────────────assume────────┘  └──forget: the bind definitely failed──→ (out, or Reserved anew)
       (out) ──────────────────── seen with a node ─────────────────────↗

Promised: an assumed pod leaves only by one of the arrows above, never by time. The API wins over an
assumption: a pod seen on another node than assumed is counted there. Events may come in any order between
nodes and pods; a pod on an unknown node is counted and weighs on the node once it appears.

Not promised: that a bound pod's node exists.
"""

from enum import Enum, auto

import msgspec

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot


class Hold(Enum):
    """Why a pod is counted on a node."""

    RESERVED = auto()
    ASSUMED = auto()
    BOUND = auto()


class Placement(msgspec.Struct, frozen=True, gc=False):
    """Where a pod is counted, and why."""

    info: PodInfo
    row: int
    hold: Hold


class Cache:
    """The live snapshot and the only one who changes it."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._placed: dict[str, Placement] = {}

    def placement(self, uid: str) -> Placement | None:
        """Where a pod is counted, if it is."""
        return self._placed.get(uid)

    def count(self, hold: Hold) -> int:
        """How many pods are held for a reason."""
        return sum(placement.hold is hold for placement in self._placed.values())

    def put_node(self, node: Node) -> None:
        """Take note of a node, new or changed."""
        self.snapshot.put_node(node)

    def drop_node(self, name: str) -> None:
        """Take note that a node is gone."""
        self.snapshot.drop_node(name)

    def set_namespace(self, name: str, labels: Labels) -> None:
        """Take note of a namespace's labels."""
        self.snapshot.set_namespace(name, labels)

    def put_pod(self, pod: Pod) -> None:
        """Take note of a pod that the API shows with a node."""
        if pod.finished:
            self.drop_pod(pod)
            return
        info = PodInfo(pod)
        held = self._placed.get(info.uid)
        if held is None:
            self._hold(info, pod.spec.node_name, Hold.BOUND)
        elif self.snapshot.table.name(held.row) != pod.spec.node_name:
            self._release(held)
            self._hold(info, pod.spec.node_name, Hold.BOUND)
        else:
            row = self.snapshot.replace(info, held.row)
            self._placed[info.uid] = Placement(info, row, Hold.BOUND)

    def drop_pod(self, pod: Pod) -> None:
        """Take note that a pod is gone, or has finished."""
        held = self._placed.get(pod.metadata.uid)
        if held is not None:
            self._release(held)

    def reserve(self, info: PodInfo, node_name: str) -> None:
        """Keep room for a planned pod against everybody else; a pod assumed or bound already stays so."""
        held = self._placed.get(info.uid)
        if held is None or held.hold is Hold.RESERVED:
            if held is not None:
                self._release(held)
            self._hold(info, node_name, Hold.RESERVED)

    def unreserve(self, uid: str) -> str | None:
        """Give up the room kept for a planned pod, if it is still only kept, and tell where it was."""
        held = self._placed.get(uid)
        if held is None or held.hold is not Hold.RESERVED:
            return None
        node_name = self.snapshot.table.name(held.row)
        self._release(held)
        return node_name

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
        row = self.snapshot.place(info, node_name)
        self._placed[info.uid] = Placement(info, row, hold)

    def _release(self, held: Placement) -> None:
        self.snapshot.remove(held.info, held.row)
        del self._placed[held.info.uid]
