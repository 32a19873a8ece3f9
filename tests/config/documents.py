"""Configuration files for tests."""

from pallet.config.load import parse
from pallet.config.schema import KubeSchedulerConfiguration

V1 = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def configuration(body: str = "") -> KubeSchedulerConfiguration:
    """Load a file `c.yaml` of version v1 that has this after its first two lines."""
    return parse(V1 + body, "c.yaml")
