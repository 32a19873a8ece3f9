"""Labels as shared immutable mappings.

The pods of one template carry equal labels. Equal labels are one object here, so that a label set can be a
dictionary key at the price of a pointer, and thousands of pods share one copy.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from weakref import WeakValueDictionary


class Labels(dict[str, str]):
    """An immutable mapping of strings; `Labels(x) is Labels(y)` whenever x and y are equal.

    It is hashed by identity, and decoded and encoded as a plain JSON object.
    """

    __slots__ = ("__weakref__",)

    def __new__(cls, mapping: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> "Labels":
        """Give the one instance with these labels."""
        items = mapping.items() if isinstance(mapping, (dict, Mapping)) else mapping  # most are plain dicts
        key = tuple(sorted(items))
        found = _interned.get(key)
        if found is None:
            found = super().__new__(cls)
            dict.update(found, key)
            _interned[key] = found
        return found

    def __init__(self, mapping: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Leave an interned instance as it is."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict is unhashable because it is mutable
        return id(self)

    def __reduce__(self) -> tuple[type["Labels"], tuple[dict[str, str]]]:
        return Labels, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Raise TypeError: labels are shared, so nobody may change them."""
        raise TypeError("labels are immutable; build new ones with Labels({...})")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


_interned: WeakValueDictionary[tuple[tuple[str, str], ...], Labels] = WeakValueDictionary()

NO_LABELS = Labels()
