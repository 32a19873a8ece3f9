"""Which constraints pods get that bring none, and which configurations of them are refused."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.core import SERVICES, Service, ServiceSpec
from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta, OwnerReference
from pallet.api.pod import Pod
from pallet.api.selectors import LabelRequirement, LabelSelector
from pallet.api.workloads import (
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    OwnerSpec,
    ReplicaSet,
    ReplicationController,
    ReplicationControllerSpec,
    StatefulSet,
)
from pallet.cache.selection import PodSelection
from pallet.config.errors import ConfigError
from pallet.informers.factory import InformerFactory
from pallet.plugins.default_selectors import DefaultSelectors
from pallet.plugins.pod_topology_spread import PodTopologySpread
from pallet.plugins.spread_constraints import PodTopologySpreadArgs, SpreadReader
from tests.builders import HOSTNAME, ZONE, even, make_node, make_pod, rather_even
from tests.plugins.asking import Asked
from tests.profiles import Objects, informers_of

UNEVEN = "node(s) didn't match pod topology spread constraints"
WEB = Labels({"app": "web"})
BY_APP = LabelSelector(WEB)
BY_TIER = LabelSelector(match_expressions=(LabelRequirement("tier", "Exists"),))


def meta(name: str, namespace: str = "default", version: int = 1) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace, uid=name, resource_version=str(version))


def service(name: str, selector: Mapping[str, str], namespace: str = "default", version: int = 1) -> Service:
    return Service(meta(name, namespace, version), ServiceSpec(selector=Labels(selector)))


def owner(
    kind: str, name: str = "web", version: str = "apps/v1", *, controller: bool = True
) -> OwnerReference:
    return OwnerReference(kind, name, f"uid-{name}", version, controller)


def pod(by: OwnerReference | None = None, **labels: str) -> Pod:
    return make_pod("new", pod_set="", labels=labels or WEB, owner=by)


REPLICA_SET = ReplicaSet(meta("web"), OwnerSpec(BY_APP))
OWNERS: Objects = {
    REPLICA_SETS: [
        REPLICA_SET,
        ReplicaSet(meta("any"), OwnerSpec(LabelSelector())),
        ReplicaSet(meta("none"), OwnerSpec()),
        ReplicaSet(meta("other", "elsewhere"), OwnerSpec(BY_APP)),
    ],
    STATEFUL_SETS: [StatefulSet(meta("web"), OwnerSpec(BY_TIER))],
    REPLICATION_CONTROLLERS: [
        ReplicationController(meta("web"), ReplicationControllerSpec(Labels({"app": "rc"})))
    ],
}


def selectors(informers: InformerFactory, pod: Pod) -> list[str]:
    found = DefaultSelectors(informers).of(pod)
    return written(found) if found else []


def written(pods: PodSelection) -> list[str]:
    [(selectors, weight)] = pods.parts
    assert weight == 1
    return [str(each.labels) for each in selectors]


@pytest.mark.parametrize(
    ("by", "services", "expected"),
    [
        pytest.param(None, [], [], id="nobody's pod"),
        pytest.param(None, [service("s", WEB)], ["app=web"], id="a service's"),
        pytest.param(None, [service("s", {"app": "db"})], [], id="another service"),
        pytest.param(None, [service("s", WEB, "elsewhere")], [], id="another namespace's service"),
        pytest.param(None, [service("s", NO_LABELS)], [], id="a service without selector"),
        pytest.param(
            None,
            [service("s", WEB), service("t", {"app": "web", "tier": "a"}), service("u", {"tier": "b"})],
            ["app=web,tier=a"],
            id="the labels of all its services",
        ),
        pytest.param(owner("ReplicaSet"), [], ["app=web"], id="a replica set's"),
        pytest.param(owner("StatefulSet"), [], ["tier"], id="a stateful set's"),
        pytest.param(owner("ReplicationController", version="v1"), [], ["app=rc"], id="a controller's"),
        pytest.param(
            owner("StatefulSet"), [service("s", WEB)], ["app=web", "tier"], id="service and owner together"
        ),
        pytest.param(
            owner("ReplicationController", version="v1"),
            [service("s", {"app": "web", "tier": "a"})],
            ["app=rc,tier=a"],
            id="a controller's labels come before a service's",
        ),
        pytest.param(owner("ReplicaSet", "any"), [], [], id="an owner of everything says nothing"),
        pytest.param(owner("ReplicaSet", "none"), [], [], id="nor one without selector"),
        pytest.param(owner("ReplicaSet", "other"), [], [], id="nor one of another namespace"),
        pytest.param(owner("ReplicaSet", controller=False), [], [], id="an owner that does not control"),
        pytest.param(owner("ReplicaSet", version="example.com/v1"), [], [], id="another group's kind"),
        pytest.param(owner("Job"), [service("s", WEB)], ["app=web"], id="an owner of another kind"),
    ],
)
def test_who_belongs_to_a_pod(
    by: OwnerReference | None, services: list[Service], expected: list[str]
) -> None:
    informers = informers_of({SERVICES: services, **OWNERS})
    assert selectors(informers, pod(by, app="web", tier="a")) == expected


def test_a_selector_that_takes_long_to_compare_is_left_out() -> None:
    def known(values: int) -> list[str]:
        many = LabelRequirement("app", "In", ("web", *(f"app-{number}" for number in range(values - 1))))
        found = ReplicaSet(meta("web"), OwnerSpec(LabelSelector(match_expressions=(many,))))
        return selectors(informers_of({REPLICA_SETS: [found]}), pod(owner("ReplicaSet")))

    assert len(known(999)) == 1
    assert known(1000) == []


def test_changes_are_followed() -> None:
    informers = informers_of({})
    services, sets = informers.informer(SERVICES), informers.informer(REPLICA_SETS)
    reader = SpreadReader(PodTopologySpreadArgs(), informers)
    seen = []

    def look() -> None:
        spread = reader.read(pod(owner("ReplicaSet")))
        seen.append((reader.version, written(spread.soft[0].pods) if spread.soft else []))

    look()
    services.put(service("s", {"tier": "a"}))
    services.put(service("s", WEB, version=2))
    look()
    services.remove(service("s", WEB, version=3))
    look()
    sets.put(REPLICA_SET)
    look()
    sets.put(replace(REPLICA_SET, metadata=meta("web", version=2)))
    look()
    sets.remove(replace(REPLICA_SET, metadata=meta("web", version=3)))
    look()
    answers = [answer for _, answer in seen]
    assert answers == [[], ["app=web"], [], ["app=web"], ["app=web"], []]
    stamps = [stamp for stamp, _ in seen]
    assert stamps[3] == stamps[4]
    assert len(set(stamps)) == 5


def test_kube_schedulers_defaults() -> None:
    spread = SpreadReader(PodTopologySpreadArgs(), informers_of({SERVICES: [service("s", WEB)]})).read(pod())
    assert spread.hard == ()
    assert [(each.topology_key, each.max_skew) for each in spread.soft] == [(HOSTNAME, 3), (ZONE, 5)]
    assert not spread.strict


def test_a_pod_with_any_constraint_of_its_own_gets_no_defaults() -> None:
    reader = SpreadReader(PodTopologySpreadArgs(), informers_of({SERVICES: [service("s", WEB)]}))
    spread = reader.read(make_pod("new", pod_set="", labels=WEB, spread=[even()]))
    assert (len(spread.hard), spread.soft, spread.strict) == (1, (), True)


def test_a_constraint_looks_at_the_labels_that_it_pins_and_at_no_others() -> None:
    """Or else an index label would make a class of its own of each pod."""
    reader = SpreadReader(PodTopologySpreadArgs(), informers_of({}))
    wanted = [rather_even(match_label_keys=("hash",))]
    first, second, third = (
        reader.read(make_pod("new", pod_set="", labels={"hash": revision, "index": index}, spread=wanted))
        for revision, index in (("a", "0"), ("a", "1"), ("b", "2"))
    )
    assert first is second
    assert first != third


def listed(*constraints: Mapping[str, Any]) -> dict[str, Any]:
    return {"defaultingType": "List", "defaultConstraints": list(constraints)}


HARD = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}


def test_configured_defaults_may_refuse_nodes() -> None:
    nodes = [make_node("a", labels={ZONE: "1"}), make_node("b", labels={ZONE: "2"})]
    there = [make_pod("old", pod_set="", node="a", labels=WEB)]
    objects: Objects = {SERVICES: [service("s", WEB)]}
    asked = Asked(PodTopologySpread, nodes, there, args=listed(HARD), objects=objects)
    assert asked.messages(pod()) == {"a": UNEVEN, "b": ""}
    assert asked.messages(pod(app="db")) == {"a": "", "b": ""}


def test_without_defaults_nobody_is_listened_to() -> None:
    informers = informers_of({})
    SpreadReader(PodTopologySpreadArgs(defaulting_type="List"), informers)
    assert not informers._informers
    SpreadReader(PodTopologySpreadArgs(), informers)
    assert len(informers._informers) == 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"defaultConstraints": [HARD]},
            "defaultConstraints are used with defaultingType List only; set it, or leave them out",
        ),
        ({"defaultingType": "Some"}, 'defaultingType: must be one of "System", "List", got "Some"'),
        (listed(HARD | {"maxSkew": 0}), "defaultConstraints[0].maxSkew: must be >= 1, got 0"),
        (
            listed(HARD | {"topologyKey": "a b"}),
            "defaultConstraints[0]: topologyKey must be the key of a node label, got 'a b'",
        ),
        (
            listed(HARD | {"whenUnsatisfiable": "Later"}),
            (
                'defaultConstraints[0].whenUnsatisfiable: must be one of "DoNotSchedule", "ScheduleAnyway", '
                'got "Later"'
            ),
        ),
        (
            listed(HARD | {"labelSelector": {}}),
            (
                "defaultConstraints[0]: labelSelector must be left out: a pod's Services and owner tell "
                "which pods count"
            ),
        ),
        (
            listed(HARD, HARD | {"whenUnsatisfiable": "ScheduleAnyway"}, HARD | {"maxSkew": 2}),
            (
                "defaultConstraints[2] has the topologyKey and whenUnsatisfiable of defaultConstraints[0]; "
                "leave one of them out"
            ),
        ),
        (
            {"defaultingType": "List", "defaults": []},
            'defaults: unknown field, did you mean "defaultingType"?',
        ),
    ],
)
def test_wrong_arguments_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Asked(PodTopologySpread, args=args)
    assert str(caught.value) == message


def test_what_kube_scheduler_takes_is_taken() -> None:
    more = {"minDomains": 2, "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"}
    Asked(PodTopologySpread, args=listed(HARD | more | {"labelSelector": None, "matchLabelKeys": ["hash"]}))
