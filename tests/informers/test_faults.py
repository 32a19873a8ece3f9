"""What informers promise, kept on a faulty way to a real API server."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio
import pytest

from pallet.api.core import LEASES, Lease
from pallet.client import Client
from pallet.informers import reflector
from tests.informers.recorder import WAIT, watched_leases
from tools.controlplane.controlplane import ControlPlane
from tools.faults.proxy import FaultProxy, answer, cut, edit_watch, freeze

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
TOO_LARGE = {
    "kind": "Status",
    "code": 504,
    "reason": "Timeout",
    "message": "Too large resource version: 9, current: 1",
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 0},
}


class Leases:
    """The namespace's leases, changed past the proxy."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    async def create(self, name: str, holder: str = "x") -> Lease:
        body = {"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        return await self._client.create(LEASES, {**kind, **body}, self.namespace)

    async def change(self, name: str, holder: str) -> Lease:
        return await self._client.patch(LEASES, name, self.namespace, {"spec": {"holderIdentity": holder}})

    async def delete(self, name: str) -> None:
        await self._client.delete(LEASES, name, self.namespace)


@pytest.fixture
async def leases(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Leases]:
    async with Client.connect(str(control_plane.kubeconfig), qps=0) as client:
        yield Leases(client, namespace)


@pytest.fixture
async def proxy(control_plane: ControlPlane) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.start(str(control_plane.kubeconfig)) as proxy:
        yield proxy


def editing(change: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> Callable[[bytes], list[bytes]]:
    """Edit the lines of a watch as events."""

    def edit(line: bytes) -> list[bytes]:
        return [json.dumps(event).encode() for event in change(json.loads(line))]

    return edit


def dropping(kind: str) -> Callable[[bytes], list[bytes]]:
    return editing(lambda event: [] if event["type"] == kind else [event])


def lists(proxy: FaultProxy) -> int:
    return sum("sendInitialEvents" in request for request in proxy.requests)


async def test_it_lists_and_follows_changes(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.create("b")
        await leases.change("a", "y")
        await leases.delete("a")
        await watched.until_heard("delete a=y")
        assert watched.heard == ["add a=x", "add b=x", "update a=x>y", "delete a=y"]
        assert watched.holders == {"b": "x"}
        assert lists(proxy) == 1


async def test_a_broken_watch_goes_on_where_it_was(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        # The list's own connection goes on as the watch; the next two are refused.
        proxy.on("GET", "/leases", cut, times=2, query={"watch": "true"})
        proxy.cut_watches()
        await leases.change("a", "y")
        await leases.delete("a")
        await leases.create("b")
        await watched.until_heard("add b=x")
        assert watched.heard == ["add a=x", "update a=x>y", "delete a=y", "add b=x"]
        assert lists(proxy) == 1


async def test_a_half_open_watch_is_found_out(proxy: FaultProxy, leases: Leases) -> None:
    async with watched_leases(proxy.url, leases.namespace, silence=0.3) as watched:
        proxy.freeze_watches()
        await leases.create("a")
        await watched.until_heard("add a=x")


async def test_a_list_that_hangs_is_asked_for_again(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a")
    proxy.on("GET", "/leases", freeze)
    async with watched_leases(proxy.url, leases.namespace, silence=0.3) as watched:
        assert watched.holders == {"a": "x"}


@pytest.mark.parametrize("code", [410, 429, 500])
async def test_an_error_event_leads_to_a_new_list(proxy: FaultProxy, leases: Leases, code: int) -> None:
    await leases.create("a")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await proxy.inject({"type": "ERROR", "object": {"kind": "Status", "code": code}})
        await proxy.wait_for("sendInitialEvents", 2)
        await leases.create("b")
        await watched.until_heard("add b=x")
        assert watched.heard == ["add a=x", "add b=x"]


@pytest.mark.parametrize(
    "refusal", [answer(410), answer(504, TOO_LARGE)], ids=["410", "too large resource version"]
)
async def test_a_refused_version_leads_to_a_new_list(proxy: FaultProxy, leases: Leases, refusal: Any) -> None:
    async with watched_leases(proxy.url, leases.namespace) as watched:
        proxy.on("GET", "/leases", refusal, query={"watch": "true"})
        proxy.cut_watches()
        await leases.create("a")
        await watched.until_heard("add a=x")
        assert lists(proxy) == 2


async def test_a_server_that_went_back_in_time_is_noticed(proxy: FaultProxy, leases: Leases) -> None:
    def from_the_future(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == "BOOKMARK":
            event["object"]["metadata"]["resourceVersion"] = "999999999"
        return [event]

    # As after a restore of etcd. A watch from a version to come is accepted, and silent.
    proxy.on("GET", "/leases", edit_watch(editing(from_the_future)))
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.create("a")
        proxy.cut_watches()
        await watched.until_heard("add a=x")
        await leases.create("b")
        await watched.until_heard("add b=x")


async def test_a_delete_that_the_watch_missed_is_made_up_for(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a")
    await leases.create("b")
    proxy.on("GET", "/leases", edit_watch(dropping("DELETED")))
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.change("a", "y")
        await leases.delete("a")
        await leases.change("b", "y")
        await watched.until_heard("update b=x>y")
        assert watched.holders == {"a": "y", "b": "y"}
        await proxy.inject(GONE)
        await watched.until_heard("delete a=y")
        assert watched.holders == {"b": "y"}


async def test_a_delete_while_the_watch_is_away_and_too_old(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        proxy.on("GET", "/leases", answer(410), query={"watch": "true"})
        await leases.delete("a")
        proxy.cut_watches()
        await watched.until_heard("delete a=x")
        assert watched.heard == ["add a=x", "delete a=x"]


async def test_another_object_of_the_same_name_is_a_delete_and_an_add(
    proxy: FaultProxy, leases: Leases
) -> None:
    def as_one_update(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == "DELETED":
            return []
        if event["type"] == "ADDED" and event["object"]["spec"]["holderIdentity"] == "second":
            event["type"] = "MODIFIED"
        return [event]

    await leases.create("a", "first")
    proxy.on("GET", "/leases", edit_watch(editing(as_one_update)))
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.delete("a")
        await leases.create("a", "second")
        await watched.until_heard("add a=second")
        assert watched.heard == ["add a=first", "delete a=first", "add a=second"]


async def test_another_object_of_the_same_name_found_by_a_list(proxy: FaultProxy, leases: Leases) -> None:
    await leases.create("a", "first")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        proxy.freeze_watches()
        await leases.delete("a")
        await leases.create("a", "second")
        await proxy.inject(GONE)
        await watched.until_heard("add a=second")
        assert watched.heard == ["add a=first", "delete a=first", "add a=second"]


async def test_duplicates_are_told_once(proxy: FaultProxy, leases: Leases) -> None:
    proxy.on("GET", "/leases", edit_watch(lambda line: (line, line)))
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.create("a")
        await leases.change("a", "y")
        await leases.delete("a")
        await leases.create("b")
        await watched.until_heard("add b=x")
        assert watched.heard == ["add a=x", "update a=x>y", "delete a=y", "add b=x"]


async def test_a_delete_of_the_predecessor_that_comes_late_is_ignored(
    proxy: FaultProxy, leases: Leases
) -> None:
    kept: list[dict[str, Any]] = []

    def keep_the_delete(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == "DELETED":
            kept.append(event)
        return [event]

    await leases.create("a", "first")
    proxy.on("GET", "/leases", edit_watch(editing(keep_the_delete)))
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.delete("a")
        await leases.create("a", "second")
        await watched.until_heard("add a=second")
        await proxy.inject(kept[0])
        await leases.create("b")
        await watched.until_heard("add b=x")
        assert watched.holders == {"a": "second", "b": "x"}


async def test_a_server_without_streaming_lists_gives_pages(
    proxy: FaultProxy, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE_SIZE", 2)
    proxy.on("GET", "/leases", answer(422), times=100, query={"sendInitialEvents": "true"})
    for name in "abcde":
        await leases.create(name)
    async with watched_leases(proxy.url, leases.namespace) as watched:
        assert watched.holders == dict.fromkeys("abcde", "x")
        assert sum("limit=2" in request for request in proxy.requests) == 3
        await leases.delete("c")
        await watched.until_heard("delete c=x")
        await proxy.inject(GONE)
        await leases.create("f")
        await watched.until_heard("add f=x")
        assert watched.holders == dict.fromkeys("abdef", "x")
        assert lists(proxy) == 1


async def test_a_list_older_than_what_was_seen_is_not_believed(proxy: FaultProxy, leases: Leases) -> None:
    def before_the_delete(event: dict[str, Any]) -> list[dict[str, Any]]:
        ghost = {"name": "a", "namespace": leases.namespace, "uid": "ghost", "resourceVersion": "1"}
        if event["type"] != "BOOKMARK":
            return []
        event["object"]["metadata"]["resourceVersion"] = "1"
        return [{"type": "ADDED", "object": {"metadata": ghost}}, event]

    await leases.create("a")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.delete("a")
        await watched.until_heard("delete a=x")
        stale = edit_watch(editing(before_the_delete))
        proxy.on("GET", "/leases", stale, query={"sendInitialEvents": "true"})
        await proxy.inject(GONE)
        await proxy.wait_for("sendInitialEvents", 3)
        await leases.create("b")
        await watched.until_heard("add b=x")
        assert watched.heard == ["add a=x", "delete a=x", "add b=x"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_is_asked_again(proxy: FaultProxy, leases: Leases, status: int) -> None:
    await leases.create("a")
    proxy.on("GET", "/leases", answer(status), times=3)
    async with watched_leases(proxy.url, leases.namespace) as watched:
        assert watched.heard == ["add a=x"]
        assert watched.informer.last_error is None


async def test_an_object_of_a_wrong_shape_hides_no_other(
    proxy: FaultProxy, leases: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["object"]["metadata"].get("name") == "bad":
            event["object"]["spec"]["leaseDurationSeconds"] = "long"
        return [event]

    proxy.on("GET", "/leases", edit_watch(editing(spoil)))
    await leases.create("bad")
    await leases.create("good")
    async with watched_leases(proxy.url, leases.namespace) as watched:
        await leases.change("bad", "y")
        await leases.change("good", "y")
        await watched.until_heard("update good=x>y")
        assert watched.heard == ["add good=x", "update good=x>y"]
        assert "leases.coordination.k8s.io: an object cannot be read" in caplog.text


async def test_a_missing_permission_is_named_and_its_grant_is_noticed(
    control_plane: ControlPlane, leases: Leases
) -> None:
    namespace = leases.namespace
    await leases.create("a")
    jane = control_plane.kubeconfig_for(f"jane-{namespace}")
    async with (
        FaultProxy.start(str(jane)) as proxy,
        watched_leases(proxy.url, namespace, synced=False) as watched,
    ):
        await proxy.wait_for("sendInitialEvents", 2)
        assert str(watched.informer.last_error) == (
            'cannot list leases.coordination.k8s.io: forbidden; grant verb "watch" on resource "leases" '
            f'(API group "coordination.k8s.io") in namespace "{namespace}" to jane-{namespace}'
        )
        grant(control_plane, namespace, f"jane-{namespace}")
        await watched.until_heard("add a=x")
        assert watched.informer.last_error is None


async def test_cancelling_closes_the_connection(proxy: FaultProxy, leases: Leases) -> None:
    async with watched_leases(proxy.url, leases.namespace):
        assert proxy.open_watches == 1
    with anyio.fail_after(WAIT):
        await proxy.until(lambda: proxy.open_watches == 0)


def grant(control_plane: ControlPlane, namespace: str, user: str) -> None:
    """Let a user list and watch leases."""
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list", "watch"]}
    control_plane.client.request("POST", f"{root}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    control_plane.client.request("POST", f"{root}/rolebindings", binding)
