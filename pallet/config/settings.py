"""What one run of the scheduler is told: the configuration, with the command line put over it."""

from dataclasses import dataclass

from pallet.config.schema import KubeSchedulerConfiguration


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `pallet.app.run` needs from outside."""

    configuration: KubeSchedulerConfiguration
    kubeconfig: str = ""
    """A kubeconfig file: the command line's, else the configuration's; empty means in-cluster credentials."""
    master: str = ""
    """A URL that goes before the kubeconfig's server; by itself, an endpoint without credentials."""
    verbosity: int = 0
    """How much is logged: 0 is what an operator needs, 10 is everything."""
    secure_port: int = 10259
    """The port of metrics and health; 0 serves neither."""
    bind_address: str = "0.0.0.0"  # noqa: S104 - as kube-scheduler: the kubelet probes the pod's address
    """The address of metrics and health."""
