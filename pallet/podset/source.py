"""What a set comes from: the object or the mark that names it, and what lets it go."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from pallet.api.plan_name import plan_name
from pallet.api.pod import Pod


class Source(StrEnum):
    """What names a set."""

    LABEL = "label"
    """The pods' label `planner.ciena.io/pod-set`."""


class SetKey(NamedTuple):
    """A set: what names it, its namespace, and its name there."""

    source: Source
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def plan_name(self) -> str:
        """The name of its SchedulePlan."""
        return plan_name(self.namespace, self.name)


class Naming(Protocol):
    """What names the sets of pods."""

    def key_of(self, pod: Pod) -> SetKey | None:
        """The set a pod belongs to, whether or not it is a member of it by now; None where it has no set."""
        ...


class Release(Protocol):
    """What lets a set go: until it does, its members are held, and have no places."""

    @property
    def let_go(self) -> bool:
        """Whether the set may go."""
        ...

    @property
    def waits_for(self) -> str:
        """What a set that may not go waits for, in words."""
        ...

    @property
    def let_go_since(self) -> datetime | None:
        """Since when the set may go; None where it may not."""
        ...
