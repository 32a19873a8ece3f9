"""Loop budgets for tests."""

from collections.abc import Callable

from pallet.loop_budget import LoopBudget


class UsedUpBudget(LoopBudget):
    """Has nothing left whenever it is asked, and tells of each pause."""

    def __init__(self, paused: Callable[[], object]) -> None:
        super().__init__()
        self._tell_paused = paused

    @property
    def exhausted(self) -> bool:
        return True

    async def pause(self) -> None:
        self._tell_paused()
        await super().pause()
