"""The small objects around pods and nodes: Namespace, Service, Event, Lease."""

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource


class Namespace(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Namespace; its labels are what namespace selectors read."""

    metadata: ObjectMeta = ObjectMeta()


class ServicePort(msgspec.Struct, frozen=True, gc=False):
    """A port of a Service."""

    port: int
    name: str = ""


class ServiceSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Where a Service listens, and which pods answer."""

    ports: tuple[ServicePort, ...] = ()
    selector: Labels = NO_LABELS
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    external_name: str = ""


class Service(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Service."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One of those that answer for a Service, ready or not."""

    addresses: tuple[str, ...] = ()


class EndpointSlice(msgspec.Struct, frozen=True, gc=False):
    """discovery.k8s.io/v1 EndpointSlice; the API server writes null where it is empty."""

    metadata: ObjectMeta = ObjectMeta()
    endpoints: tuple[Endpoint, ...] | None = None


class ObjectReference(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What an event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""


class EventSeries(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How often, and when last, the same event was seen."""

    count: int
    last_observed_time: str


class Event(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """events.k8s.io/v1 Event."""

    metadata: ObjectMeta = ObjectMeta()
    event_time: str = ""
    reporting_controller: str = ""
    reporting_instance: str = ""
    action: str = ""
    reason: str = ""
    regarding: ObjectReference = ObjectReference()
    related: ObjectReference | None = None
    note: str = ""
    type: str = ""
    series: EventSeries | None = None


class LeaseSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Who holds a lease, and until when: times as the API server writes them, durations in seconds."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class Lease(msgspec.Struct, frozen=True, gc=False):
    """coordination.k8s.io/v1 Lease."""

    metadata: ObjectMeta = ObjectMeta()
    spec: LeaseSpec = LeaseSpec()


NAMESPACES = Resource("", "v1", "namespaces", Namespace, namespaced=False)
SERVICES = Resource("", "v1", "services", Service)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", EndpointSlice)
EVENTS = Resource("events.k8s.io", "v1", "events", Event)
LEASES = Resource("coordination.k8s.io", "v1", "leases", Lease)
