"""A cache holds what was used last, within its bytes."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np
import pytest

from pallet.api.codec import decoder
from pallet.api.pod import Pod
from pallet.bounded_cache import (
    ENTRY_BYTES,
    LARGEST_PART,
    Ageing,
    BoundedCache,
    bounded_cache,
    cache_sizes,
    footprint,
    registered,
)

SIZE = 1000 - ENTRY_BYTES
LIMIT = 40_000


@pytest.fixture
def cache() -> BoundedCache[int, str]:
    return BoundedCache("test", LIMIT, lambda key, value: SIZE)


def test_it_gives_what_was_put_in(cache: BoundedCache[int, str]) -> None:
    cache[1] = "one"
    assert cache.get(1) == "one"
    assert cache.get(2) is None
    assert (len(cache), cache.bytes) == (1, 1000)
    assert 1 in cache
    assert 2 not in cache


def test_it_never_holds_more_than_its_limit(cache: BoundedCache[int, str]) -> None:
    for number in range(1000):
        cache[number] = "some"
        assert cache.bytes == 1000 * len(cache) <= LIMIT
    assert len(cache) > 20


def test_what_is_asked_for_stays(cache: BoundedCache[int, str]) -> None:
    cache[-1] = "kept"
    for number in range(1000):
        cache[number] = "some"
        assert cache.get(-1) == "kept"


def test_what_is_put_in_again_counts_once(cache: BoundedCache[int, str]) -> None:
    for number in range(1000):
        cache[1] = str(number)
    assert (len(cache), cache.bytes, cache.get(1)) == (1, 1000, "999")


def test_what_is_put_in_again_after_it_aged_counts_once(cache: BoundedCache[int, str]) -> None:
    cache[1] = "old"
    cache.age()
    cache[1] = "new"
    assert (len(cache), cache.bytes, cache.get(1)) == (1, 1000, "new")


def test_what_was_not_used_is_gone_after_ageing_twice(cache: BoundedCache[int, str]) -> None:
    cache[1], cache[2] = "one", "two"
    cache.age()
    assert cache.get(1) == "one"
    cache.age()
    assert (cache.get(1), cache.get(2), cache.bytes) == ("one", None, 1000)
    cache.age()
    cache.age()
    assert (len(cache), cache.bytes) == (0, 0)


def test_what_is_taken_out_is_gone(cache: BoundedCache[int, str]) -> None:
    cache[1], cache[2] = "one", "two"
    assert cache.pop(1) == "one"
    assert cache.pop(1) is None
    cache.age()
    assert cache.pop(2) == "two"
    assert (len(cache), cache.bytes) == (0, 0)
    cache[3] = "three"
    cache.clear()
    assert (len(cache), cache.bytes) == (0, 0)


def test_an_entry_of_a_large_part_of_the_limit_is_not_kept() -> None:
    cache: BoundedCache[str, bytes] = BoundedCache("test", 80_000)
    cache["small"] = b"x" * 1000
    cache["large"] = b"x" * (80_000 // LARGEST_PART)
    assert cache.get("large") is None
    assert cache.get("small") is not None


def test_what_is_not_kept_any_more_is_told() -> None:
    class Telling(BoundedCache[int, str]):
        told: ClassVar[list[int]] = []

        def _let_go(self, gone: Mapping[int, str]) -> None:
            self.told.extend(gone)

    sizes = {1: 100, 2: 100, 3: LIMIT}
    cache = Telling("test", LIMIT, lambda key, value: sizes[key])
    cache[1], cache[2], cache[3] = "one", "two", "too large"
    assert cache.told == [3]
    cache.age()
    assert cache.get(2) == "two"
    cache.age()
    assert cache.told == [3, 1]
    sizes[2] = LIMIT
    assert cache.get(2) == "two"  # it has grown: this was the last time
    assert cache.told == [3, 1, 2]
    assert (cache.get(2), cache.bytes) == (None, 0)


def test_a_function_is_asked_once() -> None:
    asked: list[object] = []

    @bounded_cache("test", LIMIT)
    def half(number: int) -> int | None:
        asked.append(number)
        return None if number % 2 else number // 2

    assert [half(4), half(3), half(4), half(3)] == [2, None, 2, None]
    assert asked == [4, 3]


def test_a_function_of_several_arguments_is_asked_once() -> None:
    asked: list[object] = []

    @bounded_cache("test", LIMIT)
    def joined(left: str, right: str) -> str:
        asked.append((left, right))
        return left + right

    assert [joined("a", "b"), joined("ab", ""), joined("a", "b")] == ["ab", "ab", "ab"]
    assert asked == [("a", "b"), ("ab", "")]


def test_what_a_function_answered_is_kept_within_the_limit() -> None:
    asked: list[object] = []

    @bounded_cache("of a function", LIMIT)
    def same(number: int) -> int:
        asked.append(number)
        return number

    for number in range(1000):
        assert [same(number), same(-1)] == [number, -1]
        held, limit = cache_sizes()["of a function"]
        assert held <= limit == LIMIT
    assert len(asked) == 1001


def test_a_function_that_fails_is_asked_again() -> None:
    asked: list[object] = []

    @bounded_cache("test", LIMIT)
    def fail(number: int) -> int:
        asked.append(number)
        raise ValueError(number)

    for _ in range(2):
        with pytest.raises(ValueError, match="1"):
            fail(1)
    assert asked == [1, 1]


def test_the_sizes_of_caches_of_one_name_are_added_up_while_they_live() -> None:
    twins = [BoundedCache[int, str]("twins", LIMIT, lambda key, value: SIZE) for _ in range(2)]
    for cache in twins:
        cache[1] = "one"
    assert cache_sizes()["twins"] == (2000, 2 * LIMIT)
    del cache, twins
    assert "twins" not in cache_sizes()


def test_all_caches_age_one_by_one() -> None:
    caches = [BoundedCache[int, str](f"ageing-{number}", LIMIT) for number in range(3)]
    for cache in caches:
        cache[1] = "one"
    ageing = Ageing()
    for _ in range(3 * len(registered())):
        ageing.step()
    assert [len(cache) for cache in caches] == [0, 0, 0]


def test_a_footprint_counts_all_that_a_value_is_made_of() -> None:
    small = decoder(Pod)(msgspec.json.encode({"spec": {"nodeName": "n"}}))
    text = "x" * 10_000
    for part in (
        {"labels": {"a": text}},
        {"name": text},
    ):
        pod = decoder(Pod)(msgspec.json.encode({"metadata": part}))
        assert footprint(pod, 10**9) > footprint(small, 10**9) + len(text) - 1000
    assert footprint([(np.zeros(1000), None), {"k": "v"}], 10**9) > 8000


def test_of_a_footprint_beyond_the_most_not_all_is_counted() -> None:
    nested: tuple[object, ...] = ()
    for _ in range(100):
        nested = (nested, "x" * 1000)
    assert 10_000 < footprint(nested, 10_000) < 12_000 < footprint(nested, 10**9)
