"""DefaultPreemption: makes room for a pod that fits nowhere, by having less important ones go.

As kube-scheduler's plugin of this name with `minCandidateNodesPercentage: 100`: wherever it can, it looks at
all nodes and takes the best, not the best of some. What would hold up the loop for too long is done in parts:
a candidate among the nodes looked at so far will do, and without one the pod is tried again soon. For what
there is to it see `pallet.plugins.preemption`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import anyio
import msgspec
import numpy as np

from pallet.api.pod import Pod
from pallet.bounded_cache import MIB, BoundedCache, footprint
from pallet.cache.columns import Mask
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import NodesToStatus, fit_message
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.extender_result import Victims
from pallet.framework.handle import Handle
from pallet.framework.interface import Filters, Refusal
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status, error, unresolvable, unschedulable
from pallet.plugins import names
from pallet.plugins.preemption.budgets import Budgets
from pallet.plugins.preemption.consulting import Consultations
from pallet.plugins.preemption.eviction import Evictions
from pallet.plugins.preemption.finding import Finding
from pallet.plugins.preemption.ladder import Ladder
from pallet.plugins.preemption.survey import Survey
from pallet.plugins.preemption.trials import Trials
from pallet.runtime.row_filters import asks_sums_only, reads_sums

_SEARCHES_BYTES = 64 * MIB

_SURVEY_BYTES_A_ROW, _TRIAL_BYTES = 64, 300
"""Of a survey, beside a byte for each pod of a node and what is requested; and of the trial of a row."""

_PAUSE = 0.05
"""Seconds between the cycles of a search that takes several."""

_UNFINISHED = unschedulable("not all nodes have been tried yet")

_UNDECIDED = unschedulable("waiting for extenders to agree to preemption")

_NOT_HELPFUL = unresolvable("Preemption is not helpful for scheduling")


class DefaultPreemptionArgs(msgspec.Struct, frozen=True, rename="camel"):
    """How many candidates are enough where nodes have to be tried one by one."""

    min_candidate_nodes_percentage: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    min_candidate_nodes_absolute: Annotated[int, msgspec.Meta(ge=0)] = 100

    def __post_init__(self) -> None:
        """Refuse to look for no candidates at all."""
        if not self.min_candidate_nodes_percentage and not self.min_candidate_nodes_absolute:
            raise ValueError(
                "minCandidateNodesPercentage and minCandidateNodesAbsolute must not both be 0: "
                "no node would be a candidate"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """A node to nominate and the pods that have to go there; or a status, and what becomes of an earlier
    nomination: None lets it stand, the empty name takes it back. Or nodes to be agreed to by extenders first.
    """

    node: str | None
    status: Status
    victims: tuple[Pod, ...] = ()
    candidates: Mapping[str, Victims] = field(default_factory=dict)


class DefaultPreemption:
    """Nominates a node on which pods of lower priority have to go, and has them go."""

    name = names.DEFAULT_PREEMPTION
    args_type = DefaultPreemptionArgs

    def __init__(self, args: DefaultPreemptionArgs, handle: Handle) -> None:
        """Listen to disruption budgets."""
        self._args = args
        self._handle = handle
        self._snapshot = handle.cache.snapshot
        self._budgets = Budgets(handle.informers)
        self._ladder = Ladder(handle.cache, self._budgets, handle.nominator)
        self._consultations = Consultations(handle)
        self._evictions = Evictions(self.name, handle)
        self._searches: BoundedCache[Hashable, Survey | Trials] = BoundedCache(
            "preemption_searches", _SEARCHES_BYTES, self._size
        )
        self._last: tuple[Sequence[Refusal], Mask] = (), np.zeros(0, np.bool_)

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Keep a pod out of the queue while extenders are asked, or its victims are being told to go."""
        if self._evictions.under_way(info.pod) or self._consultations.under_way(info.pod):
            return unresolvable("waiting for the preemption for this pod to be finished")
        return SUCCESS

    def post_filter(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: Sequence[Refusal],
        filters: Filters,
    ) -> tuple[str | None, Status]:
        """Find the best node to preempt on, and start to; where extenders have a say, ask them first."""
        decision = self._agreed(info, refusals)
        if decision is None:
            self._handle.metrics.preemption_attempts_total.inc()
            decision = self.decide(state, info, snapshot, refusals, filters)
        node, status = decision.node, decision.status
        if node and status.ok:
            self._evictions.start(info.pod, node, decision.victims)
            return node, status
        if status is _UNFINISHED:
            self._handle.tasks.start(self._go_on, info.uid)
        if decision.candidates:
            self._consultations.start(info.pod, decision.candidates)
        return node, msgspec.structs.replace(status, reasons=(f"preemption: {status.message}",))

    def events_to_register(self) -> list[EventInterest]:
        """A deletion, which by itself helps nobody: the plugins that refused the preemptor know better."""
        deleted = ClusterEvent(EventResource.ASSIGNED_POD, Action.DELETE)
        return [EventInterest(deleted, lambda _pod, _old, _new: Hint.SKIP)]

    def decide(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: Sequence[Refusal],
        filters: Filters,
    ) -> Decision:
        """Where to preempt and whom; nothing is done about it."""
        hindrance = self._hindrance(info.pod, refusals)
        if hindrance:
            return Decision(None, unschedulable(hindrance))
        helpful = self._helpful(refusals)
        rows = self._ladder.refresh(helpful)
        search = self._search(state, info, filters)
        nodes = int(np.count_nonzero(helpful))
        few = self._args.min_candidate_nodes_absolute
        enough = max(1, few, nodes * self._args.min_candidate_nodes_percentage // 100)
        if isinstance(search, Survey):
            found = search.find(state, info, snapshot, rows)
        else:
            found = search.find(state, info, snapshot, rows, filters, few, enough)
        if found.row < 0 and (found.unfinished or np.count_nonzero(rows) < nodes):
            return Decision(None, _UNFINISHED)
        if found.row < 0:
            return self._nowhere(found)
        name = self._snapshot.table.name
        if not self._consultations.are_needed(info.pod):
            victims = tuple(victim.pod for victim in found.victims)
            return Decision(name(found.row), SUCCESS, victims)
        if isinstance(search, Survey):
            others = search.others(rows, found.row, enough - 1)
        else:
            others = search.others(state, info, snapshot, rows, filters, found.row, enough - 1)
        candidates = {found.row: Victims(found.victims, found.violations), **others}
        return Decision(None, _UNDECIDED, candidates={name(row): each for row, each in candidates.items()})

    def _agreed(self, info: PodInfo, refusals: Sequence[Refusal]) -> Decision | None:
        """What extenders agreed to, if they were asked and their victims are still where they were."""
        answer = self._consultations.answer(info.pod)
        if answer is None:
            return None
        if isinstance(answer, Status):
            return Decision(None, answer)
        row = self._snapshot.table.row_of.get(answer.node)
        if row is None or not self._helpful(refusals)[row]:
            return None
        standing = {each.uid: each.pod for each in self._snapshot.pods(row)}
        if any(victim.uid not in standing for victim in answer.victims):
            return None
        return Decision(answer.node, SUCCESS, tuple(standing[victim.uid] for victim in answer.victims))

    async def _go_on(self, uid: str) -> None:
        """Have a pod tried again soon, for which there was not the time to try all nodes."""
        await anyio.sleep(_PAUSE)
        self._handle.activate((uid,))

    def _helpful(self, refusals: Sequence[Refusal]) -> Mask:
        """The rows where taking pods away may help: bool, (capacity,), not to be changed by the caller.

        The evaluator gives the very same refusals to pod after pod of a kind, as long as they stand.
        """
        last, rows = self._last
        if refusals is not last or rows.size != self._snapshot.table.capacity:
            rows = np.zeros(self._snapshot.table.capacity, np.bool_)
            for each in refusals:
                if each.status.code is Code.UNSCHEDULABLE:
                    rows[each.rows] = True
            self._last = refusals, rows
        return rows

    def _hindrance(self, pod: Pod, refusals: Sequence[Refusal]) -> str:
        """Why a pod may not preempt; empty if it may.

        One that preempted before waits for its victims, unless its node is out of the question by now. What
        it did is known before its status and theirs show it: else it would preempt once more, elsewhere.
        """
        if pod.spec.preemption_policy == "Never":
            return "not eligible due to preemptionPolicy=Never."
        node = self._handle.nominator.node_of(pod.metadata.uid) or pod.status.nominated_node_name
        row = self._snapshot.table.row_of.get(node)
        if row is None or not self._snapshot.table.live[row]:
            return ""
        status = next((each.status for each in refusals if row in each.rows), None)
        if status is None or status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE:
            return ""
        if any(
            other.pod.spec.priority < pod.spec.priority and self._evictions.is_going(other.pod)
            for other in self._snapshot.pods(row)
        ):
            return "not eligible due to a terminating pod on the nominated node."
        return ""

    def _search(self, state: CycleState, info: PodInfo, filters: Filters) -> Survey | Trials:
        """What is known of preempting for pods of this priority that the filters cannot tell apart."""
        priority = info.pod.spec.priority
        key = (priority, filters.key(state, info))
        search = self._searches.get(key)
        if search is None:
            plugins = filters.asked(state, info)
            ladder, budgets, handle = self._ladder, self._budgets, self._handle
            if asks_sums_only(plugins):
                search = Survey(plugins, priority, ladder, budgets, handle.nominator, handle.rng)
            else:
                sums = [plugin for plugin in plugins if reads_sums(plugin)]
                bounds = Survey(sums, priority, ladder, None, handle.nominator, handle.rng)
                search = Trials(plugins, priority, bounds, ladder, budgets, handle.rng)
            self._searches[key] = search
        return search

    def _size(self, key: Hashable, search: Survey | Trials) -> int:
        table = self._snapshot.table
        by_row = _SURVEY_BYTES_A_ROW + len(self._ladder.priority) + 8 * len(table.resources)
        if isinstance(search, Trials):
            by_row += _TRIAL_BYTES
        return footprint(key, _SEARCHES_BYTES) + by_row * table.capacity

    def _nowhere(self, found: Finding) -> Decision:
        """Preempting helps nowhere: say why, and take back an earlier nomination."""
        if found.idle:
            idle_nodes = map(self._snapshot.table.name, found.idle)
            causes = [f'expected at least one victim pod on node "{name}"' for name in idle_nodes]
            return Decision(None, error(causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"))
        nodes = self._snapshot.table.node_count
        others = nodes - sum(len(each.rows) for each in found.failures)
        reasons = [
            *found.failures,
            *([NodesToStatus(_NOT_HELPFUL, np.zeros(others, np.intp))] if others else []),
        ]
        return Decision("", unschedulable(fit_message(nodes, reasons)))
