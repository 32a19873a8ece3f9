"""All pod sets, as the informers tell of them.

Every method that takes something in says which sets to look at again, and how soon. The rules:

- A member is a live pod with the label, whose schedulerName is ours. One that has finished or is being
  deleted has left, although it may hold its node a little longer.
- A pod with scheduling gates of its own is no member: it joins when the last of them is removed.
- A pod whose label changes leaves one set and joins another, at the moment this is seen.
- A plan is known by its name; one of another name is not ours, whatever its label says.
- Older states than the one known are passed over: our own writes are often answered before they are watched.
- What others change in a stored plan holds for pods that are not bound, for a plan is obeyed: at once
  if the trigger says Schedule, else when it switches to it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import msgspec

from pallet.api.plan_name import plan_name
from pallet.api.pod import Pod
from pallet.api.podset import POD_SET_LABEL, SCHEDULE, SchedulePlan, ScheduleTrigger
from pallet.informers.versions import is_older
from pallet.podset.gate import OPEN, Gate, gate_of
from pallet.podset.model import Invalidation, Member, PodSet, Seen, SetKey
from pallet.podset.plan import is_manual
from pallet.podset.triggers import joined_at

Touched = dict[SetKey, bool]
"""Sets that are to be looked at again, and whether at once; the others may wait for a moment's more news."""


class PodSets:
    """The sets by namespace and name, and the way in for pods, triggers and plans."""

    def __init__(self, scheduler_names: Collection[str]) -> None:
        self._scheduler_names = frozenset(scheduler_names)
        self._sets: dict[SetKey, PodSet] = {}
        self._set_of_pod: dict[str, SetKey] = {}
        self._set_of_trigger: dict[tuple[str, str], SetKey] = {}

    def __iter__(self) -> Iterator[PodSet]:
        return iter(list(self._sets.values()))

    def get(self, key: SetKey) -> PodSet | None:
        """Give a set, if anything is known of it."""
        return self._sets.get(key)

    def key_of(self, pod: Pod) -> SetKey | None:
        """The set a pod belongs to; None for one that is not ours or has no label."""
        name = pod.metadata.labels.get(POD_SET_LABEL)
        if not name or pod.spec.scheduler_name not in self._scheduler_names:
            return None
        return SetKey(pod.metadata.namespace, name)

    def verdict(self, pod: Pod) -> Gate:
        """Answer whether a pod may be scheduled now."""
        key = self.key_of(pod)
        return OPEN if key is None else gate_of(key, self._sets.get(key), pod.metadata.uid)

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
                touched[key] = _renew(pod_set, pod, now)
            else:
                late = before is not None and (self.key_of(before) != key or before.spec.scheduling_gates)
                joined = now if late else joined_at(pod, now)
                pod_set.last_joined = max(pod_set.last_joined or joined, joined)
                pod_set.members[uid], pod_set.joined[uid] = Member(pod), joined
                self._set_of_pod[uid] = key
                pod_set.had_pods = True
                pod_set.left.discard(pod.metadata.name)
                if pod_set.manual and pod_set.let_go and pod.metadata.name in pod_set.stored:
                    _obey(pod_set, {pod.metadata.name: pod_set.stored[pod.metadata.name]})
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
        strays = not member.pod.spec.node_name and member.planned != pod.spec.node_name
        return member.planned if strays else ""

    def drop_pod(self, pod: Pod) -> Touched:
        """Take note that a pod is gone, or is no member any more."""
        key = self._set_of_pod.pop(pod.metadata.uid, None)
        if key is None:
            return {}
        pod_set = self._sets[key]
        del pod_set.members[pod.metadata.uid], pod_set.joined[pod.metadata.uid]
        if pod_set.manual and pod.metadata.name in pod_set.stored:
            pod_set.left.add(pod.metadata.name)
        pod_set.lost.pop(pod.metadata.uid, None)
        pod_set.leaving.pop(pod.metadata.uid, None)
        pod_set.open.discard(pod.metadata.uid)
        pod_set.in_flight.pop(pod.metadata.uid, None)
        return {key: False}

    def put_trigger(self, trigger: ScheduleTrigger, now: datetime) -> Touched:
        """Take a trigger that was added or changed."""
        meta = trigger.metadata
        where = (meta.namespace, meta.name)
        key = SetKey(meta.namespace, trigger.pod_set) if trigger.pod_set else None
        touched: Touched = {}
        if self._set_of_trigger.get(where) not in (None, key):
            touched |= self.drop_trigger(trigger)
        if key is not None:
            pod_set = self._at(key)
            known = pod_set.triggers.get(meta.name)
            if _is_stale(trigger, known):
                return touched
            self._set_of_trigger[where] = key
            waited = not pod_set.let_go
            pod_set.triggers[meta.name] = trigger
            _obey_at_switch(pod_set, waited=waited)
            _see(pod_set, known, trigger, now)
            touched[key] = True
        return touched

    def drop_trigger(self, trigger: ScheduleTrigger) -> Touched:
        """Take note that a trigger is gone, or gates this set no more."""
        key = self._set_of_trigger.pop((trigger.metadata.namespace, trigger.metadata.name), None)
        if key is None:
            return {}
        pod_set = self._sets[key]
        waited = not pod_set.let_go
        gone = pod_set.triggers.pop(trigger.metadata.name)
        _obey_at_switch(pod_set, waited=waited)
        pod_set.seen.pop(gone.metadata.name, None)
        pod_set.statuses.pop(gone.metadata.uid, None)
        return {key: True}

    def put_plan(self, plan: SchedulePlan, key: SetKey | None = None) -> Touched:
        """Take a plan that the API shows, or gave in answer to our own write.

        `key` names its set where its label may be lost.
        """
        key = key or SetKey(plan.metadata.namespace, plan.pod_set)
        if not key.name or plan.metadata.name != plan_name(*key):
            return {}
        pod_set = self._at(key)
        if plan.metadata.uid == pod_set.dropped_plan or _is_stale(plan, pod_set.plan):
            return {}
        if pod_set.plan is None or pod_set.plan.metadata.uid != plan.metadata.uid:
            pod_set.had_pods = bool(pod_set.members)
            pod_set.left.clear()
        stored = {assignment.pod: assignment.node for assignment in plan.spec.plan}
        pod_set.manual = is_manual(plan)
        if stored != pod_set.writing:
            changed = {pod: node for pod, node in stored.items() if pod_set.stored.get(pod) != node}
            pod_set.left -= changed.keys()
            if pod_set.let_go:
                _obey(pod_set, changed)
        pod_set.left &= stored.keys()
        pod_set.plan, pod_set.stored = plan, stored
        return {key: True}

    def drop_plan(self, plan: SchedulePlan) -> Touched:
        """Take note that a plan is gone."""
        key = SetKey(plan.metadata.namespace, plan.pod_set)
        pod_set = self._sets.get(key)
        if pod_set is None or pod_set.plan is None or pod_set.plan.metadata.uid != plan.metadata.uid:
            return {}
        pod_set.dropped_plan = plan.metadata.uid
        pod_set.plan, pod_set.stored, pod_set.manual = None, {}, False
        return {key: True}

    def restore(self) -> None:
        """Take over the stored plans for all pods that are not bound: this process begins to decide."""
        for pod_set in self._sets.values():
            for uid, member in pod_set.members.items():
                pod_set.members[uid] = Member(member.pod)
            if pod_set.let_go:
                _obey(pod_set, pod_set.stored)
                pod_set.unused.clear()

    def note_change(self) -> Touched:
        """Take note of something in the cluster that may help pods which found no place."""
        touched: Touched = {}
        for pod_set in self._sets.values():
            if pod_set.attempt is not None and not pod_set.attempt.changed:
                pod_set.attempt = replace(pod_set.attempt, changed=True)
                touched[pod_set.key] = False
        return touched

    def note_loss(self, uid: str, lost: Invalidation) -> Touched:
        """Take note that a member cannot go to its planned node any more."""
        key = self._set_of_pod.get(uid)
        if key is None or not self._sets[key].members[uid].planned:
            return {}
        self._sets[key].lose(self._sets[key].members[uid], lost)
        return {key: True}

    def note_start(self, pod: Pod) -> None:
        """Record that the binding of a member begins: its set's reservations are firm from now on."""
        key = self._set_of_pod.get(pod.metadata.uid)
        if key is not None:
            self._sets[key].room.firm = True

    def forget_if_empty(self, key: SetKey) -> bool:
        """Drop a set of which nothing is left, and tell whether this was so."""
        if key in self._sets and self._sets[key].empty:
            del self._sets[key]
        return key not in self._sets

    def _at(self, key: SetKey) -> PodSet:
        return self._sets.setdefault(key, PodSet(key))


def take_plan(pod_set: PodSet, assignments: Mapping[str, str], refused: Mapping[str, str]) -> None:
    """Take a planner's answer: nodes by UID in the order of binding, and reasons by UID."""
    members = pod_set.members
    for rank, member in pod_set.next_ranks(members[uid] for uid in assignments if uid in members):
        members[member.uid] = Member(member.pod, assignments[member.uid], rank)
    for uid, reason in refused.items():
        if uid in members:
            members[uid] = Member(members[uid].pod, refused=reason)
    for uid in (*assignments, *refused):
        pod_set.lost.pop(uid, None)
        pod_set.leaving.pop(uid, None)


def take_back(pod_set: PodSet, uids: Iterable[str], *, free: bool = False) -> None:
    """Forget the plan for some members; `free` ones are scheduled without one from now on."""
    for uid in uids:
        pod_set.members[uid] = Member(pod_set.members[uid].pod, free=free)
        pod_set.lost.pop(uid, None)
        pod_set.leaving.pop(uid, None)
    pod_set.room.firm = pod_set.started()


def _obey_at_switch(pod_set: PodSet, *, waited: bool) -> None:
    """Obey a plan written by hand when the trigger switches to Schedule."""
    if waited and pod_set.let_go and pod_set.manual:
        _obey(pod_set, pod_set.stored)


def _obey(pod_set: PodSet, nodes: Mapping[str, str]) -> None:
    """Plan the waiting members as told, by pod name."""
    members = {member.name: member for member in pod_set.members.values()}
    named = {name: member for name, member in members.items() if not pod_set.node(member)}
    for rank, member in pod_set.next_ranks(named[name] for name in nodes if name in named):
        pod_set.members[member.uid] = Member(member.pod, nodes[member.name], rank)
        pod_set.lost.pop(member.uid, None)
        pod_set.leaving.pop(member.uid, None)
    if pod_set.manual:
        for name, node in nodes.items():
            if name not in members:
                pod_set.unused[name] = "the set has no such pod, or only one with scheduling gates of its own"
            elif pod_set.node(members[name]) not in ("", node):
                pod_set.unused[name] = f'the pod is bound to node "{pod_set.node(members[name])}"'


def _renew(pod_set: PodSet, pod: Pod, now: datetime) -> bool:
    """Replace a member's pod, and tell whether this is urgent.

    A refused pod with a new spec is worth another try.
    """
    member = pod_set.members[pod.metadata.uid]
    retry = member.refused != "" and member.pod.spec != pod.spec
    if pod.spec.node_name and not member.pod.spec.node_name:
        pod_set.last_bound = pod_set.advanced = now
        pod_set.lost.pop(member.uid, None)
        pod_set.leaving.pop(member.uid, None)
        pod_set.open.discard(member.uid)
        pod_set.in_flight.pop(member.uid, None)
    pod_set.members[member.uid] = msgspec.structs.replace(
        member, pod=pod, refused="" if retry else member.refused
    )
    return retry


def _is_stale(obj: ScheduleTrigger | SchedulePlan, known: ScheduleTrigger | SchedulePlan | None) -> bool:
    """Whether this state, or a newer one, of the very object is known."""
    if known is None or known.metadata.uid != obj.metadata.uid:
        return False
    return is_older(obj, known) or obj.metadata.resource_version == known.metadata.resource_version


def _see(pod_set: PodSet, known: ScheduleTrigger | None, trigger: ScheduleTrigger, now: datetime) -> None:
    """Keep when this state of the trigger was first seen, and its annotations."""
    meta = trigger.metadata
    seen = pod_set.seen.get(meta.name)
    if seen is None or (seen.uid, seen.generation) != (meta.uid, meta.generation):
        seen = Seen(meta.uid, meta.generation, now, meta.annotations, now)
    elif seen.annotations != meta.annotations:
        seen = seen._replace(annotations=meta.annotations, annotations_at=now)
    pod_set.seen[meta.name] = seen
    if known is not None and known.spec.state != trigger.spec.state:
        pod_set.switched, pod_set.timed = (now if trigger.spec.state == SCHEDULE else None), False
        pod_set.attempt = None
