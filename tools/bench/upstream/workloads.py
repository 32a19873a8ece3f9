"""Upstream's files: test cases with workloads, and what is run of them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from pallet.config.feature_gates import GATES
from tools.bench.upstream.operations import CreateNodes, Operation, operation

FOLDER: Final = "test/integration/scheduler_perf"
MOST_NODES: Final = 6000
MOST_PODS: Final = 10_000
"""Of those that are measured; larger workloads run where they are named."""


class UpstreamError(Exception):
    """Upstream's files are not on this machine, or have no such workload; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload of a test case; `left_out` says why it cannot run here, and is empty where it can."""

    name: str
    """TestCase/Workload."""
    operations: tuple[Operation, ...] = ()
    folder: Path = Path()
    """What paths in operations are relative to."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    pod_template: str | None = None
    gates: Mapping[str, bool] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = 0.0
    left_out: str = ""

    @property
    def test_case(self) -> str:
        """The part of the name before the first slash; names of workloads may have slashes too."""
        return self.name.partition("/")[0]

    @property
    def nodes(self) -> int:
        """How many nodes it creates."""
        return sum(each.count for each in self.operations if isinstance(each, CreateNodes))

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What is run first of a test case: with a threshold, with default gates, with the most objects."""
        usual = all(GATES[name].default == value for name, value in self.gates.items() if name in GATES)
        return (
            bool(self.threshold),
            usual,
            sum(each for each in self.params.values() if isinstance(each, int)),
        )


def module(version: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder with scheduler_perf of a version such as v1.37.2. Raises UpstreamError."""
    path = Path(environment.get("GOPATH") or Path.home() / "go").joinpath("pkg", "mod")
    path = Path(environment.get("GOMODCACHE") or path)
    folder = path / f"k8s.io/kubernetes@{version}" / FOLDER
    if not folder.is_dir():
        fetch = f"GOFLAGS=-mod=mod go mod download k8s.io/kubernetes@{version}"
        raise UpstreamError(f"{folder} is missing; `{fetch}` fetches it")
    return folder


def read_all(folder: Path) -> list[Workload]:
    """The workloads of all files."""
    files = sorted(folder.glob("**/performance-config.yaml"))
    return [workload for file in files for workload in read(file, yaml.safe_load(file.read_text()))]


def read(file: Path, cases: Iterable[Mapping[str, Any]]) -> Iterator[Workload]:
    """The workloads of the test cases of one file."""
    claims = "dra" in file.parts
    for case in cases:
        path = case.get("schedulerConfigPath")
        for each in case["workloads"]:
            gates = {**case.get("featureGates", {}), **each.get("featureGates", {})}
            params = each.get("params", {})
            left_out = "resource claims are not supported" if claims else refused(gates)
            operations: tuple[Operation, ...] = ()
            configuration: Mapping[str, Any] = {}
            if not left_out:
                try:
                    operations = tuple(operation(one, params) for one in case["workloadTemplate"])
                except (msgspec.ValidationError, KeyError) as error:
                    left_out = str(error)
                configuration = yaml.safe_load((file.parent / path).read_text()) if path else {}
            yield Workload(
                f"{case['name']}/{each['name']}",
                operations,
                file.parent,
                configuration,
                case.get("defaultPodTemplatePath"),
                gates,
                (*case.get("labels", ()), *each.get("labels", ())),
                params,
                0.0 if left_out else float(each.get("threshold", 0)),
                left_out,
            )


def refused(gates: Mapping[str, bool]) -> str:
    """Why a workload with these feature gates cannot run here, or nothing."""
    for name, value in gates.items():
        gate = GATES.get(name)
        if gate and value != gate.default and not gate.ignorable:
            return f"the feature gate {name}={str(value).lower()} is not supported"
    return ""


def chosen(workloads: Sequence[Workload], names: Sequence[str]) -> list[Workload]:
    """Those named; by default the one of the highest rank of each test case, if it is not too large.

    Raises UpstreamError where a name is unknown.
    """
    if names:
        by_name = {each.name: each for each in workloads}
        if unknown := [name for name in names if name not in by_name]:
            raise UpstreamError(f"no such workload: {', '.join(unknown)}; known are {', '.join(by_name)}")
        return [by_name[name] for name in names]
    best: dict[str, Workload] = {}
    for each in workloads:
        if each.left_out or "performance" not in each.labels or not _fits(each):
            continue
        known = best.get(each.test_case)
        if known is None or each.rank > known.rank:
            best[each.test_case] = each
    return list(best.values())


def skipped(workloads: Sequence[Workload], taken: Sequence[Workload]) -> dict[str, str]:
    """By test case of which no workload is taken, why not."""
    cases = {each.test_case for each in taken}
    reasons: dict[str, str] = {}
    for each in workloads:
        if each.test_case not in cases:
            none = (
                f"none is for performance with at most {MOST_NODES:,} nodes and {MOST_PODS:,} measured pods"
            )
            reasons.setdefault(each.test_case, each.left_out or none)
    return reasons


def _fits(workload: Workload) -> bool:
    pods = int(workload.params.get("measurePods", 0))
    return workload.nodes <= MOST_NODES and pods <= MOST_PODS


def seconds(duration: str) -> float:
    """A duration as Go writes it, such as 1m30s, in seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", duration)
    return sum(float(number) * units[unit] for number, unit in parts)
