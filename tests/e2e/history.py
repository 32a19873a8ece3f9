"""What the API server showed, change by change, and what must hold at every moment of it.

I1, I2... are the numbers that these rules have in the project's list of faults to survive.
"""

import http.client
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from pallet.api.podset import POD_SET_LABEL
from pallet.api.quantity import milli
from tests.e2e.workload import Document, Workload, eventually
from tools.controlplane import ApiError, Cluster

PAUSE = 0.02
"""Seconds between two attempts at a watch."""


@dataclass
class History:
    """The changes of the pods, triggers and plans of a namespace since `recording` began."""

    workload: Workload
    changes: list[Document] = field(default_factory=list)
    _capacities: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Fail where something was wrong at any moment: I1, I2 (cpu), I5, or a binding without its plan."""
        self.catch_up()
        objects: dict[str, dict[str, Document]] = {"Pod": {}, "ScheduleTrigger": {}, "SchedulePlan": {}}
        for change in sorted(self.changes, key=_version):
            obj = change["object"]
            meta = obj["metadata"]
            known = objects[obj["kind"]]
            before = known.get(meta["uid"])
            known[meta["uid"]] = obj
            if change["type"] == "DELETED":
                del known[meta["uid"]]
            elif obj["kind"] == "Pod":
                _check_binding(before, obj, objects)
                self._check_capacity(known)

    def _check_capacity(self, pods: dict[str, Document]) -> None:
        """No node has promised more cpu than it has."""
        used: Counter[str] = Counter()
        for pod in pods.values():
            node = pod["spec"].get("nodeName", "")
            for container in pod["spec"]["containers"]:
                used[node] += milli(container["resources"]["requests"]["cpu"])
        for node, amount in used.items():
            assert not node or amount <= self._capacity(node), f"{node} is overcommitted"

    def _capacity(self, node: str) -> int:
        if node not in self._capacities:
            found = self.workload.request("GET", f"/api/v1/nodes/{node}")
            self._capacities[node] = milli(found["status"]["allocatable"]["cpu"])
        return self._capacities[node]

    def catch_up(self) -> None:
        """Wait until what there is now has been recorded; a killed API server takes what was not with it."""
        for path in (self.workload.pods_path, self.workload.triggers_path, self.workload.plans_path):
            for item in self.workload.request("GET", path)["items"]:
                eventually("the recording to catch up", partial(self._has, item["metadata"]))

    def _has(self, meta: Document) -> bool:
        """Tell whether an object was recorded as it was at that version or later."""
        return any(
            change["object"]["metadata"]["uid"] == meta["uid"]
            and _version(change) >= int(meta["resourceVersion"])
            for change in list(self.changes)
        )


def _check_binding(
    before: Document | None, pod: Document, objects: Mapping[str, Mapping[str, Document]]
) -> None:
    """A pod gets its node once; one of a set only when its trigger says Schedule, and as its plan says."""
    node = pod["spec"].get("nodeName", "")
    old = before["spec"].get("nodeName", "") if before else ""
    name = pod["metadata"]["name"]
    assert not old or old == node, f"{name} was bound to {old} and then to {node}"
    pod_set = pod["metadata"].get("labels", {}).get(POD_SET_LABEL)
    if node and not old and pod_set:
        triggers = _of_set(pod_set, objects["ScheduleTrigger"])
        assert triggers, f"{name} was bound without a trigger"
        assert triggers[0]["spec"]["state"] == "Schedule", (
            f"{name} was bound although its trigger said Planning"
        )
        planned = [
            entry for plan in _of_set(pod_set, objects["SchedulePlan"]) for entry in plan["spec"]["plan"]
        ]
        assert {"pod": name, "node": node} in planned, f"{name} was bound to {node}, the plan was {planned}"


def _of_set(pod_set: str, objects: Mapping[str, Document]) -> list[Document]:
    """The triggers or plans of a set, by name."""
    found = (each for each in objects.values() if each["metadata"]["labels"][POD_SET_LABEL] == pod_set)
    return sorted(found, key=lambda each: each["metadata"]["name"])


def _version(change: Document) -> int:
    """One etcd counts the changes of all objects together."""
    return int(change["object"]["metadata"]["resourceVersion"])


@contextmanager
def recording(workload: Workload) -> Iterator[History]:
    """Record from now on until the block is left."""
    history = History(workload)
    watches = [
        _Watch(workload.control_plane, path, history.changes)
        for path in (workload.pods_path, workload.triggers_path, workload.plans_path)
    ]
    try:
        yield history
    finally:
        for watch in watches:
            watch.stop()


class _Watch:
    """One watch in a thread of its own; it goes on where it was when the API server restarts."""

    def __init__(self, control_plane: Cluster, path: str, changes: list[Document]) -> None:
        self._control_plane = control_plane
        self._path = path
        self._changes = changes
        self._version: str = self._list()["metadata"]["resourceVersion"]
        self._stopped = threading.Event()
        self._connection: http.client.HTTPSConnection | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        while self._thread.is_alive():  # it may be about to connect
            connection = self._connection
            if connection is not None and connection.sock is not None:
                with suppress(OSError):
                    # Not that of the TLS socket, after which the thread would read what is encrypted.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
            self._thread.join(PAUSE)

    def _run(self) -> None:
        context = ssl.create_default_context(cafile=self._control_plane.ca_file)
        context.load_cert_chain(self._control_plane.directory / "admin.pem")
        while not self._stopped.wait(PAUSE):
            address, port = self._control_plane.address, self._control_plane.port
            self._connection = http.client.HTTPSConnection(address, port, context=context)
            with suppress(OSError, http.client.HTTPException, ApiError), closing(self._connection):
                query = f"watch=true&resourceVersion={self._version}&timeoutSeconds=120"
                self._connection.request("GET", f"{self._path}?{query}")
                with self._connection.getresponse() as answer:
                    if answer.status != http.client.OK:
                        self._start_anew()
                        continue
                    for line in answer:
                        if line.endswith(b"\n"):  # else the connection ended within it
                            self._take(json.loads(line))

    def _take(self, change: Document) -> None:
        if change["type"] == "ERROR":
            self._start_anew()
            return
        self._changes.append(change)
        self._version = change["object"]["metadata"]["resourceVersion"]

    def _start_anew(self) -> None:
        """A restarted API server does not know the changes of before; what it has is taken for one."""
        found = self._list()
        kind = found["kind"].removesuffix("List")
        self._changes += ({"type": "MODIFIED", "object": {"kind": kind, **item}} for item in found["items"])
        self._version = found["metadata"]["resourceVersion"]

    def _list(self) -> Document:
        found: Document = self._control_plane.client.request("GET", self._path)
        return found
