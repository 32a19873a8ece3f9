"""The scheduler as a process beside the demo's cluster."""

import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane.controlplane import ControlPlane
from tools.controlplane.processes import free_port
from tools.demo.shell import ROOT, Shell, StepError

USER_ID = 65532
"""The user that the image runs as."""

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@contextmanager
def running_scheduler(shell: Shell, control_plane: ControlPlane) -> Iterator[None]:
    """Runs the image's process: its entry point, flags and ServiceAccount, and if possible its user.

    Raises `StepError` with the end of its log where it does not become ready, or where a step went wrong.
    """
    kubeconfig = control_plane.kubeconfig_for_service_account("planner-system", "podset-planner-scheduler")
    own_files = control_plane.directory / "scheduler"
    own_files.mkdir()
    shutil.copy(kubeconfig, own_files / "kubeconfig")
    configuration = shell.ask("kubectl get -n planner-system configmap/scheduler-config -o json")["data"]
    (own_files / "scheduler-config.yaml").write_text(configuration["scheduler-config.yaml"])
    port = free_port()
    flags = [
        f"--config={own_files / 'scheduler-config.yaml'}",
        f"--kubeconfig={own_files / 'kubeconfig'}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
    ]
    user = _image_user(own_files)
    shell.title("The scheduler starts")
    shell.say("the image's process, with the rights of the ServiceAccount podset-planner-scheduler,")
    shell.say(f"as user {os.getuid() if user is None else user} (in the image: {USER_ID})")
    shell.say(" ".join(["pallet", *flags]))
    if user is not None:
        control_plane.directory.chmod(0o711)
        for path in (own_files, *own_files.iterdir()):
            os.chown(path, user, user)
    log = control_plane.directory / "scheduler.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pallet", *flags],
            cwd=ROOT,
            env=_environment(own_files),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            # The control plane's processes end with this one even when it is killed, so in their group.
            process_group=control_plane.group,
        )
    try:
        shell.wait_until("the scheduler to be ready", lambda: _is_ready(process, port), START_SECONDS)
        shell.good("The scheduler is ready.")
        yield
    except StepError as error:
        raise StepError(f"{error}\nThe end of the scheduler's log:\n{_tail(log)}") from error
    finally:
        _stop(process)


def _image_user(home: Path) -> int | None:
    """The image's user, or None where this process cannot become it or that user cannot read the program."""
    if os.getuid() != 0:
        return None
    try:
        attempt = subprocess.run(
            [sys.executable, "-c", "import pallet.cli.main"],
            cwd=ROOT,
            env=_environment(home),
            capture_output=True,
            user=USER_ID,
            group=USER_ID,
            extra_groups=[],
            check=False,
        )
    except OSError:
        return None
    return None if attempt.returncode else USER_ID


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


def _is_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    if process.poll() is not None:
        raise StepError(f"the scheduler ended with status {process.returncode}")
    try:
        # Its certificate is of its own making.
        context = ssl._create_unverified_context()  # noqa: S323 - it is on this machine's loopback
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/readyz", timeout=1.0, context=context):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
