"""Watches etcd itself, so that no change is missed and none is seen twice, whatever the API server does.

The API server stores JSON for this (`STORAGE`). A revision of etcd is a resource version of the API.
"""

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from pallet.api.duration import DurationError, parse_duration
from pallet.api.podset import POD_SET_LABEL, QUIET_TIME_LABEL
from pallet.api.quantity import milli, whole
from tools.chaos.history import Change, Node, Object, Plan, Pod, Trigger

STORAGE = "--storage-media-type=application/json"
"""What kube-apiserver is told, so that the observer can read what it stores."""

ROOT = "/registry/"
CUSTOM = f"{ROOT}planner.ciena.io/"
KEEPS_AWAY = ("NoSchedule", "NoExecute")

Document = dict[str, Any]


def pod(document: Document) -> Pod:
    """Read a stored pod."""
    meta, spec, status = document["metadata"], document["spec"], document.get("status", {})
    labels = meta.get("labels", {})
    containers = spec["containers"]
    requests = [each.get("resources", {}).get("requests", {}) for each in containers]
    affinity = spec.get("affinity", {}).get("podAntiAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())
    return Pod(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        node=spec.get("nodeName", ""),
        labels=labels,
        pod_set=labels.get(POD_SET_LABEL, ""),
        ours=spec.get("schedulerName") == "podset-planner-scheduler",
        finished=status.get("phase") in ("Succeeded", "Failed"),
        terminating="deletionTimestamp" in meta,
        cpu=sum(milli(each.get("cpu", 0)) for each in requests),
        memory=sum(whole(each.get("memory", 0)) for each in requests),
        ports=tuple(
            port["hostPort"] for each in containers for port in each.get("ports", ()) if "hostPort" in port
        ),
        apart=next((each["labelSelector"]["matchLabels"] for each in required), {}),
        selector=spec.get("nodeSelector", {}),
        tolerated=tuple(each["key"] for each in spec.get("tolerations", ()) if "key" in each),
    )


def node(document: Document) -> Node:
    """Read a stored node."""
    meta, spec = document["metadata"], document.get("spec", {})
    offered = document.get("status", {}).get("allocatable", {})
    return Node(
        name=meta["name"],
        uid=meta["uid"],
        cpu=milli(offered.get("cpu", 0)),
        memory=whole(offered.get("memory", 0)),
        pods=whole(offered.get("pods", 0)),
        labels=meta.get("labels", {}),
        taints=tuple(each["key"] for each in spec.get("taints", ()) if each["effect"] in KEEPS_AWAY),
        unschedulable=spec.get("unschedulable", False),
    )


def trigger(document: Document) -> Trigger:
    """Read a stored trigger."""
    meta = document["metadata"]
    labels = meta.get("labels", {})
    quiet = None
    with suppress(DurationError):
        quiet = parse_duration(labels[QUIET_TIME_LABEL]) if QUIET_TIME_LABEL in labels else None
    return Trigger(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        pod_set=labels.get(POD_SET_LABEL, ""),
        state=document["spec"]["state"],
        quiet=quiet,
    )


def plan(document: Document) -> Plan:
    """Read a stored plan."""
    meta = document["metadata"]
    return Plan(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        pod_set=meta.get("labels", {}).get(POD_SET_LABEL, ""),
        places={each["pod"]: each["node"] for each in document["spec"]["plan"]},
    )


READERS: dict[str, Callable[[Document], Object]] = {
    f"{ROOT}pods/": pod,
    f"{ROOT}minions/": node,
    f"{CUSTOM}scheduletriggers/": trigger,
    f"{CUSTOM}scheduleplans/": plan,
}
"""How what is stored below each prefix is read."""


class Observer:
    """Records changes from now on; hands each to `take`, which is called in threads. End it with `stop`."""

    def __init__(self, etcd: str, take: Callable[[Change], None]) -> None:
        self._threads = [_Watch(etcd, prefix, read, take) for prefix, read in READERS.items()]

    @property
    def failure(self) -> str:
        """Why the record has a gap; empty where it has none."""
        return next((watch.failure for watch in self._threads if watch.failure), "")

    def stop(self) -> None:
        """End all watches."""
        for watch in self._threads:
            watch.stop()


class _Watch:
    """One watch of etcd over its JSON gateway, in a thread of its own."""

    def __init__(
        self, etcd: str, prefix: str, read: Callable[[Document], Object], take: Callable[[Change], None]
    ) -> None:
        self._read, self._take = read, take
        self._known: dict[str, Object] = {}
        self._stopped = False
        self.failure = ""
        address = urlsplit(etcd)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port)
        start, end = prefix.encode(), prefix[:-1].encode() + b"0"  # "0" comes after "/"
        request = {
            "create_request": {"key": _encoded(start), "range_end": _encoded(end), "start_revision": 1}
        }
        self._connection.request("POST", "/v3/watch", json.dumps(request))
        self._thread = threading.Thread(target=self._run, name=f"observer of {prefix}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        if self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._connection.getresponse() as answer:
                for line in answer:
                    self._take_line(time.time(), line)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            if not self._stopped:
                self.failure = f"{type(error).__name__}: {error}"
        else:
            if not self._stopped:
                self.failure = "etcd ended the watch"

    def _take_line(self, at: float, line: bytes) -> None:
        result = json.loads(line)["result"]
        if result.get("canceled"):
            raise ValueError(f"etcd cancelled the watch: {result.get('cancel_reason', '')}")
        for change in self._changes(at, result.get("events", ())):
            self._take(change)

    def _changes(self, at: float, events: list[Document]) -> Iterator[Change]:
        """Give what changes anything that is read."""
        for event in events:
            kv = event["kv"]
            key, revision = base64.b64decode(kv["key"]).decode(), int(kv["mod_revision"])
            if event.get("type") == "DELETE":
                self._known.pop(key, None)
                yield Change(at, revision, key, None)
                continue
            found = self._read(json.loads(base64.b64decode(kv["value"])))
            if self._known.get(key) != found:
                self._known[key] = found
                yield Change(at, revision, key, found)


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()
