"""When a pod puts up with a taint (Kubernetes: Taints and Tolerations)."""

from collections.abc import Iterable

from pallet.api.node import Taint
from pallet.api.pod import Toleration

NO_SCHEDULE = "NoSchedule"
NO_EXECUTE = "NoExecute"
PREFER_NO_SCHEDULE = "PreferNoSchedule"


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers a taint. Without a key, Exists covers every taint of its effect."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.operator in ("", "Equal") and toleration.value == taint.value


def tolerated(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether any of the tolerations covers a taint."""
    for toleration in tolerations:  # noqa: SIM110  # asked for each pod, and any() takes thrice as long
        if tolerates(toleration, taint):
            return True
    return False


class Tolerance:
    """What some tolerations cover: a taint is looked up, and compared with none, however many they are."""

    __slots__ = ("_any_value", "_values")

    def __init__(self, tolerations: Iterable[Toleration]) -> None:
        self._any_value: set[tuple[str, str]] = set()
        self._values: set[tuple[str, str, str]] = set()
        for each in tolerations:
            if each.operator == "Exists":
                self._any_value.add((each.key, each.effect))
            elif each.key and each.operator in ("", "Equal"):
                self._values.add((each.key, each.effect, each.value))

    def covers(self, taint: Taint) -> bool:
        """Whether any of the tolerations covers a taint."""
        return any(
            (taint.key, effect) in self._any_value
            or ("", effect) in self._any_value
            or (taint.key, effect, taint.value) in self._values
            for effect in (taint.effect, "")
        )
