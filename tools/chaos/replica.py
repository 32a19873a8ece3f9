"""`python -m tools.chaos.replica AGENT CONTROL -- FLAGS`: pallet with a name and with fault points.

The points are before and after each write, and before and after each await of the binding cycle. What is to
happen at one comes as a JSON message over the datagram socket CONTROL: `{"do": "kill", "point": "before
binding", "skip": 2}`. Just before it happens, CONTROL.reached is told. `do` is `kill` or `stop`, and
`disarm` takes back all.
"""

import functools
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pallet.cli.main import main as pallet
from pallet.client.client import Client
from pallet.scheduler.binding import BindingCycle
from tools.chaos.audit import AGENT

WRITES = {
    "binding": r"/binding$",
    "plan": r"/scheduleplans",
    "trigger status": r"/scheduletriggers/[^/]+/status$",
    "trigger": r"/scheduletriggers/",
    "pod status": r"/pods/[^/]+/status$",
    "event": r"/events",
    "lease": r"/leases",
    "volume": r"/persistentvolumes/",
}
"""What is written, by the path of the request; the first that matches."""

AWAITS = ("pre_bind", "bind")
"""What the binding cycle awaits: methods of BindingCycle. No shipped plugin has pods wait at Permit."""

POINTS = tuple(f"{when} {what}" for what in (*WRITES, *AWAITS) for when in ("before", "after"))

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Order(msgspec.Struct):
    """What is to happen at a point, after it has been passed `skip` times."""

    do: str
    point: str = ""
    skip: int = 0


class Points:
    """Orders that wait for their points."""

    def __init__(self, agent: str, control: Path) -> None:
        self._agent = agent
        self._orders: list[Order] = []
        self._reached = Path(f"{control}.reached")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        control.unlink(missing_ok=True)
        self._socket.bind(str(control))
        self._thread = threading.Thread(target=self._listen, name="fault points", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with suppress(OSError):  # it is closed
            while packet := self._socket.recv(4096):
                self.order(msgspec.json.decode(packet, type=Order))

    def order(self, order: Order) -> None:
        """Take an order."""
        self._orders = [] if order.do == "disarm" else [*self._orders, order]

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def reach(self, point: str) -> None:
        """Do what is ordered for a point."""
        for order in self._orders:
            if order.point == point:
                order.skip -= 1
                if order.skip < 0:
                    self._orders = [each for each in self._orders if each is not order]
                    self._tell(order)
                    os.kill(os.getpid(), SIGNALS[order.do])
                    return

    def _tell(self, order: Order) -> None:
        message = {"agent": self._agent, "do": order.do, "point": order.point}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(json.dumps(message).encode(), str(self._reached))


Method = Callable[..., Awaitable[Any]]


def instrument(agent: str, points: Points) -> None:
    """Put the points into pallet's classes, and the name of this process into its requests."""
    setattr(Client, "connect", functools.partial(Client.connect, user_agent=AGENT + agent))  # noqa: B010
    setattr(Client, "request", _writing(Client.request, points))  # noqa: B010
    for name in AWAITS:
        setattr(BindingCycle, name, _awaiting(getattr(BindingCycle, name), name, points))


def _awaiting(method: Method, name: str, points: Points) -> Method:
    @functools.wraps(method)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        points.reach(f"before {name}")
        result = await method(*args, **kwargs)
        points.reach(f"after {name}")
        return result

    return wrapped


def _writing(request: Method, points: Points) -> Method:
    @functools.wraps(request)
    async def wrapped(self: Client, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        what = written(method, path)
        if what is None:
            return await request(self, method, path, *args, **kwargs)
        points.reach(f"before {what}")
        result = await request(self, method, path, *args, **kwargs)
        points.reach(f"after {what}")
        return result

    return wrapped


def written(method: str, path: str) -> str | None:
    """What a request writes; None where it writes nothing that has a point."""
    if method == "GET":
        return None
    return next((what for what, pattern in WRITES.items() if re.search(pattern, path)), None)


def main() -> int:
    """Run pallet."""
    agent, control, _, *flags = sys.argv[1:]
    instrument(agent, Points(agent, Path(control)))
    return pallet(flags)


if __name__ == "__main__":
    sys.exit(main())
