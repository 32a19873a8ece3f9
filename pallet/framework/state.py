"""What plugins hand on to each other within one cycle of one pod."""

from typing import Any


class CycleState:
    """Values by key, written once by an early extension point and read by later ones.

    `sampled`: whether single plugins are timed in this cycle. `skipped`: the names of the plugins that are
    left out at `filter` and at `score`.
    """

    __slots__ = ("_values", "sampled", "skipped")

    def __init__(self, *, sampled: bool = False) -> None:
        self._values: dict[str, Any] = {}
        self.sampled = sampled
        self.skipped: dict[str, set[str]] = {"filter": set(), "score": set()}

    def skip_score(self, plugin: str) -> None:
        """Leave out a plugin's score in this cycle; for its pre-filter method, by its own name."""
        self.skipped["score"].add(plugin)

    def write(self, key: str, value: Any) -> None:
        """Store a value. Keys start with the plugin's name."""
        self._values[key] = value

    def read(self, key: str) -> Any:
        """The stored value, or None."""
        return self._values.get(key)
