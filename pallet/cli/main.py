"""The entry point: `pallet`, `python -m pallet` and `python pallet.py` all come here."""

import importlib.util
import os
import sys
from argparse import Namespace
from pathlib import Path

import anyio

import pallet
from pallet.cli.arguments import UsageError, parse_run, parse_version
from pallet.cli.version import COMMIT_VARIABLE, version
from pallet.config.errors import ConfigError, FieldPath, fail
from pallet.config.feature_gates import FeatureGateError, parse_feature_gates
from pallet.config.load import default_configuration, load
from pallet.config.schema import KubeSchedulerConfiguration
from pallet.config.settings import Settings


def main(words: list[str] | None = None) -> int:
    """Do what the command line (by default this process's) says and return the status to exit with.

    A mistake of the user's is a line on stderr and status 1, never a traceback.
    """
    words = sys.argv[1:] if words is None else words
    try:
        if words[:1] == ["version"]:
            print(version(as_json=parse_version(words[1:]).json))
            return 0
        arguments = parse_run(words)
        if arguments.version:
            print(version(as_json=False))
            return 0
        return _run(settings_of(arguments))
    except UsageError as error:
        for line in error.args:
            print(f"pallet: {line}", file=sys.stderr)
    except ConfigError as error:
        print(error, file=sys.stderr)
    return 1


def settings_of(arguments: Namespace) -> Settings:
    """Read the configuration and put the command line over it. Raises `UsageError` and `ConfigError`."""
    configuration = _configuration_of(arguments)
    kubeconfig = arguments.kubeconfig or configuration.client_connection.kubeconfig
    if kubeconfig and not Path(kubeconfig).exists():
        named_by = (
            FieldPath("--kubeconfig")
            if arguments.kubeconfig
            else configuration.path.field("clientConnection").field("kubeconfig")
        )
        fail(named_by, f"{kubeconfig}: no such file")
    try:
        gates = parse_feature_gates(arguments.feature_gates or ())
    except FeatureGateError as error:
        raise UsageError(*(f"argument --feature-gates: {line}" for line in error.args)) from error
    given = {
        "feature_gates": gates,
        "version": pallet.__version__,
        "commit": os.environ.get(COMMIT_VARIABLE, ""),
        "master": arguments.master,
        "verbosity": arguments.v,
        "secure_port": arguments.secure_port,
        "bind_address": arguments.bind_address,
        "ignore_kube_scheduler_lease": arguments.ignore_kube_scheduler_lease,
        "check_plugins": arguments.check_plugins,
        "tls_cert_file": arguments.tls_cert_file,
        "tls_private_key_file": arguments.tls_private_key_file,
    }
    return Settings(configuration, kubeconfig, **{name: v for name, v in given.items() if v is not None})


def _configuration_of(arguments: Namespace) -> KubeSchedulerConfiguration:
    """Read the file; the defaults are taken only where they are asked for."""
    if arguments.config is not None:
        if arguments.default_config:
            raise UsageError("--config FILE and --default-config exclude each other: leave one of them out")
        return load(Path(arguments.config), leader_elect=arguments.leader_elect)
    if not arguments.default_config and arguments.master is None:
        raise UsageError(
            "neither --config nor --master is given: name a configuration with --config FILE; or, to "
            "schedule the pods of default-scheduler in the place of kube-scheduler, give --default-config"
        )
    return default_configuration(leader_elect=arguments.leader_elect)


def _run(settings: Settings) -> int:
    """Run the scheduler until it ends, on uvloop where there is one."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its core writes to stderr by itself, past the log
    from pallet.app import run  # noqa: PLC0415 - it loads the whole scheduler, which `version` does without

    use_uvloop = importlib.util.find_spec("uvloop") is not None
    return anyio.run(run, settings, backend_options={"use_uvloop": use_uvloop})
