"""The independent observer: a process of its own that watches what the API server shows, with the time of it.

It depends on nothing of pallet's and knows nothing of who writes. Times are of `time.monotonic`, which all
processes of a Linux machine share, at the moment of receipt.
"""

import base64
import http.client
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec
import yaml

from tools.bench.spawned import ObserverError, Spawned

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

POLL_SECONDS = 0.02
EVENTS_SILENCE_SECONDS = 5.0
"""Silence after which no more events are expected once every pod is bound; recorders may drop some."""
BINDINGS_SILENCE_SECONDS = 60.0
CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Binding:
    """A pod was seen on a node."""

    at: float
    pod: str
    node: str


@dataclass(frozen=True, slots=True)
class Event:
    """A new event about a pod was seen."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen, in the order it came."""

    bindings: tuple[Binding, ...]
    events: tuple[Event, ...]


class Observer(Spawned):
    """Watches one namespace, from before the contender starts; a context manager.

    `kubeconfig` holds a client certificate that may watch pods and events.
    """

    def __init__(self, kubeconfig: Path, namespace: str, pods: int) -> None:
        super().__init__("observer", _observe, kubeconfig, namespace, pods)

    def done(self) -> bool:
        """Whether all pods are bound and their events written, or nothing happens any more."""
        return self._pipe.poll()

    def result(self) -> Observation:
        """What was seen until it was done. Raises `ObserverError` when a watch broke."""
        observation: Observation = self._receive()
        return observation


def _observe(kubeconfig: Path, namespace: str, pods: int, pipe: "Connection[Any, Any]") -> None:
    """Do the observer's work; in its own process."""
    bindings: list[Binding] = []
    events: list[Event] = []
    collection = f"/api/v1/namespaces/{namespace}"
    try:
        server, context = access(kubeconfig)
        watches = [
            # A pod enters this selection when it gets its node.
            Watch(server, context, f"{collection}/pods", "spec.nodeName!=", node_bindings(bindings)),
            Watch(server, context, f"{collection}/events", "", pod_events(events)),
        ]
    except (ObserverError, OSError, http.client.HTTPException) as error:
        pipe.send(f"the observer cannot watch: {error!r}")
        return
    for watch in watches:
        watch.start()
    pipe.send(None)
    seen, silent_since = 0, time.monotonic()
    while not _complete(pods, bindings, events, time.monotonic() - silent_since):
        time.sleep(POLL_SECONDS)
        if broken := [watch.error for watch in watches if watch.error]:
            pipe.send(broken[0])
            return
        if len(bindings) + len(events) > seen:
            seen, silent_since = len(bindings) + len(events), time.monotonic()
    pipe.send(Observation(tuple(bindings), tuple(events)))


def _complete(pods: int, bindings: list[Binding], events: list[Event], silence: float) -> bool:
    """Whether nothing more is to come: exactly so, or to all appearance."""
    if len(bindings) < pods:
        return silence > BINDINGS_SILENCE_SECONDS
    scheduled = sum(event.reason == "Scheduled" for event in events)
    return scheduled >= pods or silence > EVENTS_SILENCE_SECONDS


class Metadata(msgspec.Struct, rename="camel"):
    """Of an object's metadata, what is looked at."""

    name: str = ""
    resource_version: str = ""


class Spec(msgspec.Struct, rename="camel"):
    """Of a pod's spec, where the pod is."""

    node_name: str = ""


class Reference(msgspec.Struct):
    """Of what an event is about, the kind."""

    kind: str = ""


class Watched(msgspec.Struct, rename="camel"):
    """Of a pod or an event, what is looked at: little, for reading takes the contenders' processor."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: Spec = msgspec.field(default_factory=Spec)
    involved_object: Reference = msgspec.field(default_factory=Reference)
    reason: str = ""


class Line(msgspec.Struct):
    """A line of a watch."""

    type: str
    object: Watched


LINE = msgspec.json.Decoder(Line)


class Watch(threading.Thread):
    """Reads a collection's changes, from now on, line by line.

    The API server ends the watch of a reader that is slow for a moment; it is then opened again where it was.
    """

    def __init__(
        self,
        server: str,
        context: ssl.SSLContext,
        collection: str,
        selector: str,
        take: Callable[[float, "Line"], None],
        decoder: msgspec.json.Decoder[Any] = LINE,
    ) -> None:
        """Opens the watch; raises `ObserverError` where that is refused.

        `decoder` gives a Line, or a class of it with more fields.
        """
        super().__init__(daemon=True)
        self.error = ""
        self._take = take
        self._decoder = decoder
        self._collection, self._selector = collection, selector
        host = urlsplit(server).netloc
        self._connection = http.client.HTTPSConnection(host, context=context)
        self._version: str = json.loads(self._get(collection, limit=1).read())["metadata"]["resourceVersion"]
        self._response = self._watch()

    def run(self) -> None:
        """Take every line until the watch breaks."""
        try:
            while True:
                self._read()
                self._response = self._watch()
        except (OSError, http.client.HTTPException, ObserverError, ValueError) as error:
            self.error = f"a watch broke: {error!r}"

    def _watch(self) -> http.client.HTTPResponse:
        return self._get(
            self._collection,
            watch=1,
            resourceVersion=self._version,
            fieldSelector=self._selector,
            timeoutSeconds=3600,
        )

    def _read(self) -> None:
        """Take lines until the server ends the watch."""
        rest = b""
        while chunk := self._response.read1(CHUNK_BYTES):
            now = time.monotonic()
            *texts, rest = (rest + chunk).split(b"\n")
            for text in texts:
                line: Line = self._decoder.decode(text)
                if line.type == "ERROR":
                    raise ObserverError(text.decode())
                self._version = line.object.metadata.resource_version
                self._take(now, line)

    def _get(self, collection: str, **query: object) -> http.client.HTTPResponse:
        self._connection.request("GET", f"{collection}?{urlencode(query)}")
        response = self._connection.getresponse()
        if response.status != 200:
            raise ObserverError(f"GET {collection}: {response.status} {response.read()!r}")
        return response


def node_bindings(bindings: list[Binding]) -> Callable[[float, Line], None]:
    """Take note of each pod's node, and of each change of it, which must never be."""
    nodes: dict[str, str] = {}

    def take(at: float, line: Line) -> None:
        pod, node = line.object.metadata.name, line.object.spec.node_name
        if line.type != "DELETED" and nodes.get(pod) != node:
            nodes[pod] = node
            bindings.append(Binding(at, pod, node))

    return take


def pod_events(events: list[Event]) -> Callable[[float, Line], None]:
    """Take note of each new event about a pod. What controllers say of claims is no work of a contender's."""

    def take(at: float, line: Line) -> None:
        if line.type == "ADDED" and line.object.involved_object.kind == "Pod":
            events.append(Event(at, line.object.reason))

    return take


def access(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """The server's URL, and the TLS context with the client's certificate."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]))
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return cluster["server"], context
