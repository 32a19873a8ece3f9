"""What the command line says: the flags of `pallet`, in the spellings of kube-scheduler and of Go."""

import argparse
import re
from collections.abc import Sequence
from functools import partial
from textwrap import indent
from typing import NoReturn

from pallet.cli.kube_scheduler_flags import refusals
from pallet.config.errors import suggestion
from pallet.config.feature_gates import BOOLEANS, help_text

_DESCRIPTION = """\
A Kubernetes scheduler. The pods of a set wait until their trigger says Schedule, are planned together,
and each goes where the plan says. Pods without a set are scheduled as kube-scheduler would."""

_EPILOG = """\
examples:
  pallet --config scheduler-config.yaml
        in a cluster, as the pod's ServiceAccount
  pallet --config scheduler-config.yaml --kubeconfig ~/.kube/config --leader-elect=false
        beside a cluster, as the user of a kubeconfig
  pallet --default-config --kubeconfig ~/.kube/config
        in the place of kube-scheduler, with its default plugins and its Lease
  pallet --master http://localhost:8001
        the same through kubectl proxy
  pallet version --json
        which version this is

The cluster is that of --kubeconfig, else of clientConnection.kubeconfig in the file; else in a pod that of
its ServiceAccount; else that of $KUBECONFIG; else that of ~/.kube/config. --master replaces the address that
a kubeconfig names; without --kubeconfig and clientConnection.kubeconfig it is used without credentials.

A process with a profile default-scheduler takes the Lease kube-system/kube-scheduler unless leaderElection
names another. Without leader election, or under another Lease, it does not schedule while another process
renews that one. A kube-scheduler that runs without leader election cannot be seen.

A flag may be written with one dash (-config FILE), and take its value as the next word or after "=".
Each mistake is a line on stderr, and the exit status is then 1.
"""

_BOOLEANS = {
    "--check-plugins",
    "--default-config",
    "--ignore-kube-scheduler-lease",
    "--leader-elect",
    "--version",
}


class UsageError(Exception):
    """The command line cannot be used; each argument is a line that says why."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are for its caller to report."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the flags' values. Raises `UsageError`; ends the program after showing help."""
        arguments, unknown = self.parse_known_args(list(map(_gnu, words)))
        if lines := tuple(refusals(unknown)):
            raise UsageError(*lines)
        if unknown:
            word = unknown[0].partition("=")[0]
            near = suggestion(word, self._option_string_actions)
            raise UsageError(f"unknown argument {word}{near or f' (see {self.prog} --help)'}")
        return arguments


def parse_version(words: Sequence[str]) -> argparse.Namespace:
    """Return what follows `pallet version`: `json`."""
    parser = _Parser(prog="pallet version", description="Say which version this is.", allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse(words)


def parse_run(words: Sequence[str]) -> argparse.Namespace:
    """Return what follows `pallet`: how to run the scheduler. None stands for what is not given."""
    parser = _Parser(
        prog="pallet",
        usage="pallet [flags]\n       pallet version [--json]",
        description=_DESCRIPTION,
        epilog=f"{_EPILOG}\nfeature gates of --feature-gates:\n{indent(help_text(), '  ')}\n",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=30, width=100),
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a KubeSchedulerConfiguration in YAML or JSON",
    )
    parser.add_argument(
        "--default-config",
        metavar="true|false",
        type=_boolean,
        help="in place of --config: schedule the pods of default-scheduler with the default plugins",
    )
    parser.add_argument(
        "--version", metavar="true|false", type=_boolean, help="say which version this is, and end"
    )
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="how to reach the cluster (default: see below)",
    )
    cluster.add_argument(
        "--master",
        metavar="URL",
        type=_url,
        help="the API server, in place of the kubeconfig's; without --config it stands for "
        "--default-config too",
    )
    cluster.add_argument(
        "--leader-elect",
        metavar="true|false",
        type=_boolean,
        help="schedule only while holding the Lease (default: leaderElection.leaderElect of the file)",
    )
    cluster.add_argument(
        "--ignore-kube-scheduler-lease",
        metavar="true|false",
        type=_boolean,
        help="schedule the pods of default-scheduler even while another process renews kube-scheduler's "
        "Lease",
    )
    parser.add_argument(
        "--feature-gates",
        metavar="NAME=BOOL,...",
        action="append",
        help="feature gates of kube-scheduler, listed below; may be given several times",
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--secure-port",
        metavar="PORT",
        type=_port,
        help="where metrics and health are served over TLS; 0 for nowhere (default: 10259)",
    )
    serving.add_argument(
        "--bind-address", metavar="IP", help="the address they are served on (default: 0.0.0.0)"
    )
    serving.add_argument(
        "--tls-cert-file",
        metavar="FILE",
        help="their certificate, with those of its CAs behind it, in PEM (default: one made for this run)",
    )
    serving.add_argument(
        "--tls-private-key-file", metavar="FILE", help="its key (default: in the file of --tls-cert-file)"
    )
    logging = parser.add_argument_group("logging")
    logging.add_argument(
        "-v", "--v", metavar="N", type=_level, help="how much is logged: 0 to 10, all (default: 0)"
    )
    debugging = parser.add_argument_group("debugging")
    debugging.add_argument(
        "--check-plugins",
        metavar="true|false",
        type=_boolean,
        help="ask plugins afresh in every cycle, and report where that differs from what is remembered of "
        "their answers: then a plugin does not declare all that it depends on",
    )
    return parser.parse(words)


def _gnu(word: str) -> str:
    """Return a word of the command line with a Go flag's spelling changed into the parser's.

    Go takes one dash for two; a boolean flag without a value is true, and never takes the next word for it.
    """
    if re.match("-[a-z][a-z]", word):
        word = f"-{word}"
    return f"{word}=true" if word in _BOOLEANS else word


def _boolean(word: str) -> bool:
    if word in BOOLEANS:
        return BOOLEANS[word]
    raise argparse.ArgumentTypeError(f"must be true or false, got {word!r}")


def _port(word: str) -> int:
    if word.isdecimal() and int(word) < 2**16:
        return int(word)
    raise argparse.ArgumentTypeError(f"must be a port, 0 to 65535, got {word!r}")


def _level(word: str) -> int:
    if word.isdecimal():
        return int(word)
    raise argparse.ArgumentTypeError(f"must be a number from 0, got {word!r}")


def _url(word: str) -> str:
    scheme, separator, host = word.partition("://")
    if scheme in {"http", "https"} and separator and host:
        return word
    raise argparse.ArgumentTypeError(f"must be a URL such as http://localhost:8001, got {word!r}")
