"""Which pods belong together with a pod: those of its Services and of the controller that owns it.

kube-scheduler spreads such pods when they bring no constraints of their own (Kubernetes: Pod Topology Spread
Constraints, "Cluster-level default constraints").
"""

from collections.abc import Mapping
from typing import Any

from pallet.api.core import SERVICES, Service
from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta, OwnerReference, key_of
from pallet.api.pod import Pod
from pallet.api.resource import Resource
from pallet.api.selectors import LabelSelector
from pallet.api.workloads import REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, ReplicationController
from pallet.bounded_cache import MIB, bounded_cache
from pallet.cache.selection import PodSelection, PodSelector, all_of, selector_size
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler

_MAX_SELECTED = 1000
"""Labels, expressions and values; the selector of a controller may have a hundred thousand."""

_OWNERS: Mapping[tuple[str, str], Resource[Any]] = {
    ("v1", "ReplicationController"): REPLICATION_CONTROLLERS,
    ("apps/v1", "ReplicaSet"): REPLICA_SETS,
    ("apps/v1", "StatefulSet"): STATEFUL_SETS,
}


class DefaultSelectors:
    """Follows Services, ReplicationControllers, ReplicaSets and StatefulSets.

    `version` grows whenever an answer may have become another one.
    """

    def __init__(self, informers: InformerFactory) -> None:
        self.version = 0
        self._services: dict[tuple[str, str, str], dict[str, Labels]] = {}
        """Selectors by Service, under the namespace and one label that each of them asks for."""
        informers.informer(SERVICES).add_handler(
            Handler(on_add=self._add, on_update=self._update, on_delete=self._drop)
        )
        follow: Handler[Any] = Handler(
            on_add=self._note, on_update=self._note_new_selector, on_delete=self._note
        )
        self._stores = {}
        for kind, resource in _OWNERS.items():
            informer = informers.informer(resource)
            informer.add_handler(follow)
            self._stores[kind] = informer.store

    def of(self, pod: Pod) -> PodSelection | None:
        """The pods of the same Services and owner.

        None where neither a Service nor an owner speaks of the pod, or where they hold so much that comparing
        pods with them would take long.
        """
        labels = self._by_services(pod.metadata)
        selector: LabelSelector | None = None
        owner = _controller(pod.metadata)
        if owner is not None and (store := self._stores.get((owner.api_version, owner.kind))) is not None:
            found = store.get(f"{pod.metadata.namespace}/{owner.name}")
            if isinstance(found, ReplicationController):
                labels |= found.spec.selector
            elif found is not None:
                selector = found.spec.selector
        if not labels and selector is None:
            return None
        if len(labels) + selector_size(selector) > _MAX_SELECTED:
            return None
        return _together(pod.metadata.namespace, Labels(labels), selector)

    def _by_services(self, pod: ObjectMeta) -> dict[str, str]:
        """All labels that Services select the pod by."""
        found: dict[str, str] = {}
        for key, value in pod.labels.items():
            for selector in self._services.get((pod.namespace, key, value), {}).values():
                if selector.items() <= pod.labels.items():
                    found |= selector
        return found

    def _add(self, service: Service) -> None:
        for key, value in list(service.spec.selector.items())[:1]:
            place = (service.metadata.namespace, key, value)
            self._services.setdefault(place, {})[key_of(service)] = service.spec.selector
            self.version += 1

    def _drop(self, service: Service) -> None:
        for key, value in list(service.spec.selector.items())[:1]:
            place = (service.metadata.namespace, key, value)
            del self._services[place][key_of(service)]
            if not self._services[place]:
                del self._services[place]
            self.version += 1

    def _update(self, old: Service, new: Service) -> None:
        if old.spec.selector is not new.spec.selector:
            self._drop(old)
            self._add(new)

    def _note(self, _: Any) -> None:
        self.version += 1

    def _note_new_selector(self, old: Any, new: Any) -> None:
        if old.spec.selector != new.spec.selector:
            self.version += 1


def _controller(pod: ObjectMeta) -> OwnerReference | None:
    return next((owner for owner in pod.owner_references if owner.controller), None)


@bounded_cache("spread_constraints", 4 * MIB)
def _together(namespace: str, labels: Labels, selector: LabelSelector | None) -> PodSelection | None:
    both = (LabelSelector(labels), selector or _ANY)
    asked = [PodSelector(each, frozenset((namespace,)), terminating=False) for each in both if each != _ANY]
    return all_of(*asked) if asked else None


_ANY = LabelSelector(NO_LABELS)
