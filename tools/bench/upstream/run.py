"""Runs upstream's workloads with each scheduler in turn, and prints their throughput side by side.

Each run has a new API server, as upstream does it. What creates the pods, the API server and the scheduler
share this machine.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tools.bench.contenders import CONFIGURATION, KUBE_SCHEDULER, PALLET, USER, Contender, start_pallet
from tools.bench.spawned import ObserverError
from tools.bench.tables import Spread, aligned
from tools.bench.upstream.executor import Executor
from tools.bench.upstream.pods import Pods, watch
from tools.bench.upstream.throughput import geometric_mean
from tools.bench.upstream.workloads import Workload, chosen, module, read_all, skipped
from tools.controlplane import ApiError, ControlPlane, binaries
from tools.controlplane.cluster import ADMIN_GROUP
from tools.controlplane.processes import Process

APISERVER_ARGS: Final = (
    "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,Priority,StorageObjectInUseProtection",
    "--max-requests-inflight=3000",
    "--max-mutating-requests-inflight=3000",
)
CONTROLLERS: Final = ("serviceaccount-controller",)
"""Enough for the control plane to become ready; upstream runs none that touch the objects of a workload."""
MEASURED: Final = {KUBE_SCHEDULER.name: KUBE_SCHEDULER, PALLET.name: PALLET}


@dataclass(frozen=True, slots=True)
class Result:
    """The throughput of one run in pods per second; None where it was too short to measure, or failed."""

    workload: str
    contender: str
    threshold: float
    pods_per_second: float | None
    fault: str = ""


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print the table, and return what the JSON file gets."""
    workloads = read_all(module(binaries.version("kube-scheduler")))
    taken = chosen(workloads, arguments.upstream)
    results: list[Result] = []
    for each in measure(taken, arguments.rounds or 1):
        results.append(each)
        said = each.fault or f"{each.pods_per_second or float('nan'):,.0f} pods/s"
        print(f"{each.workload}, {each.contender}: {said}", file=sys.stderr, flush=True)
    print(table(results))
    left_out = {} if arguments.upstream else skipped(workloads, taken)
    print(
        "\n".join(["", "left out:", *(f"  {case}: {why}" for case, why in left_out.items())] * bool(left_out))
    )
    faults = [f"{each.workload}, {each.contender}: {each.fault}" for each in results if each.fault]
    return {"upstream": [asdict(each) for each in results], "left_out": left_out}, faults


def measure(workloads: Sequence[Workload], rounds: int) -> Iterator[Result]:
    """Give each scheduler its turn in each round, beginning with another one each time."""
    for workload in workloads:
        for number in range(rounds):
            contenders = list(MEASURED.values())
            for contender in reversed(contenders) if number % 2 else contenders:
                yield _take(workload, contender)


def _take(workload: Workload, contender: Contender) -> Result:
    title = workload.name, contender.name, workload.threshold
    if workload.left_out:
        return Result(*title, None, workload.left_out)
    gates = _gates(workload.gates)
    arguments = (*APISERVER_ARGS, *gates)
    with ControlPlane(kwok=False, apiserver_args=arguments, controllers=CONTROLLERS) as control_plane:
        pods = Pods()
        watching = watch(control_plane.kubeconfig_for("observer", [ADMIN_GROUP]), pods)
        process = _start(control_plane, contender, workload, gates)

        def broken() -> str:
            ended = "" if process.running else f"{contender.name} ended: {process.log.read_text()[-500:]}"
            return watching.error or ended

        try:
            with Executor(control_plane.client, pods, broken, workload) as executor:
                return Result(*title, executor.run())
        except (ApiError, TimeoutError, ObserverError) as error:
            return Result(*title, None, str(error))
        finally:
            process.terminate()


def _start(
    control_plane: ControlPlane, contender: Contender, workload: Workload, gates: Sequence[str]
) -> Process:
    kubeconfig = control_plane.kubeconfig_for(USER)
    configuration = {**workload.configuration, **CONFIGURATION}
    if contender is KUBE_SCHEDULER:
        return control_plane.start_kube_scheduler(configuration, kubeconfig=kubeconfig, args=gates)
    file = control_plane.directory / "pallet.yaml"
    file.write_text(json.dumps(configuration))
    return start_pallet(control_plane, kubeconfig, file)


def _gates(gates: Mapping[str, bool]) -> list[str]:
    """The flag for feature gates, if there are any."""
    if not gates:
        return []
    return [f"--feature-gates={','.join(f'{name}={str(value).lower()}' for name, value in gates.items())}"]


HEAD: Final = ("pods/s", "upstream's threshold", *MEASURED, "ratio")


def table(results: Sequence[Result]) -> str:
    """A line for each workload with the median of the rounds, and the geometric mean of the ratios."""
    lines, ratios = [list(HEAD)], []
    for name in dict.fromkeys(each.workload for each in results):
        mine = [each for each in results if each.workload == name]
        spreads = {contender: _spread(mine, contender) for contender in MEASURED}
        ratio = _ratio(spreads)
        ratios += [ratio] if ratio else []
        limit = f"{mine[0].threshold:,.0f}" if mine[0].threshold else ""
        figures = [each.text(0) if each else "-" for each in spreads.values()]
        lines.append([name, limit, *figures, f"{ratio:.2f}" if ratio else ""])
    mean = geometric_mean(ratios)
    lines.append(["geometric mean", "", *("" for _ in MEASURED), f"{mean:.2f}" if mean else ""])
    return aligned(lines)


def _spread(results: Sequence[Result], contender: str) -> Spread | None:
    found = [each.pods_per_second for each in results if each.contender == contender]
    figures = [each for each in found if each is not None]
    return Spread.of(figures) if figures else None


def _ratio(spreads: Mapping[str, Spread | None]) -> float | None:
    """pallet's median by kube-scheduler's, where both have one."""
    other, ours = spreads[KUBE_SCHEDULER.name], spreads[PALLET.name]
    return ours.median / other.median if other and ours else None
