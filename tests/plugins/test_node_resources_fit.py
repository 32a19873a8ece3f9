"""Verdicts and hints of NodeResourcesFit."""

from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    Hint,
    node_update,
    pod_update,
)
from pallet.plugins.node_resources_fit import NodeResourcesFit
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

GPU, NIC = "example.com/gpu", "example.com/nic"


def asking(**requests: str) -> Pod:
    names = {"gpu": GPU, "nic": NIC, "storage": "ephemeral-storage"}
    return make_pod("p", requests={names.get(key, key): each for key, each in requests.items()})


@pytest.mark.parametrize(
    ("used", "wanted", "message"),
    [
        pytest.param({"cpu": "4"}, asking(), "", id="nothing wanted"),
        pytest.param({"cpu": "3"}, asking(cpu="1"), "", id="just enough"),
        pytest.param({"cpu": "3500m"}, asking(cpu="501m"), "Insufficient cpu", id="a little too much"),
        pytest.param({"memory": "16Gi"}, asking(memory="1"), "Insufficient memory", id="memory"),
        pytest.param({}, asking(cpu="5"), "!Insufficient cpu", id="more than the node has"),
        pytest.param(
            {"cpu": "4"}, asking(cpu="1", memory="17Gi"), "!Insufficient cpu, Insufficient memory", id="both"
        ),
        pytest.param({}, asking(storage="1Gi"), "!Insufficient ephemeral-storage", id="storage"),
        pytest.param({GPU: "2"}, asking(gpu="1"), f"Insufficient {GPU}", id="an extended resource"),
        pytest.param({}, asking(gpu="3"), f"!Insufficient {GPU}", id="more of it than there is"),
        pytest.param({}, asking(nic="1"), f"!Insufficient {NIC}", id="one that nobody knows"),
        pytest.param({"cpu": "9"}, asking(memory="1"), "", id="overcommitted, but not asked for"),
        pytest.param({"cpu": "9"}, asking(cpu="0"), "", id="asking for zero is asking for nothing"),
    ],
)
def test_a_node_takes_what_fits_beside_the_pods_on_it(
    used: Mapping[str, str], wanted: Pod, message: str
) -> None:
    holder = make_pod("holder", node="a", requests=used)
    asked = Asked(NodeResourcesFit, [make_node("a", offers={GPU: "2"})], [holder])
    assert asked.messages(wanted) == {"a": message}


@pytest.mark.parametrize(
    ("pods", "wanted", "message"),
    [
        (2, asking(), ""),
        (1, asking(), "Too many pods"),
        (1, asking(cpu="4"), "Too many pods, Insufficient cpu"),
        (0, asking(cpu="5"), "!Too many pods, Insufficient cpu"),
    ],
)
def test_a_node_takes_so_many_pods_and_no_more(pods: int, wanted: Pod, message: str) -> None:
    asked = Asked(NodeResourcesFit, [make_node("a", pods=pods)], [make_pod("holder", node="a", cpu="1")])
    assert asked.messages(wanted) == {"a": message}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, f"!Insufficient {GPU}, Insufficient {NIC}"),
        ({"ignoredResources": [GPU]}, f"!Insufficient {NIC}"),
        ({"ignoredResourceGroups": ["example.com"]}, ""),
        (
            {"ignoredResources": ["cpu"], "ignoredResourceGroups": ["cpu"]},
            f"!Insufficient {GPU}, Insufficient {NIC}",
        ),
    ],
)
def test_extended_resources_may_be_ignored(args: Mapping[str, Any], message: str) -> None:
    assert Asked(NodeResourcesFit, [make_node("a")], args=args).messages(asking(gpu="1", nic="1")) == {
        "a": message
    }


def test_ignoring_does_not_reach_cpu() -> None:
    args = {"ignoredResources": ["cpu"], "ignoredResourceGroups": ["cpu"]}
    assert Asked(NodeResourcesFit, [make_node("a")], args=args).messages(asking(cpu="5")) == {
        "a": "!Insufficient cpu"
    }


@pytest.mark.parametrize(
    ("old", "new", "wanted", "hint"),
    [
        (None, make_node("a"), asking(cpu="4"), Hint.QUEUE),
        (None, make_node("a"), asking(cpu="5"), Hint.SKIP),
        (None, make_node("a", pods=0), asking(), Hint.SKIP),
        (None, make_node("a"), asking(gpu="1"), Hint.SKIP),
        (make_node("a"), make_node("a", cpu="5"), asking(cpu="5"), Hint.QUEUE),
        (make_node("a"), make_node("a", cpu="5"), asking(memory="1"), Hint.SKIP),
        (make_node("a"), make_node("a", cpu="3"), asking(cpu="1"), Hint.SKIP),
        (make_node("a"), make_node("a", pods=111), asking(), Hint.QUEUE),
        (make_node("a"), make_node("a", offers={GPU: "1"}), asking(gpu="1"), Hint.QUEUE),
        (make_node("a"), make_node("a", offers={GPU: "1"}), asking(gpu="2"), Hint.SKIP),
        (make_node("a"), make_node("a", labels={"x": "y"}), asking(cpu="1"), Hint.SKIP),
    ],
)
def test_which_nodes_help(old: Node | None, new: Node, wanted: Pod, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    assert Asked(NodeResourcesFit).hint(event, wanted, old, new) is hint


def test_an_ignored_resource_keeps_no_node_from_helping() -> None:
    asked = Asked(NodeResourcesFit, args={"ignoredResources": [GPU]})
    assert asked.hint(NODE_ADD, asking(gpu="1"), None, make_node("a")) is Hint.QUEUE


def test_a_pod_that_goes_helps_and_one_that_comes_does_not() -> None:
    asked, other = Asked(NodeResourcesFit), make_pod("q", node="a")
    assert asked.hint(ASSIGNED_POD_DELETE, asking(cpu="1"), other, None) is Hint.QUEUE
    assert asked.hint(ASSIGNED_POD_ADD, asking(cpu="1"), None, other) is Hint.SKIP


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (make_pod("q", node="a", cpu="2"), make_pod("q", node="a", cpu="1"), Hint.QUEUE),
        (make_pod("q", node="a", cpu="1"), make_pod("q", node="a", cpu="2"), Hint.SKIP),
        (
            make_pod("q", node="a", requests={"cpu": "1", "memory": "2"}),
            make_pod("q", node="a", requests={"cpu": "1", "memory": "1"}),
            Hint.SKIP,
        ),
        (
            make_pod("q", node="a", requests={"cpu": "1", "memory": "1"}),
            make_pod("q", node="a", requests={"memory": "1"}),
            Hint.QUEUE,
        ),
    ],
)
def test_a_pod_that_shrinks_helps_by_what_is_wanted(old: Pod, new: Pod, hint: Hint) -> None:
    assert Asked(NodeResourcesFit).hint(pod_update(old, new), asking(cpu="1"), old, new) is hint


def test_the_pod_itself_shrinking_helps() -> None:
    old, new = make_pod("p", cpu="2"), make_pod("p", cpu="1")
    assert Asked(NodeResourcesFit).hint(pod_update(old, new), old, old, new) is Hint.QUEUE
