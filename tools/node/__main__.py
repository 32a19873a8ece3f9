"""`python -m tools.node up|down|kubeconfig|load`: a cluster of one real node, for playing by hand."""

import argparse
import subprocess
import sys
from pathlib import Path

from tools.controlplane import ApiError, Cluster, KubectlError
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.build import BuildError
from tools.controlplane.processes import StartError
from tools.node import images, machine
from tools.node.cluster import RealCluster
from tools.node.machine import MachineError
from tools.node.node import load
from tools.node.record import Record

NONE_RUNNING = "no real node is running; start one with `python -m tools.node up`"


def main() -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args()
    try:
        return _COMMANDS[arguments.command](arguments)
    except (MachineError, MissingBinaryError, BuildError, StartError, ApiError, KubectlError) as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: cannot install a Go toolchain: {error}", file=sys.stderr)
    return 1


def _up(arguments: argparse.Namespace) -> int:
    if Record.load():
        raise MachineError(
            "a real node was started already: `kubeconfig` tells its KUBECONFIG, `down` ends it"
        )
    cluster = RealCluster(fake=arguments.fake, detached=True)
    cluster.start()
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(_: argparse.Namespace) -> int:
    there = Record.load()
    if there:
        there.undo()
    print("real node ended" if there else "no real node was running")
    return 0


def _kubeconfig(_: argparse.Namespace) -> int:
    there = Record.load()
    if not there:
        print(NONE_RUNNING, file=sys.stderr)
        return 1
    print(Cluster(Path(there.directory), there.port, machine.ADDRESS).kubeconfig)
    return 0


def _load(arguments: argparse.Namespace) -> int:
    there = Record.load()
    if not there:
        print(NONE_RUNNING, file=sys.stderr)
        return 1
    with images.exported(arguments.image) as archive:
        load(Path(there.directory), archive)
    return 0


_COMMANDS = {"up": _up, "down": _down, "kubeconfig": _kubeconfig, "load": _load}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start one that keeps running, and print its KUBECONFIG line")
    up.add_argument("--fake", type=int, default=0, help="how many nodes beside it only pretend (default 0)")
    commands.add_parser("down", help="end it, and take back what it changed on this machine")
    commands.add_parser("kubeconfig", help="print the path of the admin's kubeconfig")
    given = commands.add_parser("load", help="give it an image that buildah has")
    given.add_argument("image", help="its name, as a pod has it: podset-planner-scheduler:0.1.0")
    return parser


if __name__ == "__main__":
    sys.exit(main())
