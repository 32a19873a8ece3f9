"""The Service `podset-planner` of our namespace: whether it stands for the planner that is built in here.

In the original it is in front of a planner of its own, and it carries the label of the default planner. Here
it is mostly in front of this process, which then answers without a call.
"""

import anyio

from pallet.api.core import EndpointSlice, Service
from pallet.api.meta import key_of
from pallet.api.pod import Pod
from pallet.informers.informer import Handler, SharedInformer

NAME = "podset-planner"

SLICE_LABEL = f"kubernetes.io/service-name={NAME}"
"""Selects the EndpointSlices of the Service."""


class OwnService:
    """Knows the Service from informers. `pod` is the name of the pod that this process runs in.

    Where the EndpointSlices may not be read, `slices` stays empty and unsynced, and the selector decides.
    """

    def __init__(
        self,
        services: SharedInformer[Service],
        pods: SharedInformer[Pod],
        slices: SharedInformer[EndpointSlice],
        namespace: str,
        pod: str,
    ) -> None:
        self.key = f"{namespace}/{NAME}"
        self._services = services.store
        self._pods = pods.store
        self._slices = slices
        self._pod = f"{namespace}/{pod}"
        self._changed = anyio.Event()
        services.add_handler(Handler(self._note, self._note, self._note))

    def is_ourselves(self, service: Service) -> bool:
        """Whether a Service is this one, and selects our pod, or has neither a selector nor endpoints."""
        if key_of(service) != self.key:
            return False
        if service.spec.selector:
            return self._selects_our_pod(service)
        return not service.spec.external_name and not self._has_endpoints()

    def selects_us(self) -> bool:
        """Whether the Service is there and sends its callers to our pod."""
        service = self._services.get(self.key)
        return service is not None and self._selects_our_pod(service)

    async def selection(self, *, of_us: bool) -> None:
        """Wait until the Service sends its callers to our pod, or does not."""
        while self.selects_us() is not of_us:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def known(self) -> None:
        """Wait until the endpoints are known, if the answer depends on them."""
        service = self._services.get(self.key)
        if service is not None and not service.spec.selector:
            await self._slices.synced.wait()

    def _selects_our_pod(self, service: Service) -> bool:
        pod = self._pods.get(self._pod)
        selector = service.spec.selector
        return bool(selector) and pod is not None and selector.items() <= pod.metadata.labels.items()

    def _note(self, *_: Service) -> None:
        self._changed.set()

    def _has_endpoints(self) -> bool:
        """Ready or not."""
        return any(found.endpoints for found in self._slices.store.list())
