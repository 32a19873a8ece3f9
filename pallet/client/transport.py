"""HTTP: one request out, one answer back; and the long answers of watches.

This is the whole seam to the HTTP library. It knows nothing of retries, limits or objects.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import aiohttp
from yarl import URL

from pallet.client.channel import Endpoint, Fence, FencedError, proxy_authorization
from pallet.client.connection import Answer, LostError, NotSentError
from pallet.client.credentials import Credentials
from pallet.client.pool import Pool

__all__ = ["Answer", "Fence", "FencedError", "LostError", "NotSentError", "Stream", "Transport"]

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for the TCP and TLS handshakes."""

POOL_SIZE: Final = 64
"""Connections for requests; watches come on top."""

KEEP_ALIVE: Final = 60.0
"""Seconds an idle connection is kept; the API server keeps it for longer."""


class Transport:
    """Keep-alive connections over HTTP/1.1 to one API server. Close it with `aclose`.

    Requests go over a pool of our own, watches over the HTTP library.
    """

    def __init__(self, credentials: Credentials, user_agent: str) -> None:
        self._credentials = credentials
        # Compression costs more processor time than it saves inside a cluster.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent}
        self._session = _session(credentials, headers)
        server = URL(credentials.address)
        self._head = "".join(
            f"{name}: {value}\r\n" for name, value in {"Host": server.authority, **headers}.items()
        )
        proxy = URL(credentials.proxy) if credentials.proxy else None
        self._root = server.raw_path.rstrip("/")
        if proxy is not None and credentials.tls is None:  # then the proxy is told the whole address
            self._root = f"{server.origin()}{self._root}"
            self._head += proxy_authorization(proxy)
        endpoint = Endpoint(
            server.host or "",
            server.port or 0,
            credentials.tls,
            credentials.server_name,
            proxy,
        )
        self._pool = Pool(endpoint, POOL_SIZE)

    async def aclose(self) -> None:
        """Close every connection."""
        self._pool.close()
        await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        seconds: float,
        fence: Fence | None = None,
    ) -> Answer:
        """Send one request and read its answer, whatever its status.

        The fence is asked when the bytes go out. Raise FencedError, NotSentError or LostError.
        """
        head = f"{method} {self._root}{path} HTTP/1.1\r\n{self._head}"
        authorization = await self._credentials.authorization()
        if authorization is not None:
            head += f"Authorization: {authorization}\r\n"
        if body is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        request = f"{head}\r\n".encode() + (body or b"")
        return await self._pool.send(request, seconds, CONNECT_TIMEOUT, fence)

    @asynccontextmanager
    async def stream(self, path: str, silence: float) -> AsyncIterator["Stream"]:
        """GET an answer without an end; it is lost after `silence` seconds without a byte."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=silence)
        with _errors():
            response = await self._open(path, limits)
        try:
            yield Stream(response)
        finally:
            _abort(response)

    async def _open(self, path: str, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send a request for a stream and wait for the head of its answer."""
        authorization = await self._credentials.authorization()
        return await self._session.get(
            URL(self._credentials.address + path, encoded=True),
            headers={"Authorization": authorization} if authorization is not None else {},
            timeout=limits,
            allow_redirects=False,
            proxy=self._credentials.proxy,
            server_hostname=self._credentials.server_name,
        )


class Stream:
    """An answer that is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: bytes) -> str:
        """Give the value of a header; empty where there is none."""
        return self._response.headers.get(name.decode(), "")

    async def read(self) -> bytes:
        """Read what has come in, waiting for it; nothing is left when it is empty. Raise LostError."""
        with _errors():
            return await self._response.content.readany()

    async def read_all(self) -> bytes:
        """Read everything; for errors, which are short. Raise LostError."""
        with _errors():
            return await self._response.read()


def _session(credentials: Credentials, headers: dict[str, str]) -> aiohttp.ClientSession:
    """Open the library's own pool, without a limit."""
    tls = credentials.tls if credentials.tls is not None else True
    # Proxies of the environment are not meant for the API server: trust_env stays off.
    return aiohttp.ClientSession(
        trust_env=False,
        connector=aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
    )


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a watch, which is of no use for others, without TLS's farewell: nobody waits
    for the server's answer to it, and the socket would stay open until then.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the library's errors into ours: was it sent, or not?"""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSentError(_words(error)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise LostError(_words(error)) from error


def _words(error: BaseException) -> str:
    """Say what happened; time-outs come without words of their own."""
    return str(error) or type(error).__name__
