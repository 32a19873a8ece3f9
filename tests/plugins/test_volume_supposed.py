"""What planners suppose of volumes: a volume that one pod takes is not there for the next one."""

from random import Random

import anyio

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork
from pallet.framework.state import CycleState
from pallet.loop_budget import LoopBudget
from pallet.planner.greedy import GreedyPlanner
from pallet.planner.problem import pose
from pallet.runtime.evaluator import Evaluator
from tests.builders import SCHEDULER, make_pod
from tests.plugins.volume_scene import Scene, late, local
from tests.profiles import profile_of
from tests.storage import claimed

NO_MATCH = "node(s) didn't find available persistent volumes to bind"


def a_pod(name: str, *claims: str) -> Pod:
    return make_pod(name, volumes=[claimed(claim) for claim in claims])


def nodes_for(scene: Scene, fork: Fork, pod: Pod) -> list[str]:
    """The nodes that the filter passes on a fork, asked about all nodes and about each."""
    evaluator = Evaluator(profile_of(scene.plugin), fork, Random(0))  # noqa: S311 - breaks ties
    found = evaluator.feasible(CycleState(), PodInfo(pod))
    assert found == [name for name in ("a", "b") if evaluator.fits(CycleState(), PodInfo(pod), name)]
    return found


def test_a_local_volume_is_taken_once_and_free_again_after_a_rollback() -> None:
    claims = [late(name, storage_class="local") for name in ("c1", "c2")]
    scene = Scene(*claims, local("v1", "a"), local("v2", "b"))
    with scene.cache.snapshot.fork() as fork:
        assert nodes_for(scene, fork, a_pod("p2", "c2")) == ["a", "b"]
        checkpoint = fork.checkpoint()
        scene.plugin.suppose(PodInfo(a_pod("p1", "c1")), fork, "a")
        assert nodes_for(scene, fork, a_pod("p2", "c2")) == ["b"]
        with fork.fork() as nested:
            scene.plugin.suppose(PodInfo(a_pod("p2", "c2")), nested, "b")
            assert nodes_for(scene, nested, a_pod("p1", "c1")) == ["a"]
        fork.rollback(checkpoint)
        assert nodes_for(scene, fork, a_pod("p2", "c2")) == ["a", "b"]
    assert scene.messages(a_pod("p2", "c2")) == {"a": "", "b": ""}


def test_of_volumes_in_different_sizes_the_smallest_that_will_do_is_taken() -> None:
    claims = [late("small", "1Gi", "local"), late("large", "5Gi", "local")]
    scene = Scene(*claims, local("v1", "a", "1Gi"), local("v5", "a", "5Gi"))
    with scene.cache.snapshot.fork() as fork:
        scene.plugin.suppose(PodInfo(a_pod("p1", "small")), fork, "a")
        assert nodes_for(scene, fork, a_pod("p2", "large")) == ["a"]
        scene.plugin.suppose(PodInfo(a_pod("p2", "large")), fork, "a")
        assert nodes_for(scene, fork, a_pod("p3", "small", "large")) == ["a"]


def test_pods_that_share_a_claim_go_where_its_volume_is() -> None:
    scene = Scene(late("shared", storage_class="local"), local("v1", "a"), local("v2", "b"))
    with scene.cache.snapshot.fork() as fork:
        scene.plugin.suppose(PodInfo(a_pod("p1", "shared")), fork, "b")
        assert nodes_for(scene, fork, a_pod("p2", "shared")) == ["b"]


def test_a_volume_that_is_made_for_one_node_is_not_made_for_another() -> None:
    scene = Scene(late("shared"))
    with scene.cache.snapshot.fork() as fork:
        assert nodes_for(scene, fork, a_pod("p2", "shared")) == ["a", "b"]
        scene.plugin.suppose(PodInfo(a_pod("p1", "shared")), fork, "a")
        assert nodes_for(scene, fork, a_pod("p2", "shared")) == ["a"]


def test_a_pod_whose_claims_are_not_in_order_takes_nothing() -> None:
    scene = Scene(local("v1", "a"))
    with scene.cache.snapshot.fork() as fork:
        scene.plugin.suppose(PodInfo(a_pod("p1", "missing")), fork, "a")
        assert fork.kept_by(scene.plugin.name) is None


def test_a_planner_sends_two_pods_after_two_local_volumes() -> None:
    claims = [late(f"c{number}", storage_class="local") for number in range(3)]
    scene = Scene(*claims, local("v1", "a"), local("v2", "b"))
    pods = [PodInfo(a_pod(f"p{number}", f"c{number}")) for number in range(3)]
    problem = pose(scene.cache, {SCHEDULER: profile_of(scene.plugin)}, "default", "set", pods)
    with problem.snapshot:
        plan = anyio.run(GreedyPlanner(LoopBudget()).plan, problem)
    assert sorted(plan.assignments.values()) == ["a", "b"]
    assert list(plan.refused.values()) == [f"0/2 nodes are available: 2 {NO_MATCH}."]
