"""Optional hooks: what a plugin may have beside the methods of its extension points.

Each is a protocol here. Whoever declares a hook gets it called; no plugin needs any. Together with the
protocols in `interface` these are all names that are looked up on a plugin (see `contract`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.interface import (
    Codes,
    Plugin,
    PostBindPlugin,
    PreBindPlugin,
    Scores,
    VectorFilterPlugin,
    VectorScorePlugin,
)
from pallet.framework.state import CycleState
from pallet.framework.status import Status


class PluginWithArgs(Plugin, Protocol):
    """A plugin that takes arguments from the configuration file."""

    args_type: type[Any]
    """The msgspec struct into which its arguments are decoded."""


class PodMetadataReader(Plugin, Protocol):
    """A plugin that reads metadata of pods which is dropped where none declares it (see `pod_metadata`)."""

    pod_metadata: frozenset[str]
    """Of `POD_METADATA`, what it reads."""


class PlanFollowerPlugin(Plugin, Protocol):
    """A plugin that sends a pod where its plan says. Who makes a plan decides without it."""

    follows_plan: bool


class SupposingPlugin(Plugin, Protocol):
    """A plugin with state of its own about what pods take, such as the volumes that it chose for them.

    On a hypothetical snapshot nothing is reserved. What the pods take there is kept in the fork.
    """

    def suppose(self, info: PodInfo, fork: Fork, node_name: str) -> None:
        """A pod was placed on a node of a fork: keep what it takes (`Fork.keep`), and read it (`kept_by`)."""
        ...


class EnqueueExtensions(Plugin, Protocol):
    """Says which events can help the pods that this plugin refused; without it, every event can."""

    def events_to_register(self) -> Sequence[EventInterest]:
        """The events, each with an optional hint."""
        ...


class CountingPlugin(Plugin, Protocol):
    """A plugin that asks the counters of placed pods, and can say what it will ask for.

    Where that takes long to count for the first time, it is counted before the pod's scheduling cycle.
    """

    def counted(self, info: PodInfo, snapshot: Snapshot) -> Iterable[PodSelection]:
        """What answers about this pod count by."""
        ...


class RowFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter with a quick way to look at a single row."""

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """What filter_rows would say about the row."""
        ...


class RowScorePlugin(VectorScorePlugin, Protocol):
    """A vector score with a quick way to look at a single row."""

    def score_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """What score_rows would say about the row."""
        ...


class RowExplainer(VectorFilterPlugin, Protocol):
    """A vector filter whose code alone may not tell all the reasons: it is explained with this instead.

    Other reasons must have another code all the same.
    """

    def explain_row(self, info: PodInfo, code: int, snapshot: Snapshot, row: int) -> Status:
        """What a code other than 0 means on a row that got it."""
        ...


Changes = Callable[[Any, Snapshot, Any], tuple[Any, list[int] | None]]
"""`filter_changes` or `score_changes` of a plugin that has it."""


class WatchfulFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter that reads CLUSTER, but knows which of its verdicts a change can concern."""

    def filter_topic(self, info: PodInfo, snapshot: Snapshot) -> Any:
        """What the verdict is about, a hashable value, None for nothing.

        On one snapshot, equal topics have equal verdicts.
        """
        ...

    def filter_changes(self, topic: Any, snapshot: Snapshot, stamp: Any) -> tuple[Any, list[int] | None]:
        """A new stamp, and the rows whose verdict may have changed since the old one; None for all rows.

        A stamp is whatever the plugin needs to tell that; it is kept for the plugin, None the first time.
        Asked for each pod, so it must be cheap.
        """
        ...


class WatchfulScorePlugin(VectorScorePlugin, Protocol):
    """The same for a vector score."""

    def score_topic(self, info: PodInfo, snapshot: Snapshot) -> Any:
        """See `filter_topic`."""
        ...

    def score_changes(self, topic: Any, snapshot: Snapshot, stamp: Any) -> tuple[Any, list[int] | None]:
        """See `filter_changes`."""
        ...


class SumsFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter that reads LOAD, and of the placed pods only how much they request in sum.

    That is `requested` of pods and of the resources that the pod itself requests. It lets a pod pass wherever
    it does with more requested. Preemption then asks it about all nodes at once.
    """

    filter_reads_sums: bool


class NeighbourFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter that can tell whether single pods alone keep another pod from their node.

    Preemption then need not have all others go to find out.
    """

    def filter_beside(self, info: PodInfo, others: Iterable[PodInfo]) -> int:
        """A code other than 0 where any of the others is enough to refuse the pod."""
        ...


class FarFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter that can tell where pods on other nodes alone keep a pod away.

    Preemption, which has pods go from one node, then need not try these nodes.
    """

    def filter_regardless(self, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Codes:
        """The code of each row on which it stays the same whoever goes from that row; 0 elsewhere."""
        ...


Normalize = Callable[[Scores, int, int], Scores]
"""`normalize` of a plugin that has it (see NormalizingPlugin)."""


class NormalizingPlugin(Plugin, Protocol):
    """A score plugin, of either form, whose scores are brought to MIN_SCORE..MAX_SCORE."""

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        """The scores on the common scale, given the extremes over all feasible nodes."""
        ...


class PreBindPreFlight(PreBindPlugin, Protocol):
    """A pre-bind plugin that often has nothing to do (kube-scheduler's PreBindPreFlight)."""

    def has_to_prepare(self, state: CycleState, info: PodInfo, node_name: str) -> bool:
        """Whether to call `pre_bind` for the pod."""
        ...


class ScheduledNote(PostBindPlugin, Protocol):
    """A post-bind plugin that has the pod's event `Scheduled` in words of its own."""

    def scheduled_note(self, state: CycleState, info: PodInfo, node_name: str) -> str:
        """The note. There is one such event for a pod; the first plugin words it."""
        ...
