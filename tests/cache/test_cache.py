"""Each arrow of the way that the cache's docstring draws."""

import pytest

from pallet.api.pod import Pod
from pallet.api.requests import CPU
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from tests.builders import make_node, make_pod

POD = make_pod("p", cpu="1")
INFO = PodInfo(POD)


def cache_with(hold: Hold | None, node: str = "a") -> Cache:
    """A cache with nodes a and b, and pod p in some state."""
    cache = Cache()
    cache.put_node(make_node("a"))
    cache.put_node(make_node("b"))
    match hold:
        case Hold.RESERVED:
            cache.reserve(INFO, node, Owner())
        case Hold.ASSUMED:
            cache.assume(INFO, node)
        case Hold.BOUND:
            cache.put_pod(make_pod("p", cpu="1", node=node))
    return cache


def state(cache: Cache, pod: Pod = POD) -> tuple[Hold, str] | None:
    """How and where a pod is held; checks that it weighs there, if there is such a node, and nowhere else."""
    placement, table = cache.location(pod.metadata.uid), cache.snapshot.table
    cpu = table.resources[CPU].requested
    weights = {table.name(row): int(cpu[row]) for row in cpu.nonzero()[0].tolist()}
    if placement is None or placement.node not in table.row_of:
        assert weights == {}
        return None if placement is None else (placement.hold, placement.node)
    assert weights == {placement.node: placement.info.requests.scored_cpu}
    return placement.hold, placement.node


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, (Hold.RESERVED, "b")),
        (Hold.RESERVED, (Hold.RESERVED, "b")),
        (Hold.ASSUMED, (Hold.ASSUMED, "a")),
        (Hold.BOUND, (Hold.BOUND, "a")),
    ],
)
def test_reserve_moves_what_is_reserved_and_leaves_what_is_on_its_way(
    before: Hold | None, after: tuple[Hold, str]
) -> None:
    cache = cache_with(before)
    cache.reserve(INFO, "b", Owner())
    assert state(cache) == after


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (None, None, None),
        (Hold.RESERVED, "a", None),
        (Hold.ASSUMED, None, (Hold.ASSUMED, "a")),
        (Hold.BOUND, None, (Hold.BOUND, "a")),
    ],
)
def test_unreserve_gives_up_only_what_is_only_reserved(
    before: Hold | None, told: str | None, after: tuple[Hold, str] | None
) -> None:
    cache = cache_with(before)
    reservation = cache.unreserve(INFO.uid)
    assert (reservation and reservation.node) == told
    assert state(cache) == after


@pytest.mark.parametrize("before", [None, Hold.RESERVED])
def test_assume_counts_a_new_or_reserved_pod_at_its_node(before: Hold | None) -> None:
    cache = cache_with(before)
    cache.assume(INFO, "b")
    assert state(cache) == (Hold.ASSUMED, "b")


@pytest.mark.parametrize("before", [Hold.ASSUMED, Hold.BOUND])
def test_assume_refuses_a_pod_that_is_placed_already(before: Hold) -> None:
    cache = cache_with(before)
    with pytest.raises(ValueError, match=f"pod default/p is {before.name.lower()} already"):
        cache.assume(INFO, "b")
    assert state(cache) == (before, "a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        (Hold.RESERVED, (Hold.RESERVED, "a")),
        (Hold.ASSUMED, None),
        (Hold.BOUND, (Hold.BOUND, "a")),
    ],
)
def test_forget_takes_back_only_assumptions(before: Hold | None, after: tuple[Hold, str] | None) -> None:
    cache = cache_with(before)
    cache.forget(INFO.uid)
    assert state(cache) == after


def test_a_forgotten_pod_can_be_reserved_anew() -> None:
    cache = cache_with(Hold.ASSUMED)
    cache.forget(INFO.uid)
    cache.reserve(INFO, "a", Owner())
    assert state(cache) == (Hold.RESERVED, "a")


@pytest.mark.parametrize("node", ["a", "b", "unknown"])
@pytest.mark.parametrize("before", [None, Hold.RESERVED, Hold.ASSUMED, Hold.BOUND])
def test_the_api_wins_over_whatever_was_assumed(before: Hold | None, node: str) -> None:
    cache = cache_with(before)
    cache.put_pod(make_pod("p", cpu="1", node=node))
    assert state(cache) == (Hold.BOUND, node)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize("before", [None, Hold.RESERVED, Hold.ASSUMED, Hold.BOUND])
def test_a_finished_pod_takes_no_room(before: Hold | None, phase: str) -> None:
    cache = cache_with(before)
    cache.put_pod(make_pod("p", node="a", phase=phase))
    assert state(cache) is None


@pytest.mark.parametrize("before", [None, Hold.RESERVED, Hold.ASSUMED, Hold.BOUND])
def test_a_pod_that_is_gone_takes_no_room(before: Hold | None) -> None:
    cache = cache_with(before)
    cache.drop_pod(POD)
    assert state(cache) is None


def test_a_bound_pod_that_changes_its_weight_is_weighed_anew() -> None:
    cache = cache_with(Hold.BOUND)
    cache.put_pod(make_pod("p", cpu="3", node="a"))
    assert state(cache) == (Hold.BOUND, "a")
    assert cache.snapshot.table.resources[CPU].requested.max() == 3000


def test_a_newer_version_without_a_change_of_weight_is_kept_and_changes_no_row() -> None:
    cache = cache_with(Hold.ASSUMED)
    before = cache.snapshot.table.load_changes.stamp
    seen = make_pod("p", cpu="1", node="a", version=2)
    cache.put_pod(seen)
    assert state(cache) == (Hold.BOUND, "a")
    assert cache.snapshot.table.load_changes.stamp == before
    placement = cache.location(INFO.uid)
    assert placement is not None
    assert placement.info.pod is seen
    assert [info.pod for info in cache.snapshot.pods(cache.snapshot.table.row_of["a"])] == [seen]


def test_a_pod_on_a_node_that_comes_later_weighs_on_it() -> None:
    cache = Cache()
    cache.put_pod(make_pod("p", cpu="1", node="late"))
    assert list(cache.snapshot.rows()) == []
    cache.put_node(make_node("late"))
    assert state(cache) == (Hold.BOUND, "late")
    assert [cache.snapshot.table.name(row) for row in cache.snapshot.rows()] == ["late"]


def test_pods_survive_their_node_and_weigh_on_it_when_it_is_back() -> None:
    cache = cache_with(Hold.BOUND)
    cache.drop_node("a")
    assert state(cache) == (Hold.BOUND, "a")
    cache.put_node(make_node("a", uid="another"))
    assert state(cache) == (Hold.BOUND, "a")
    assert cache.snapshot.table.resources[CPU].requested[cache.snapshot.table.row_of["a"]] == 1000
    cache.drop_node("a")
    cache.drop_pod(POD)
    cache.put_node(make_node("a", uid="another"))
    assert state(cache) is None


def test_a_pod_made_anew_under_the_same_name_is_another_pod() -> None:
    cache = cache_with(Hold.BOUND)
    again = make_pod("p", uid="again", node="b")
    cache.put_pod(again)
    cache.drop_pod(POD)
    assert state(cache, again) == (Hold.BOUND, "b")


def test_pods_are_counted_by_why_they_are_held() -> None:
    cache = cache_with(Hold.ASSUMED)
    cache.reserve(PodInfo(make_pod("q")), "a", Owner())
    cache.reserve(PodInfo(make_pod("r")), "b", Owner())
    assert {hold: cache.count(hold) for hold in Hold} == {Hold.RESERVED: 2, Hold.ASSUMED: 1, Hold.BOUND: 0}
