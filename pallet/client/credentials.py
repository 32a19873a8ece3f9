"""Where the API server is, and how to prove who we are.

Reading is left to `kubernetes.aio.config`: kubeconfig files with certificates, tokens, token files, exec
plugins and OIDC, and the ServiceAccount files inside a pod.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes.aio.config.kube_config import load_kube_config

from pallet.client.errors import ConfigError

log = logging.getLogger(__name__)

REFRESH_PERIOD: Final = 60.0
"""Seconds after which a token is read again, as client-go does: the kubelet replaces it while it is valid."""

T = TypeVar("T")

Reload = Callable[[], Awaitable[Configuration]]


class Credentials:
    """The address of the API server, its TLS context, and the Authorization header of the moment."""

    def __init__(self, configuration: Configuration, reload: Reload | None = None, origin: str = "") -> None:
        self.address: str = configuration.host.rstrip("/")
        self.origin = origin
        self.server_name: str | None = getattr(configuration, "tls_server_name", None)
        self.proxy: str | None = configuration.proxy
        self.tls: ssl.SSLContext | None = None
        if self.address.startswith("https"):
            self.tls = _usable(origin, "certificate authority", lambda: _tls_context(configuration))
        self._reload = reload
        self._refreshed_at = float("-inf")
        self._lock = anyio.Lock()
        self._take(configuration)

    @classmethod
    async def load(cls, kubeconfig: str | None = None, master: str | None = None) -> "Credentials":
        """Read them from the kubeconfig, else use the plain master address, else find them.

        Without either: the ServiceAccount inside a pod, else `$KUBECONFIG`, else `~/.kube/config`. A master
        given beside a kubeconfig replaces the server it names. Raise ConfigError where nothing usable is
        found.
        """
        if not kubeconfig and master:
            return cls(Configuration(host=master), origin="--master")
        if not kubeconfig and os.environ.get(SERVICE_HOST_ENV_NAME):
            return await cls._load_in_cluster()
        path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return await cls._load_kubeconfig(path, master)

    @classmethod
    async def _load_kubeconfig(cls, path: str, master: str | None) -> "Credentials":
        """Read a kubeconfig, or several joined by `:`; its current context counts."""
        configuration = Configuration()

        async def load() -> Any:
            return await load_kube_config(  # type: ignore[no-untyped-call]  # it has no types
                path, client_configuration=configuration, persist_config=False
            )

        if not await anyio.to_thread.run_sync(_is_there, path):
            raise ConfigError(
                f"kubeconfig {path}: no such file; name one with --kubeconfig, or the server with --master"
            )
        loader = await _apart(load, path)
        if master:
            configuration.host = master

        async def reload() -> Configuration:
            fresh = Configuration()
            await _apart(lambda: loader.load_and_set(fresh), path)
            return fresh

        if not configuration.api_key and not configuration.cert_file:
            log.warning(
                "kubeconfig %s gives no credentials in its current context: requests are anonymous", path
            )
        return cls(configuration, reload, origin=path)

    @classmethod
    async def _load_in_cluster(cls) -> "Credentials":
        """Read the files that the kubelet puts into a pod."""
        loader: Any = InClusterConfigLoader(  # type: ignore[no-untyped-call]  # it has no types
            SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME, try_refresh_token=False
        )

        async def reload() -> Configuration:
            fresh = Configuration()
            try:
                await anyio.to_thread.run_sync(loader.load_and_set, fresh)
            except (ConfigException, OSError) as error:
                raise ConfigError(f"ServiceAccount files of this pod: {error}") from error
            return fresh

        return cls(await reload(), reload, origin="ServiceAccount")

    async def authorization(self) -> str | None:
        """Give the Authorization header, read again after a minute; None where no token is used.

        With it the certificate authorities are read again.
        """
        if self._authorization is not None and self._is_old():
            async with self._lock:
                if self._is_old():
                    await self.refresh()
        return self._authorization

    async def refresh(self) -> None:
        """Read tokens and certificates again; when that fails, say so and go on with the old ones."""
        if self._reload is None:
            return
        try:
            self._take(await self._reload())
        except ConfigError as error:
            self._refreshed_at = asyncio.get_running_loop().time()
            log.warning("credentials could not be refreshed, the old ones are used on: %s", error)

    def _is_old(self) -> bool:
        if self._reload is None:
            return False
        return asyncio.get_running_loop().time() - self._refreshed_at > REFRESH_PERIOD

    def _take(self, configuration: Configuration) -> None:
        """Use these from now on; connections made before keep their certificate.

        A certificate authority that was added is trusted from now on; one that was removed, until the end.
        """
        token = configuration.api_key.get("BearerToken")
        self._authorization: str | None = token.strip() if token else None
        if self.tls is not None and configuration.ssl_ca_cert:
            trust = partial(self.tls.load_verify_locations, configuration.ssl_ca_cert)
            _usable(self.origin, "certificate authority", trust)
        if self.tls is not None and configuration.cert_file:
            # Without a password of our own, OpenSSL would ask for that of an encrypted key on the terminal.
            load = partial(self.tls.load_cert_chain, password="")
            files = configuration.cert_file, configuration.key_file
            _usable(self.origin, "client certificate and its key", lambda: load(*files))
        self._refreshed_at = asyncio.get_running_loop().time()


def _usable(origin: str, what: str, load: Callable[[], T]) -> T:
    """Do what reads PEM. Raise ConfigError where that cannot be used: OpenSSL does not say what it read."""
    try:
        return load()
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = getattr(error, "reason", None) or error
        raise ConfigError(f"kubeconfig {origin}: the {what} cannot be used: {why}") from error


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Trust the cluster's CA."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Python 3.13 made this flag a default. It refuses CAs without key usage or key identifiers, which many
    # clusters have; Go, and so every other client of these clusters, accepts them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_there(path: str) -> bool:
    """Whether one of the files that are joined by `:` exists."""
    return any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part)


async def _apart(load: Callable[[], Awaitable[Any]], path: str) -> Any:
    """Run a loader in a thread, on a loop of its own: it reads files without yielding."""

    async def run() -> Any:
        return await load()

    try:
        return await anyio.to_thread.run_sync(lambda: asyncio.run(run()))
    except (
        ConfigException,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        yaml.YAMLError,
    ) as error:
        # The loader meets files of the wrong shape with whatever its lookups raise.
        raise ConfigError(f"kubeconfig {path}: {error}") from error
