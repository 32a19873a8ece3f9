"""Floods of pallet's ports by a caller without rights, each in a process of its own until it is killed."""

import http.client
import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest

SPAWN = multiprocessing.get_context("spawn")
REQUEST_BYTES = 4_000_000
MANY_NODES = 149_000
"""Of five characters, in seven bytes each."""
POD_SET = "flood"
CALLERS = 4
IDLE_WATCHES = 40
IDLE_CONNECTIONS = 900
"""As many as one process may have open by default, nearly."""
PATIENCE_SECONDS = 5.0


class Flood:
    """One flood of a port; a context manager."""

    def __init__(self, flood: Callable[[int], None], port: int) -> None:
        self._process = SPAWN.Process(target=flood, args=(port,), daemon=True)

    def __enter__(self) -> "Flood":
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def planner_requests(port: int) -> None:
    """Ask for plans, with requests of 4 MB of node names."""
    name = "n" * 200
    _ask_for_plans(port, [f"{name}-{number}" for number in range(REQUEST_BYTES // len(name))])


def planner_plans(port: int) -> None:
    """Ask for plans, with requests just below the limit of 1 MiB, of as many node names as that can hold."""
    _ask_for_plans(port, [f"{number:05x}" for number in range(MANY_NODES)])


def _ask_for_plans(port: int, nodes: list[str]) -> None:
    request = SchedulePlanRequest(
        namespace="attack", podSet=POD_SET, scheduledPod=f"{POD_SET}-0", eligibleNodes=nodes
    )
    body = request.SerializeToString()

    def call() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(f"/{SERVICE}/{METHOD}", None, None)
            while True:
                with suppress(grpc.RpcError):
                    ask(body, timeout=PATIENCE_SECONDS)

    _at_once(call, CALLERS)


def health_watches(port: int) -> None:
    """Watch the planner's health, and do nothing with it."""

    def watch() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            while True:
                with suppress(grpc.RpcError):
                    for _ in health_pb2_grpc.HealthStub(channel).Watch(request):
                        pass
                time.sleep(1.0)

    _at_once(watch, IDLE_WATCHES)


def metrics_requests(port: int) -> None:
    """Ask for metrics without a token, and with a body of 4 MB."""
    body, context = b"x" * REQUEST_BYTES, _trusting()

    def call() -> None:
        while True:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=PATIENCE_SECONDS, context=context
            )
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/metrics", body)
                connection.getresponse().read()
            connection.close()

    _at_once(call, CALLERS)


def idle_connections(port: int) -> None:
    """Open connections, say nothing, and open those that were closed again."""
    idle: list[socket.socket] = []
    while True:
        with suppress(OSError):
            if len(idle) < IDLE_CONNECTIONS:
                idle.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))
                idle[-1].settimeout(0.0)
                continue
        time.sleep(0.5)
        idle = [each for each in idle if not _is_closed(each)]


def _is_closed(idle: socket.socket) -> bool:
    try:
        closed = not idle.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        closed = True
    if closed:
        idle.close()
    return closed


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is the server's own
    return context


def _at_once(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
