"""The rights that are asked for are those of the shipped roles, as far as features are enabled."""

import anyio

from pallet.app.graph import Graph
from pallet.app.rights import ESSENTIAL_TO_SETS, Right, rules
from pallet.client import Client
from pallet.config.load import parse
from pallet.config.settings import Settings
from tests.config.documents import V1
from tests.manifests.documents import Document, find, rendered

NAME = "podset-planner-scheduler"
SETS = "profiles: [{schedulerName: s, plugins: {multiPoint: {enabled: [{name: PodSetPlanner}]}}}]"
PLAIN = "profiles: [{schedulerName: s}]"


def granted(role: Document) -> set[Right]:
    namespace = role["metadata"].get("namespace", "")
    return {
        Right(namespace, name, group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def rights_for(text: str, port: int = 10259) -> frozenset[Right]:
    settings = Settings(parse(V1 + text, "c.yaml"), secure_port=port)

    async def ask() -> frozenset[Right]:
        async with Client.connect(master="http://127.0.0.1:1") as client:
            return Graph(settings, client, client).needed_rights(settings)

    return anyio.run(ask)


def test_with_everything_enabled_they_are_what_the_roles_give() -> None:
    documents = rendered("default")
    roles = [
        find(documents, "ClusterRole", f"{NAME}-role"),
        find(documents, "Role", f"{NAME}-leader-election"),
    ]
    assert rights_for(SETS) == set().union(*map(granted, roles))


def test_in_the_place_of_kube_scheduler_its_lease_is_asked_for() -> None:
    role = find(rendered("default-scheduler"), "Role", f"{NAME}-kube-scheduler-lease")
    leases = {right for right in rights_for("") if right.resource == "leases"}
    assert leases == granted(role)


def test_what_is_not_enabled_needs_no_right() -> None:
    resources = {
        right.resource for right in rights_for(f"{PLAIN}\nleaderElection: {{leaderElect: false}}", 0)
    }
    assert not resources & {"scheduletriggers", "scheduleplans", "leases", "tokenreviews"}
    without = "profiles: [{schedulerName: s, plugins: {multiPoint: {disabled: [{name: DefaultPreemption}]}}}]"
    assert Right("", "", "", "pods", "delete") not in rights_for(without)


def test_what_sets_cannot_do_without_is_among_them() -> None:
    assert rights_for(SETS) >= ESSENTIAL_TO_SETS


def test_rules_are_written_as_a_role_has_them() -> None:
    rights = {
        Right("", "", "", "pods/binding", "create"),
        Right("", "", "planner.ciena.io", "scheduleplans", "patch"),
        Right("", "", "planner.ciena.io", "scheduleplans", "create"),
        Right("n", "x", "g", "leases", "get"),
    }
    assert list(rules(rights)) == [
        '{apiGroups: [""], resources: [pods/binding], verbs: [create]}',
        "{apiGroups: [planner.ciena.io], resources: [scheduleplans], verbs: [create, patch]}",
        "{apiGroups: [g], resources: [leases], resourceNames: [x], verbs: [get]} in namespace n",
    ]


def test_a_right_is_asked_for_as_the_api_wants_it() -> None:
    assert Right("ns", "", "", "pods/binding", "create").attributes() == {
        "resource": "pods",
        "subresource": "binding",
        "verb": "create",
        "namespace": "ns",
    }


def test_update_does_for_patch_on_the_resources_of_sets_alone() -> None:
    patch = Right("", "", "planner.ciena.io", "scheduleplans", "patch")
    assert patch.instead == Right("", "", "planner.ciena.io", "scheduleplans", "update")
    assert Right("", "", "", "pods/status", "patch").instead is None
    assert Right("", "", "planner.ciena.io", "scheduleplans", "create").instead is None
