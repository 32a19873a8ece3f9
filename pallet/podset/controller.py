"""The controller of pod sets: hears of pods, triggers, plans and nodes, and has the sets looked at.

An event marks its set and wakes the reconciler: nothing is polled between a trigger's switch and the first
binding.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.podset import SchedulePlan, ScheduleTrigger
from pallet.cache.cache import Cache
from pallet.framework.events import node_update
from pallet.framework.handle import Recorder
from pallet.informers.informer import Handler
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget
from pallet.podset.api import Api
from pallet.podset.events import Conditions, Explainer
from pallet.podset.gates import Gates
from pallet.podset.metrics import PodSetMetrics
from pallet.podset.planning import PlannerFor, Planning
from pallet.podset.queue import Queue
from pallet.podset.reconciler import Reconciler
from pallet.podset.reservations import Reservations
from pallet.podset.sets import Touched
from pallet.podset.states import keep_out
from pallet.podset.writes import Writer
from pallet.runtime.profile import Profile

log = get_logger(__name__)


class PodSetController:
    """Opens and closes the gates of pod sets, and keeps their triggers and plans.

    gates: the sets, and which of them are to be looked at, as the plugin shares them
    profiles: by scheduler name
    reservation_timeout: how long room stays reserved for a set that does not advance
    now: the API server's time
    """

    def __init__(
        self,
        *,
        gates: Gates,
        cache: Cache,
        api: Api,
        profiles: Mapping[str, Profile],
        planner_for: PlannerFor,
        queue: Queue,
        conditions: Conditions,
        recorder: Recorder,
        metrics: PodSetMetrics,
        now: Callable[[], datetime],
        rng: Random,
        budget: LoopBudget,
        reservation_timeout: timedelta,
    ) -> None:
        self.sets = gates.sets
        self._workqueue = gates.workqueue
        self._queue = queue
        self._metrics = metrics
        self._now = now
        self._reservations = Reservations(cache, profiles, gates, queue, metrics, now)
        self._explainer = Explainer(conditions, recorder)
        self._reconciler = Reconciler(
            sets=self.sets,
            workqueue=self._workqueue,
            queue=queue,
            reservations=self._reservations,
            planning=Planning(cache, profiles, planner_for, budget, queue, recorder, metrics, now, rng),
            writer=Writer(api, self.sets, recorder, metrics, now),
            explainer=self._explainer,
            recorder=recorder,
            metrics=metrics,
            now=now,
            budget=budget,
            reservation_timeout=reservation_timeout,
        )
        self._in_charge = False

    def pod_handler(self) -> Handler[Pod]:
        """What the informer of all pods is to call."""
        return Handler(self._put_pod, lambda old, new: self._put_pod(new, old), self._drop_pod)

    def trigger_handler(self) -> Handler[ScheduleTrigger]:
        """What the informer of triggers is to call."""

        def put(trigger: ScheduleTrigger) -> None:
            self._touch(self.sets.put_trigger(trigger, self._now()))

        return Handler(
            put, lambda _, new: put(new), lambda trigger: self._touch(self.sets.drop_trigger(trigger))
        )

    def plan_handler(self) -> Handler[SchedulePlan]:
        """What the informer of plans is to call."""

        def put(plan: SchedulePlan) -> None:
            self._touch(self.sets.put_plan(plan))

        return Handler(put, lambda _, new: put(new), lambda plan: self._touch(self.sets.drop_plan(plan)))

    def node_handler(self) -> Handler[Node]:
        """What the informer of nodes is to call, after the cache's own handler."""
        return Handler(lambda _: self._cluster_changed(), self._update_node, self._drop_node)

    async def restore(self) -> None:
        """Begin where the stored plans say, with room reserved for every planned pod that is not bound.

        To be called when the informers have synced, before the first pod is scheduled and before `run`.
        """
        self._in_charge = True
        self.sets.restore()
        for pod_set in self.sets:
            if pod_set.let_go:
                await self._reconciler.reserve(pod_set)
            self._touch({pod_set.key: True})

    async def run(self) -> None:
        """Look after the sets until cancelled."""
        await self._reconciler.run()

    def _put_pod(self, pod: Pod, old: Pod | None = None) -> None:
        self._note_stray(pod)
        self._touch(self.sets.put_pod(pod, self._now(), old))
        moved = old is not None and self.sets.key_of(old) != self.sets.key_of(pod)
        if moved or pod.finished or pod.terminating:
            self._let_go_of(pod)
        if moved and not pod.spec.node_name:
            self._queue.activate([pod.metadata.uid])
        if pod.finished and old is not None and not old.finished:
            self._cluster_changed()

    def _note_stray(self, pod: Pod) -> None:
        """Count a pod that was bound elsewhere than planned.

        Not while another replica is in charge: its plans may be heard of after its bindings.
        """
        planned = self.sets.strays_from(pod)
        if planned and self._in_charge:
            self._metrics.bound_off_plan_total.inc()
            log.warning("Bound off plan", pod=pod.key, node=pod.spec.node_name, planned=planned)

    def _drop_pod(self, pod: Pod) -> None:
        self._touch(self.sets.drop_pod(pod))
        self._let_go_of(pod)
        if pod.spec.node_name:
            self._cluster_changed()

    def _let_go_of(self, pod: Pod) -> None:
        self._reservations.release(pod, "withdrawn")
        self._explainer.forget(pod)

    def _update_node(self, old: Node, new: Node) -> None:
        if node_update(old, new) is not None:
            self._cluster_changed()

    def _drop_node(self, node: Node) -> None:
        name = node.metadata.name
        planned = (pod_set.key for pod_set in self.sets if name in pod_set.members.nodes.values())
        self._touch(dict.fromkeys(planned, True))

    def _cluster_changed(self) -> None:
        self._touch(self.sets.note_change())

    def _touch(self, touched: Touched) -> None:
        """Have sets looked at. Gates that have just closed are closed before the next pod is popped."""
        if touched:
            self._workqueue.touch(touched)
        for pod_set in filter(None, map(self.sets.get, touched)):
            if pod_set.let_in and not pod_set.let_go:
                self._queue.regate(keep_out(pod_set, pod_set.members))
