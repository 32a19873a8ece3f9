#!/usr/bin/env python3
"""The workload: an HTTP server that sleeps, computes and takes memory, as much as a request asks for.

`GET /?sleep=MS&prime=N&bloat=MB` takes MB megabytes, finds the largest prime up to N, sleeps MS milliseconds,
and answers in JSON what it did. All three may be left out. `GET /healthz` answers `ok`.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isqrt
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

LIMITS = {"sleep": 60_000, "prime": 10_000_000, "bloat": 1024}
"""The most that a request may ask for: milliseconds, a number, megabytes."""
MEGABYTE = 1_000_000
IDLE_SECONDS = 10.0


class BadRequestError(Exception):
    """A request asks for something that is not there; the message is one line for its sender."""


class Work(NamedTuple):
    """What a request asks for; 0 is nothing."""

    sleep: int = 0
    prime: int = 0
    bloat: int = 0


def parse(query: str) -> Work:
    """Read the query of a request; raises `BadRequestError`."""
    given: dict[str, int] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in LIMITS:
            raise BadRequestError(f"unknown parameter {name!r}: there are {', '.join(LIMITS)}")
        if name in given:
            raise BadRequestError(f"{name} is given twice")
        # Limited before it is read: a number of a million digits takes long to read.
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
        if not 0 <= number <= LIMITS[name]:
            raise BadRequestError(f"{name}={value[:20]}: want a whole number from 0 to {LIMITS[name]}")
        given[name] = number
    return Work(**given)


def largest_prime(limit: int) -> int | None:
    """Give the largest prime up to `limit`, None where there is none.

    Found by the sieve of Eratosthenes, not by trying numbers from above: the work grows with `limit`.
    """
    sieve = bytearray([1]) * (limit + 1)
    for number in range(2, isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
    found = sieve.rfind(1)
    return found if found >= 2 else None


def perform(work: Work) -> Mapping[str, Any]:
    """Do the work; the memory is held until all of it is done. Gives what was done, for the answer."""
    # Written, not only reserved: the system gives memory when it is first touched.
    memory = bytearray(b"x") * (work.bloat * MEGABYTE)
    prime = largest_prime(work.prime)
    started = time.monotonic()
    time.sleep(work.sleep / 1000)
    return {
        "pod": socket.gethostname(),
        "slept_ms": round((time.monotonic() - started) * 1000, 2) if work.sleep else 0,
        "prime": prime,
        "allocated_mb": len(memory) // MEGABYTE,
    }


class Handler(BaseHTTPRequestHandler):
    """Answers one request.

    In HTTP/1.0: a connection is for one request, so that a Service chooses a pod for each.
    """

    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Work, or tell that all is well."""
        url = urlsplit(self.path)
        if url.path == "/healthz":
            self._answer(HTTPStatus.OK, "ok")
        elif url.path != "/":
            self._answer(HTTPStatus.NOT_FOUND, "there is only / and /healthz")
        else:
            try:
                work = parse(url.query)
            except BadRequestError as error:
                self._answer(HTTPStatus.BAD_REQUEST, str(error))
            else:
                self._answer(HTTPStatus.OK, perform(work))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Say nothing: under load, a line for each request is no use."""

    def _answer(self, status: HTTPStatus, what: str | Mapping[str, Any]) -> None:
        text, kind = (what, "text/plain") if isinstance(what, str) else (json.dumps(what), "application/json")
        body = f"{text}\n".encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # the sender has given up waiting


class Server(ThreadingHTTPServer):
    """A thread for each request; at the end, those that came are answered."""

    daemon_threads = False
    request_queue_size = 128


def main() -> int:
    """Serve at HOST and PORT of the environment, by default 0.0.0.0:8080, until SIGTERM or Ctrl-C."""
    address = (os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080")))  # noqa: S104 - a pod's
    with Server(address, Handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From a thread of its own: it waits for the loop that the signal has interrupted.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"workload: serving at http://{address[0]}:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
