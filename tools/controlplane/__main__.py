"""`python -m tools.controlplane up|down|status|kubeconfig|build`: a control plane for playing by hand."""

import argparse
import subprocess
import sys

from tools.controlplane import build, nodes
from tools.controlplane.binaries import MissingBinaryError
from tools.controlplane.client import ApiError
from tools.controlplane.detached import Detached
from tools.controlplane.processes import StartError

NONE_RUNNING = "no control plane is running; start one with `python -m tools.controlplane up`"


def main() -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args()
    try:
        return _COMMANDS[arguments.command](arguments)
    except (MissingBinaryError, build.BuildError, StartError, ApiError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: cannot install a Go toolchain: {error}", file=sys.stderr)
    return 1


def _up(arguments: argparse.Namespace) -> int:
    there = Detached.load()
    if there and there.whole:
        print("a control plane is running already; `down` ends it", file=sys.stderr)
    else:
        if there:
            there.stop()  # the rest of one that has died, as after a reboot
        there = Detached.start(nodes.kind_names(arguments.nodes))
    print(f"export KUBECONFIG={there.cluster.kubeconfig}")
    return 0


def _down(_: argparse.Namespace) -> int:
    there = Detached.load()
    if there:
        there.stop()
    print("control plane stopped" if there else "no control plane was running")
    return 0


def _status(_: argparse.Namespace) -> int:
    there = Detached.load()
    if not there:
        print(NONE_RUNNING)
        return 1
    for name, pid in there.pids.items():
        print(f"{name}: {f'running, pid {pid}' if name in there.running else 'ended'}")
    print(f"logs and data: {there.directory}")
    return 0 if there.whole else 1


def _kubeconfig(arguments: argparse.Namespace) -> int:
    there = Detached.load()
    if not (there and there.whole):
        print(NONE_RUNNING, file=sys.stderr)
        return 1
    cluster = there.cluster
    if arguments.service_account:
        namespace, _, name = arguments.service_account.partition("/")
        print(cluster.kubeconfig_for_service_account(namespace, name))
    elif arguments.user:
        print(cluster.kubeconfig_for(arguments.user, arguments.group))
    else:
        print(cluster.kubeconfig)
    return 0


def _build(_: argparse.Namespace) -> int:
    print(build.build())
    return 0


_COMMANDS = {"up": _up, "down": _down, "status": _status, "kubeconfig": _kubeconfig, "build": _build}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start one that keeps running, and print its KUBECONFIG line")
    up.add_argument("--nodes", type=int, default=3, help="how many workers, named like kind's (default 3)")
    commands.add_parser("down", help="end it")
    commands.add_parser("status", help="tell what runs; exit 1 unless everything does")
    kubeconfig = commands.add_parser(
        "kubeconfig", help="print the path of a kubeconfig, by default the admin's"
    )
    kubeconfig.add_argument("--user", help="a user's, by client certificate")
    kubeconfig.add_argument("--group", action="append", default=[], help="with --user: a group; repeatable")
    kubeconfig.add_argument(
        "--service-account", metavar="NAMESPACE/NAME", help="a ServiceAccount's, by token"
    )
    commands.add_parser("build", help="build the programs only, and print their folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
