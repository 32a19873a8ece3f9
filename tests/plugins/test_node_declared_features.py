"""NodeDeclaredFeatures: what some pods need of the kubelet."""

from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.node import Node
from pallet.api.pod import Container, ContainerRestartRule, Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import NODE_ADD, Hint, node_update, pod_update
from pallet.plugins.node_declared_features import (
    RESTART_ALL_CONTAINERS,
    USER_NAMESPACES_ON_HOST_NETWORK,
    NodeDeclaredFeatures,
)
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

MISSING = "!node(s) didn't match Pod's required features"
RESTARTING = Container("c", restart_policy_rules=(ContainerRestartRule("RestartAllContainers"),))
OTHER_RULE = Container("c", restart_policy_rules=(ContainerRestartRule("Restart"),))


def declaring(name: str, *features: str, labels: dict[str, str] | None = None) -> Node:
    node = make_node(name, labels=labels)
    return replace(node, status=replace(node.status, declared_features=features))


def pod(name: str = "p", **spec: Any) -> Pod:
    made = make_pod(name)
    return replace(made, spec=replace(made.spec, **spec))


ON_HOST_NETWORK = pod(host_network=True, host_users=False)


@pytest.mark.parametrize(
    ("wanted", "nothing", "restarts", "namespaces"),
    [
        pytest.param(pod(), "", "", "", id="needs nothing"),
        pytest.param(pod(containers=(OTHER_RULE,)), "", "", "", id="another restart rule"),
        pytest.param(pod(containers=(RESTARTING,)), MISSING, "", MISSING, id="restarts all containers"),
        pytest.param(pod(init_containers=(RESTARTING,)), MISSING, "", MISSING, id="an init container does"),
        pytest.param(ON_HOST_NETWORK, MISSING, MISSING, "", id="user namespace on the host's network"),
        pytest.param(pod(host_network=True), "", "", "", id="host network alone"),
        pytest.param(pod(host_network=True, host_users=True), "", "", "", id="host network and users"),
        pytest.param(pod(host_users=False), "", "", "", id="user namespace alone"),
        pytest.param(
            pod(host_network=True, host_users=False, containers=(RESTARTING,)),
            MISSING,
            MISSING,
            MISSING,
            id="both, which no node has",
        ),
    ],
)
def test_a_node_must_declare_what_the_pod_needs(
    wanted: Pod, nothing: str, restarts: str, namespaces: str
) -> None:
    nodes = [
        declaring("nothing"),
        declaring("restarts", RESTART_ALL_CONTAINERS, "Unheard"),
        declaring("namespaces", USER_NAMESPACES_ON_HOST_NETWORK),
    ]
    answers = {"nothing": nothing, "restarts": restarts, "namespaces": namespaces}
    assert Asked(NodeDeclaredFeatures, nodes).messages(wanted) == answers


def test_a_pod_that_needs_nothing_is_not_asked_about() -> None:
    assert Asked(NodeDeclaredFeatures).plugin.filter_signature(PodInfo(pod())) is None


def test_a_node_that_begins_to_declare_a_feature_is_seen_by_the_table() -> None:
    asked = Asked(NodeDeclaredFeatures, [declaring("a")])
    stamp = asked.cache.snapshot.table.node_changes.stamp
    asked.cache.put_node(declaring("a", USER_NAMESPACES_ON_HOST_NETWORK))
    assert asked.cache.snapshot.table.node_changes.stamp > stamp
    assert asked.messages(ON_HOST_NETWORK) == {"a": ""}


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (None, declaring("a"), Hint.QUEUE),
        (declaring("a"), declaring("a", "X"), Hint.QUEUE),
        (declaring("a", "X"), declaring("a"), Hint.QUEUE),
        (declaring("a", "X"), declaring("a", "X", labels={"zone": "b"}), Hint.SKIP),
    ],
)
def test_a_node_that_declares_otherwise_helps(old: Node | None, new: Node, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    assert Asked(NodeDeclaredFeatures).hint(event, ON_HOST_NETWORK, old, new) is hint


@pytest.mark.parametrize(
    ("new", "hint"),
    [
        (pod(host_network=True), Hint.QUEUE),
        (pod(host_network=True, host_users=False, priority=1), Hint.SKIP),
        (pod("other", host_network=True), Hint.SKIP),
    ],
)
def test_the_pod_helps_itself_by_needing_otherwise(new: Pod, hint: Hint) -> None:
    event = pod_update(ON_HOST_NETWORK, new)
    assert Asked(NodeDeclaredFeatures).hint(event, ON_HOST_NETWORK, ON_HOST_NETWORK, new) is hint
