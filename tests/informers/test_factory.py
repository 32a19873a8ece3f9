from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from pallet.api.core import EVENTS, LEASES, NAMESPACES, SERVICES
from pallet.api.node import NODES
from pallet.api.pod import PODS
from pallet.client import Client
from pallet.informers import InformerFactory, NotSyncedError
from pallet.loop_budget import LoopBudget
from tools.controlplane.controlplane import ControlPlane
from tools.faults.proxy import FaultProxy, answer

if TYPE_CHECKING:
    from pallet.api.resource import Resource

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client.connect(master="http://127.0.0.1:1") as client:
        yield client


async def test_the_same_arguments_give_the_same_informer(client: Client) -> None:
    factory = InformerFactory(client, LoopBudget())
    assert factory.informer(PODS) is factory.informer(PODS)
    assert factory.informer(PODS, field_selector="spec.nodeName!=") is not factory.informer(PODS)
    assert factory.informer(LEASES, namespace="a") is not factory.informer(LEASES, namespace="b")


async def test_what_was_seen_is_told_by_collection(client: Client) -> None:
    factory = InformerFactory(client, LoopBudget())
    factory.informer(PODS)
    factory.informer(LEASES, namespace="a")
    assert factory.seen() == {"pods": "", "leases.coordination.k8s.io|a": ""}
    assert not factory.have_seen({"pods": "7"})


async def test_what_does_not_sync_is_named_with_its_error() -> None:
    async with FaultProxy.start() as server:
        server.on(
            "GET", "/pods", answer(403, {"code": 403, "reason": "Forbidden", "message": "no"}), times=1e9
        )
        async with Client.connect(master=server.url) as client, anyio.create_task_group() as tasks:
            factory = InformerFactory(client, LoopBudget())
            factory.informer(PODS)
            factory.start(tasks)
            await server.wait_for("pods")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(NotSyncedError, match=r"pods \(cannot list pods: no \(403 Forbidden\)\)"):
                await factory.wait_for_sync(0.0)
            tasks.cancel_scope.cancel()


@pytest.mark.e2e
async def test_collections_of_a_real_server_sync(control_plane: ControlPlane, namespace: str) -> None:
    create = control_plane.client.request
    spec = {"containers": [{"name": "c", "image": "i"}]}
    create("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}, "spec": spec})
    async with (
        Client.connect(str(control_plane.kubeconfig)) as client,
        anyio.create_task_group() as tasks,
    ):
        factory = InformerFactory(client, LoopBudget())
        pods = factory.informer(PODS)
        namespaces = factory.informer(NAMESPACES)
        others: list[Resource[Any]] = [NODES, SERVICES, EVENTS, LEASES]
        for resource in others:
            factory.informer(resource)
        factory.start(tasks)
        factory.start(tasks)  # starts none twice
        await factory.wait_for_sync(20.0)
        assert f"{namespace}/p" in pods.store
        assert namespace in namespaces.store
        tasks.cancel_scope.cancel()
