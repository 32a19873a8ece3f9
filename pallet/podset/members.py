"""The members of a set, with what decisions ask about all of them kept as single ones change.

A decision about a set of thousands is made after each change: none may look at every member for it.
"""

from collections.abc import Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING

from pallet.podset.member import WAITING, Member, Planned, State, Unmanaged

if TYPE_CHECKING:
    from datetime import datetime

_Group = tuple[type[State], bool]
"""Of members alike in state and in `admitted`."""

_SATISFIED = (Planned, Unmanaged)


class Members(Mapping[str, Member]):
    """Members by UID, in the order in which they joined.

    nodes: by pod name, where members are, or are to go to
    leaving: by UID, when to ask again about planned members whose room is taken by pods that are deleted
    """

    __slots__ = ("_by_uid", "_groups", "_ranked", "_uid_of", "leaving", "nodes")

    def __init__(self) -> None:
        self._by_uid: dict[str, Member] = {}
        self._groups: dict[_Group, dict[str, None]] = {}
        # Ranks are given in ascending order, so this stays sorted by them.
        self._ranked: dict[int, str] = {}
        self._uid_of: dict[str, str] = {}
        self.nodes: dict[str, str] = {}
        self.leaving: dict[str, datetime] = {}

    def __getitem__(self, uid: str) -> Member:
        return self._by_uid[uid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_uid)

    def __len__(self) -> int:
        return len(self._by_uid)

    def __contains__(self, uid: object) -> bool:
        return uid in self._by_uid

    def values(self) -> ValuesView[Member]:
        """The members."""
        return self._by_uid.values()

    def named(self, name: str) -> Member | None:
        """The member with a name."""
        uid = self._uid_of.get(name)
        return None if uid is None else self._by_uid[uid]

    def named_in(self, names: Mapping[str, object]) -> int:
        """How many have one of some names."""
        return len(self._uid_of.keys() & names.keys())

    def put(self, member: Member) -> None:
        """Take a new member, or another state of one."""
        uid, name = member.uid, member.name
        before = self._by_uid.get(uid)
        group, rank, node = _group(member), member.rank, member.node
        if before is None:
            self._uid_of[name] = uid
            self._groups.setdefault(group, {})[uid] = None
            self._change_rank(uid, 0, rank)
        else:
            old = _group(before)
            if group != old:
                del self._groups[old][uid]
                self._groups.setdefault(group, {})[uid] = None
            self._change_rank(uid, before.rank, rank)
        self._by_uid[uid] = member
        if node:
            self.nodes[name] = node
        else:
            self.nodes.pop(name, None)
        self._note_leaving(uid, member.state)

    def pop(self, uid: str) -> Member:
        """Remove a member."""
        member = self._by_uid.pop(uid)
        del self._groups[_group(member)][uid]
        self._change_rank(uid, member.rank, 0)
        self._note_leaving(uid, None)
        if self._uid_of[member.name] == uid:  # else another pod has its name by now
            del self._uid_of[member.name]
            self.nodes.pop(member.name, None)
        return member

    def count(self, *states: type[State]) -> int:
        """How many are in one of some states."""
        return sum(len(uids) for (state, _), uids in self._groups.items() if state in states)

    def any_in(self, *states: type[State]) -> bool:
        """Whether any is in one of some states."""
        return any(uids for (state, _), uids in self._groups.items() if state in states)

    def uids_in(self, *states: type[State]) -> list[str]:
        """The UIDs of those in one of some states, in the order in which they joined."""
        found = [uids for (state, _), uids in self._groups.items() if uids and state in states]
        if not found:
            return []
        chosen = set[str]().union(*found)
        return [uid for uid in self._by_uid if uid in chosen]

    @property
    def admitted(self) -> int:
        """How many wait and are admitted: see `State`."""
        return sum(len(uids) for (_, admitted), uids in self._groups.items() if admitted)

    @property
    def lack_places(self) -> bool:
        """Whether any waits, needs a valid place in the stored plan, and has none."""
        needing = ((state, admitted) for (state, admitted), uids in self._groups.items() if uids)
        return any(state in WAITING and not (admitted and state in _SATISFIED) for state, admitted in needing)

    @property
    def ranked(self) -> bool:
        """Whether any has a place in the order of binding."""
        return bool(self._ranked)

    def in_order(self) -> list[str]:
        """Their UIDs in the order of binding, in which each step is legal; those without a rank first."""
        ranked = self._ranked.values()
        chosen = set(ranked)
        return [*(uid for uid in self._by_uid if uid not in chosen), *ranked]

    def waiting(self) -> list[str]:
        """The UIDs of those without a node, in the order of binding."""
        chosen = set[str]().union(*(uids for (state, _), uids in self._groups.items() if state in WAITING))
        return [uid for uid in self.in_order() if uid in chosen]

    def _change_rank(self, uid: str, old: int, new: int) -> None:
        if old != new:
            self._ranked.pop(old, None)
            if new:
                self._ranked[new] = uid

    def _note_leaving(self, uid: str, state: State | None) -> None:
        until = state.until if isinstance(state, Planned) else None
        if until is not None:
            self.leaving[uid] = until
        elif self.leaving:
            self.leaving.pop(uid, None)


def _group(member: Member) -> _Group:
    return type(member.state), member.state.admitted
