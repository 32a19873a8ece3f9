"""Where the server and the credentials come from."""

import asyncio
import re
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from pallet.api.core import NAMESPACES
from pallet.client import Client, ConfigError, Unreachable, credentials
from pallet.client.credentials import REFRESH_PERIOD, Credentials
from tests.client.certificates import Identity, authority, issue, pem, server_context
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import Exchange, FaultProxy, answer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write_kubeconfig(path: Path, server: str, user: dict[str, Any], **cluster: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def wait_a_period() -> None:
    """Let the credentials grow old, in virtual time."""
    await asyncio.sleep(REFRESH_PERIOD + 1.0)


def exec_plugin(path: Path, token_file: Path) -> dict[str, Any]:
    """Write a plugin that gives what is in a file as the token, and nothing when it is not there."""
    version = "client.authentication.k8s.io/v1"
    path.write_text(
        f"#!/bin/sh\ntoken=$(cat {token_file}) || exit 1\n"
        f'echo \'{{"apiVersion":"{version}","kind":"ExecCredential","status":{{"token":"\'$token\'"}}}}\'\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": version, "command": str(path)}}


@pytest.fixture(scope="module", autouse=True)
def without_api_classes() -> Iterator[None]:
    """The image has none of them: see `Dockerfile`."""
    yield
    assert not [name for name in sys.modules if re.match(r"kubernetes\.(aio\.)?client\.(api|models)\.", name)]


async def test_a_plain_master_needs_no_credentials() -> None:
    found = await Credentials.load(master="http://10.0.0.1:8080/")
    assert found.address == "http://10.0.0.1:8080"
    assert await found.authorization() is None


async def test_the_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kc", "https://10.0.0.1:6443", {"token": "secret"})
    found = await Credentials.load(path)
    assert found.address == "https://10.0.0.1:6443"
    assert await found.authorization() == "Bearer secret"
    assert found.tls is not None
    assert found.tls.verify_mode == ssl.CERT_REQUIRED


async def test_master_replaces_the_server_of_the_kubeconfig(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kc", "http://10.0.0.1", {"token": "secret"})
    found = await Credentials.load(path, "http://10.0.0.2")
    assert found.address == "http://10.0.0.2"
    assert await found.authorization() == "Bearer secret"


@pytest.mark.parametrize("variable", [True, False], ids=["$KUBECONFIG", "~/.kube/config"])
async def test_without_arguments_the_usual_places_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, variable: bool
) -> None:
    path = tmp_path / ("elsewhere" if variable else ".kube") / "config"
    write_kubeconfig(path, "http://10.0.0.1", {"token": "secret"})
    if variable:
        monkeypatch.setenv("KUBECONFIG", str(path))
    assert (await Credentials.load()).address == "http://10.0.0.1"


async def test_options_of_the_cluster_are_kept(tmp_path: Path) -> None:
    options = {"proxy-url": "http://proxy", "tls-server-name": "kube", "insecure-skip-tls-verify": True}
    found = await Credentials.load(
        write_kubeconfig(tmp_path / "kc", "https://10.0.0.1", {"token": "t"}, **options)
    )
    assert (found.proxy, found.server_name) == ("http://proxy", "kube")
    assert found.tls is not None
    assert found.tls.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    "content", ["", "a: b", "[]", "{", "current-context: x"], ids=["empty", "keys", "list", "yaml", "context"]
)
async def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kc"
    path.write_text(content)
    with pytest.raises(ConfigError, match=f"^kubeconfig {path}: "):
        await Credentials.load(str(path))


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"kubeconfig {tmp_path}/none: no such file"):
        await Credentials.load(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("user", "cluster", "what"),
    [
        ({}, {"certificate-authority": "{file}"}, "certificate authority"),
        (
            {"client-certificate": "{file}", "client-key": "{file}"},
            {},
            "client certificate and its key",
        ),
    ],
)
async def test_certificates_that_cannot_be_used_are_named(
    tmp_path: Path, user: dict[str, str], cluster: dict[str, str], what: str
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    user, cluster = ({key: str(broken) for key in part} for part in (user, cluster))
    path = write_kubeconfig(tmp_path / "kc", "https://10.0.0.1", user, **cluster)
    with pytest.raises(ConfigError, match=f"^kubeconfig {path}: the {what} cannot be used: "):
        await Credentials.load(path)


async def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    found = await Credentials.load(write_kubeconfig(tmp_path / "kc", "http://x", {"tokenFile": str(token)}))
    assert await found.authorization() == "Bearer first"
    token.write_text("second\n")
    assert await found.authorization() == "Bearer first"
    await wait_a_period()
    assert await found.authorization() == "Bearer second"


async def test_an_exec_plugin_is_run_again_and_its_failure_keeps_the_old_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    user = exec_plugin(tmp_path / "plugin", token)
    found = await Credentials.load(write_kubeconfig(tmp_path / "kc", "http://x", user))
    assert await found.authorization() == "Bearer first"
    token.write_text("second")
    await wait_a_period()
    assert await found.authorization() == "Bearer second"
    token.unlink()
    await wait_a_period()
    assert await found.authorization() == "Bearer second"
    assert "exec" in caplog.text


async def test_a_kubeconfig_without_usable_credentials_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    user = exec_plugin(tmp_path / "plugin", tmp_path / "none")
    await Credentials.load(write_kubeconfig(tmp_path / "kc", "http://x", user))
    assert "no credentials in its current context" in caplog.text


async def test_in_a_pod_the_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    monkeypatch.setattr(credentials, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(credentials, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigError, match="token file does not exist"):
        await Credentials.load()
    token.write_text("first\n")
    ca.write_bytes(pem(authority()[1]))
    found = await Credentials.load()
    assert found.address == "https://[fd00::1]:443"
    assert await found.authorization() == "bearer first"
    token.write_text("second\n")
    await wait_a_period()
    assert await found.authorization() == "bearer second"
    token.unlink()
    await wait_a_period()
    assert await found.authorization() == "bearer second"


async def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    seen: list[str] = []

    async def check(exchange: Exchange) -> web.StreamResponse:
        seen.append(exchange.request.headers["Authorization"])
        token.write_text("second")
        fault = answer(200, {"metadata": {"name": "a"}}) if "second" in seen[-1] else answer(401)
        return await fault(exchange)

    async with FaultProxy.start() as server:
        server.on("POST", "/namespaces", check, times=100)
        path = write_kubeconfig(tmp_path / "kc", server.url, {"tokenFile": str(token)})
        async with Client.connect(path) as client:
            await client.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert seen == ["Bearer first", "Bearer second"]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with FaultProxy.start() as server, Client.connect(master=server.url) as client:
        server.on("GET", "/namespaces/a", answer(200, {"metadata": {"name": "a"}}))
        await client.get(NAMESPACES, "a")


async def test_the_proxy_of_the_kubeconfig_is_used(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kc", "http://10.255.255.1", {"token": "t"}, **{"proxy-url": "unset"})
    async with FaultProxy.start() as server:
        write_kubeconfig(tmp_path / "kc", "http://10.255.255.1", {"token": "t"}, **{"proxy-url": server.url})
        server.on("GET", "/namespaces/a", answer(200, {"metadata": {"name": "a"}}))
        async with Client.connect(path) as client:
            await client.get(NAMESPACES, "a")


async def test_an_authority_without_key_usage_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file, create = tmp_path / "ca.crt", ssl.create_default_context

    def strict_as_since_python_3_13(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = create(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict_as_since_python_3_13)
    ca = authority()
    ca_file.write_bytes(pem(ca[1]))
    async with tls_server(tmp_path, issue(ca)) as url:
        path = write_kubeconfig(
            tmp_path / "kc", url, {"token": "t"}, **{"certificate-authority": str(ca_file)}
        )
        async with Client.connect(path) as client:
            assert (await client.get(NAMESPACES, "a")).metadata.name == "a"


async def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(pem(authority()[1]))
    async with tls_server(tmp_path, issue(authority())) as url:
        path = write_kubeconfig(
            tmp_path / "kc", url, {"token": "t"}, **{"certificate-authority": str(ca_file)}
        )
        async with Client.connect(path) as client:
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await client.get(NAMESPACES, "a")


async def test_an_authority_that_is_added_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's is replaced in this order: the bundle has both, then the server shows the new one."""
    old, new, ca_file = authority("old"), authority("new"), tmp_path / "ca.crt"
    ca_file.write_bytes(pem(old[1]))
    async with tls_server(tmp_path, issue(new)) as url:
        path = write_kubeconfig(
            tmp_path / "kc", url, {"token": "t"}, **{"certificate-authority": str(ca_file)}
        )
        async with Client.connect(path) as client:
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await client.get(NAMESPACES, "a")
            ca_file.write_bytes(pem(old[1]) + pem(new[1]))
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await client.get(NAMESPACES, "a")
            monkeypatch.setattr(credentials, "REFRESH_PERIOD", -1.0)
            assert (await client.get(NAMESPACES, "a")).metadata.name == "a"
            ca_file.write_text("half a fil")
            assert (await client.get(NAMESPACES, "a")).metadata.name == "a"


@asynccontextmanager
async def tls_server(folder: Path, identity: Identity) -> AsyncIterator[str]:
    """Serve a namespace over TLS."""

    async def serve(_: web.BaseRequest) -> web.Response:
        return web.json_response({"metadata": {"name": "a"}})

    context = server_context(folder, identity)
    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
