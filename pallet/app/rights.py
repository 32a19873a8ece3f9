"""Which rights this process needs at the API server: those of `config/rbac`, as far as its features go."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from pallet.api.podset import GROUP
from pallet.api.resource import Resource
from pallet.config.schema import LeaderElection

_CORE: Final = '""'
"""The group without a name, as a role writes it."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource of an API group; `resource` may name a subresource, as in a role."""

    namespace: str
    """Where; empty for everywhere."""
    name: str
    """The one object that it is for; empty for all."""
    group: str
    resource: str
    verb: str

    def attributes(self) -> dict[str, str]:
        """The right as a SelfSubjectAccessReview asks for it."""
        resource, _, subresource = self.resource.partition("/")
        asked = {
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "verb": self.verb,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {key: value for key, value in asked.items() if value}

    @property
    def instead(self) -> "Right | None":
        """The right that does as well: an `update` does for a `patch` on the resources of pod sets, since
        the roles of ciena/pallet give no other."""
        return replace(self, verb="update") if (self.group, self.verb) == (GROUP, "patch") else None


def _everywhere(*rights: tuple[str, str, str]) -> frozenset[Right]:
    return frozenset(Right("", "", group, resource, verb) for group, resource, verb in rights)


ALWAYS: Final = _everywhere(
    ("", "pods", "get"),
    ("", "pods/binding", "create"),
    ("", "pods/status", "patch"),
    ("events.k8s.io", "events", "create"),
    ("events.k8s.io", "events", "patch"),
)
OF_PLUGINS: Final = {
    "DefaultPreemption": _everywhere(("", "pods", "delete")),
    "VolumeBinding": _everywhere(("", "persistentvolumes", "patch"), ("", "persistentvolumeclaims", "patch")),
    "PodSetPlanner": _everywhere(
        ("discovery.k8s.io", "endpointslices", "list"),
        ("discovery.k8s.io", "endpointslices", "watch"),
        (GROUP, "scheduletriggers", "get"),
        (GROUP, "scheduletriggers", "patch"),
        (GROUP, "scheduletriggers/status", "patch"),
        (GROUP, "scheduleplans", "get"),
        (GROUP, "scheduleplans", "create"),
        (GROUP, "scheduleplans", "patch"),
        (GROUP, "scheduleplans", "delete"),
    ),
}
OF_SERVING: Final = _everywhere(
    ("authentication.k8s.io", "tokenreviews", "create"),
    ("authorization.k8s.io", "subjectaccessreviews", "create"),
)

ESSENTIAL_TO_SETS: Final = _everywhere(
    ("", "pods/binding", "create"),
    (GROUP, "scheduletriggers", "list"),
    (GROUP, "scheduletriggers", "watch"),
    (GROUP, "scheduletriggers", "patch"),
    (GROUP, "scheduleplans", "list"),
    (GROUP, "scheduleplans", "watch"),
    (GROUP, "scheduleplans", "create"),
    (GROUP, "scheduleplans", "patch"),
)
"""Those without one of which no set can be scheduled."""


def to_read(resources: Iterable[Resource[Any]]) -> frozenset[Right]:
    """The rights to list and watch collections."""
    return _everywhere(*((each.group, each.plural, verb) for each in resources for verb in ("list", "watch")))


def to_lead(election: LeaderElection) -> frozenset[Right]:
    """The rights to take part in an election. A creation cannot be restricted to a name."""
    namespace, name = election.resource_namespace, election.resource_name
    named = {
        Right(namespace, name, "coordination.k8s.io", "leases", verb) for verb in ("get", "update", "watch")
    }
    return frozenset({*named, Right(namespace, "", "coordination.k8s.io", "leases", "create")})


def needed(
    plugins: Collection[str],
    resources: Iterable[Resource[Any]],
    election: LeaderElection,
    *,
    serving: bool,
) -> frozenset[Right]:
    """The rights for these plugins and these collections that are watched, for the election if there is one,
    and for serving metrics."""
    parts = [ALWAYS, to_read(resources), *(OF_PLUGINS[name] for name in OF_PLUGINS if name in plugins)]
    if election.leader_elect:
        parts.append(to_lead(election))
    if serving:
        parts.append(OF_SERVING)
    return frozenset().union(*parts)


def rules(rights: Iterable[Right]) -> Iterator[str]:
    """Yield the rules that grant these rights, each as a role has it, and where it is not for all."""
    by_rule = groupby(
        sorted(rights), lambda right: (right.namespace, right.name, right.group, right.resource)
    )
    for (namespace, name, group, resource), same in by_rule:
        groups = f"apiGroups: [{group or _CORE}]"
        names = f", resourceNames: [{name}]" if name else ""
        verbs = ", ".join(right.verb for right in same)
        where = f" in namespace {namespace}" if namespace else ""
        yield f"{{{groups}, resources: [{resource}]{names}, verbs: [{verbs}]}}{where}"
