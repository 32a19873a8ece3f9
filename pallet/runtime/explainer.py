"""Why a pod fits nowhere: for each node which plugin, in the configured order, was the first to refuse it."""

from collections.abc import Sequence

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus, blame, not_satisfied
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.state import CycleState
from pallet.runtime.memory import FilterMemory
from pallet.runtime.nominated_pods import NominatedPods
from pallet.runtime.remembered_diagnosis import RememberedDiagnosis, apart_from, refused_in_order
from pallet.runtime.row_filters import without


class Explainer:
    """Gathers the refusals of one profile's filters on one snapshot."""

    def __init__(
        self, filters: Sequence[FilterMemory], nominated_pods: NominatedPods, snapshot: Snapshot
    ) -> None:
        self._filters = filters
        self._uncacheable = [each for each in filters if not each.cacheable]
        self._nominated_pods = nominated_pods
        self._snapshot = snapshot

    def everywhere(
        self, state: CycleState, info: PodInfo, known: RememberedDiagnosis
    ) -> tuple[NodesToStatus, ...]:
        """The refusals of a pod that may go anywhere: the diagnosis of its class, where it is complete."""
        table = self._snapshot.table
        if any(each.asked(state, info) for each in self._uncacheable):
            return self.among(state, info, table.live.nonzero()[0], (), None)
        refusals = known.read(info, self._snapshot)
        if self._snapshot.nominator:
            yielding, _ = self._nominated_pods.explain(state, info, table.live.nonzero()[0])
            if yielding:
                return (*yielding, *apart_from(yielding, refusals, table.capacity))
        return refusals

    def among(
        self,
        state: CycleState,
        info: PodInfo,
        rows: Rows,
        narrowed_by: tuple[str, ...],
        extender_result: ExtenderResult | None,
    ) -> tuple[NodesToStatus, ...]:
        """The refusals of a pod of which only some rows are considered; every filter is asked.

        The other rows count against the plugins that left them out. Of rows that no plugin refuses, extenders
        may say why not.
        """
        table = self._snapshot.table
        refusals: list[NodesToStatus] = []
        if narrowed_by:
            others = without(table.live.nonzero()[0], rows, table.capacity)
            refusals += blame(not_satisfied(narrowed_by), narrowed_by, others)
        yielding, rows = self._nominated_pods.explain(state, info, rows)
        refused, rows = refused_in_order(self._filters, state, info, self._snapshot, rows)
        refusals += [*yielding, *refused]
        if extender_result is not None:
            refusals += self._by_extenders(rows, extender_result)
        return tuple(refusals)

    def _by_extenders(self, rows: Rows, result: ExtenderResult) -> list[NodesToStatus]:
        name = self._snapshot.table.name
        statuses = [result.refused.get(name(row)) for row in rows.tolist()]
        told = dict.fromkeys(status for status in statuses if status is not None)
        return [NodesToStatus(status, rows[[each == status for each in statuses]]) for status in told]
