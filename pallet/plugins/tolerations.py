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
