"""pallet as the real process, beside a real control plane."""

import itertools
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tools.controlplane import Cluster
from tools.controlplane.processes import Process, free_port

SCHEDULER = "podset-planner-scheduler"
START_SECONDS = 30.0

_numbers = itertools.count()


def configuration(**changes: Any) -> dict[str, Any]:
    """The installed configuration, without leader election; `changes` are to its top-level fields."""
    document = yaml.safe_load(Path("config/scheduler/scheduler-config.yaml").read_text())
    document["leaderElection"]["leaderElect"] = False
    return {**document, **changes}


def served(port: int, path: str, token: str = "") -> str:
    """What a scheduler serves at a path; raises `OSError` where it does not, also for any status but 2xx."""
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of its own, on loopback
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=5.0, context=context) as answer:  # noqa: S310 - https
        text: str = answer.read().decode()
        return text


class Pallet:
    """One `python -m pallet` with a configuration; it can be ended and started again, with the same log.

    Another `module` may stand in for `pallet`, and run it with something changed.

    It talks to the API server of `kubeconfig`, or to the address `master`, or as in a pod, with the
    ServiceAccount files of the folder `in_pod`. `environment` adds to this process's own, `flags` to those
    that it has here.
    """

    def __init__(
        self,
        control_plane: Cluster,
        config: Mapping[str, Any],
        *,
        kubeconfig: Path | None,
        master: str = "",
        module: str = "pallet",
        in_pod: Path | None = None,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        directory = control_plane.directory / f"pallet-{next(_numbers)}"
        directory.mkdir()
        file = directory / "scheduler-config.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        self.port = free_port()
        self._log = directory / "log"
        self._command = [
            sys.executable,
            "-m",
            *(["tests.in_pod", str(in_pod)] if in_pod else [module]),
            f"--config={file}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "-v=4",
            *([f"--kubeconfig={kubeconfig}"] if kubeconfig else ()),
            *([f"--master={master}"] if master else ()),
            *flags,
        ]
        server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(control_plane.port)}
        self._environment = {**os.environ, **(server if in_pod else {}), **(environment or {})}
        self._group = control_plane.group
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process that was started last."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def log(self) -> str:
        """All that was logged, by earlier processes too."""
        return self._log.read_text()

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready, unless that is not expected."""
        # Its group is the control plane's, which ends with the test run even when that is killed.
        self._process = Process(self._command, self._log, group=self._group, environment=self._environment)
        if ready:
            self.process.wait_until(self.is_ready, "becoming ready", START_SECONDS)

    def is_ready(self) -> bool:
        """What /readyz says."""
        try:
            self.get("/readyz")
        except OSError:
            return False
        return True

    def get(self, path: str, token: str = "") -> str:
        """What it serves at a path; raises `OSError` where it does not, also for any status but 2xx."""
        return served(self.port, path, token)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.kill()

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        return self.process.terminate()

    def restart(self) -> None:
        """Crash, and start again."""
        self.kill()
        self.start()


@contextmanager
def running(
    control_plane: Cluster,
    config: Mapping[str, Any],
    *,
    kubeconfig: Path | None = None,
    master: str = "",
    in_pod: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    ready: bool = True,
) -> Iterator[Pallet]:
    """A process that is ready, unless that is not expected, until the block is left."""
    pallet = Pallet(
        control_plane,
        config,
        kubeconfig=kubeconfig,
        master=master,
        in_pod=in_pod,
        environment=environment,
        flags=flags,
    )
    try:
        pallet.start(ready=ready)
        yield pallet
    finally:
        pallet.stop()
