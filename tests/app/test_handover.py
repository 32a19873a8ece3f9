"""What one leader tells the next, and when that is enough; in virtual time."""

from typing import Any

import anyio
import pytest

from pallet.app import handover
from pallet.cache.cache import Hold
from tests.faults.virtual_time import VIRTUAL_TIME

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


class Informers:
    """They have seen this much, and more after a while."""

    def __init__(self, versions: dict[str, int], later: float = 0.0) -> None:
        self.versions = versions
        self.later = later

    def seen(self) -> dict[str, str]:
        return {name: str(version) for name, version in self.versions.items()}

    def have_seen(self, seen: dict[str, str]) -> bool:
        if anyio.current_time() < self.later:
            return False
        return all(int(seen.get(name, 10**9)) <= version for name, version in self.versions.items())


class Cache:
    """Its pods are assumed until a moment."""

    def __init__(self, until: float) -> None:
        self.until = until

    def count(self, hold: Hold) -> int:
        assert hold is Hold.ASSUMED
        return int(anyio.current_time() < self.until)


async def word(informers: Any, cache: Any) -> str:
    return await handover.word(informers, cache)


async def received(informers: Any, last_word: str) -> bool:
    return await handover.received(informers, last_word)


@pytest.mark.parametrize(
    ("until", "told"), [(0.0, '{"pods":"7"}'), (0.1, '{"pods":"7"}'), (5.0, "")], ids=["none", "soon", "late"]
)
async def test_nothing_is_told_while_bindings_are_unseen(until: float, told: str) -> None:
    assert await word(Informers({"pods": 7}), Cache(until)) == told
    assert anyio.current_time() < 0.5


@pytest.mark.parametrize(
    ("informers", "enough"),
    [
        (Informers({"pods": 7}), True),
        (Informers({"pods": 8}), True),
        (Informers({"pods": 6}), False),
        (Informers({"pods": 7}, later=0.1), True),
        (Informers({"pods": 7}, later=5.0), False),
        (Informers({"pods": 7, "nodes": 7}), False),
    ],
    ids=["as much", "more", "less", "soon", "late", "other collections"],
)
async def test_who_has_seen_as_much_need_not_ask(informers: Informers, *, enough: bool) -> None:
    assert await received(informers, '{"pods":"7"}') is enough
    assert anyio.current_time() < 0.5


@pytest.mark.parametrize("last_word", ["", "seen", "[]", '{"pods":7}'])
async def test_what_cannot_be_read_is_no_word(last_word: str) -> None:
    assert not await received(Informers({}), last_word)
