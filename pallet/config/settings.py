"""What one run of the scheduler is told: the configuration, with the command line put over it."""

from dataclasses import dataclass, field

from pallet.config.feature_gates import FeatureGates
from pallet.config.schema import KubeSchedulerConfiguration


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `pallet.app.run` needs from outside."""

    configuration: KubeSchedulerConfiguration
    kubeconfig: str = ""
    """A kubeconfig file: the command line's, else the configuration's; if empty, see `Credentials.load`."""
    master: str = ""
    """A URL that goes before the kubeconfig's server; by itself, an endpoint without credentials."""
    verbosity: int = 0
    """How much is logged: 0 is what an operator needs, 10 is everything."""
    secure_port: int = 10259
    """The port of metrics and health; 0 serves neither."""
    bind_address: str = "0.0.0.0"  # noqa: S104 - as kube-scheduler: the kubelet probes the pod's address
    """The address of metrics and health."""
    ignore_kube_scheduler_lease: bool = False
    """Whether to schedule the pods of default-scheduler even while another renews kube-scheduler's Lease."""
    check_plugins: bool = False
    """Whether what is remembered of plugins' answers is compared with fresh ones in every cycle."""
    tls_cert_file: str = ""
    """The certificate of metrics and health, in PEM; without one, it is made for this run."""
    tls_private_key_file: str = ""
    """Its key; empty where the certificate's file holds it."""
    feature_gates: FeatureGates = field(default_factory=FeatureGates)
    version: str = "0.0"
    """Which version of this program runs, for the metric kubernetes_build_info."""
    commit: str = ""
    """The git commit that it was built from, where that is known."""
