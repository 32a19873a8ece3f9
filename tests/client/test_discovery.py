"""Whether an API server serves a collection."""

import pytest

from pallet.client import Client
from pallet.client.discovery import is_served
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import Fault, FaultProxy, answer

pytestmark = pytest.mark.anyio

PATH = "/apis/scheduling.k8s.io/v1beta1"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


def listing(*names: str) -> Fault:
    return answer(200, {"kind": "APIResourceList", "resources": [{"name": name} for name in names]})


@pytest.mark.parametrize(
    ("answers", "served"),
    [
        ([listing("workloads", "podgroups", "podgroups/status")], True),
        ([listing("workloads", "podgroups/status")], False),
        ([answer(404, {"kind": "Status", "code": 404, "reason": "NotFound"})], False),
        ([answer(404)], False),
        ([*[answer(503)] * 10, listing("podgroups")], True),
        ([answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden"}), listing("podgroups")], True),
    ],
)
async def test_it_is_asked_until_the_server_says(
    server: FaultProxy,
    client: Client,
    answers: list[Fault],
    served: bool,  # noqa: FBT001
) -> None:
    for each in answers:
        server.on("GET", PATH, each)
    assert await is_served(client, "scheduling.k8s.io/v1beta1", "podgroups") is served
    assert len(server.requests) == len(answers)
