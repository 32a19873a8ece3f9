"""Which pods are nominated to which nodes, as statuses and memory tell it."""

import pytest

from pallet.cache.cursor import Cursor
from pallet.cache.nominator import Nominator
from pallet.cache.pod_info import PodInfo
from tests.builders import make_pod


def info(name: str, nominated: str = "", priority: int = 0) -> PodInfo:
    return PodInfo(make_pod(name, nominated=nominated, priority=priority))


def on(nominator: Nominator, node: str) -> list[str]:
    return [each.pod.metadata.name for each in nominator.on(node)]


def test_a_pod_is_nominated_to_one_node_only() -> None:
    nominator = Nominator()
    nominator.nominate(info("a"), "n1")
    nominator.nominate(info("b"), "n1")
    nominator.nominate(info("a"), "n2")
    assert (on(nominator, "n1"), on(nominator, "n2")) == (["b"], ["a"])
    assert (list(nominator), len(nominator)) == (["n1", "n2"], 2)
    assert nominator.node_of("uid-a") == "n2"


def test_a_nomination_is_taken_away_by_the_empty_name_and_with_the_pod() -> None:
    nominator = Nominator()
    nominator.nominate(info("a"), "n1")
    nominator.nominate(info("b"), "n1")
    nominator.nominate(info("a"), "")
    nominator.drop("uid-b")
    nominator.drop("unknown")
    assert not nominator
    assert list(nominator) == []
    assert (on(nominator, "n1"), nominator.node_of("uid-a")) == ([], "")


@pytest.mark.parametrize(
    ("old", "new", "node"),
    [
        pytest.param("", "", "n1", id="not seen yet: what is in memory stands"),
        pytest.param("n2", "n2", "n1", id="an older one is still seen: what is in memory stands"),
        pytest.param("", "n2", "n2", id="added"),
        pytest.param("n1", "n2", "n2", id="changed"),
        pytest.param("n1", "", "", id="removed"),
    ],
)
def test_updates_of_a_pod_with_a_nomination_in_memory(old: str, new: str, node: str) -> None:
    nominator = Nominator()
    nominator.nominate(info("a"), "n1")
    newer = info("a", new)
    nominator.update(info("a", old).pod, newer)
    assert nominator.node_of("uid-a") == node
    assert list(nominator.on(node)) == ([newer] if node else [])


def test_a_pod_yields_to_others_of_its_priority_and_above() -> None:
    nominator = Nominator()
    for name, priority in (("weaker", 1), ("equal", 2), ("stronger", 3), ("self", 2)):
        nominator.nominate(info(name, priority=priority), "n1")
    ahead = nominator.ahead_of(info("self", priority=2).pod, "n1")
    assert [each.pod.metadata.name for each in ahead] == ["equal", "stronger"]
    assert nominator.ahead_of(info("self").pod, "n2") == []


def test_the_nodes_are_logged_to_which_others_are_nominated_than_before() -> None:
    nominator = Nominator()
    cursor = Cursor(nominator.changes)
    nominator.nominate(info("a"), "n1")
    nominator.nominate(info("a"), "n2")
    nominator.nominate(info("b"), "n2")
    assert cursor.read(nominator.changes) == ["n1", "n2"]
    assert not cursor.is_behind(nominator.changes)
    nominator.drop("uid-a")
    assert cursor.read(nominator.changes) == ["n2"]
    assert cursor.read(nominator.fork().changes) is None
