"""Why pods fit nowhere, as kept from one to the next: against the same found afresh, and that it is kept."""

from random import Random

import pytest

from pallet.api.node import Node, Taint
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.diagnosis import NodesToStatus
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.remembered_diagnosis import refused_in_order
from tests.builders import make_node, make_pod
from tests.profiles import default_profile

NODES = [f"n{number}" for number in range(14)]
STEPS = 60


class Run:
    """A cluster that mostly has no room, with an evaluator that lives through it all."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = Random(seed)  # noqa: S311 - chooses what happens
        self.cache = Cache()
        for name in NODES:
            self.cache.put_node(make_node(name, cpu="2"))
        self.evaluator = Evaluator(default_profile(self.cache), self.cache.snapshot, self.rng)
        self.placed: list[str] = []

    def node(self) -> Node:
        return make_node(
            self.rng.choice(NODES),
            cpu=self.rng.choice(("1", "2", "8")),
            pods=self.rng.choice((2, 110)),
            cordoned=self.rng.random() < 0.3,
            taints=[Taint("dedicated", effect="NoSchedule")] if self.rng.random() < 0.3 else (),
        )

    def fill(self, node: str) -> None:
        """Put a pod on a node, of one CPU."""
        uid = f"{len(self.placed)}-{self.rng.random()}"
        self.cache.put_pod(make_pod("low", uid=uid, pod_set="", cpu="1", node=node))

    def step(self) -> None:
        draw = self.rng.random()
        if draw < 0.4:
            self.fill(self.rng.choice(NODES))
        elif draw < 0.5:
            for node in NODES:
                self.fill(node)
        elif draw < 0.9:
            self.cache.put_node(self.node())
        else:
            self.cache.drop_node(self.rng.choice(NODES))

    def choose(self, cpu: str = "4") -> Choice:
        return self.evaluator.choose(CycleState(), self.info(cpu))

    def info(self, cpu: str = "4") -> PodInfo:
        return PodInfo(make_pod("p", uid=str(self.rng.random()), pod_set="", cpu=cpu))

    def afresh(self, info: PodInfo) -> tuple[list[NodesToStatus], int]:
        """The refusals, and how many nodes are left."""
        snapshot = self.cache.snapshot
        live = snapshot.table.live.nonzero()[0]
        state = CycleState()
        self.evaluator._pre_filters.run(state, info, snapshot)
        refusals, left = refused_in_order(self.evaluator._filters, state, info, snapshot, live)
        return refusals, left.size


def words(refusals: list[NodesToStatus]) -> list[tuple[str, tuple[str, ...], list[int]]]:
    return [(each.status.plugin, each.status.reasons, each.rows.tolist()) for each in refusals]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_is_what_is_found_afresh(seed: int) -> None:
    run = Run(seed)
    refused = 0
    for _ in range(STEPS):
        run.step()
        for cpu in ("1", "4", "9"):
            choice = run.choose(cpu)
            expected, left = run.afresh(run.info(cpu))
            if choice.node is None and run.cache.snapshot.table.node_count:
                assert not left
                assert words(list(choice.refusals)) == words(expected)
                refused += 1
            else:
                assert left
    assert refused > STEPS


def test_pods_of_a_kind_get_the_very_same_refusals_until_one_changes() -> None:
    run = Run()
    first = run.choose().refusals
    run.fill("n0")  # where there was no room before, either
    assert run.choose().refusals is first
    before = words(list(first))
    run.cache.put_node(make_node("n0", cpu="2", cordoned=True))
    assert [each.status.reasons for each in run.choose().refusals] == [
        ("node(s) were unschedulable",),
        ("Insufficient cpu",),
    ]
    assert words(list(first)) == before, "those that were given out stay as they were"
    second = run.choose().refusals
    run.cache.put_node(make_node("n0", cpu="8", cordoned=True))  # what comes after the first refusal
    assert run.choose().refusals is second
