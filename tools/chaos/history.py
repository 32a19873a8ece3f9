"""What happened during a run, as the checks read it: changes in etcd, writes in the audit log, faults.

All times are seconds since the epoch, by the one clock of the machine. Everything here can be written as JSON
and read back, so that a run can be checked again.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec


class Pod(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What the checks read of a pod. cpu is in millicores, memory in bytes.

    `apart` is a label selector (matchLabels) of required anti-affinity by host name.
    """

    namespace: str
    name: str
    uid: str
    node: str = ""
    labels: dict[str, str] = {}
    pod_set: str = ""
    ours: bool = False
    finished: bool = False
    terminating: bool = False
    cpu: int = 0
    memory: int = 0
    ports: tuple[int, ...] = ()
    apart: dict[str, str] = {}
    selector: dict[str, str] = {}
    tolerated: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its namespace and name."""
        return f"{self.namespace}/{self.name}"


class Node(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What the checks read of a node. `taints` are the keys of those that keep pods away."""

    name: str
    uid: str
    cpu: int = 0
    memory: int = 0
    pods: int = 0
    labels: dict[str, str] = {}
    taints: tuple[str, ...] = ()
    unschedulable: bool = False


class Trigger(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A trigger; `quiet` is its quiet time in seconds."""

    namespace: str
    name: str
    uid: str
    pod_set: str
    state: str
    quiet: float | None = None


class Plan(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A stored plan: nodes by pod name."""

    namespace: str
    name: str
    uid: str
    pod_set: str
    places: dict[str, str] = {}


Object = Pod | Node | Trigger | Plan


class Change(msgspec.Struct, frozen=True, tag=True):
    """One revision of etcd: the object as it was from then on, or None when it was deleted."""

    at: float
    revision: int
    key: str
    object: Object | None


class Write(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A write of a replica as the API server saw it.

    `code` is None where the API server ended before it answered. `agent` names a process: `a-3` is the third
    of replica a. `seconds` is how long the API server worked on it. `uid` and `node` are those of a binding,
    `holder` that of a lease.
    """

    at: float
    agent: str
    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    code: int | None = None
    seconds: float = 0.0
    uid: str = ""
    node: str = ""
    holder: str = ""

    @property
    def done(self) -> bool:
        """Whether it was carried out, as far as the API server said."""
        return self.code is not None and self.code < 300


class Blind(msgspec.Struct, frozen=True, tag=True):
    """A time in which changes of a resource did not reach a replica; all resources where it is empty."""

    replica: str
    resource: str
    start: float
    end: float


class Happened(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A fault that met something."""

    at: float
    kind: str
    replica: str = ""
    detail: str = ""


Record = Change | Write | Blind | Happened


class History(msgspec.Struct):
    """All records of a run, each kind in the order of time."""

    changes: list[Change] = []
    writes: list[Write] = []
    blind: list[Blind] = []
    faults: list[Happened] = []

    @classmethod
    def of(cls, records: Iterable[Record]) -> "History":
        """Sort records into a history: changes by revision, all else by time."""
        history = cls()
        for record in records:
            match record:
                case Change():
                    history.changes.append(record)
                case Write():
                    history.writes.append(record)
                case Blind():
                    history.blind.append(record)
                case Happened():
                    history.faults.append(record)
        history.changes = _in_order(history.changes)
        history.writes.sort(key=lambda write: write.at)
        history.blind.sort(key=lambda blind: blind.start)
        history.faults.sort(key=lambda fault: fault.at)
        return history

    def bindings(self) -> Iterator[Write]:
        """The bindings that were carried out."""
        return (write for write in self.writes if write.resource == "pods/binding" and write.done)


def _in_order(changes: list[Change]) -> list[Change]:
    """Sort by revision. None is later than the next one: the watch of its kind only told of it late."""
    ordered = sorted(changes, key=lambda change: change.revision)
    for index in range(len(ordered) - 2, -1, -1):
        latest = ordered[index + 1].at
        if ordered[index].at > latest:
            ordered[index] = msgspec.structs.replace(ordered[index], at=latest)
    return ordered


class Violation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that must not be: which rule, when, about what, and what it looked like."""

    rule: str
    at: float
    subject: str
    text: str


def replayed(changes: Iterable[Change]) -> Iterator[tuple[Change, Object | None, Mapping[str, Object]]]:
    """Go through the changes: each, what was there before it, and everything as it was after it."""
    state: dict[str, Object] = {}
    for change in changes:
        before = state.pop(change.key, None)
        if change.object is not None:
            state[change.key] = change.object
        yield change, before, state
