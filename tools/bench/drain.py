"""How fast backlogs are bound: each contender in turn gets the same pods on the same nodes and API server."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tools.bench import plot, report, rules, stage, volumes
from tools.bench.contenders import CONTENDERS, USER, Contender, start_provisioner
from tools.bench.manifests import Manifest
from tools.bench.measures import Round, measure
from tools.bench.observer import Observer
from tools.bench.rules import Cluster
from tools.bench.stage import Turn
from tools.bench.usage import Meter, wait_until_quiet
from tools.bench.workloads import WORKLOADS, Workload
from tools.controlplane import ApiError, ControlPlane
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import StartError

ROUND_SECONDS = 900.0


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print tables, and return what the JSON file gets and the faults."""
    workloads = [WORKLOADS[name] for name in arguments.workloads or WORKLOADS]
    contenders = [CONTENDERS[name] for name in arguments.only or CONTENDERS]
    rounds: list[Round] = []
    failures: list[str] = []
    for nodes in arguments.nodes or [5000]:
        try:
            for each in _measure(workloads, nodes, contenders, arguments):
                rounds.append(each)
                print(report.line(each), file=sys.stderr, flush=True)
        except (ApiError, OSError) as error:  # the control plane failed: what was measured is worth showing
            failures.append(f"{nodes:,} nodes: {error}")
            print(failures[-1], file=sys.stderr, flush=True)
    print(report.tables(rounds))
    if arguments.plot:
        arguments.plot.write_text(plot.plot(rounds))
    written = {"rounds": [asdict(each) for each in rounds], "figures": report.figures(rounds)}
    return written, [*failures, *(report.line(each) for each in rounds if each.faults)]


def _measure(
    workloads: Sequence[Workload], nodes: int, contenders: Sequence[Contender], arguments: argparse.Namespace
) -> Iterator[Round]:
    """Drain the backlogs of all workloads on one control plane with so many nodes."""
    with ControlPlane(kwok=False, apiserver_args=stage.APISERVER_ARGS) as control_plane:
        stage.add_nodes(control_plane, nodes)
        stage.furnish(control_plane, USER)
        for workload in workloads:
            pods = workload.size(nodes, arguments.pods)
            yield from _drain(control_plane, workload, nodes, pods, contenders, arguments.rounds or 1)


def _drain(
    control_plane: ControlPlane,
    workload: Workload,
    nodes: int,
    pods: int,
    contenders: Sequence[Contender],
    rounds: int,
) -> Iterator[Round]:
    """Give each contender its turn in each round, beginning with another one each time."""
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            namespace = f"{workload.name}-{number + 1}-{contender.name.replace(' ', '-')}"
            turn = Turn(workload, nodes, pods, namespace, bool(workload.sets) and contender.knows_sets)
            try:
                yield _take(control_plane, contender, turn, number + 1)
            finally:
                stage.take_away(control_plane, turn)
    stage.clear(control_plane, turn.standing_namespace)


def _take(control_plane: ControlPlane, contender: Contender, turn: Turn, number: int) -> Round:
    """Prepare a turn, let the contender bind the pods, and look at the result."""
    title = (turn.workload.name, turn.nodes, turn.pods, number, contender.name)
    stage.prepare(control_plane, turn)
    kubeconfig = control_plane.kubeconfig_for(USER)
    to_bind = sum(map(rules.fits, turn.backlog()))
    observing = control_plane.kubeconfig_for("observer", [ADMIN_GROUP])
    with (
        _provisioning(control_plane, turn) as beside,
        Observer(observing, turn.namespace, to_bind) as observer,
    ):
        quiet = wait_until_quiet({**control_plane.pids, **beside})
        found = [] if quiet else ["the control plane was busy at the start"]
        started = time.monotonic()
        process = contender.start(control_plane, kubeconfig, turn)
        try:
            with Meter({**_servers(control_plane), "contender": process.pid}) as meter:
                process.wait_until(observer.done, "binding the pods", ROUND_SECONDS)
        except StartError as error:
            return Round(*title, None, [*found, _brief(error)])
        finally:
            process.terminate()
        observation = observer.result()
    pods = stage.pods_of(control_plane, turn.namespace)
    cluster = _cluster(control_plane, turn, pods)
    found += rules.unbound(to_bind, pods, observation)
    if contender.decides:
        found += rules.broken(cluster) + _misplaced(control_plane, turn, cluster)
    nodes = {pod["metadata"]["name"]: rules.node_of(pod) for pod in pods}
    if turn.in_sets and stage.planned(control_plane, turn.namespace) != nodes:
        found.append("the plans differ from the bindings")
    standing = sum(bool(rules.node_of(pod)) for pod in turn.workload.standing(turn.nodes, turn.pods))
    quality = rules.quality(cluster, pods, standing)
    measures = measure(started, observation, turn.pods, meter, quality)
    return Round(*title, measures, found)


@contextmanager
def _provisioning(control_plane: ControlPlane, turn: Turn) -> Iterator[dict[str, int]]:
    """Make volumes for the claims, if there are any; gives the process that does it by name."""
    if not any(map(volumes.claimed, turn.backlog())):
        yield {}
        return
    kubeconfig = control_plane.kubeconfig_for("provisioner", [ADMIN_GROUP])
    provisioner = start_provisioner(control_plane, kubeconfig, turn.namespace)
    try:
        yield {"provisioner": provisioner.pid}
    finally:
        provisioner.terminate()


def _cluster(control_plane: ControlPlane, turn: Turn, pods: Sequence[Manifest]) -> Cluster:
    """What the API server shows at the end: the nodes, and all pods that have one."""
    nodes = {node["metadata"]["name"]: node for node in stage.items(control_plane, "/api/v1/nodes")}
    with_node = "?fieldSelector=spec.nodeName!%3D"
    standing = f"/api/v1/namespaces/{turn.standing_namespace}/pods{with_node}"
    placed = [pod for pod in pods if rules.node_of(pod)]
    return Cluster(nodes, [*placed, *stage.items(control_plane, standing)])


def _misplaced(control_plane: ControlPlane, turn: Turn, cluster: Cluster) -> list[str]:
    """What is wrong with the volumes, if there are any."""
    claims = f"{volumes.CORE}/namespaces/{turn.namespace}/persistentvolumeclaims"
    found = stage.items(control_plane, claims)
    if not found:
        return []
    return rules.misplaced_volumes(
        cluster, found, stage.items(control_plane, f"{volumes.CORE}/persistentvolumes")
    )


def _brief(error: StartError) -> str:
    """What went wrong, and the last words of the log."""
    first, *rest = str(error).splitlines()
    return " ".join((first, *rest[-1:]))


def _servers(control_plane: ControlPlane) -> dict[str, int]:
    pids = control_plane.pids
    return {name: pids[name] for name in ("kube-apiserver", "etcd")}
