"""Configuration files for tests."""

from pallet.config.load import parse
from pallet.config.schema import KubeSchedulerConfiguration

V1 = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

ORIGINAL = """\
apiVersion: kubescheduler.config.k8s.io/v1beta2
kind: KubeSchedulerConfiguration
leaderElection:
  leaderElect: false
profiles:
- schedulerName: podset-planner-scheduler
  plugins:
    preFilter:
      enabled:
      - name: PodSetPlanner
    preScore:
      enabled:
      - name: PodSetPlanner
    score:
      enabled:
      - name: PodSetPlanner
    reserve:
      enabled:
      - name: PodSetPlanner
    postFilter:
      enabled:
      - name: PodSetPlanner
  pluginConfig:
  - name: PodSetPlanner
    args:
      debug: true
      callTimeout: 15s
      updatePeriod: 30s
"""
"""The configuration that ciena/pallet is installed with."""


def configuration(body: str = "") -> KubeSchedulerConfiguration:
    """Load a file `c.yaml` of version v1 that has this after its first two lines."""
    return parse(V1 + body, "c.yaml")
