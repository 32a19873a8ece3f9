from pallet.api.requests import CPU
from pallet.cache.pod_info import PodInfo
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
    posed = pose(cache, PROFILES, "shop", "web", members)
    assert [info.pod.metadata.name for info in posed.pods] == ["waiting"]


def test_room_kept_by_an_earlier_plan_is_free_again_but_only_in_the_problem() -> None:
    cache = cache_of([node("n1")])
    cache.reserve(PodInfo(pod("a", "3")), "n1")
    posed = pose(cache, PROFILES, "shop", "web", [pod("a", "3")])
    assert len(posed.pods) == 1
    assert not posed.snapshot.table.resources[CPU].requested.any()
    assert cache.snapshot.table.resources[CPU].requested.any()
