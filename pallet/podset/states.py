"""The states of a set and of its members, and everything that changes them: no other module does.

A member is in one state from when it joins until it leaves. It joins Bound if it has a node, else Unplanned:

    Unplanned ─┬─ a planner, or a plan by hand, gives it a node → Planned ─ the node refuses it → Invalidated
               ├─ the planner leaves it out ────────────────────→ Refused
               └─ no planner looks after the set ───────────────→ Unmanaged

    Refused, Unmanaged, Invalidated ─ given a node → Planned            Refused ─ no planner → Unmanaged
    Refused ─ its spec changes → Unplanned         Planned by hand ─ the node refuses it → Unplanned
    Refused, Unmanaged, Planned, Invalidated ─ the set is held → Unplanned

    each of the five ─┬─ the set is re-planned → Replanning ─┬─ an answer → Planned or Refused
                      │                                      └─ no answer → what it was before
                      └─ its binding begins → Binding ─┬─ it is seen with a node → Bound
                                                       └─ the binding failed → what it was before

Replanning and Binding keep what the member was before, and follow what happens to that meanwhile. A member
that is seen with a node is Bound, whatever it was. `stored`, of Planned and Invalidated, follows the stored
plan.

The gate of a member, by its state, while the set is not held:

    Planned, Invalidated   open, to its node, if the stored plan says so; else closed: being planned
    Unmanaged              open
    Refused                closed, with the planner's reason
    Replanning             closed: being re-planned
    Unplanned              closed: being planned, or what the planner's error is
    Binding                as before the binding began

The phase of a set is what its members together have come to. The first that holds counts:

    Held             what lets the set go has not done so; the gates of all members are closed
    Members missing  it has no members
    Bound            each member is Bound
    Degraded         a member is Refused while others are bound, or are being bound
    Refused          a member is Refused
    Planning         a member that waits has no valid place in the stored plan, and needs one
    Reserved         each member has such a place, and none is bound or being bound
    Binding          the rest: members are bound, being bound, or Unmanaged
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from pallet.api.pod import Pod
from pallet.api.podset import SCHEDULE, SchedulePlan, ScheduleTrigger
from pallet.podset.member import (
    OPEN,
    UNPLANNED,
    Binding,
    Bound,
    Gate,
    Invalidated,
    Invalidation,
    Member,
    Place,
    Planned,
    Refused,
    Replanning,
    State,
    Unmanaged,
    Unplanned,
    Why,
    place_of,
)
from pallet.podset.model import Attempt, Phase, PodSet, StoredPlan


def phase_of(pod_set: PodSet) -> Phase:
    """How far a set has come."""
    if pod_set.held is not None:
        return Phase.HELD
    members = pod_set.members
    if not members:
        return Phase.MEMBERS_MISSING
    if members.count(Bound) == len(members):
        return Phase.BOUND
    if members.any_in(Refused):
        return Phase.DEGRADED if pod_set.started() else Phase.REFUSED
    if members.lack_places:
        return Phase.PLANNING
    return Phase.BINDING if members.any_in(Unmanaged) or pod_set.started() else Phase.RESERVED


def join(pod_set: PodSet, pod: Pod, joined: datetime) -> None:
    """Take a new member. Where a manual plan names it, and the set may go, it goes where the plan says."""
    name, plan = pod.metadata.name, pod_set.plan
    pod_set.last_joined = max(pod_set.last_joined or joined, joined)
    state = Bound() if pod.spec.node_name else UNPLANNED
    pod_set.members.put(Member(pod, joined, state, _gate(pod_set, state)))
    if plan is not None:
        plan.had_pods = True
        plan.left.discard(name)
        if plan.manual and pod_set.let_go and name in plan.nodes:
            _obey(pod_set, {name: plan.nodes[name]})


def renew(pod_set: PodSet, pod: Pod, now: datetime) -> bool:
    """Take a newer state of a member's pod, and tell whether this is urgent: a refused one has a new spec."""
    before = pod_set.members[pod.metadata.uid]
    member = msgspec.structs.replace(before, pod=pod)
    pod_set.members.put(member)
    retry = isinstance(place_of(before.state), Refused) and before.pod.spec != pod.spec
    if pod.spec.node_name and not before.pod.spec.node_name:
        pod_set.advanced = pod_set.since_switch.last_bound = now
        pod_set.let_in.discard(member.uid)
        _put(pod_set, member, Bound(member.rank))
    elif retry:
        _put_place(pod_set, member, UNPLANNED)
    return retry


def leave(pod_set: PodSet, uid: str) -> None:
    """Forget a member that is gone, or is no member any more."""
    name = pod_set.members.pop(uid).name
    pod_set.let_in.discard(uid)
    pod_set.invalidated.pop(uid, None)
    if pod_set.plan is not None and pod_set.plan.manual and name in pod_set.plan.nodes:
        pod_set.plan.left.add(name)


def put_trigger(pod_set: PodSet, trigger: ScheduleTrigger, now: datetime) -> None:
    """Take a trigger that was added or changed."""
    known, let_go = pod_set.triggers.get(trigger.metadata.name), pod_set.let_go
    pod_set.triggers.put(trigger, now)
    _release_changed(pod_set, before=let_go)
    if known is not None and known.spec.state != trigger.spec.state:
        pod_set.since_switch.begin(now if trigger.spec.state == SCHEDULE else None)
        note_attempt(pod_set, None)


def drop_trigger(pod_set: PodSet, name: str) -> None:
    """Forget a trigger that is gone, or is one of another set."""
    trigger, let_go = pod_set.triggers.get(name), pod_set.let_go
    if trigger is not None:
        pod_set.written.reported.pop(trigger.metadata.uid, None)
        pod_set.triggers.drop(name)
    _release_changed(pod_set, before=let_go)


def put_plan(pod_set: PodSet, plan: SchedulePlan, *, manual: bool) -> None:
    """Take a stored plan. What others changed in it is obeyed at once if the set may go."""
    before, nodes = pod_set.plan, {assignment.pod: assignment.node for assignment in plan.spec.plan}
    if before is None or before.plan.metadata.uid != plan.metadata.uid:
        had_pods, left = bool(pod_set.members), set[str]()
    else:
        had_pods, left = before.had_pods, before.left
    changed = dict[str, str]()
    if nodes != pod_set.written.on_its_way:
        changed = {pod: node for pod, node in nodes.items() if pod_set.stored.get(pod) != node}
        left = left - changed.keys()
    pod_set.plan = StoredPlan(plan, nodes, manual, had_pods, left & nodes.keys())
    if changed and pod_set.let_go:
        _obey(pod_set, changed)
    _follow_stored(pod_set)


def drop_plan(pod_set: PodSet) -> None:
    """Forget the stored plan, which is gone."""
    if pod_set.plan is not None:
        pod_set.dropped_plan = pod_set.plan.plan.metadata.uid
        pod_set.plan = None
        _follow_stored(pod_set)


def restore(pod_set: PodSet) -> None:
    """Take over the stored plan for members that are not bound: this process begins to decide."""
    for member in list(pod_set.members.values()):
        state: State = Bound() if member.pod.spec.node_name else UNPLANNED
        if member.state != state:
            _put(pod_set, member, state)
    if pod_set.let_go:
        _obey(pod_set, pod_set.stored)
        pod_set.unused.clear()


def take_plan(
    pod_set: PodSet,
    assignments: Mapping[str, str],
    refused: Mapping[str, str],
    *,
    planner: str,
    attempt: Attempt | None,
) -> None:
    """Take a planner's answer, or a part of it: nodes by UID in the order of binding, and reasons by UID.

    What it says of members that do not wait any more is passed over.
    """
    members = pod_set.members
    for uid, node in assignments.items():
        if uid in members and members[uid].waits:
            _put(pod_set, members[uid], _planned(pod_set, members[uid], node))
    for uid, reason in refused.items():
        if uid in members and members[uid].waits:
            _put(pod_set, members[uid], Refused(reason))
    pod_set.planner = planner
    pod_set.room.firm = pod_set.started()
    note_attempt(pod_set, attempt)


def take_back(pod_set: PodSet, uids: Iterable[str], place: Unplanned | Unmanaged = UNPLANNED) -> None:
    """Take the places of members that wait: the set is held, or (Unmanaged) no planner looks after it."""
    for uid in uids:
        _put(pod_set, pod_set.members[uid], place)
    pod_set.room.firm = pod_set.started()


def invalidate(pod_set: PodSet, uid: str, why: Invalidation) -> None:
    """Have the set re-planned: a member cannot go to its node. Of a manual plan the rest stands."""
    member = pod_set.members[uid]
    if pod_set.manual:
        pod_set.unused[member.name] = why.reason
        _put_place(pod_set, member, UNPLANNED)
    elif isinstance(placed := member.placed, Planned):
        _put_place(pod_set, member, _invalidated(placed, why))


def expire(pod_set: PodSet, uids: Iterable[str], why: Invalidation, replan_at: datetime) -> None:
    """Have members re-planned after a time, of a manual plan too: room was reserved for them for too long."""
    pod_set.replan_at = replan_at
    for uid in uids:
        member = pod_set.members.get(uid)
        if member is not None and (placed := member.placed) is not None:
            _put_place(pod_set, member, _invalidated(placed, why))


def begin_replanning(pod_set: PodSet, uids: Collection[str], replan_at: datetime) -> None:
    """Hold back members that wait until there is an answer; they are not re-planned again before a time."""
    pod_set.replan_at = replan_at
    pod_set.let_in.difference_update(uids)
    for uid in uids:
        member = pod_set.members[uid]
        if not isinstance(member.state, Binding | Bound | Replanning):
            _put(pod_set, member, Replanning(member.state))


def end_replanning(pod_set: PodSet) -> None:
    """Have members for which there was no answer as they were."""
    for uid in pod_set.members.uids_in(Replanning):
        member = pod_set.members[uid]
        if isinstance(member.state, Replanning):
            _put(pod_set, member, member.state.before)


def note_attempt(pod_set: PodSet, attempt: Attempt | None) -> None:
    """Record the last call of the planner, or None when it no longer matters."""
    error = attempt.error if attempt is not None else ""
    pod_set.attempt = attempt
    pod_set.unplanned = Gate(why=Why.PLANNER_FAILED, message=error) if error else pod_set.being_planned


def note_change(pod_set: PodSet) -> bool:
    """Record a change that may help refused members, and return whether it is the first one."""
    if pod_set.attempt is None or pod_set.attempt.changed:
        return False
    pod_set.attempt = msgspec.structs.replace(pod_set.attempt, changed=True)
    return True


def note_binding(pod_set: PodSet, uid: str, node: str) -> None:
    """Record the node to which a member is being bound; empty where it is not being bound."""
    member = pod_set.members[uid]
    before = place_of(member.state)
    if isinstance(before, Bound) or isinstance(member.state, Replanning):
        return
    state = Binding(node, before) if node else before
    if state != member.state:
        _put(pod_set, member, state)


def start(pod_set: PodSet) -> None:
    """Record that the first binding of the set has begun: its reservations are firm."""
    pod_set.room.firm = True


def note_reserved(pod_set: PodSet, uid: str, until: datetime | None, now: datetime) -> None:
    """Record that room is reserved for a planned member, and when to ask again whether it is there."""
    member = pod_set.members[uid]
    state = member.state
    if isinstance(state, Planned):
        if state.until != until:
            _put(pod_set, member, Planned(state.node, state.rank, state.stored, until))
        if state.rank > pod_set.newest:
            pod_set.newest, pod_set.advanced = state.rank, now


def let_in(pod_set: PodSet, uid: str) -> None:
    """Record that the queue is told to let a member in."""
    pod_set.let_in.add(uid)


def keep_out(pod_set: PodSet, uids: Iterable[str]) -> list[str]:
    """Record that the queue is told to keep members out, and return those that it was told to let in."""
    out = [uid for uid in uids if uid in pod_set.let_in]
    pod_set.let_in.difference_update(out)
    return out


def unused_told(pod_set: PodSet) -> None:
    """Record that an event has named the entries of a manual plan that are not used."""
    pod_set.unused.clear()


def note_planner(pod_set: PodSet, *, exists: bool) -> None:
    """Record whether a planner looks after the set."""
    pod_set.ordinary = not exists


def _put(pod_set: PodSet, member: Member, state: State) -> None:
    uid = member.uid
    pod_set.members.put(Member(member.pod, member.joined, state, _gate(pod_set, state)))
    if isinstance(place_of(state), Invalidated):
        pod_set.invalidated.setdefault(uid)
    elif pod_set.invalidated:
        pod_set.invalidated.pop(uid, None)


def _gate(pod_set: PodSet, state: State) -> Gate | None:
    match state:
        case Planned() | Invalidated():
            return Gate(state.node) if state.stored else pod_set.being_planned
        case Unplanned():
            return None
        case Refused():
            return Gate(why=Why.REFUSED, message=state.reason)
        case Unmanaged() | Bound():
            return OPEN
        case Replanning():
            return pod_set.being_replanned
        case Binding():
            return _gate(pod_set, state.before)


def _held(pod_set: PodSet) -> Gate | None:
    """What closes the gates of all members at once. A condition on the members together belongs here."""
    release = pod_set.release
    return None if release.let_go else Gate(why=Why.HELD, message=release.waits_for)


def _put_place(pod_set: PodSet, member: Member, place: Place) -> None:
    """Change the place of a member, whatever else happens to it; one that is Bound stays as it is."""
    match member.state:
        case Bound():
            pass
        case Binding(node=node):
            _put(pod_set, member, Binding(node, place))
        case Replanning():
            _put(pod_set, member, Replanning(place))
        case _:
            _put(pod_set, member, place)


def _invalidated(placed: Planned | Invalidated, why: Invalidation) -> Invalidated:
    return Invalidated(placed.node, placed.rank, placed.stored, why)


def _planned(pod_set: PodSet, member: Member, node: str) -> Planned:
    """The next place in the order of binding."""
    pod_set.ranks += 1
    return Planned(node, pod_set.ranks, stored=pod_set.stored.get(member.name) == node)


def _release_changed(pod_set: PodSet, *, before: bool) -> None:
    """Open or close the set as its release says; a plan written by hand is obeyed when it opens."""
    pod_set.held = _held(pod_set)
    if not before and pod_set.let_go and pod_set.manual:
        _obey(pod_set, pod_set.stored)


def _obey(pod_set: PodSet, nodes: Mapping[str, str]) -> None:
    """Plan the waiting members as told, by pod name."""
    for name, node in nodes.items():
        member = pod_set.members.named(name)
        if member is not None and member.waits:
            _put_place(pod_set, member, _planned(pod_set, member, node))
        if pod_set.manual and member is None:
            pod_set.unused[name] = "the set has no such pod, or only one with scheduling gates of its own"
        elif pod_set.manual and member is not None and not member.waits and member.node != node:
            pod_set.unused[name] = f'the pod is bound to node "{member.node}"'


def _follow_stored(pod_set: PodSet) -> None:
    """Have the members know whether their places are stored."""
    stored = pod_set.stored
    for member in list(pod_set.members.values()):
        placed = member.placed
        if placed is None or placed.stored == (stored.get(member.name) == placed.node):
            continue
        if isinstance(placed, Planned):
            place: Place = Planned(placed.node, placed.rank, not placed.stored, placed.until)
        else:
            place = Invalidated(placed.node, placed.rank, not placed.stored, placed.why)
        _put_place(pod_set, member, place)
