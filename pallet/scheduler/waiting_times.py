"""Since when pods wait for a node, so that the one that has waited longest is known at any time."""

from collections.abc import Callable, Iterable


class WaitingTimes:
    """The pods of each profile that wait, in the order in which they began to. `clock` gives seconds."""

    def __init__(self, profiles: Iterable[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, dict[str, float]] = {profile: {} for profile in profiles}

    def begin(self, profile: str, uid: str) -> None:
        """A pod waits from now on, if it has not done so already."""
        self._since[profile].setdefault(uid, self._clock())

    def end(self, uid: str) -> None:
        """A pod has its node, is gone, or is kept back: it waits no longer."""
        for since in self._since.values():
            since.pop(uid, None)

    def longest(self, profile: str) -> float:
        """Seconds that a pod of a profile has waited, of those that wait the longest time; 0 if none does."""
        first = next(iter(self._since[profile].values()), None)
        return 0.0 if first is None else self._clock() - first
