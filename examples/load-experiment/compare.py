#!/usr/bin/env python3
"""Run the experiment under two schedulers, one after the other, and print the comparison.

For each: apply its folder of `manifests/` with kubectl, wait until the pods are placed, send the load, delete
everything again. With `--replicas` the number of pods is fixed; without, the HPAs add pods under the load.
Exit status: 0, or 1 if a part of it did not work. Needs kubectl, and aiohttp and anyio as `send_requests.py`.
"""

import argparse
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from send_requests import (
    Load,
    Statistics,
    UnreachableError,
    add_load_arguments,
    load_of,
    milliseconds,
    percent,
    percentile,
    send_load,
)

MANIFESTS = Path(__file__).parent / "manifests"
SELECTOR = "app.kubernetes.io/part-of=load-experiment"
DEPLOYMENTS = ("wl-deployment", "wl-setup2")
PATIENCE = 60
"""Seconds until pods that are not placed, not ready, or not gone are given up."""
ROUTE_PATIENCE = 10
"""Seconds until an address that does not answer is given up: nodes learn of pods after these are ready."""
EVENT_BYTES = 1 << 20

Document = Mapping[str, Any]


class ExperimentError(Exception):
    """A part of the experiment did not work; the message says which, and what to do."""


@dataclass(slots=True)
class Placements:
    """What a watch of the pods has shown: when each came, and when it was placed, and where.

    Seconds of one clock, taken as the events arrive. The API's own times, in `by_api`, are whole seconds.
    """

    came: dict[str, float] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    by_api: list[float] = field(default_factory=list)

    def see(self, event: Document, now: float) -> None:
        """Take note of an event; raises `ExperimentError` where the watch itself failed."""
        pod = event["object"]
        if event["type"] == "ERROR":
            raise ExperimentError(f"the watch of the pods failed: {pod.get('message')}")
        uid = pod["metadata"]["uid"]
        self.came.setdefault(uid, now)
        if uid not in self.placed and (since := _placed_since(pod)):
            self.placed[uid] = now
            self.nodes[uid] = pod["spec"]["nodeName"]
            created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            self.by_api.append((datetime.fromisoformat(since) - created).total_seconds())

    @property
    def pending(self) -> list[float]:
        """How long each pod that was placed had been pending."""
        return [placed - self.came[uid] for uid, placed in self.placed.items()]

    def per_node(self, nodes: Iterable[str]) -> list[int]:
        """How many pods each node got: each of `nodes`, and whoever else got one."""
        counts = Counter(self.nodes.values())
        return [counts[node] for node in {*nodes, *counts}]


class Result(NamedTuple):
    """How it went under one scheduler; `load` is None where none was sent."""

    folder: str
    scheduler: str
    placements: Placements
    nodes: Sequence[str]
    load: Statistics | None

    def rows(self) -> dict[str, str]:
        """What to print of it, by title."""
        pending, by_api = self.placements.pending, self.placements.by_api
        per_node = self.placements.per_node(self.nodes)
        rows = {
            "scheduler": self.scheduler,
            "pods placed": f"{len(self.placements.placed)} of {len(self.placements.came)}",
            "pending, median": milliseconds(statistics.median(pending) if pending else math.nan),
            "pending, p99": milliseconds(percentile(pending, 99)),
            "pending, max": milliseconds(max(pending, default=math.nan)),
            "  max by the API": f"{max(by_api):.0f} s" if by_api else "-",
            "nodes": str(len(per_node)),
            "pods a node": f"{min(per_node)} to {max(per_node)}",
            "  max - min": str(max(per_node) - min(per_node)),
            "  deviation": f"{statistics.pstdev(per_node):.2f}",
        }
        if self.load:
            latencies = self.load.latencies
            rows["requests"] = str(self.load.finished)
            rows["success rate"] = percent(self.load.success_rate)
            rows["latency, average"] = milliseconds(self.load.average)
            rows |= {f"latency, p{p}": milliseconds(percentile(latencies, p)) for p in (50, 90, 99)}
            rows["latency, max"] = milliseconds(max(latencies, default=math.nan))
            rows["failures"] = self.load.kinds_of_failure() or "none"
        return rows


def table(results: Sequence[Result]) -> str:
    """Put results side by side."""
    columns = [result.rows() for result in results]
    lines = [["", *(result.folder for result in results)]]
    lines += [[title, *(column[title] for column in columns)] for title in columns[0]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("   ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def takes_pods(node: Document) -> bool:
    """Whether a pod without tolerations may be placed on a node."""
    spec = node["spec"]
    refused = any(taint["effect"] != "PreferNoSchedule" for taint in spec.get("taints", ()))
    return not refused and not spec.get("unschedulable", False)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is run under each scheduler, and in which namespace.

    `replicas` 0 leaves the number of pods to the HPAs; no `address` means that no load is sent.
    """

    namespace: str
    replicas: int
    address: str
    load: Load

    async def run(self, folder: str) -> Result:
        """Run it under the scheduler of a folder of `manifests/`; raises `ExperimentError`."""
        if await self._pods():
            remedy = f"kubectl delete -n {self.namespace} -k {MANIFESTS / folder}"
            raise ExperimentError(f"namespace {self.namespace} has pods of the experiment already: {remedy}")
        placements = Placements()
        watch = await self._watch()
        async with watch:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_record, watch, placements)
                    result = await self._run(folder, placements)
                    tasks.cancel_scope.cancel()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                with suppress(ProcessLookupError):  # it has ended by itself
                    watch.kill()
        return result

    async def _run(self, folder: str, placements: Placements) -> Result:
        path = str(MANIFESTS / folder)
        print(f"{folder}: applying {path}", flush=True)
        try:
            await self._kubectl("apply", "-k", path)
            scheduler = await self._scheduler()
            await self._place(placements, scheduler)
            load = await self._send(folder) if self.address else None
            return Result(folder, scheduler, placements, await self._nodes(), load)
        finally:
            with anyio.CancelScope(shield=True):
                await self._delete(path)

    async def _place(self, placements: Placements, scheduler: str) -> None:
        """Wait until the first pods are placed, and ready if they are to get requests."""
        if self.replicas:
            await self._kubectl("delete", "hpa", "-l", SELECTOR)
            await self._kubectl("scale", f"--replicas={self.replicas}", *_deployments())
        expected = len(DEPLOYMENTS) * (self.replicas or 1)
        with anyio.move_on_after(PATIENCE):
            while len(placements.placed) < expected:  # noqa: ASYNC110 - the record is plain data
                await anyio.sleep(0.05)
        if (placed := len(placements.placed)) < expected:
            raise ExperimentError(
                f"{placed} of {expected} pods were placed within {PATIENCE} s: does a scheduler for "
                f"schedulerName {scheduler} run, and is there room?"
            )
        if self.address:
            for deployment in _deployments():
                await self._kubectl("rollout", "status", f"--timeout={PATIENCE}s", deployment)

    async def _send(self, folder: str) -> Statistics:
        print(f"{folder}: sending requests to {self.address}", flush=True)
        statistics = Statistics()
        patient_until = anyio.current_time() + ROUTE_PATIENCE
        while True:
            try:
                await send_load(self.address, self.load, statistics)
            except UnreachableError as error:
                if anyio.current_time() > patient_until:
                    raise ExperimentError(str(error)) from None
                await anyio.sleep(0.1)
            else:
                return statistics

    async def _delete(self, path: str) -> None:
        """Delete everything, and wait until the last pod is gone."""
        print("deleting it again", flush=True)
        how = ("--ignore-not-found", "--cascade=foreground", f"--timeout={PATIENCE}s")
        await self._kubectl("delete", *how, "-k", path)

    async def _watch(self) -> anyio.abc.Process:
        """Start a watch of the pods, from now on: a line for each event."""
        pods = json.loads(await self._kubectl("get", "--raw", self._pods_path))
        version = pods["metadata"]["resourceVersion"]
        watch = f"{self._pods_path}&watch=1&timeoutSeconds=86400&resourceVersion={version}"
        command = ["kubectl", "get", "--raw", watch]
        return await anyio.open_process(command, stderr=None, start_new_session=True)

    @property
    def _pods_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={quote(SELECTOR)}"

    async def _pods(self) -> Sequence[Document]:
        items: Sequence[Document] = json.loads(await self._kubectl("get", "--raw", self._pods_path))["items"]
        return items

    async def _scheduler(self) -> str:
        """What the pods call their scheduler."""
        path = "jsonpath={.spec.template.spec.schedulerName}"
        return await self._kubectl("get", "deployment", DEPLOYMENTS[0], "-o", path)

    async def _nodes(self) -> Sequence[str]:
        nodes = json.loads(await self._kubectl("get", "nodes", "-o", "json"))["items"]
        return [node["metadata"]["name"] for node in nodes if takes_pods(node)]

    async def _kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        # Away from the terminal's Ctrl-C: what was begun is finished, then everything is deleted.
        answer = await anyio.run_process(command, check=False, start_new_session=True)
        if answer.returncode:
            raise ExperimentError(f"{' '.join(command)}: {answer.stderr.decode().strip()}")
        return answer.stdout.decode()


def _placed_since(pod: Document) -> str:
    """When a pod was placed, as the API tells it; empty where it is not."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "True":
            since: str = condition["lastTransitionTime"]
            return since
    return ""


async def _record(watch: anyio.abc.Process, placements: Placements) -> None:
    """Take note of each event of a watch, as long as it goes on."""
    assert watch.stdout  # noqa: S101 - for the type: it is a pipe
    lines = BufferedByteReceiveStream(watch.stdout)
    try:
        while True:
            placements.see(json.loads(await lines.receive_until(b"\n", EVENT_BYTES)), anyio.current_time())
    except (anyio.EndOfStream, anyio.IncompleteRead):
        raise ExperimentError("the watch of the pods ended before the experiment did") from None


async def compare(experiment: Experiment, folders: Sequence[str]) -> Sequence[Result]:
    """Run an experiment under one scheduler after the other."""
    return [await experiment.run(folder) for folder in folders]


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Run the experiment under two schedulers and print the comparison.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "folders",
        nargs="*",
        default=["kube-scheduler", "pallet"],
        help="folders of manifests/, in this order",
    )
    parser.add_argument("-n", "--namespace", default="default", help="where to run it")
    parser.add_argument("--replicas", type=int, default=0, help="pods of each Deployment; 0: as the HPAs say")
    parser.add_argument(
        "--address", default="", metavar="IP:PORT", help="where to send the load; none: no load"
    )
    add_load_arguments(parser)
    arguments = parser.parse_args()
    if not arguments.replicas and not arguments.address:
        parser.error("nothing to compare: give --replicas, --address, or both")
    for folder in arguments.folders:
        if not (MANIFESTS / folder / "kustomization.yaml").exists():
            parser.error(f"there is no {MANIFESTS / folder}/kustomization.yaml")
    load = load_of(arguments)
    experiment = Experiment(arguments.namespace, arguments.replicas, arguments.address, load)
    try:
        results = anyio.run(compare, experiment, arguments.folders)
    except KeyboardInterrupt:
        return 130
    except (ExperimentError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(results)}")
    if not experiment.address:
        print("\nNo requests were sent: no --address was given.")
    return 0


def _deployments() -> list[str]:
    return [f"deployment/{name}" for name in DEPLOYMENTS]


if __name__ == "__main__":
    sys.exit(main())
