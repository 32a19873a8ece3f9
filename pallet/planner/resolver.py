"""Where the planner behind a Service is dialled."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Literal, Protocol

from pallet.api.core import Service
from pallet.informers.store import Store
from pallet.planner.interface import PlannerError
from pallet.planner.protocol import PLANNER_PORT

Rule = Literal["Service", "ClusterIP"]


class Resolve(Protocol):
    """Says where to dial a planner."""

    def __call__(self, namespace: str, service: str) -> str:
        """The `host:port` of a Service. Raises PlannerError where it has none."""
        ...


class Resolver:
    """Addresses by rule: the DNS name of the Service, relative to the cluster's domain, or its cluster IP.

    `fixed` has addresses by `namespace/name` that go before the rule, for a scheduler outside of the cluster.
    """

    def __init__(self, services: Store[Service], rule: Rule, fixed: Mapping[str, str]) -> None:
        self._services = services
        self._rule = rule
        self._fixed = fixed

    def __call__(self, namespace: str, service: str) -> str:
        """The `host:port` of a Service. Raises PlannerError where it has none."""
        key = f"{namespace}/{service}"
        if key in self._fixed:
            return self._fixed[key]
        if self._rule == "Service":
            return f"{service}.{namespace}.svc:{PLANNER_PORT}"
        found = self._services.get(key)
        return f"{_host(key, found.spec.cluster_ip if found else '')}:{PLANNER_PORT}"


def _host(key: str, cluster_ip: str) -> str:
    """A cluster IP as it is written in an address."""
    try:
        address = ip_address(cluster_ip)
    except ValueError:
        raise PlannerError(
            f"planner {key}: the Service has no cluster IP; give its address in planner.addresses"
        ) from None
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)
