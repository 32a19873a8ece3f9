"""What an evaluator remembers of pods is bounded in bytes, and goes with them."""

import gc
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest

from pallet import bounded_cache
from pallet.api.pod import Toleration
from pallet.bounded_cache import cache_sizes, registered
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import Codes, RowChoice
from pallet.framework.state import CycleState
from pallet.runtime import equivalence_class as module
from pallet.runtime.evaluator import Evaluator
from tests.builders import make_node, make_pod, pod_affinity, pod_term
from tests.profiles import default_profile

if TYPE_CHECKING:
    from pallet.runtime.memory import PluginMemory

LIMIT = 2_000_000


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    for number in range(3):
        cache.put_node(make_node(f"n{number}"))
    return cache


@pytest.fixture
def evaluator(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    monkeypatch.setattr(module, "_CLASSES_BYTES", LIMIT)
    return Evaluator(default_profile(cache), cache.snapshot, Random(0))  # noqa: S311 - breaks ties


def decide(evaluator: Evaluator, number: int) -> None:
    """Decide about a pod that is in a class of its own."""
    own = {"app": f"app-{number}"}
    apart = pod_affinity(away=[pod_term(own["app"])])
    pod = make_pod(f"p{number}", labels=own, cpu=f"{number + 1}m", affinity=apart)
    assert evaluator.choose(CycleState(), PodInfo(pod)).node


def results(evaluator: Evaluator) -> int:
    memories: list[PluginMemory[Any]] = [*evaluator._filters, *evaluator._scores]
    return sum(len(each._results) for each in memories)


def test_classes_that_never_come_again_do_not_pile_up(evaluator: Evaluator) -> None:
    for number in range(100):
        decide(evaluator, number)
        assert evaluator._classes._classes.bytes <= LIMIT
    assert 2 < len(evaluator._classes._classes) < 50
    assert results(evaluator) <= 12 * len(evaluator._classes._classes)


def test_classes_that_are_not_used_are_given_back_with_their_results(evaluator: Evaluator) -> None:
    decide(evaluator, 1)
    assert results(evaluator)
    for _ in range(2):
        for cache in registered():
            cache.age()
    assert len(evaluator._classes._classes) == results(evaluator) == 0


def test_a_class_with_very_large_signatures_is_not_kept(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their size would have to be measured, which takes longer than to decide again."""
    parts: list[object] = []
    parts_of = bounded_cache._parts

    def counted(value: object) -> Iterable[object]:
        parts.append(value)
        return parts_of(value)

    monkeypatch.setattr(module, "_KEY_BYTES", 100_000)
    monkeypatch.setattr(bounded_cache, "_parts", counted)
    for count, kept in ((10, 1), (5000, 1)):
        tolerations = [Toleration(key=f"k{number}") for number in range(count)]
        assert evaluator.choose(CycleState(), PodInfo(make_pod("p", tolerations=tolerations))).node
        assert len(evaluator._classes._classes) == kept
    assert len(parts) < 5000


def test_an_evaluator_goes_with_what_it_remembers(cache: Cache) -> None:
    """Planners make one for each plan. What refers to itself might be kept for good (see app.garbage)."""
    gc.disable()
    try:
        evaluator = Evaluator(default_profile(cache), cache.snapshot.fork(), Random(0))  # noqa: S311 - ties
        decide(evaluator, 1)
        before = cache_sizes()["pod_kinds"][0]
        gone = ref(evaluator)
        del evaluator
        assert gone() is None
        assert cache_sizes().get("pod_kinds", (0, 0))[0] < before
    finally:
        gc.enable()


def test_where_no_class_has_a_result_only_the_rows_in_question_are_asked_about(
    evaluator: Evaluator, cache: Cache
) -> None:
    memory = next(each for each in evaluator._filters if each.name == "NodeResourcesFit")
    asked: list[list[int]] = []

    def ask(state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        assert not isinstance(rows, slice)
        asked.append(rows.tolist())
        return np.zeros(rows.size, np.uint32)

    memory.methods = replace(memory.methods, rows=ask)
    memory.codes(CycleState(), PodInfo(make_pod("p")), cache.snapshot, np.array([0, 2]))
    assert asked == [[0, 2]]
