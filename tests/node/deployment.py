"""The scheduler's Deployment: its pods, the one that leads, and its rollouts."""

from pathlib import Path

from tests.e2e.workload import Document, Workload, eventually
from tests.running import SCHEDULER
from tools.demo.shell import Shell
from tools.node import machine

NAMESPACE = "planner-system"
TARGET = f"-n {NAMESPACE} deployment/{SCHEDULER}"
"""As kubectl's commands name it."""

DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{SCHEDULER}"
POD_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{SCHEDULER}"
REPLICAS = 2


def pods(workload: Workload) -> list[Document]:
    """Its pods, those that are ending included."""
    found: list[Document] = workload.request("GET", f"{POD_PATH}?labelSelector=app%3D{SCHEDULER}")["items"]
    return found


def leader(workload: Workload) -> Document:
    """The pod that leads."""

    def look() -> Document | None:
        holder = workload.request("GET", LEASE)["spec"]["holderIdentity"].partition("_")[0]
        return next((pod for pod in pods(workload) if pod["metadata"]["name"] == holder), None)

    return eventually("a leader", look, 60)


def process_of(pod: Document) -> int:
    """The scheduler in a pod, seen from the machine."""
    pids = machine.processes_of(pod["metadata"]["uid"])
    [pid] = [pid for pid in pids if "pallet" in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


def restarts(workload: Workload, pod: Document) -> int:
    """How often the kubelet has started the scheduler in a pod again."""
    count: int = container(workload, pod)["restartCount"]
    return count


def container(workload: Workload, pod: Document) -> Document:
    """The status of the scheduler's container."""
    found = workload.request("GET", f"{POD_PATH}/{pod['metadata']['name']}")
    [status] = found["status"]["containerStatuses"]
    return dict(status)


def await_rollout(workload: Workload, shell: Shell, replicas: int = REPLICAS) -> None:
    """Wait until the new pods are Ready and the old ones gone: kubectl does not wait for those."""
    shell.run(f"kubectl rollout status {TARGET} --timeout=90s", 100)
    eventually(f"{replicas} pods", lambda: len(pods(workload)) == replicas, 60)
