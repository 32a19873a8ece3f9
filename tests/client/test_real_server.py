"""The client against a real API server."""

from collections.abc import AsyncIterator

import pytest

from pallet.api.core import LEASES, Lease, LeaseSpec
from pallet.api.meta import ObjectMeta
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.client import STRATEGIC_MERGE_PATCH, AnswerLost, ApiError, Client
from pallet.client import client as client_module
from tools.controlplane.controlplane import ControlPlane
from tools.controlplane.pytest_plugin import NodePool
from tools.faults.proxy import FaultProxy, lose_answer

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client.connect(str(control_plane.kubeconfig), qps=0) as client:
        yield client


def lease(name: str, holder: str = "x") -> Lease:
    return Lease(ObjectMeta(name=name), LeaseSpec(holder_identity=holder, lease_duration_seconds=15))


async def create_pod(client: Client, namespace: str, name: str = "p") -> Pod:
    spec = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]}
    return await client.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace)


async def test_an_object_is_created_read_replaced_and_deleted(client: Client, namespace: str) -> None:
    created = await client.create(LEASES, lease("a"), namespace)
    assert await client.get(LEASES, "a", namespace) == created
    changed = Lease(created.metadata, LeaseSpec(holder_identity="y", lease_duration_seconds=15))
    assert (await client.update(LEASES, changed)).spec.holder_identity == "y"
    with pytest.raises(ApiError) as caught:
        await client.update(LEASES, changed)
    assert caught.value.conflict
    with pytest.raises(ApiError) as caught:
        await client.create(LEASES, lease("a"), namespace)
    assert caught.value.already_exists
    await client.delete(LEASES, "a", namespace)
    with pytest.raises(ApiError) as caught:
        await client.get(LEASES, "a", namespace)
    assert caught.value.not_found


async def test_a_delete_with_a_uid_spares_another_object_of_the_name(client: Client, namespace: str) -> None:
    created = await client.create(LEASES, lease("a"), namespace)
    with pytest.raises(ApiError) as caught:
        await client.delete(LEASES, "a", namespace, uid="another")
    assert caught.value.conflict
    await client.delete(LEASES, "a", namespace, uid=created.metadata.uid)


async def test_all_pages_of_a_list_are_read(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    for name in "abcde":
        await client.create(LEASES, lease(name), namespace)
    found = await client.list(LEASES, namespace)
    assert [each.metadata.name for each in found.items] == list("abcde")
    named = await client.list(LEASES, namespace, field_selector="metadata.name=c")
    assert [each.metadata.name for each in named.items] == ["c"]


async def test_conditions_are_patched_beside_others(client: Client, namespace: str) -> None:
    await create_pod(client, namespace)
    for kind in ("PodScheduled", "DisruptionTarget"):
        patch = {"status": {"conditions": [{"type": kind, "status": "False"}]}}
        pod = await client.patch(
            PODS, "p", namespace, patch, subresource="status", content_type=STRATEGIC_MERGE_PATCH
        )
    assert {condition.type for condition in pod.status.conditions} == {"PodScheduled", "DisruptionTarget"}


async def test_a_pod_is_bound_once(client: Client, namespace: str, node_pool: NodePool) -> None:
    [node] = node_pool.add(1)
    pod = await create_pod(client, namespace)
    with pytest.raises(ApiError) as caught:
        await client.create_binding(namespace, "p", "another uid", node)
    assert caught.value.conflict
    await client.create_binding(namespace, "p", pod.metadata.uid, node)
    assert (await client.get(PODS, "p", namespace)).spec.node_name == node
    with pytest.raises(ApiError) as caught:
        await client.create_binding(namespace, "p", pod.metadata.uid, node)
    assert caught.value.conflict


async def test_a_binding_whose_answer_is_lost_is_found_by_reading_the_pod(
    control_plane: ControlPlane, client: Client, namespace: str, node_pool: NodePool
) -> None:
    [node] = node_pool.add(1)
    pod = await create_pod(client, namespace)
    async with (
        FaultProxy.start(str(control_plane.kubeconfig)) as proxy,
        Client.connect(master=proxy.url) as through_proxy,
    ):
        proxy.on("POST", "/binding", lose_answer)
        with pytest.raises(AnswerLost):
            await through_proxy.create_binding(namespace, "p", pod.metadata.uid, node)
    assert (await client.get(PODS, "p", namespace)).spec.node_name == node


async def test_a_missing_permission_is_named(control_plane: ControlPlane) -> None:
    async with Client.connect(str(control_plane.kubeconfig_for("nobody"))) as client:
        with pytest.raises(ApiError) as caught:
            await client.list(NODES)
    assert str(caught.value) == (
        'cannot list nodes: forbidden; grant verb "list" on resource "nodes" (API group "") to nobody'
    )


async def test_a_service_account_is_known_by_its_token(control_plane: ControlPlane, namespace: str) -> None:
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "default")
    async with Client.connect(str(kubeconfig)) as client:
        with pytest.raises(ApiError, match=f"to system:serviceaccount:{namespace}:default$"):
            await client.get(PODS, "p", namespace)
