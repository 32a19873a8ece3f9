"""What is kept about all members of a set, compared with what a look at each of them says."""

from collections.abc import Sequence
from itertools import count
from random import Random

import pytest

from pallet.podset.member import (
    UNMANAGED,
    UNPLANNED,
    WAITING,
    Binding,
    Bound,
    Invalidated,
    Invalidation,
    Member,
    Planned,
    Refused,
    Replanning,
    State,
)
from pallet.podset.members import Members
from tests.builders import at, make_pod

STATES: Sequence[type[State]] = (*WAITING, Binding, Bound)
GONE = Invalidation("NodeGone", "the node is gone")
STORED = {"pod-1": "a", "pod-3": "b", "pod-99": "c"}


class Changes:
    """Draws changes; ranks only grow, as a planner gives them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # draws changes
        self._ranks = count(1)

    def apply(self, members: Members, number: int) -> None:
        """Have a pod join, change its state, or leave."""
        uid = f"uid-pod-{number}"
        before = members.get(uid)
        if before is not None and self._random.random() < 0.2:
            assert members.pop(uid) is before
            return
        state = self._another(before.state if before else UNPLANNED)
        pod = make_pod(f"pod-{number}", node="z" if isinstance(state, Bound) else "")
        members.put(Member(pod, at(number), state, None))

    def _another(self, before: State) -> State:
        place = before.before if isinstance(before, Binding | Replanning) else before
        if isinstance(place, Bound):
            return place
        stored = self._random.random() < 0.5
        until = at(9) if self._random.random() < 0.5 else None
        states: list[State] = [
            UNPLANNED,
            UNMANAGED,
            Refused("no room"),
            Planned(self._random.choice("abc"), next(self._ranks), stored, until),
            Replanning(place),
            Binding("a", place),
            Bound(place.rank),
            *([Planned(place.node, place.rank, stored, until)] if place.rank else []),
            *([Invalidated(place.node, place.rank, stored, GONE)] if place.rank else []),
        ]
        return self._random.choice(states)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_is_what_each_member_says(seed: int) -> None:
    changes, members, random = Changes(seed), Members(), Random(seed)  # noqa: S311  # draws pods
    for _ in range(200):
        changes.apply(members, random.randrange(12))
        every = list(members.values())
        assert [each.uid for each in every] == list(members)
        assert members.nodes == {each.name: each.node for each in every if each.node}
        assert members.named_in(STORED) == sum(each.name in STORED for each in every)
        ordered = sorted(every, key=lambda each: each.rank)
        assert members.in_order() == [each.uid for each in ordered]
        assert members.waiting() == [each.uid for each in ordered if each.waits]
        assert members.ranked == any(each.rank for each in every)
        assert members.admitted == sum(each.state.admitted for each in every)
        assert members.lack_places == any(lacks_place(each) for each in every)
        until = {each.uid: each.state.until for each in every if isinstance(each.state, Planned)}
        assert members.leaving == {uid: time for uid, time in until.items() if time}
        some = random.sample(STATES, 3)
        there = [each.uid for each in every if type(each.state) in some]
        assert members.uids_in(*some) == there
        assert members.count(*some) == len(there)
        assert members.any_in(*some) == bool(there)


def lacks_place(member: Member) -> bool:
    """Whether it waits, and has no valid place in the stored plan although it needs one."""
    state = member.state
    if isinstance(state, Planned):
        return not state.stored
    return member.waits and state is not UNMANAGED


def test_a_member_is_found_by_its_name_until_another_pod_has_it() -> None:
    members = Members()
    old, new = (Member(make_pod("web-0", uid=uid, node="a"), at(0), Bound(), None) for uid in ("old", "new"))
    members.put(old)
    assert members.named("web-0") is old
    members.put(new)
    members.pop("old")
    assert members.named("web-0") is new
    assert members.nodes == {"web-0": "a"}
    members.pop("new")
    assert members.named("web-0") is None
    assert not members.nodes
