"""What is known of the own Service: a Service, our pod, and endpoints."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, cast

from pallet.api.core import ENDPOINT_SLICES, SERVICES, Endpoint, EndpointSlice, Service, ServiceSpec
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import PODS, Pod
from pallet.informers.informer import SharedInformer
from pallet.loop_budget import LoopBudget
from pallet.planner.own_service import NAME, OwnService

if TYPE_CHECKING:
    from pallet.client.client import Client

NAMESPACE, POD = "planner-system", "our-pod"


class Cluster:
    """The informers that `OwnService` reads, with our pod; without labels, we are outside of the cluster."""

    def __init__(self, our_labels: Mapping[str, str] | None = None) -> None:
        self._versions = count(1)
        nobody = cast("Client", None)
        self.services = SharedInformer(nobody, SERVICES, LoopBudget())
        self.slices = SharedInformer(nobody, ENDPOINT_SLICES, LoopBudget())
        pods = SharedInformer(nobody, PODS, LoopBudget())
        if our_labels is not None:
            metadata = ObjectMeta(name=POD, namespace=NAMESPACE, uid="pod", labels=Labels(our_labels))
            pods.put(Pod(metadata))
        self.own_service = OwnService(self.services, pods, self.slices, NAMESPACE, POD)

    def put_service(
        self,
        selector: Mapping[str, str],
        *,
        name: str = NAME,
        namespace: str = NAMESPACE,
        external_name: str = "",
        cluster_ip: str = "",
    ) -> Service:
        """Make or change a Service."""
        spec = ServiceSpec(selector=Labels(selector), external_name=external_name, cluster_ip=cluster_ip)
        uid, version = f"{namespace}/{name}", str(next(self._versions))
        service = Service(ObjectMeta(name=name, namespace=namespace, uid=uid, resource_version=version), spec)
        self.services.put(service)
        return service

    def put_endpoints(self, addresses: Sequence[str] | None) -> None:
        """Tell of the endpoints of the Service; None as the API server writes that there are none."""
        endpoints = None if addresses is None else tuple(Endpoint((address,)) for address in addresses)
        metadata = ObjectMeta(name=f"{NAME}-1", namespace=NAMESPACE, uid="slice")
        self.slices.put(EndpointSlice(metadata, endpoints))
