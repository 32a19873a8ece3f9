"""What a plugin answers. An expected refusal is a Status with its reasons, never an exception."""

from enum import Enum, auto

import msgspec


class Code(Enum):
    """The kinds of answer, as kube-scheduler's framework has them."""

    SUCCESS = auto()
    ERROR = auto()
    UNSCHEDULABLE = auto()
    UNSCHEDULABLE_AND_UNRESOLVABLE = auto()
    WAIT = auto()
    SKIP = auto()
    PENDING = auto()

    @property
    def label(self) -> str:
        """Its name in metrics, as kube-scheduler spells it."""
        return _LABELS[self]


_LABELS = {code: code.name.title().replace("_", "") for code in Code}


class Status(msgspec.Struct, frozen=True, gc=False):
    """An answer, its reasons in words, and the plugin that gave it (set by the runtime)."""

    code: Code
    reasons: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a plain success."""
        return self.code is Code.SUCCESS

    @property
    def rejected(self) -> bool:
        """Whether it is an expected refusal, not an error."""
        return self.code in (Code.UNSCHEDULABLE, Code.UNSCHEDULABLE_AND_UNRESOLVABLE, Code.PENDING)

    @property
    def message(self) -> str:
        """The reasons in one line."""
        return ", ".join(self.reasons)

    def by(self, plugin: str) -> "Status":
        """The same answer with its plugin named."""
        return msgspec.structs.replace(self, plugin=plugin)


SUCCESS = Status(Code.SUCCESS)
SKIP = Status(Code.SKIP)


def unschedulable(*reasons: str) -> Status:
    """Refuse; room that becomes free (by preemption, say) could help."""
    return Status(Code.UNSCHEDULABLE, reasons)


def unresolvable(*reasons: str) -> Status:
    """Refuse; taking other pods away would not help."""
    return Status(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, reasons)


def error(reason: str) -> Status:
    """Something went wrong that nobody expects; the pod is tried again after a back-off."""
    return Status(Code.ERROR, (reason,))


class PluginError(Exception):
    """A plugin answered with an error, so the cycle cannot go on."""

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(f"{plugin}: {message}")
        self.plugin = plugin
