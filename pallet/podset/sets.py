"""All pod sets, as the informers tell of them.

Every method that takes something in says which sets to look at again, and how soon. The rules:

- A member is a live pod whose set has a name. One that has finished or is being deleted has left, although it
  may hold its node a little longer.
- A pod with scheduling gates of its own is no member: it joins when the last of them is removed.
- A pod whose set changes leaves one set and joins another, at the moment this is seen.
- A plan is known by its name; one of another name is not ours, whatever its label says.
- Older states than the one known are passed over: our own writes are often answered before they are watched.
- What others change in a stored plan holds for pods that are not bound, for a plan is obeyed: at once
  if the set may go, else when it is let go.
"""

from collections.abc import Iterator
from datetime import datetime

from pallet.api.pod import Pod
from pallet.api.podset import SchedulePlan, ScheduleTrigger
from pallet.informers.versions import is_older
from pallet.podset import states
from pallet.podset.member import OPEN, Gate, Invalidation
from pallet.podset.model import PodSet
from pallet.podset.plan import is_manual
from pallet.podset.source import Naming, SetKey
from pallet.podset.triggers import joined_at, labelled

Touched = dict[SetKey, bool]
"""Sets that are to be looked at again, and whether at once; the others may wait for a moment's more news."""


class PodSets:
    """The sets by key, and the way in for pods, triggers and plans."""

    def __init__(self, naming: Naming) -> None:
        self.key_of = naming.key_of
        self._sets: dict[SetKey, PodSet] = {}
        self._set_of_pod: dict[str, SetKey] = {}
        self._set_of_trigger: dict[tuple[str, str], SetKey] = {}

    def __iter__(self) -> Iterator[PodSet]:
        return iter(list(self._sets.values()))

    def get(self, key: SetKey) -> PodSet | None:
        """Give a set, if anything is known of it."""
        return self._sets.get(key)

    def verdict(self, pod: Pod) -> Gate:
        """Answer whether a pod may be scheduled now."""
        key = self.key_of(pod)
        if key is None:
            return OPEN
        return (self._sets.get(key) or PodSet.of(key)).gate_of(pod.metadata.uid)

    def put_pod(self, pod: Pod, now: datetime, before: Pod | None = None) -> Touched:
        """Take a pod that was added, or changed from what it was `before`."""
        uid, key = pod.metadata.uid, self.key_of(pod)
        touched: Touched = {}
        if pod.finished or pod.terminating or pod.spec.scheduling_gates:
            key = None
        if self._set_of_pod.get(uid) not in (None, key):
            touched |= self.drop_pod(pod)
        if key is not None:
            pod_set = self._at(key)
            if uid in pod_set.members:
                touched[key] = states.renew(pod_set, pod, now)
            else:
                late = before is not None and (self.key_of(before) != key or before.spec.scheduling_gates)
                states.join(pod_set, pod, now if late else joined_at(pod, now))
                self._set_of_pod[uid] = key
                touched[key] = pod_set.let_go
        return touched

    def strays_from(self, pod: Pod) -> str:
        """The node planned for a pod that waited and is now seen bound to another one; empty for the rest.

        To be asked before the pod is put.
        """
        key = self._set_of_pod.get(pod.metadata.uid) if pod.spec.node_name else None
        if key is None:
            return ""
        member = self._sets[key].members[pod.metadata.uid]
        placed = None if member.pod.spec.node_name else member.placed
        return placed.node if placed is not None and placed.node != pod.spec.node_name else ""

    def drop_pod(self, pod: Pod) -> Touched:
        """Take note that a pod is gone, or is no member any more."""
        key = self._set_of_pod.pop(pod.metadata.uid, None)
        if key is None:
            return {}
        states.leave(self._sets[key], pod.metadata.uid)
        return {key: False}

    def put_trigger(self, trigger: ScheduleTrigger, now: datetime) -> Touched:
        """Take a trigger that was added or changed."""
        meta = trigger.metadata
        where = (meta.namespace, meta.name)
        key = labelled(meta.namespace, trigger.pod_set) if trigger.pod_set else None
        touched: Touched = {}
        if self._set_of_trigger.get(where) not in (None, key):
            touched |= self.drop_trigger(trigger)
        if key is not None:
            pod_set = self._at(key)
            if _is_stale(trigger, pod_set.triggers.get(meta.name)):
                return touched
            self._set_of_trigger[where] = key
            states.put_trigger(pod_set, trigger, now)
            touched[key] = True
        return touched

    def drop_trigger(self, trigger: ScheduleTrigger) -> Touched:
        """Take note that a trigger is gone, or gates this set no more."""
        key = self._set_of_trigger.pop((trigger.metadata.namespace, trigger.metadata.name), None)
        if key is None:
            return {}
        states.drop_trigger(self._sets[key], trigger.metadata.name)
        return {key: True}

    def put_plan(self, plan: SchedulePlan, key: SetKey | None = None) -> Touched:
        """Take a plan that the API shows, or gave in answer to our own write.

        `key` names its set where its label may be lost.
        """
        key = key or labelled(plan.metadata.namespace, plan.pod_set)
        if not key.name or plan.metadata.name != key.plan_name:
            return {}
        pod_set = self._at(key)
        known = pod_set.plan.plan if pod_set.plan else None
        if plan.metadata.uid == pod_set.dropped_plan or _is_stale(plan, known):
            return {}
        states.put_plan(pod_set, plan, manual=is_manual(plan))
        return {key: True}

    def drop_plan(self, plan: SchedulePlan) -> Touched:
        """Take note that a plan is gone."""
        key = labelled(plan.metadata.namespace, plan.pod_set)
        pod_set = self._sets.get(key)
        if pod_set is None or pod_set.plan is None or pod_set.plan.plan.metadata.uid != plan.metadata.uid:
            return {}
        states.drop_plan(pod_set)
        return {key: True}

    def restore(self) -> None:
        """Take over the stored plans for all pods that are not bound: this process begins to decide."""
        for pod_set in self._sets.values():
            states.restore(pod_set)

    def note_change(self) -> Touched:
        """Take note of something in the cluster that may help pods which found no place."""
        return {pod_set.key: False for pod_set in self._sets.values() if states.note_change(pod_set)}

    def invalidate(self, uid: str, why: Invalidation) -> Touched:
        """Take note that a member cannot go to its planned node any more."""
        key = self._set_of_pod.get(uid)
        if key is None or self._sets[key].members[uid].placed is None:
            return {}
        states.invalidate(self._sets[key], uid, why)
        return {key: True}

    def note_start(self, pod: Pod) -> None:
        """Record that the binding of a member begins: its set's reservations are firm from now on."""
        key = self._set_of_pod.get(pod.metadata.uid)
        if key is not None:
            states.start(self._sets[key])

    def forget_if_empty(self, key: SetKey) -> bool:
        """Drop a set of which nothing is left, and tell whether this was so."""
        if key in self._sets and self._sets[key].empty:
            del self._sets[key]
        return key not in self._sets

    def _at(self, key: SetKey) -> PodSet:
        pod_set = self._sets.get(key)
        if pod_set is None:
            pod_set = self._sets[key] = PodSet.of(key)
        return pod_set


def _is_stale(obj: ScheduleTrigger | SchedulePlan, known: ScheduleTrigger | SchedulePlan | None) -> bool:
    """Whether this state, or a newer one, of the very object is known."""
    if known is None or known.metadata.uid != obj.metadata.uid:
        return False
    return is_older(obj, known) or obj.metadata.resource_version == known.metadata.resource_version
