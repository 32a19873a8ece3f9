"""DefaultPreemption: makes room for a pod that fits nowhere, by preempting less important ones.

As kube-scheduler's plugin of this name with `minCandidateNodesPercentage: 100`: wherever it can, it looks at
all nodes and takes the best, not the best of some. What would hold up the loop for too long is done in parts:
a candidate among the nodes looked at so far will do, and without one the pod is tried again soon. The parts
are in `pallet.plugins.preemption`.
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
from pallet.plugins.preemption.candidates import FITS_BESIDE_ALL, Candidates
from pallet.plugins.preemption.dry_run import Attempt
from pallet.plugins.preemption.executor import Executor
from pallet.plugins.preemption.extenders import ExtenderCalls
from pallet.plugins.preemption.victims import PotentialVictims

_SEARCHES_BYTES = 64 * MIB

_BYTES_A_ROW = 96
"""Of what is known about a row, beside a byte for each pod there."""

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
    """A node to nominate and the victims there; or a status, and what becomes of an earlier nomination: None
    keeps it, the empty name clears it. Or candidates by node, to which extenders have to agree first.
    """

    node: str | None
    status: Status
    victims: tuple[Pod, ...] = ()
    candidates: Mapping[str, Victims] = field(default_factory=dict)


class DefaultPreemption:
    """Nominates a node where victims of lower priority make room, and has them deleted."""

    name = names.DEFAULT_PREEMPTION
    args_type = DefaultPreemptionArgs

    def __init__(self, args: DefaultPreemptionArgs, handle: Handle) -> None:
        """Listen to disruption budgets."""
        self._args = args
        self._handle = handle
        self._budgets = Budgets(handle.informers)
        self._potential = PotentialVictims(handle.cache, self._budgets)
        self._extenders = ExtenderCalls(handle)
        self._executor = Executor(self.name, handle)
        self._searches: BoundedCache[Hashable, Candidates] = BoundedCache(
            "preemption_searches", _SEARCHES_BYTES, self._size
        )
        self._last: tuple[Sequence[Refusal], Mask] = (), np.zeros(0, np.bool_)

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Keep a pod out of the queue while extenders are asked, or its victims are being deleted."""
        if self._executor.is_running(info.pod) or self._extenders.is_running(info.pod):
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
        decision = self._agreed(info, snapshot, refusals)
        if decision is None:
            self._handle.metrics.preemption_attempts_total.inc()
            decision = self.decide(state, info, snapshot, refusals, filters)
        node, status = decision.node, decision.status
        if node and status.ok:
            self._executor.start(info.pod, node, decision.victims)
        if status is _UNFINISHED:
            self._handle.tasks.start(self._continue_soon, info.uid)
        if decision.candidates:
            self._extenders.start(info.pod, decision.candidates)
        return node, msgspec.structs.replace(status, reasons=(f"preemption: {status.message}",))

    def events_to_register(self) -> list[EventInterest]:
        """A deletion, which by itself does not help: the plugins that refused the preemptor know better."""
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
        """Where to preempt and which pods; nothing is done about it."""
        ineligible = self._ineligible(info.pod, snapshot, refusals)
        if ineligible:
            return Decision(None, unschedulable(ineligible))
        potential = self._potential_rows(snapshot, refusals)
        sorted_ = self._potential.refresh(potential)
        attempt = Attempt(state, info, snapshot, filters)
        asks_extenders = self._extenders.are_needed(info.pod)
        nodes, few = int(np.count_nonzero(potential)), self._args.min_candidate_nodes_absolute
        enough = max(1, few, nodes * self._args.min_candidate_nodes_percentage // 100)
        found = self._search(attempt).find(attempt, sorted_, few, enough, all_=asks_extenders)
        if not found.candidates:
            if found.unfinished or np.count_nonzero(sorted_) < nodes:
                return Decision(None, _UNFINISHED)
            return _nowhere(snapshot, found.failures)
        candidates = {snapshot.table.name(row): victims for row, victims in found.candidates.items()}
        if asks_extenders:
            return Decision(None, _UNDECIDED, candidates=candidates)
        ((node, victims),) = candidates.items()
        return _found(node, tuple(victim.pod for victim in victims.pods))

    def _agreed(self, info: PodInfo, snapshot: Snapshot, refusals: Sequence[Refusal]) -> Decision | None:
        """What extenders agreed to, if they were asked and their victims are still where they were."""
        answer = self._extenders.answer(info.pod)
        if answer is None:
            return None
        if isinstance(answer, Status):
            return Decision(None, answer)
        node, victims = answer
        row = snapshot.table.row_of.get(node)
        if row is None or not self._potential_rows(snapshot, refusals)[row]:
            return None
        placed = {each.uid: each.pod for each in snapshot.pods(row)}
        if any(victim.uid not in placed for victim in victims.pods):
            return None
        return _found(node, tuple(placed[victim.uid] for victim in victims.pods))

    async def _continue_soon(self, uid: str) -> None:
        """Have a pod tried again, for which there was not the time to try all nodes."""
        await anyio.sleep(_PAUSE)
        self._handle.activate((uid,))

    def _potential_rows(self, snapshot: Snapshot, refusals: Sequence[Refusal]) -> Mask:
        """The rows where preempting may help: bool, (capacity,), not to be changed by the caller.

        The evaluator gives the same refusals to pod after pod of one signature, until they change.
        """
        last, rows = self._last
        if refusals is not last or rows.size != snapshot.table.capacity:
            rows = np.zeros(snapshot.table.capacity, np.bool_)
            for each in refusals:
                if each.status.code is Code.UNSCHEDULABLE:
                    rows[each.rows] = True
            self._last = refusals, rows
        return rows

    def _ineligible(self, pod: Pod, snapshot: Snapshot, refusals: Sequence[Refusal]) -> str:
        """Why a pod may not preempt; empty if it may.

        One that preempted before waits for its victims, unless its node is out of the question by now. What
        it did is known before its status and theirs show it: else it would preempt once more, elsewhere.
        """
        if pod.spec.preemption_policy == "Never":
            return "not eligible due to preemptionPolicy=Never."
        node = snapshot.nominator.node_of(pod.metadata.uid) or pod.status.nominated_node_name
        row = snapshot.table.row_of.get(node)
        if row is None or not snapshot.table.live[row]:
            return ""
        status = next((each.status for each in refusals if row in each.rows), None)
        if status is None or status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE:
            return ""
        if any(
            other.pod.spec.priority < pod.spec.priority and self._executor.is_preempted(other.pod)
            for other in snapshot.pods(row)
        ):
            return "not eligible due to a terminating pod on the nominated node."
        return ""

    def _search(self, attempt: Attempt) -> Candidates:
        """What is known of preempting for pods of this priority that the filters cannot tell apart."""
        state, info, _, filters = attempt
        key = (info.pod.spec.priority, filters.key(state, info))
        search = self._searches.get(key)
        if search is None:
            search = self._searches[key] = Candidates(
                filters.asked(state, info),
                info.pod.spec.priority,
                self._potential,
                self._budgets,
                self._handle.rng,
            )
        return search

    def _size(self, key: Hashable, _: Candidates) -> int:
        steps, capacity = self._potential.priority.shape
        return int(footprint(key, _SEARCHES_BYTES) + (_BYTES_A_ROW + steps) * capacity)


def _found(node: str, victims: tuple[Pod, ...]) -> Decision:
    words = f"found a potential placement for pod on node {node}, preempting {len(victims)} victims"
    return Decision(node, Status(Code.SUCCESS, (words,)), victims)


def _nowhere(snapshot: Snapshot, failures: Sequence[NodesToStatus]) -> Decision:
    """Preempting helps nowhere: say why, and clear an earlier nomination."""
    causes = [
        f'{FITS_BESIDE_ALL.message} on node "{snapshot.table.name(row)}"'
        for each in failures
        if each.status == FITS_BESIDE_ALL
        for row in each.rows.tolist()
    ]
    if causes:
        return Decision(None, error(causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"))
    nodes = snapshot.table.node_count
    others = nodes - sum(len(each.rows) for each in failures)
    absent = [NodesToStatus(_NOT_HELPFUL, np.zeros(others, np.intp))] if others else []
    return Decision("", unschedulable(fit_message(nodes, [*failures, *absent])))
