"""Long runs of pods that come and go, one by one and many at once: kept totals against those found afresh."""

from random import Random

import pytest

from pallet.api.pod import Affinity, ContainerPort, NodeAffinity, Pod, PreferredSchedulingTerm
from pallet.api.selectors import NodeSelectorRequirement, NodeSelectorTerm
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Evaluator
from tests.builders import ZONE, make_node, make_pod, pod_affinity, pod_term
from tests.profiles import default_profile

NODES = 14
STEPS = 120
WISHES = {
    "apart": pod_affinity(away=[pod_term("apart")]),
    "zonal": pod_affinity(away=[pod_term("zonal", ZONE)]),
    "herd": pod_affinity(near=[pod_term("herd", ZONE)]),
    "close": pod_affinity(near=[pod_term("apart"), pod_term("herd", ZONE)]),
    "shy": pod_affinity(rather_away={pod_term("shy"): 3}),
    "fond": pod_affinity(rather_near={pod_term("shy"): 2, pod_term("herd", ZONE): 1}),
    "picky": Affinity(
        NodeAffinity(
            None,
            tuple(
                PreferredSchedulingTerm(
                    weight, NodeSelectorTerm((NodeSelectorRequirement(ZONE, "In", (zone,)),))
                )
                for zone, weight in (("z0", 5), ("z1", 3))
            ),
        )
    ),
    "plain": None,
}


class Run:
    """A cluster with an evaluator that lives through it all."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - chooses what happens
        self.cache = Cache()
        for number in range(NODES):
            self.cache.put_node(make_node(f"n{number}", cpu="3", labels={ZONE: f"z{number % 4}"}))
        self.profile = default_profile(self.cache)
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, self.rng)
        self.placed: list[Pod] = []

    def pod(self, app: str, node: str = "") -> Pod:
        uid = f"{app}-{self.rng.random()}"
        ports = [ContainerPort(80)] if app == "shy" and self.rng.random() < 0.5 else ()
        return make_pod(
            app, uid=uid, pod_set="", labels={"app": app}, affinity=WISHES[app], node=node, ports=ports
        )

    def step(self) -> None:
        draw = self.rng.random()
        if draw < 0.6:
            pod = self.pod(self.rng.choice(list(WISHES)))
            node = self.evaluator.choose(CycleState(), PodInfo(pod)).node
            if node is not None:
                self.cache.assume(PodInfo(pod), node)
                self.placed.append(pod)
        elif draw < 0.7:
            app = self.rng.choice(list(WISHES))
            for number in range(self.rng.randrange(NODES)):
                pod = self.pod(app, node=f"n{number}")
                self.cache.put_pod(pod)
                self.placed.append(pod)
        else:
            self.rng.shuffle(self.placed)
            for _ in range(self.rng.choice((1, 1, 2, len(self.placed)))):
                if self.placed:
                    self.cache.drop_pod(self.placed.pop())


@pytest.mark.parametrize("seed", range(4))
def test_kept_totals_are_those_found_afresh(seed: int) -> None:
    run = Run(seed)
    for _ in range(STEPS):
        run.step()
        afresh = Evaluator(run.profile, run.cache.snapshot, Random(0))  # noqa: S311 - breaks ties
        for app in WISHES:
            info = PodInfo(run.pod(app))
            kept = run.evaluator.totals(CycleState(), info).tolist()
            assert kept == afresh.totals(CycleState(), info).tolist(), app
