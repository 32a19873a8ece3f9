"""Asking real services about a pod."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from pallet.api.pod import Pod
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.config.errors import ConfigError, FieldPath
from pallet.config.schema import Extender as Configuration
from pallet.config.schema import ExtenderTLS, ManagedResource
from pallet.extenders.extender import ExtenderError, extenders_of
from pallet.extenders.extenders import Extenders
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.status import Code
from tests.builders import make_pod
from tests.extenders.service import Api, serving

if TYPE_CHECKING:
    from pallet.client.client import Client

pytestmark = pytest.mark.anyio

POD = make_pod("web", pod_set="")


def _node(name: str) -> bytes:
    return f'{{"metadata":{{"name":"{name}"}}}}'.encode()


async def _result(*configurations: Configuration, pod: Pod = POD, names: str = "a b c") -> ExtenderResult:
    async with extenders_of(configurations) as extenders:
        asking = Extenders(extenders, cast("Client", Api()), _node, LiveSnapshot())
        return await asking.result(pod, names.split())


async def test_a_filter_leaves_some_nodes_and_says_why_not_the_others() -> None:
    answer = {"nodenames": ["a"], "failedNodes": {"b": "full"}, "failedAndUnresolvableNodes": {"c": "broken"}}
    async with serving({"filter": answer}) as service:
        result = await _result(service.configured())
    assert result.names == {"a"}
    reasons = {name: (status.code, status.message, status.plugin) for name, status in result.refused.items()}
    assert reasons == {
        "b": (Code.UNSCHEDULABLE, "full", "Extender"),
        "c": (Code.UNSCHEDULABLE_AND_UNRESOLVABLE, "broken", "Extender"),
    }
    assert service.asked == [
        ("filter", {"Pod": {"metadata": {"name": "web"}}, "Nodes": None, "NodeNames": ["a", "b", "c"]})
    ]


async def test_one_that_does_not_know_nodes_is_sent_them_whole() -> None:
    async with serving({"filter": {"nodes": {"items": [{"metadata": {"name": "b"}}]}}}) as service:
        result = await _result(service.configured(node_cache_capable=False), names="a b")
    assert result.names == {"b"}
    [(_, asked)] = service.asked
    assert asked["Nodes"]["items"] == [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]


async def test_each_is_asked_about_what_the_one_before_left() -> None:
    async with (
        serving({"filter": {"nodenames": ["a", "b"]}}) as first,
        serving({"filter": {"nodenames": ["b"]}, "prioritize": []}) as second,
    ):
        result = await _result(first.configured(), second.configured())
    assert result.names == {"b"}
    assert [(verb, asked["NodeNames"]) for verb, asked in second.asked] == [
        ("filter", ["a", "b"]),
        ("prioritize", ["b"]),
    ]


async def test_what_a_filter_leaves_out_in_silence_is_refused_for_good() -> None:
    """As in kube-scheduler, which does not try preemption there."""
    async with serving({"filter": {"nodenames": ["a"], "failedNodes": {"b": "full"}}}) as service:
        result = await _result(service.configured())
    codes = {name: (status.code, status.reasons) for name, status in result.refused.items()}
    assert codes == {
        "b": (Code.UNSCHEDULABLE, ("full",)),
        "c": (Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ()),
    }


async def test_those_that_may_be_ignored_are_asked_last() -> None:
    async with (
        serving({"filter": {"nodenames": ["a"]}}) as first,
        serving({"filter": {"nodenames": ["a", "b"]}}) as second,
    ):
        await _result(first.configured(ignorable=True), second.configured())
    assert [service.asked[0][1]["NodeNames"] for service in (first, second)] == [["a", "b"], ["a", "b", "c"]]


async def test_nobody_is_asked_about_nothing() -> None:
    async with serving({"filter": {"nodenames": []}}) as first, serving({"filter": {}}) as second:
        result = await _result(first.configured(), second.configured())
    assert not result.names
    assert not second.asked


async def test_scores_are_weighted_and_brought_to_the_scale_of_plugins() -> None:
    async with (
        serving({"prioritize": [{"Host": "a", "Score": 10}, {"Host": "b", "Score": 3}]}) as first,
        serving({"prioritize": [{"host": "b", "score": 1}, {"host": "gone", "score": 9}]}) as second,
    ):
        result = await _result(first.configured(weight=2), second.configured(weight=5))
    assert result.scores == {"a": 200, "b": 60 + 50, "c": 0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (500, "failed filter with extender at URL {url}/filter, code 500"),
        ({"error": "no licence"}, "no licence"),
        (b"<html>", "the extender at URL {url}/filter gave no answer of extender/v1"),
        ({"nodenames": ["z"]}, 'extender "{url}" claims a filtered node "z" which is not found'),
    ],
    ids=["a status", "an error", "no JSON", "a node it was not asked about"],
)
async def test_a_filter_that_fails_ends_the_cycle_unless_it_is_ignorable(answer: Any, words: str) -> None:
    async with serving({"filter": answer}) as service:
        with pytest.raises(ExtenderError, match="^" + words.format(url=service.url)):
            await _result(service.configured())
        result = await _result(service.configured(ignorable=True))
    assert result.names == {"a", "b", "c"}


async def test_one_that_is_away_is_an_error_that_names_it() -> None:
    async with serving({"filter": {}}) as service:
        configuration = service.configured()
    with pytest.raises(ExtenderError, match=f'^Post "{configuration.url_prefix}/filter": '):
        await _result(configuration)


async def test_scores_that_cannot_be_had_are_done_without() -> None:
    async with serving({"prioritize": 500}) as service:
        result = await _result(service.configured())
    assert result.scores == {"a": 0, "b": 0, "c": 0}


@pytest.mark.parametrize(
    ("requests", "concerned"),
    [({"cpu": "1"}, False), ({"example.com/gpu": "1"}, True)],
    ids=["it asks for other things", "it asks for what is managed"],
)
async def test_one_that_manages_resources_is_asked_about_pods_that_want_them(
    requests: Mapping[str, str], *, concerned: bool
) -> None:
    pod = make_pod("web", pod_set="", requests=requests)
    async with serving({"filter": {"nodenames": ["a"]}, "bind": {}}) as service:
        configuration = service.configured(managed_resources=(ManagedResource("example.com/gpu"),))
        async with extenders_of([configuration]) as extenders:
            asking = Extenders(extenders, cast("Client", Api()), _node, LiveSnapshot())
            assert asking.are_asked_about(pod) is concerned
            assert (asking.binder(pod) is not None) is concerned


async def test_one_binds() -> None:
    async with (
        serving({"bind": {"error": ""}}) as service,
        extenders_of([service.configured()]) as (extender,),
    ):
        await extender.bind(POD, "a")
    given = {"PodName": "web", "PodNamespace": "default", "PodUID": "uid-web", "Node": "a"}
    assert service.asked == [("bind", given)]


async def test_a_bind_that_fails_says_so() -> None:
    async with (
        serving({"bind": {"Error": "node is gone"}}) as service,
        extenders_of([service.configured()]) as (extender,),
    ):
        with pytest.raises(ExtenderError, match=r"^node is gone$"):
            await extender.bind(POD, "a")


async def test_a_tls_configuration_that_cannot_be_used_names_its_place() -> None:
    path = FieldPath("scheduler-config.yaml", "extenders[0]")
    tls = ExtenderTLS(ca_file="nowhere.pem")
    configuration = Configuration(url_prefix="https://127.0.0.1", tls_config=tls, path=path)
    with pytest.raises(ConfigError, match=r"^scheduler-config.yaml: extenders\[0\].tlsConfig: cannot be"):
        async with extenders_of([configuration]):
            pass


async def test_none_is_asked_to_bind_once_the_fence_has_closed() -> None:
    asked: list[str] = []

    def fence() -> float:
        asked.append("fence")
        return 0.0

    async with (
        serving({"bind": {}, "filter": {"nodenames": ["a"]}}) as service,
        extenders_of([service.configured()], fence) as (extender,),
    ):
        await extender.filter(b'{"metadata":{"name":"web"}}', ["a"], {})
        assert asked == []
        with pytest.raises(ExtenderError, match="leads no longer"):
            await extender.bind(POD, "a")
    assert asked == ["fence"]
    assert [verb for verb, _ in service.asked] == ["filter"]
