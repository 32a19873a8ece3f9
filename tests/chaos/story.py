"""Histories made by hand: what happened, line by line, at times in seconds."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tools.chaos.history import Blind, Change, History, Node, Object, Plan, Pod, Trigger, Write

ROOM = {"cpu": 4000, "memory": 2**33, "pods": 10}


@dataclass
class Story:
    """Records in the order in which they are told."""

    changes: list[Change] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    blind: list[Blind] = field(default_factory=list)
    _objects: dict[str, Object] = field(default_factory=dict)

    @property
    def history(self) -> History:
        """All of it, with revisions in the order of time."""
        ordered = sorted(self.changes, key=lambda change: change.at)
        changes = [replace(change, revision=number) for number, change in enumerate(ordered, 1)]
        return History.of([*changes, *self.writes, *self.blind])

    def _put(self, at: float, key: str, obj: Object | None) -> None:
        self.changes.append(Change(at, len(self.changes) + 1, key, obj))
        if obj is None:
            del self._objects[key]
        else:
            self._objects[key] = obj

    def node(self, at: float, name: str = "n", **what: Any) -> None:
        """A node appears, or changes."""
        self._put(at, f"/registry/minions/{name}", Node(name, f"uid of {name}", **{**ROOM, **what}))

    def pod(self, at: float, name: str = "p", **what: Any) -> None:
        """A pod appears, or changes."""
        uid = what.pop("uid", f"uid of {name}")
        pod = Pod("ns", name, uid, ours=True, **{"cpu": 1000, **what})
        self._put(at, f"/registry/pods/ns/{name}", pod)

    def trigger(self, at: float, state: str, name: str = "t", pod_set: str = "s", **what: Any) -> None:
        """A trigger appears, or changes."""
        trigger = Trigger("ns", name, f"uid of {name}", pod_set, state, **what)
        self._put(at, f"/registry/planner.ciena.io/scheduletriggers/ns/{name}", trigger)

    def plan(self, at: float, **places: str) -> None:
        """The plan of set s appears, or changes."""
        self._put(at, "/registry/planner.ciena.io/scheduleplans/ns/s-1", Plan("ns", "s-1", "u", "s", places))

    def gone(self, at: float, kind: str, name: str) -> None:
        """An object is deleted: a pod, a minion, a scheduletrigger or a scheduleplan."""
        key = next(key for key in self._objects if f"/{kind}s/" in key and key.endswith(f"/{name}"))
        self._put(at, key, None)

    def write(
        self, at: float, agent: str, verb: str, resource: str, code: int | None = 200, **what: Any
    ) -> None:
        """A replica writes."""
        self.writes.append(Write(at, agent, verb, resource, "ns", what.pop("name", ""), code, **what))

    def bind(
        self,
        at: float,
        node: str = "n",
        name: str = "p",
        *,
        agent: str = "a-1",
        seen: float = 0.01,
    ) -> None:
        """A replica binds a pod, which is there already; it is seen a little later."""
        pod = self._objects[f"/registry/pods/ns/{name}"]
        assert isinstance(pod, Pod)
        self.write(at, agent, "create", "pods/binding", 201, name=name, uid=pod.uid, node=node)
        self._put(at + seen, f"/registry/pods/ns/{name}", replace(pod, node=node))

    def renew(self, at: float, agent: str = "a-1", holder: str = "me") -> None:
        """A replica writes the lease; without a holder it gives it up."""
        self.write(at, agent, "update", "leases", holder=holder)

    def unseeing(self, start: float, end: float, resource: str = "", replica: str = "a") -> None:
        """Changes of a resource do not reach a replica."""
        self.blind.append(Blind(replica, resource, start, end))
