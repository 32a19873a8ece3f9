"""The contracts of plugins: one protocol for each extension point, in the order in which a pod meets them.

A plugin is a class with a `name` and the methods of the extension points it serves. It is made once per
profile, as `Plugin(args, handle)` (see `registry`).

Every method gets the pod that it is about as a `PodInfo`, the pod with what placement derives from it. A node
that is judged is a `NodeInfo`, or a row of a snapshot; the node that was chosen is given by its name, for it
may change or go while the pod is being bound.

Filter and score come in two forms. The plain one looks at one node at a time, the vector one at all nodes at
once, on the columns of the node table. A plugin that says what its answers depend on, as the vector form has
to, is asked again only for rows that changed. The runtime lifts the plain form to the vector one. What else a
plugin may have is in `hooks`.
"""

from collections.abc import Callable, Hashable, Sequence
from enum import Enum, auto
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, NodeInfo, Snapshot
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


class PreEnqueuePlugin(Protocol):
    """Decides whether a pod may enter the active queue."""

    name: str

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Success, or a refusal: the pod is then gated until something activates it."""
        ...


class QueueSortPlugin(Protocol):
    """Orders the active queue. Exactly one is enabled, the same in all profiles."""

    name: str

    def sort_key(self, info: PodInfo, queued_at: float) -> tuple[int | float, ...]:
        """A key; the smallest is scheduled first. `queued_at` is in seconds of the queue's clock."""
        ...


class PreFilterPlugin(Protocol):
    """Looks at the pod and the whole cluster before nodes are filtered."""

    name: str

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """The names of the only nodes that can be feasible (None for all), and a status.

        SKIP leaves out this plugin's filter in this cycle, and `state.skip_score(self.name)` its score.
        """
        ...


class FilterDependence(Protocol):
    """Says what the verdicts of a filter depend on; they are remembered as long as that stays the same.

    The vector form has to, the plain form may. What a pre-filter method wrote to the state has to follow from
    the same: a remembered verdict holds for other pods, in other cycles.
    """

    name: str
    filter_reads: Reads

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """What of the pod the verdict depends on; None when the plugin lets it pass everywhere."""
        ...


class FilterPlugin(Protocol):
    """Decides whether one node can take the pod."""

    name: str

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        """Success, or why not."""
        ...


class VectorFilterPlugin(FilterDependence, Protocol):
    """Decides for all nodes at once whether they can take the pod.

    It is also asked about hypothetical states, with pods placed or taken away that pre-filter plugins saw
    otherwise: what depends on placed pods is read from the snapshot given, not from the cycle's state.

    A code has 32 bits. A verdict must not depend on what does not fit into them; where they cannot tell all
    the reasons, there is RowExplainer.
    """

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """A code for each of the rows, 0 where the pod fits."""
        ...

    def explain(self, info: PodInfo, code: int) -> Status:
        """What a code other than 0 means."""
        ...


class PostFilterPlugin(Protocol):
    """Called when no node is feasible, to make one so."""

    name: str

    def post_filter(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: "Sequence[Refusal]",
        filters: "Filters",
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

    def asker(
        self, state: CycleState, info: PodInfo, fork: Fork, *, loads_only: bool = False
    ) -> Callable[[int], Status]:
        """Give what asks them about single rows, as the fork then is, room for nominated pods respected.

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


class ScoreDependence(Protocol):
    """Says what the scores of a plugin depend on, as `FilterDependence` does for a filter."""

    name: str
    score_reads: Reads

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """What of the pod the scores depend on; None when all nodes are alike to the plugin."""
        ...


class ScorePlugin(Protocol):
    """Ranks one node."""

    name: str

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        """A score; the higher the better, between MIN_SCORE and MAX_SCORE after normalising."""
        ...


class VectorScorePlugin(ScoreDependence, Protocol):
    """Ranks all nodes at once."""

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """A score for each of the rows."""
        ...


class ReservePlugin(Protocol):
    """Takes note of the chosen node, and undoes it when the pod does not get there."""

    name: str

    def reserve(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Success, or a refusal, after which every reserve plugin is asked to unreserve."""
        ...

    def unreserve(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        """Undo. Must be safe to call without a reserve before."""
        ...


class PermitPlugin(Protocol):
    """Holds a placed pod back before it is bound."""

    name: str

    def permit(self, state: CycleState, info: PodInfo, node_name: str) -> tuple[Status, float]:
        """Success, a refusal, or WAIT with a time-out in seconds."""
        ...


class PreBindPlugin(Protocol):
    """Does what must be done before the pod is bound."""

    name: str

    async def pre_bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Success, or a refusal: the pod is then tried again."""
        ...


class BindPlugin(Protocol):
    """Binds the pod. The first one that does not answer SKIP has done it."""

    name: str

    async def bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Success, SKIP to leave it to the next one, or an error that certainly left the pod unbound."""
        ...


class PostBindPlugin(Protocol):
    """Told that the pod is bound."""

    name: str

    def post_bind(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        """Take note."""
        ...
