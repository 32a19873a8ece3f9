"""What writers of plugins are given. That vector plugins are asked well, the tests of the own ones show."""

import numpy as np
import pytest

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.interface import Codes, Reads, RowChoice
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unresolvable
from pallet.testing import Asked, make_node, make_pod
from tests.runtime.sample_plugins import Flat, Misnamed


class OnlyFree(Flat):
    """A plain filter, and a plain score."""

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return unresolvable("taken") if node.pods else SUCCESS


class Fickle(Flat):
    """A vector filter that contradicts itself: what it says depends on how many rows it is asked for."""

    filter_reads = Reads.NODE

    def filter_signature(self, info: PodInfo) -> str:
        return ""

    def filter_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Codes:
        count = np.arange(snapshot.table.capacity)[rows].size
        return np.full(count, count % 2, np.uint32)


NODES = [make_node("a"), make_node("b")]


def test_a_plain_plugin_is_asked_like_a_vector_one() -> None:
    asked = Asked(OnlyFree, NODES, [make_pod("p", node="a")])
    assert asked.messages(make_pod("q")) == {"a": "!taken", "b": ""}
    assert asked.scores(make_pod("q")) == {"a": 50, "b": 50}


def test_a_plugin_that_contradicts_itself_is_found_out() -> None:
    with pytest.raises(AssertionError):
        Asked(Fickle, NODES).statuses(make_pod("q"))


def test_a_misspelt_hook_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r'Misnamed\.normalise is not a hook .* "normalize"'):
        Asked(Misnamed, NODES)


def test_a_pod_is_of_no_set_and_of_the_default_scheduler() -> None:
    pod = make_pod("p")
    assert (dict(pod.metadata.labels), pod.spec.scheduler_name) == ({}, "default-scheduler")
