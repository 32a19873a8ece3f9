"""One run of the suite for each scheduler, side by side: the tests wait more than they compute."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.conformance import junit, suite
from tools.conformance.junit import ReportError, Result
from tools.conformance.schedulers import Scheduler
from tools.controlplane import ControlPlane
from tools.controlplane.processes import Process

STAGES = Path(__file__).with_name("stages.yaml")
SYSTEM_PODS = Path(__file__).with_name("system-pods.yaml")
ZONES = ("a", "b")
NODES_IN_A_ZONE = 2
POLL_SECONDS = 1.0
SAY_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """The suite at work, with one scheduler beside it; `reports` is where it leaves its report and logs."""

    scheduler: Process
    tests: Process
    reports: Path

    def results(self) -> Mapping[str, Result]:
        """What became of the tests, once they have ended. Raises `ReportError`."""
        if not self.scheduler.running:
            raise ReportError(f"the scheduler ended during the tests; see {self.scheduler.log.name}")
        [*found] = self.reports.glob("junit_*.xml")
        if not found:
            raise ReportError(f"the suite ended with code {self.tests.code}, without a report")
        return junit.parse(found[0].read_text())


def run(schedulers: Sequence[Scheduler], focus: str, folder: Path) -> dict[str, Mapping[str, Result]]:
    """The results by scheduler; `folder` is for reports and logs. Raises `ReportError` with their place."""
    program = suite.find()
    with ExitStack() as started:
        runs = {
            each.name: started.enter_context(_running(each, program, focus, folder / each.name))
            for each in schedulers
        }
        _wait(runs)
        try:
            return {name: each.results() for name, each in runs.items()}
        except ReportError as error:
            raise ReportError(f"{error} (logs: {folder})") from error


@contextmanager
def _running(scheduler: Scheduler, program: Path, focus: str, reports: Path) -> Iterator[Run]:
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    with ControlPlane(kwok_args=[f"--config={STAGES}"]) as control_plane:
        for zone in ZONES:
            names = [f"node-{zone}{number}" for number in range(NODES_IN_A_ZONE)]
            control_plane.add_nodes(names, labels={"topology.kubernetes.io/zone": zone})
        control_plane.kubectl("apply", "-f", str(SYSTEM_PODS))
        process = scheduler.start(control_plane)
        try:
            yield Run(process, suite.start(program, control_plane, focus, reports), reports)
        finally:
            for log in (process.log, control_plane.directory / "kwok.log"):
                shutil.copy(log, reports)


def _wait(runs: Mapping[str, Run]) -> None:
    began = said = time.monotonic()
    while working := [name for name, each in runs.items() if each.tests.running]:
        time.sleep(POLL_SECONDS)
        if time.monotonic() - said >= SAY_EVERY_SECONDS:
            said = time.monotonic()
            print(f"{said - began:.0f} s: still testing {' and '.join(working)}", flush=True)
