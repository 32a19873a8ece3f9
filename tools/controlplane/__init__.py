"""A real Kubernetes control plane on this machine, for tests, the demo, the benchmark and plugin writers.

etcd, kube-apiserver and kube-controller-manager run as child processes on loopback ports, with kwok in
place of kubelets; kube-scheduler can be run beside them::

    with ControlPlane() as control_plane:
        control_plane.add_nodes(kind_names(3))
        print(control_plane.kubectl("get", "nodes"))

From a shell: ``python -m tools.controlplane up``.
"""

from tools.controlplane.client import ApiError, Client
from tools.controlplane.cluster import Cluster, KubectlError
from tools.controlplane.controlplane import ControlPlane
from tools.controlplane.nodes import Taint, kind_names, numbered

__all__ = [
    "ApiError",
    "Client",
    "Cluster",
    "ControlPlane",
    "KubectlError",
    "Taint",
    "kind_names",
    "numbered",
]
