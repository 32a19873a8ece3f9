"""The contracts of plugins: one protocol for each extension point, in the order in which a pod meets them.

A plugin is a class with a `name` and the methods of the extension points it serves. It is made once per
profile, as `Plugin(args, handle)` (see `registry`).

Filter and score come in two forms. The plain one looks at one node at a time. The vector one looks at all
nodes at once, on the columns of the node table, and says by its signature for which pods its verdict is the
same, so that the runtime asks again only for rows that changed. The runtime lifts the plain form to the
vector one.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pallet.api.pod import Pod
from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.selection import PodSelection
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.state import CycleState
from pallet.framework.status import Status

Codes = npt.NDArray[np.uint32]
"""A reason code for each row asked for; 0 lets the pod pass, what the others mean is the plugin's own."""

Scores = npt.NDArray[np.int64]

RowChoice = Rows | slice
"""Which rows of the table are asked for: indexes, or ALL_ROWS."""

ALL_ROWS = slice(None)

MAX_SCORE = 100
MIN_SCORE = 0


class Reads(Enum):
    """What a vector verdict on one row depends on, beside the pod's signature."""

    NODE = auto()
    """The row's node."""
    LOAD = auto()
    """The row's node and the pods placed on it."""
    NODES = auto()
    """All nodes: when one changes, every row is asked for again."""
    CLUSTER = auto()
    """Anything: remembered only if the plugin itself tells what changed (see WatchfulFilterPlugin)."""


class Plugin(Protocol):
    """What every plugin has."""

    name: str


class PodMetadataReader(Plugin, Protocol):
    """A plugin that reads metadata of pods which is dropped where none declares it (see `pod_metadata`)."""

    pod_metadata: frozenset[str]
    """Of `POD_METADATA`, what it reads."""


class EnqueueExtensions(Protocol):
    """Says which events can help the pods that this plugin refused; without it, every event can."""

    def events_to_register(self) -> Sequence[EventInterest]:
        """The events, each with an optional hint."""
        ...


class PreEnqueuePlugin(Protocol):
    """Decides whether a pod may enter the active queue."""

    name: str

    def pre_enqueue(self, pod: Pod) -> Status:
        """Success, or a refusal: the pod is then gated until something activates it."""
        ...


class QueueSortPlugin(Protocol):
    """Orders the active queue. Exactly one is enabled, the same in all profiles."""

    name: str

    def sort_key(self, pod: Pod, queued_at: float) -> tuple[int | float, ...]:
        """A key; the smallest is scheduled first. `queued_at` is in seconds of the queue's clock."""
        ...


class PreFilterPlugin(Protocol):
    """Looks at the pod and the whole cluster before nodes are filtered."""

    name: str

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """The names of the only nodes that can be feasible (None for all), and a status.

        SKIP leaves out this plugin's filter in this cycle.
        """
        ...


class FilterPlugin(Protocol):
    """Decides whether one node can take the pod."""

    name: str

    def filter(self, state: CycleState, pod: Pod, node: NodeInfo) -> Status:
        """Success, or why not."""
        ...


class VectorFilterPlugin(Protocol):
    """Decides for all nodes at once whether they can take the pod.

    It is also asked about hypothetical states, with pods placed or taken away that pre-filter plugins saw
    otherwise: what depends on placed pods is read from the snapshot given, not from the cycle's state.

    One that reads LOAD, but of it nothing but `requested` of pods and of the resources that the pod itself
    requests, and lets a pod pass wherever it does with more requested, may say so with the attribute
    `reads_sums = True`: preemption then asks it about all nodes at once.

    A code has 32 bits. A verdict must not depend on what does not fit into them; where they cannot tell all
    the reasons, there is RowExplainer.
    """

    name: str
    reads: Reads

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """What of the pod the verdict depends on; None when the plugin lets it pass everywhere."""
        ...

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """A code for each of the rows, 0 where the pod fits."""
        ...

    def explain(self, info: PodInfo, code: int) -> Status:
        """What a code other than 0 means."""
        ...


Changes = Callable[[Any, Snapshot, Any], tuple[Any, list[int] | None]]
"""`filter_changes` or `score_changes` of a plugin that has it (see WatchfulFilterPlugin)."""


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


class WatchfulFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter that reads CLUSTER, but knows which of its verdicts a change can concern.

    A score plugin does the same with `score_topic` and `score_changes`.
    """

    def filter_topic(self, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the verdict is about, None for nothing: on one snapshot, equal topics have equal verdicts."""
        ...

    def filter_changes(self, topic: Any, snapshot: Snapshot, stamp: Any) -> tuple[Any, list[int] | None]:
        """A new stamp, and the rows whose verdict may have changed since the old one; None for all rows.

        A stamp is whatever the plugin needs to tell that; it is kept for the plugin, None the first time.
        Asked for each pod, so it must be cheap.
        """
        ...


class CountingPlugin(Plugin, Protocol):
    """A plugin that asks the counters of placed pods, and can say what it will ask for.

    Where that takes long to count for the first time, it is counted before the pod's scheduling cycle.
    """

    def counted(self, pod: Pod, snapshot: Snapshot) -> Iterable[PodSelection]:
        """What answers about this pod count by."""
        ...


class RowFilterPlugin(VectorFilterPlugin, Protocol):
    """A vector filter with a quick way to look at a single row. A score plugin does so with `score_row`."""

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """What filter_rows would say about the row."""
        ...


class RowExplainer(VectorFilterPlugin, Protocol):
    """A vector filter whose code alone may not tell all the reasons: it is explained with this instead.

    Other reasons must have another code all the same.
    """

    def explain_row(self, info: PodInfo, code: int, snapshot: Snapshot, row: int) -> Status:
        """What a code other than 0 means on a row that got it."""
        ...


class PostFilterPlugin(Protocol):
    """Called when no node is feasible, to make one so."""

    name: str

    def post_filter(
        self, state: CycleState, info: PodInfo, refusals: "Sequence[Refusal]", filters: "Filters"
    ) -> tuple[str | None, Status]:
        """A node to nominate and SUCCESS, or a status whose reasons join the pod's message.

        Without success, the empty name takes an earlier nomination away, and None leaves it as it is. The
        first plugin that has success, or finds the pod unresolvable, is the last to be asked.
        """
        ...


class Filters(Protocol):
    """The filters of the profile, for post-filter plugins that suppose the snapshot to be otherwise."""

    def asked(self, state: CycleState, info: PodInfo) -> Sequence[VectorFilterPlugin]:
        """Those with anything to say about a pod, in the configured order."""
        ...

    def key(self, state: CycleState, info: PodInfo) -> Hashable:
        """What they know a pod by: on one snapshot, pods of the same key are the same to them."""
        ...

    def asker(self, state: CycleState, info: PodInfo, *, loads_only: bool = False) -> Callable[[int], Status]:
        """Give what asks them about single rows, as the snapshot then is, room for nominated pods respected.

        It answers SUCCESS, or the first refusal with its plugin named. Nothing is remembered. `loads_only`
        leaves out those that do not look at placed pods.
        """
        ...


class Refusal(Protocol):
    """Why a number of rows were refused."""

    @property
    def status(self) -> Status:
        """The reasons, and the plugin that gave them."""
        ...

    @property
    def rows(self) -> Rows:
        """The rows that got this answer."""
        ...


class PreScorePlugin(Protocol):
    """Looks at the feasible nodes before they are scored by plugins whose scores are not remembered.

    The others (see Reads) are scored without it, so they must not need it.
    """

    name: str

    def pre_score(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Status:
        """Success, or SKIP to leave out this plugin's score in this cycle."""
        ...


class ScorePlugin(Protocol):
    """Ranks one node."""

    name: str

    def score(self, state: CycleState, pod: Pod, node: NodeInfo) -> int:
        """A score; the higher the better, between MIN_SCORE and MAX_SCORE after normalising."""
        ...


class VectorScorePlugin(Protocol):
    """Ranks all nodes at once."""

    name: str
    reads: Reads

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """What of the pod the scores depend on; None when all nodes are alike to the plugin."""
        ...

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """A score for each of the rows."""
        ...


Normalize = Callable[[Scores, int, int], Scores]
"""`normalize` of a plugin that has it (see NormalizingPlugin)."""


class NormalizingPlugin(Protocol):
    """A score plugin whose scores are brought to MIN_SCORE..MAX_SCORE over the feasible nodes."""

    def normalize(self, scores: Scores, low: int, high: int) -> Scores:
        """The scores on the common scale, given the extremes over all feasible nodes."""
        ...


class ReservePlugin(Protocol):
    """Takes note of the chosen node, and undoes it when the pod does not get there."""

    name: str

    def reserve(self, state: CycleState, pod: Pod, node_name: str) -> Status:
        """Success, or a refusal, after which every reserve plugin is asked to unreserve."""
        ...

    def unreserve(self, state: CycleState, pod: Pod, node_name: str) -> None:
        """Undo. Must be safe to call without a reserve before."""
        ...


class PermitPlugin(Protocol):
    """Holds a placed pod back before it is bound."""

    name: str

    def permit(self, state: CycleState, pod: Pod, node_name: str) -> tuple[Status, float]:
        """Success, a refusal, or WAIT with a time-out in seconds."""
        ...


class PreBindPlugin(Protocol):
    """Does what must be done before the pod is bound.

    One that often has nothing to do says so with a method `has_to_prepare(state, pod, node_name) -> bool`
    (kube-scheduler's PreBindPreFlight); it is then not asked further.
    """

    name: str

    async def pre_bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
        """Success, or a refusal: the pod is then tried again."""
        ...


class BindPlugin(Protocol):
    """Binds the pod. The first one that does not answer SKIP has done it."""

    name: str

    async def bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
        """Success, SKIP to leave it to the next one, or an error that certainly left the pod unbound."""
        ...


class PostBindPlugin(Protocol):
    """Told that the pod is bound.

    One that wants the pod's event `Scheduled` in words of its own gives them with a method
    `scheduled_note(pod, node_name) -> str`. There is one such event for a pod; the first plugin words it.
    """

    name: str

    def post_bind(self, state: CycleState, pod: Pod, node_name: str) -> None:
        """Take note."""
        ...
