"""The metadata of pods that is kept only where an enabled plugin declares that it reads it.

Annotations and finalizers are a large part of a pod, few of them are shared, and there may be 150,000 pods.
"""

from collections.abc import Callable, Set
from typing import Any, NoReturn

from msgspec.structs import force_setattr

from pallet.api.labels import Labels
from pallet.api.pod import Pod

POD_METADATA = frozenset(("annotations", "finalizers"))
"""What a plugin may declare, as fields of ObjectMeta."""


class UndeclaredMetadataError(LookupError):
    """A plugin reads metadata of pods that no enabled plugin declares."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} of pods are dropped unless an enabled plugin declares them: add "
            f"`pod_metadata = frozenset({{'{field}'}})` to the class of the plugin that reads them"
        )


def keep(fields: Set[str]) -> Callable[[Pod], Pod]:
    """Give the informer's transform that drops of `POD_METADATA` all but these fields.

    The pods are changed in place, before they are stored and handlers are called. Reading a dropped field
    raises `UndeclaredMetadataError`.
    """
    dropped = [(field, _DROPPED[field]) for field in sorted(POD_METADATA - fields)]

    def transform(pod: Pod) -> Pod:
        for field, unreadable in dropped:
            force_setattr(pod.metadata, field, unreadable)
        return pod

    return transform


class _DroppedAnnotations(Labels):
    """Stands for annotations that were dropped. It equals itself, so that pods can be compared."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UndeclaredMetadataError("annotations")

    __getitem__ = __contains__ = __iter__ = __len__ = __bool__ = __or__ = __ror__ = _refuse
    get = keys = values = items = copy = _refuse

    def __eq__(self, other: object) -> bool:
        return other is self or self._refuse()

    __hash__ = Labels.__hash__


class _DroppedFinalizers(tuple[str, ...]):
    """Stands for finalizers that were dropped."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UndeclaredMetadataError("finalizers")

    __getitem__ = __contains__ = __iter__ = __len__ = __bool__ = __add__ = _refuse
    count = index = _refuse

    def __eq__(self, other: object) -> bool:
        return other is self or self._refuse()

    __hash__ = object.__hash__


_DROPPED: dict[str, object] = {
    "annotations": dict.__new__(_DroppedAnnotations),
    "finalizers": _DroppedFinalizers(),
}
