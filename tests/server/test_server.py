"""The server over TLS, before a scripted API server and before the real one."""

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import pytest

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Container, Pod, PodSpec, ResourceRequirements
from pallet.client import Client
from pallet.config.load import default_configuration
from pallet.framework.instruments import Instruments
from pallet.loop_budget import LoopBudget
from pallet.server.certificate import self_signed, server_context
from pallet.server.server import Endpoints, ListenError, listen, serve
from tools.controlplane import ControlPlane
from tools.faults.proxy import FaultProxy, answer

pytestmark = pytest.mark.anyio

POD = Pod(
    metadata=ObjectMeta(name="web", namespace="shop"),
    spec=PodSpec(containers=(Container(resources=ResourceRequirements(Labels({"cpu": "1"}))),)),
)


def fine() -> None:
    """Find nothing wrong."""


class Browser:
    """Gets pages of one server and trusts its certificate only."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._root = f"https://localhost:{port}"

    async def get(self, path: str, token: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.get(self._root + path, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    file = tmp_path / "server.pem"
    file.write_bytes(self_signed("localhost"))
    return str(file)


@pytest.fixture
def instruments() -> Instruments:
    made = Instruments()
    made.counter("scheduler_schedule_attempts_total", "Attempts.", "result")["scheduled"].inc()
    return made


@pytest.fixture
def endpoints(instruments: Instruments) -> Endpoints:
    return Endpoints(
        live={"leaderElection": fine},
        ready={"informer-sync": lambda: "waiting for pods"},
        instruments=instruments,
        pods=lambda: [POD],
        configuration=default_configuration(),
    )


@asynccontextmanager
async def served(
    endpoints: Endpoints, certificate: str, client: Client, budget: LoopBudget | None = None
) -> AsyncIterator[Browser]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    trust = ssl.create_default_context(cafile=certificate)
    tls = await anyio.to_thread.run_sync(server_context, certificate)
    async with (
        serve(listener, tls, endpoints, client, budget or LoopBudget()),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
    ):
        yield Browser(session, port)


@asynccontextmanager
async def letting_in() -> AsyncIterator[Client]:
    """A client of an API server that lets everybody in who has a token."""
    async with FaultProxy.start() as api, Client.connect(master=api.url) as client:
        api.on("POST", "/tokenreviews", answer(201, {"status": {"authenticated": True}}), times=10)
        api.on("POST", "/subjectaccessreviews", answer(201, {"status": {"allowed": True}}), times=10)
        yield client


@pytest.fixture
async def browser(endpoints: Endpoints, certificate: str) -> AsyncIterator[Browser]:
    """The server before an API server that lets everybody in who has a token."""
    async with letting_in() as client, served(endpoints, certificate, client) as browser:
        yield browser


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
async def test_health_is_open_to_everybody(browser: Browser, path: str) -> None:
    assert await browser.get(path) == (200, "ok")
    _, text = await browser.get(f"{path}?verbose")
    assert text == f"[+]ping ok\n[+]leaderElection ok\n{path[1:]} check passed\n"


async def test_what_is_not_ready_says_why(browser: Browser) -> None:
    assert await browser.get("/readyz") == (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "[+]ping ok\n[-]informer-sync failed: waiting for pods\nreadyz check failed\n",
    )


@pytest.mark.parametrize("path", ["/metrics", "/metrics/resources", "/configz"])
async def test_the_rest_needs_a_token(browser: Browser, path: str) -> None:
    assert await browser.get(path) == (401, f"{path} needs a bearer token of the cluster\n")


async def test_metrics(browser: Browser) -> None:
    status, text = await browser.get("/metrics", "t")
    assert status == HTTPStatus.OK
    assert 'scheduler_schedule_attempts_total{result="scheduled"} 1.0' in text


class EverySecond(LoopBudget):
    """A budget that is used up at every other look, and counts the pauses."""

    looks = pauses = 0

    @property
    def exhausted(self) -> bool:
        self.looks += 1
        return self.looks % 2 == 0

    async def pause(self) -> None:
        self.pauses += 1


@pytest.mark.parametrize("path", ["/metrics", "/metrics/resources"])
async def test_what_takes_long_is_made_as_far_as_the_loop_budget_goes(
    endpoints: Endpoints, certificate: str, path: str
) -> None:
    budget = EverySecond()
    async with letting_in() as client, served(endpoints, certificate, client, budget) as browser:
        assert (await browser.get(path, "t"))[0] == HTTPStatus.OK
    assert budget.looks > 2
    assert budget.pauses == budget.looks // 2


async def test_resources_of_pods(browser: Browser) -> None:
    status, text = await browser.get("/metrics/resources", "t")
    assert status == HTTPStatus.OK
    assert 'kube_pod_resource_request{namespace="shop",pod="web",' in text


async def test_configuration(browser: Browser) -> None:
    status, text = await browser.get("/configz", "t")
    assert status == HTTPStatus.OK
    assert json.loads(text)["componentconfig"]["leaderElection"]["retryPeriod"] == "2s"


async def test_other_pages_do_not_exist(browser: Browser) -> None:
    assert (await browser.get("/debug/pprof"))[0] == HTTPStatus.NOT_FOUND


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127.0.0.1 port {port}: .*--secure-port"):
            listen("127.0.0.1", port)


@pytest.fixture
def scraper(control_plane: ControlPlane, namespace: str) -> Iterator[tuple[str, str]]:
    """A namespace with two ServiceAccounts: `scraper` may get /metrics, `default` may not."""
    client = control_plane.client
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    client.request(
        "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "scraper"}}
    )
    client.request(
        "POST",
        f"{rbac}/clusterroles",
        {"metadata": {"name": namespace}, "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]},
    )
    client.request(
        "POST",
        f"{rbac}/clusterrolebindings",
        {
            "metadata": {"name": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": namespace}],
        },
    )

    def token(name: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answered: str = client.request("POST", path, {"spec": {}})["status"]["token"]
        return answered

    yield token("scraper"), token("default")
    client.request("DELETE", f"{rbac}/clusterrolebindings/{namespace}")
    client.request("DELETE", f"{rbac}/clusterroles/{namespace}")


@pytest.mark.e2e
async def test_the_real_api_server_decides_who_may_scrape(
    endpoints: Endpoints,
    certificate: str,
    control_plane: ControlPlane,
    namespace: str,
    scraper: tuple[str, str],
) -> None:
    allowed, other = scraper
    async with (
        Client.connect(str(control_plane.kubeconfig)) as client,
        served(endpoints, certificate, client) as browser,
    ):
        assert (await browser.get("/metrics", allowed))[0] == HTTPStatus.OK
        assert await browser.get("/configz", allowed) == (
            HTTPStatus.FORBIDDEN,
            f'forbidden: User "system:serviceaccount:{namespace}:scraper" cannot get path "/configz"\n',
        )
        assert (await browser.get("/metrics", other))[0] == HTTPStatus.FORBIDDEN
        status, text = await browser.get("/metrics", "forged")
        assert status == HTTPStatus.UNAUTHORIZED
        assert text.startswith("the bearer token is not valid: ")


@pytest.mark.e2e
async def test_a_scheduler_that_may_not_ask_says_which_permission_it_lacks(
    endpoints: Endpoints, certificate: str, control_plane: ControlPlane, scraper: tuple[str, str]
) -> None:
    nobody = control_plane.kubeconfig_for("nobody")
    async with (
        Client.connect(str(nobody)) as client,
        served(endpoints, certificate, client) as browser,
    ):
        status, text = await browser.get("/metrics", scraper[0])
    assert status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert text == (
        "cannot tell who may get /metrics: cannot create tokenreviews.authentication.k8s.io: forbidden; "
        'grant verb "create" on resource "tokenreviews" (API group "authentication.k8s.io") to nobody\n'
    )
