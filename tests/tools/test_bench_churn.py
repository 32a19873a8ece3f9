"""What the churn is made of, and how it is judged."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client import generate_latest

from pallet.bounded_cache import BoundedCache
from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from tools.bench import waves
from tools.bench.churn import Sample, cache_bytes, document, growth, judge, table, warm_seconds

WARM = 600.0


def samples(*resident: float, caches: dict[str, int] | None = None) -> list[Sample]:
    """One sample for each minute, beginning with the last before it is warm."""
    return [
        Sample(WARM - 30 + 60 * number, number, held, caches or {}, {"small": 10})
        for number, held in enumerate(resident)
    ]


def made(wave: int) -> list[dict[str, Any]]:
    return [*waves.fitting_pods(wave), waves.never_fitting_pod(wave), *waves.pods_of_set(wave)]


def words(pods: Iterable[dict[str, Any]]) -> set[str]:
    """The names, label values, images and quantities of pods."""
    found = set()
    for pod in pods:
        [container] = pod["spec"]["containers"]
        labels = pod["metadata"]["labels"].items()
        found |= {container["image"], container["resources"]["requests"]["memory"]}
        found |= {f"{key}={value}" for key, value in labels}
    return found


def test_a_wave_repeats_nothing_of_the_one_before() -> None:
    assert not words(made(7)) & words(made(8))
    assert len({pod["metadata"]["name"] for pod in made(7)}) == len(made(7))
    assert json.dumps(made(7)) == json.dumps(made(7))


def test_memory_that_stays_is_no_fault() -> None:
    assert judge(samples(100.0, 104.0, 103.0), WARM) == []
    assert growth(samples(100.0, 104.0, 103.0), WARM) == (100.0, 104.0)


def test_memory_that_grows_is_a_fault() -> None:
    assert judge(samples(100.0, 106.0, 103.0), WARM) == [
        "memory grew by 6.0 % after 10 minutes, from 100 MiB"
    ]


def test_a_cache_beyond_its_bound_is_a_fault() -> None:
    assert judge(samples(1.0, 1.0, caches={"small": 11}), WARM) == ["the cache small was beyond its bound"]
    assert judge(samples(1.0, 1.0, caches={"small": 10}), WARM) == []


@pytest.mark.parametrize("taken", [[], samples(100.0)])
def test_memory_that_was_not_read_is_a_fault(taken: list[Sample]) -> None:
    assert judge(taken, WARM)


def test_the_table_tells_the_growth_and_the_most_of_each_cache() -> None:
    text = table(samples(100.0, 104.0, caches={"small": 10240}), WARM)
    assert "104.0 (+4.0 %)" in text
    assert "small" in text


def test_the_file_holds_what_was_read() -> None:
    found = document(samples(100.0, 104.0, caches={"small": 9}), WARM)
    assert (found["before_mib"], found["after_mib"]) == (100.0, 104.0)
    assert [each["resident_mib"] for each in found["samples"]] == [100.0, 104.0]
    assert found["caches"] == {"small": {"most_bytes": 9, "limit_bytes": 10}}


def test_a_short_run_is_warm_after_half_of_it() -> None:
    assert [warm_seconds(minutes) for minutes in (60, 20, 4)] == [600, 600, 120]


def test_the_bytes_of_caches_are_read_from_the_metrics() -> None:
    cache: BoundedCache[int, str] = BoundedCache("read", 10_000)
    cache[1] = "one"
    instruments = Instruments()
    Metrics(instruments)
    held, limits = cache_bytes(generate_latest(instruments.registry).decode())
    assert (held["read"], limits["read"]) == (cache.bytes, cache.limit)
