"""VolumeBinding: sends pods where their volumes can be reached or made, and has late claims bound."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec.structs import force_setattr

from pallet.api.meta import key_of
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PersistentVolume,
    PersistentVolumeClaim,
)
from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.handle import Handle
from pallet.framework.interface import Codes, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, PluginError, Status, error, unresolvable
from pallet.plugins import names
from pallet.plugins.scoring_strategy import UtilizationShapePoint, by_per_cent, check_shape
from pallet.plugins.volumes import hints
from pallet.plugins.volumes.assumed import AssumeCache, OutOfSyncError
from pallet.plugins.volumes.binder import VolumeBinder
from pallet.plugins.volumes.capacity_scores import CapacityScores
from pallet.plugins.volumes.choice import Binding, VolumeChoice, bind_to, select_node
from pallet.plugins.volumes.free import FreeVolumes
from pallet.plugins.volumes.matching import Matching
from pallet.plugins.volumes.migration import Migration, UntranslatableError
from pallet.plugins.volumes.pod_claims import ClaimReader, PodClaims, UnusableClaimError
from pallet.plugins.volumes.provisioning import Provisioning
from pallet.plugins.volumes.verdicts import (
    NO_VOLUME,
    NOTHING_TO_BIND,
    OUT_OF_REACH,
    TOO_LITTLE_STORAGE,
    Topic,
    Verdicts,
)

if TYPE_CHECKING:
    from pallet.api.pod import Pod

_REASONS = {
    OUT_OF_REACH: "node(s) didn't match PersistentVolume's node affinity",
    NOTHING_TO_BIND: "node(s) didn't find available persistent volumes to bind",
    TOO_LITTLE_STORAGE: "node(s) did not have enough free storage",
    NO_VOLUME: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
}
"""By bit of a code, in the order in which they are told."""

_CLAIMS = f"{names.VOLUME_BINDING}/claims"
_CHOICE = f"{names.VOLUME_BINDING}/choice"


class VolumeBindingArgs(msgspec.Struct, frozen=True, rename="camel"):
    """`bindTimeoutSeconds`: how long a pod waits for its claims to be bound.

    `shape`: the score of a node by the part of its storage that is used then. By default less is better.
    """

    bind_timeout_seconds: Annotated[int, msgspec.Meta(ge=0)] = 600
    shape: tuple[UtilizationShapePoint, ...] = ()

    def __post_init__(self) -> None:
        if not self.shape:
            force_setattr(self, "shape", _LESS_IS_BETTER)
        check_shape(self.shape)


_LESS_IS_BETTER = UtilizationShapePoint(0, 10), UtilizationShapePoint(100, 0)


class Supposed(NamedTuple):
    """What was chosen on a fork: claims by key as they are then, and the volumes that are taken."""

    claims: Mapping[str, PersistentVolumeClaim]
    volumes: tuple[PersistentVolume, ...]


_NOTHING = Supposed({}, ())


class VolumeBinding:
    """A code of the filter has a bit for each reason to refuse a node."""

    name = names.VOLUME_BINDING
    filter_reads = Reads.CLUSTER
    score_reads = Reads.CLUSTER
    args_type = VolumeBindingArgs

    def __init__(self, args: VolumeBindingArgs, handle: Handle) -> None:
        """Take the time-out and the shape, and listen to claims and volumes before the queue does."""
        informers = handle.informers
        self._snapshot = handle.cache.snapshot
        free = FreeVolumes()
        volumes = AssumeCache(informers.informer(PERSISTENT_VOLUMES), free.put)
        claims = AssumeCache(informers.informer(PERSISTENT_VOLUME_CLAIMS))
        self._reader = ClaimReader(informers, claims)
        self._matching = Matching(free)
        migration = Migration(informers)
        provisioning = Provisioning(informers)
        self._verdicts = Verdicts(volumes, free, self._matching, provisioning, migration)
        self._scores = CapacityScores(free, self._matching, provisioning, by_per_cent(args.shape))
        self._binder = VolumeBinder(handle, volumes, claims, migration, args.bind_timeout_seconds)
        self._topic: tuple[Pod | None, Topic | None] = (None, None)
        """Of the pod that was read last; topics are asked for without the cycle's state."""

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Read the pod's claims. Refuse it while one is not in order; skip the filter if any node will do."""
        if self.filter_signature(info) is None:
            return None, SKIP
        try:
            supposed = _supposed(snapshot)
            claims = self._reader.read(info.pod, supposed.claims)
        except UnusableClaimError as unusable:
            return None, unresolvable(str(unusable))
        state.write(_CLAIMS, claims)
        if not self._scores.may_differ(claims):
            state.skip_score(self.name)
        if self._verdicts.all_nodes_will_do(claims):
            return None, SKIP
        self._topic = info.pod, None if supposed.claims else self._verdicts.topic(claims)
        return None, SUCCESS

    def filter_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod with claims, unless left out above."""
        return self.name if info.volumes.claims or info.volumes.ephemeral else None

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        """All that stands against each row. Raise PluginError for a volume without the CSI form it needs."""
        try:
            return self._verdicts.codes(
                state.read(_CLAIMS), snapshot.table, rows, _supposed(snapshot).volumes
            )
        except UntranslatableError as mistake:
            raise PluginError(self.name, str(mistake)) from mistake

    def filter_row(self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int) -> int:
        """All that stands against one row. Raise PluginError as above."""
        try:
            return self._verdicts.code(state.read(_CLAIMS), snapshot.table, row, _supposed(snapshot).volumes)
        except UntranslatableError as mistake:
            raise PluginError(self.name, str(mistake)) from mistake

    def filter_topic(self, info: PodInfo, snapshot: Snapshot) -> Hashable | None:
        """What the pod's claims want; their name for a verdict that is not worth keeping."""
        if self.filter_signature(info) is None:
            return None
        pod, topic = self._topic
        return self.name if topic is None or pod is not info.pod else topic

    def filter_changes(self, topic: Any, snapshot: Snapshot, stamp: Any) -> tuple[Any, list[int] | None]:
        """The nodes that changed, and those that reach volumes that came or went."""
        return (
            self._verdicts.changes(topic, snapshot.table, stamp) if isinstance(topic, Topic) else (None, None)
        )

    def explain(self, info: PodInfo, code: int) -> Status:
        """All reasons. None goes away by taking pods away."""
        return _refusal(code)

    def pre_score(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Status:
        """Rank the nodes; pods that have nothing to bind are left out above."""
        return SUCCESS

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """Asked about every pod with claims, unless left out above."""
        return self.filter_signature(info)

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """By the storage that is used then, as the shape says."""
        taken = _supposed(snapshot).volumes
        return self._scores.of(state.read(_CLAIMS), snapshot.table, rows, taken)

    def reserve(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Choose volumes for the claims that need them, and assume them kept."""
        claims: PodClaims | None = state.read(_CLAIMS)
        if claims is None or not (claims.started or claims.unbound):
            return SUCCESS
        table = self._snapshot.table
        row = table.row_of.get(node_name)
        node = None if row is None else table.nodes[row]
        if row is None or node is None:
            return error(f'node "{node_name}" not found')
        choice = VolumeChoice(provisions=list(claims.started))
        found = self._matching.choose(claims.unbound, node.metadata.labels)
        for each, volume in zip(claims.unbound, found, strict=True):
            if volume is None:
                choice.provisions.append(each.claim)
            else:
                choice.bindings.append(Binding(volume, each.claim))
        try:
            if choice.provisions:  # the cluster may have gone on since the filter, while extenders were asked
                code = self._verdicts.code(claims, table, row)
                if code:
                    return _refusal(code)
            state.write(_CHOICE, self._binder.assume(choice, node_name))
        except (OutOfSyncError, UntranslatableError) as moved_on:
            return error(str(moved_on))
        return SUCCESS

    def suppose(self, info: PodInfo, fork: Fork, node_name: str) -> None:
        """Choose as for a pod that is scheduled: the volumes are taken, the claims bound or begun with."""
        if self.filter_signature(info) is None:
            return
        before, node = _supposed(fork), fork.table.nodes[fork.table.row_of[node_name]]
        try:
            claims = self._reader.read(info.pod, before.claims)
        except UnusableClaimError:
            return  # as its filter says
        if not claims.unbound or node is None:
            return
        found = self._matching.choose(claims.unbound, node.metadata.labels, before.volumes)
        decided = {
            key_of(each.claim): bind_to(each.claim, volume) if volume else select_node(each.claim, node_name)
            for each, volume in zip(claims.unbound, found, strict=True)
        }
        volumes = (*before.volumes, *(volume for volume in found if volume is not None))
        fork.keep(self.name, Supposed({**before.claims, **decided}, volumes))

    def unreserve(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        """Take back what was assumed and not written."""
        choice: VolumeChoice | None = state.read(_CHOICE)
        if choice is not None:
            self._binder.restore(choice)

    def has_to_prepare(self, state: CycleState, info: PodInfo, node_name: str) -> bool:
        """Whether there is anything to write."""
        return state.read(_CHOICE) is not None

    async def pre_bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Write the choice, and wait until all claims are bound."""
        choice: VolumeChoice | None = state.read(_CHOICE)
        return SUCCESS if choice is None else await self._binder.bind(info.pod, node_name, choice)

    def events_to_register(self) -> list[EventInterest]:
        """Volumes, claims, classes, nodes, drivers and capacities."""
        return hints.interests()


def _supposed(snapshot: Snapshot) -> Supposed:
    kept = snapshot.kept_by(names.VOLUME_BINDING)
    return kept if isinstance(kept, Supposed) else _NOTHING


def _refusal(code: int) -> Status:
    return unresolvable(*(reason for bit, reason in _REASONS.items() if code & bit))
