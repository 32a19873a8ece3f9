"""Plain requests to an API server over kept-alive connections.

Deliberately not pallet's own client: what tests that client must not depend on it.
"""

import http.client
import json
import ssl
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LOOPBACK = "127.0.0.1"
PARALLEL_REQUESTS = 16
TIMEOUT_SECONDS = 60.0


class ApiError(Exception):
    """The API server refused a request; `code` is the HTTP status, `reason` the API's own word for it."""

    def __init__(self, method: str, path: str, code: int, body: bytes) -> None:
        try:
            status = json.loads(body)
        except ValueError:
            status = {"message": body.decode(errors="replace")}
        self.code = code
        self.reason: str = status.get("reason", "")
        super().__init__(f"{method} {path}: {code} {self.reason}: {status.get('message', '')}")


class Client:
    """Requests to a server, as one identity: that of the certificate in `context`."""

    def __init__(self, port: int, context: ssl.SSLContext, address: str = LOOPBACK) -> None:
        self._port = port
        self._address = address
        self._context = context
        self._idle: deque[http.client.HTTPSConnection] = deque()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Sends one request and returns the decoded answer; a PATCH is a JSON merge patch. Thread-safe.

        Raises `ApiError` when the server refuses, `OSError` or `http.client.HTTPException` when it is away.
        """
        data = None if body is None else json.dumps(body).encode()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange(self._connect(), method, path, data)
        try:
            return self._exchange(connection, method, path, data)
        except (ConnectionError, ssl.SSLEOFError, http.client.HTTPException):
            # The server has closed the idle connection, or was restarted: once more on a new one.
            return self._exchange(self._connect(), method, path, data)

    def request_all(self, method: str, requests: Iterable[tuple[str, object]]) -> None:
        """Sends a request for each (path, body), several at a time; raises the first error."""
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
            for _ in pool.map(lambda request: self.request(method, *request), requests):
                pass

    def close(self) -> None:
        """Closes the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._address, self._port, timeout=TIMEOUT_SECONDS, context=self._context
        )

    def _exchange(
        self, connection: http.client.HTTPSConnection, method: str, path: str, data: bytes | None
    ) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            connection.request(method, path, data, {"Content-Type": kind, "Accept": "application/json, */*"})
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if response.status >= 400:
            raise ApiError(method, path, response.status, answer)
        return json.loads(answer) if response.headers.get_content_subtype() == "json" else answer.decode()
