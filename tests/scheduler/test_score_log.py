"""Scores by plugin in the log: they sum up to the total that decided, and are there only where -v asks."""

import io
import re
from random import Random

import pytest

from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.logs import logging_to
from pallet.runtime.evaluator import Evaluator
from pallet.scheduler.score_log import log_scores
from tests.builders import make_node, make_pod
from tests.profiles import default_profile

POD = make_pod("web", cpu="1")


def logged(verbosity: int, nodes: int = 4) -> list[str]:
    cache = Cache()
    for number in range(nodes):
        cache.put_node(make_node(f"n{number}", cpu=str(2 + number)))
    evaluator = Evaluator(default_profile(cache), cache.snapshot, Random(1))  # noqa: S311 - breaks ties
    info = PodInfo(POD)
    choice = evaluator.choose(CycleState(), info)
    stream = io.StringIO()
    with logging_to(stream, verbosity):
        log_scores(evaluator, info, choice)
    return [line.partition(" ")[2] for line in stream.getvalue().splitlines()]


def test_up_to_5_there_are_none() -> None:
    assert logged(5) == []


@pytest.mark.parametrize("verbosity", [6, 9])
def test_from_6_the_choice_and_the_next_best_are_told(verbosity: int) -> None:
    [line] = logged(verbosity)
    assert line.startswith('V6 scheduler.score_log "Chose a node" pod=default/web node=n3 score=')
    total = int(re.findall(r" score=(\d+)", line)[0])
    scores = dict(re.findall(r"(\w+)=(\d+)", re.findall(r' scores="([^"]*)"', line)[0]))
    assert "NodeResourcesFit" in scores
    assert sum(map(int, scores.values())) == total
    assert re.search(r' feasible=4 next=n2 next_scores="[^"]*NodeResourcesFit=\d+', line)


def test_at_10_every_node_has_its_score_from_every_plugin_in_kube_schedulers_words() -> None:
    lines = logged(10)
    totals = {}
    sums: dict[str, int] = {}
    for line in lines:
        if found := re.search(
            r'"Plugin scored node for pod" pod=default/web plugin=\w+ node=(\w+) score=(\d+)', line
        ):
            sums[found[1]] = sums.get(found[1], 0) + int(found[2])
        if found := re.search(
            r"\"Calculated node's final score for pod\" pod=\S+ node=(\w+) score=(\d+)", line
        ):
            totals[found[1]] = int(found[2])
    assert totals == sums
    assert set(totals) == {"n0", "n1", "n2", "n3"}


def test_a_node_that_has_no_rival_has_no_score() -> None:
    assert logged(10, nodes=1) == []
