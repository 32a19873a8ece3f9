"""The little of HTTP/1.1 that the secure port speaks: GET and HEAD, one request at a time, no bodies.

Whoever reaches the port can send anything. So a request has a bounded length, nothing behind it is read
before it is answered, and a request that announces a body is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httptools

MAX_HEAD: Final = 16 * 1024
"""Bytes of request line and headers: a bearer token takes one or two thousand."""

WRITE_SECONDS: Final = 10.0
"""How long a client may take to read a piece of an answer."""

TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case; of several with one name, the last."""
    keep_alive: bool = True
    chunked: bool = True
    """Whether the client understands an answer in chunks, which HTTP/1.0 does not."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; a body that is not at hand as a whole is sent in pieces as it comes."""

    status: HTTPStatus
    body: str | bytes | AsyncIterator[bytes] = ""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def streamed(self) -> bool:
        """Whether the body is sent in pieces."""
        return not isinstance(self.body, str | bytes)


class RequestError(Exception):
    """The request cannot be answered; the connection is closed behind this response."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(status, message)
        self.response = Response(status, f"{message}\n")


class _Head:
    """Takes what httptools finds."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.complete = True


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; None where the client has ended the connection. Raise RequestError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise RequestError(HTTPStatus.BAD_REQUEST, "the request is cut short") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise RequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request may have {MAX_HEAD} bytes"
        ) from error
    return parse_request(head)


def parse_request(head: bytes) -> Request:
    """Read request line and headers. Raise RequestError."""
    found = _Head()
    parser = httptools.HttpRequestParser(found)
    try:
        parser.feed_data(head)
        url = urlsplit(found.url.decode("ascii"))
    except (httptools.HttpParserError, httptools.HttpParserUpgrade, ValueError) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "this is no HTTP request") from error
    if not found.complete:
        raise RequestError(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    if found.headers.get("content-length", "0") != "0" or "transfer-encoding" in found.headers:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request must not have a body")
    version = parser.get_http_version()
    method = parser.get_method().decode("ascii")
    if method not in {"GET", "HEAD"}:
        raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not allowed, only GET and HEAD")
    return Request(
        method,
        url.path,
        dict(parse_qsl(url.query, keep_blank_values=True)),
        found.headers,
        keep_alive=version == "1.1" and "close" not in found.headers.get("connection", "").lower(),
        chunked=version == "1.1",
    )


async def write_response(
    writer: asyncio.StreamWriter, response: Response, *, request: Request | None, keep_alive: bool
) -> None:
    """Send an answer. Raise TimeoutError where the client does not read it, OSError where it is gone."""
    body = response.body.encode() if isinstance(response.body, str) else response.body
    chunked = not isinstance(body, bytes) and (request is None or request.chunked)
    headers = {
        "Content-Type": response.content_type,
        "Connection": "keep-alive" if keep_alive else "close",
        **({"Transfer-Encoding": "chunked"} if chunked else {}),
        **({"Content-Length": str(len(body))} if isinstance(body, bytes) else {}),
        **response.headers,
    }
    head = f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"{head}\r\n".encode("latin-1"))
    if request is None or request.method != "HEAD":
        if isinstance(body, bytes):
            writer.write(body)
        else:
            async for piece in body:
                await _write(writer, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                writer.write(b"0\r\n\r\n")
    await _write(writer, b"")


async def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Write as fast as the client reads."""
    writer.write(piece)
    async with asyncio.timeout(WRITE_SECONDS):
        await writer.drain()
