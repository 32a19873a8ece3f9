"""A cluster of one real node: control plane, kube-scheduler, the node, cluster DNS."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.controlplane import ControlPlane, Taint, numbered
from tools.controlplane.certificates import Authority
from tools.controlplane.cluster import write_private
from tools.controlplane.processes import free_port
from tools.node import images, machine
from tools.node.node import NAME, Node, load
from tools.node.record import Record

MANIFESTS = Path(__file__).parent / "manifests"
KWOK = Taint("kwok.x-k8s.io/node", "NoSchedule", "fake")
"""Keeps pods off the nodes that only pretend, unless they tolerate it."""

READY_SECONDS = 120.0


class RealCluster(ControlPlane):
    """A control plane with one real node; `fake` nodes by kwok stand beside it, tainted with `KWOK`.

    `kube_scheduler` is where that serves its metrics, `ADDRESS:PORT`. What the cluster leaves on the machine
    where this process is killed, `Record.load().undo()` takes back.
    """

    def __init__(self, *, fake: int = 0, detached: bool = False, apiserver_args: Iterable[str] = ()) -> None:
        machine.check()
        # And with them the programs, before anything starts.
        self._images = (images.waiting(), images.of_program("coredns"))
        super().__init__(detached=detached, address=machine.ADDRESS)
        self._apiserver_args = (
            "--kubelet-preferred-address-types=InternalIP",
            *_front_proxy(self.directory),
            *apiserver_args,
        )
        self.kube_scheduler = f"{machine.ADDRESS}:{free_port()}"
        self.node = Node(self.directory, self.kubeconfig)
        self._record = Record(str(self.directory), self.port, machine.Before.look())
        self._fake = fake

    def start(self) -> None:
        """Start everything, and wait until the node is Ready and names can be looked up."""
        try:
            self._record.write()
            machine.make_bridge()
            super().start()
            self._start_kube_scheduler()
            self._processes |= self.node.start(self.group)
            for archive in self._images:
                self.load(archive)
            self.kubectl("apply", "-f", str(MANIFESTS / "coredns.yaml"))
            timeout = f"--timeout={READY_SECONDS:.0f}s"
            self.kubectl("wait", "--for=create", f"node/{NAME}", timeout)
            self.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", timeout)
            self.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", timeout)
            self.add_nodes(numbered("fake", self._fake), taints=[KWOK])
        except BaseException:
            self.stop()
            raise

    def load(self, archive: Path) -> None:
        """Give the node the images of an OCI archive."""
        load(self.directory, archive)

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Have the kubelet killed, and started again after the block."""
        self._processes["kubelet"].kill()
        try:
            yield
        finally:
            self._processes["kubelet"] = self.node.start_kubelet(self.group)

    def stop(self) -> None:
        """End everything, and take back what was changed on the machine."""
        with ExitStack() as last_first:
            last_first.callback(self._record.undo)
            last_first.callback(super().stop)
            last_first.callback(self.node.stop)

    def _start_kube_scheduler(self) -> None:
        """Start it as itself, with metrics for callers whom the API server knows and allows them."""
        kubeconfig = self.kubeconfig_for("system:kube-scheduler")
        address, _, port = self.kube_scheduler.partition(":")
        self.start_kube_scheduler(
            kubeconfig=kubeconfig,
            args=[
                f"--bind-address={address}",
                f"--secure-port={port}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
            ],
        )


def _front_proxy(directory: Path) -> list[str]:
    """What lets the API server hand requests on to servers of other APIs, in its caller's name."""
    name = "front-proxy-client"
    authority = Authority.create()
    client = authority.client(name)
    write_private(directory / "front-proxy-ca.crt", authority.pair.certificate)
    write_private(directory / "front-proxy.crt", client.certificate)
    write_private(directory / "front-proxy.key", client.key)
    return [
        f"--requestheader-client-ca-file={directory / 'front-proxy-ca.crt'}",
        f"--requestheader-allowed-names={name}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={directory / 'front-proxy.crt'}",
        f"--proxy-client-key-file={directory / 'front-proxy.key'}",
    ]
