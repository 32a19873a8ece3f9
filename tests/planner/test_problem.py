import pytest

from pallet.api.requests import CPU
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.planner.problem import pose
from tests.builders import make_pod
from tests.planner.scene import PROFILES, cache_of, node, pod


def test_only_members_that_need_a_place_are_in_the_problem() -> None:
    cache = cache_of([node("n1"), node("n2")], [pod("bound", on="n1")])
    cache.assume(PodInfo(pod("assumed")), "n1")
    members = [
        pod("waiting"),
        pod("bound", on="n1"),
        pod("seen-late-by-the-cache", on="n1"),
        pod("assumed"),
        make_pod("foreign", scheduler="another"),
        make_pod("terminating", deleted=1),
        make_pod("finished", phase="Succeeded"),
    ]
    posed = pose(cache, PROFILES, "shop", "web", map(PodInfo, members))
    assert [info.pod.metadata.name for info in posed.pods] == ["waiting"]


def test_room_kept_by_an_earlier_plan_is_free_again_but_only_in_the_problem() -> None:
    cache = cache_of([node("n1")])
    cache.reserve(PodInfo(pod("a", "3")), "n1", Owner())
    posed = pose(cache, PROFILES, "shop", "web", [PodInfo(pod("a", "3"))])
    assert len(posed.pods) == 1
    assert not posed.snapshot.table.resources[CPU].requested.any()
    assert cache.snapshot.table.resources[CPU].requested.any()


@pytest.mark.parametrize(
    ("priority", "firm", "free"), [(1, False, True), (0, False, False), (1, True, False)]
)
def test_what_is_reserved_counts_against_a_set_of_higher_priority_once_it_is_firm(
    priority: int, *, firm: bool, free: bool
) -> None:
    cache = cache_of([node("n1")])
    cache.reserve(PodInfo(make_pod("other", cpu="3")), "n1", Owner(firm=firm))
    posed = pose(cache, PROFILES, "default", "web", [PodInfo(make_pod("a", priority=priority))])
    row = posed.snapshot.table.row_of["n1"]
    assert posed.snapshot.is_placed("uid-other", row) is not free
    assert cache.snapshot.is_placed("uid-other", row)
