"""KubeSchedulerConfiguration as structs: the fields, types and defaults of kubescheduler.config.k8s.io/v1.

Names are the file's in snake case. Each default stands where the field does. What depends on several fields
is checked in `pallet.config.validate`.
"""

import enum
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from pallet.config.decode import Seconds
from pallet.config.errors import FieldPath

GROUP: Final = "kubescheduler.config.k8s.io"
KIND: Final = "KubeSchedulerConfiguration"
ALL_PLUGINS: Final = "*"
"""In a `disabled` list: every plugin that would be there by default."""

DEFAULT_SCHEDULER_NAME: Final = "default-scheduler"
KUBE_SCHEDULER_LEASE: Final = ("kube-system", "kube-scheduler")
"""Namespace and name of the Lease that kube-scheduler holds while it schedules."""
OWN_LEASE: Final = ("planner-system", "podset-planner-scheduler")

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Weight = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Percentage = Annotated[int, msgspec.Meta(ge=0, le=100)]


class ExtensionPoint(enum.StrEnum):
    """The places in a pod's way where plugins are called; the value is the name in the file."""

    PRE_ENQUEUE = "preEnqueue"
    QUEUE_SORT = "queueSort"
    PRE_FILTER = "preFilter"
    FILTER = "filter"
    POST_FILTER = "postFilter"
    PRE_SCORE = "preScore"
    SCORE = "score"
    RESERVE = "reserve"
    PERMIT = "permit"
    PRE_BIND = "preBind"
    BIND = "bind"
    POST_BIND = "postBind"
    POD_GROUP_POST_FILTER = "podGroupPostFilter"
    """Accepted, as in kube-scheduler 1.37; pod groups are not scheduled yet."""


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A mapping of the file."""


class LeaderElection(Section, frozen=True):
    """Which replica is active: the holder of a Lease."""

    leader_elect: bool = True
    lease_duration: Seconds = Seconds(15)
    """How long the others wait after the last renewal they saw before one of them takes over."""
    renew_deadline: Seconds = Seconds(10)
    """How long the leader goes on trying to renew before it steps down."""
    retry_period: Seconds = Seconds(2)
    """The pause between two tries."""
    resource_lock: str = "leases"
    resource_name: str = ""
    """After loading: the Lease that was named, else `KUBE_SCHEDULER_LEASE` where a profile has that
    scheduler's name, else `OWN_LEASE`."""
    resource_namespace: str = ""


class ClientConnection(Section, frozen=True):
    """How to talk to the API server."""

    kubeconfig: str = ""
    """A file; empty means the ServiceAccount of the pod this process runs in."""
    accept_content_types: str = ""
    """Accepted and not used: this client speaks JSON."""
    content_type: str = "application/json"
    """Accepted and not used: this client speaks JSON."""
    qps: float = 50.0
    """Requests a second, on average; without a limit if negative, as in client-go."""
    burst: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 100
    """Requests that may be sent at once."""


class PluginRef(Section, frozen=True):
    """A plugin that a list enables or disables."""

    name: str
    """A registered name, `module:Class`, or (to disable) `*`."""
    weight: Weight = 0
    """What its scores are multiplied with; 0 stands for 1."""
    path: FieldPath = FieldPath()


class PluginSet(Section, frozen=True):
    """What the file says about one extension point."""

    enabled: tuple[PluginRef, ...] = ()
    disabled: tuple[PluginRef, ...] = ()

    @property
    def disabled_names(self) -> frozenset[str]:
        """The names disabled here, `*` among them if all are."""
        return frozenset(ref.name for ref in self.disabled)


class Plugins(Section, frozen=True):
    """The plugins of a profile, by extension point; `multi_point` stands for all that a plugin implements."""

    multi_point: PluginSet = PluginSet()
    pre_enqueue: PluginSet = PluginSet()
    queue_sort: PluginSet = PluginSet()
    pre_filter: PluginSet = PluginSet()
    filter: PluginSet = PluginSet()
    post_filter: PluginSet = PluginSet()
    pre_score: PluginSet = PluginSet()
    score: PluginSet = PluginSet()
    reserve: PluginSet = PluginSet()
    permit: PluginSet = PluginSet()
    pre_bind: PluginSet = PluginSet()
    bind: PluginSet = PluginSet()
    post_bind: PluginSet = PluginSet()
    pod_group_post_filter: PluginSet = PluginSet()
    path: FieldPath = FieldPath()

    def at(self, point: ExtensionPoint) -> PluginSet:
        """Return what the file says about one extension point, `multi_point` left aside."""
        plugin_set: PluginSet = getattr(self, point.name.lower())
        return plugin_set

    def sets(self) -> Iterator[tuple[FieldPath, PluginSet]]:
        """Yield the plugin sets with their paths, `multi_point` first."""
        yield self.path.field("multiPoint"), self.multi_point
        for point in ExtensionPoint:
            yield self.path.field(point), self.at(point)


class PluginConfig(Section, frozen=True):
    """The arguments of one plugin, decoded by the plugin itself (see `pallet.config.decode.decode_args`)."""

    name: str
    args: dict[str, Any] = {}
    path: FieldPath = FieldPath()


class Profile(Section, frozen=True):
    """How the pods of one `spec.schedulerName` are scheduled."""

    scheduler_name: str = ""
    """`default-scheduler` if it is the only profile; required if there are several."""
    percentage_of_nodes_to_score: Percentage | None = None
    """After loading: this profile's, or else the one that holds for all, or None."""
    plugins: Plugins = Plugins()
    plugin_config: tuple[PluginConfig, ...] = ()
    path: FieldPath = FieldPath()

    def named_plugins(self) -> Iterator[tuple[str, FieldPath]]:
        """Yield every plugin that is enabled or has arguments, with the place of its name.

        Those only disabled are left out: as in kube-scheduler, disabling what does not exist is no mistake.
        """
        for _, plugin_set in self.plugins.sets():
            for ref in plugin_set.enabled:
                yield ref.name, ref.path.field("name")
        for config in self.plugin_config:
            yield config.name, config.path.field("name")

    def args_of(self, plugin: str) -> tuple[dict[str, Any], FieldPath]:
        """Return a plugin's arguments and where they stand: what `decode_args` takes. None given is `{}`."""
        for config in self.plugin_config:
            if config.name == plugin:
                return config.args, config.path.field("args")
        return {}, self.path.field("pluginConfig")


class ExtenderTLS(Section, frozen=True):
    """How to reach an extender over TLS. Data, as bytes of PEM, goes before the file of the same name."""

    insecure: bool = False
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    cert_data: bytes = b""
    key_data: bytes = b""
    ca_data: bytes = b""


class ManagedResource(Section, frozen=True):
    """An extended resource that an extender looks after."""

    name: str
    ignored_by_scheduler: bool = False


class Extender(Section, frozen=True):
    """A web service that filters, scores, preempts or binds as well; a verb that is empty is not called."""

    url_prefix: str = ""
    filter_verb: str = ""
    preempt_verb: str = ""
    prioritize_verb: str = ""
    weight: Int64 = 0
    bind_verb: str = ""
    enable_https: bool = msgspec.field(default=False, name="enableHTTPS")
    tls_config: ExtenderTLS | None = None
    http_timeout: Seconds = Seconds(5)
    node_cache_capable: bool = False
    managed_resources: tuple[ManagedResource, ...] = ()
    ignorable: bool = False
    path: FieldPath = FieldPath()


class KubeSchedulerConfiguration(Section, frozen=True):
    """The whole file."""

    api_version: str = f"{GROUP}/v1"
    kind: str = KIND
    parallelism: Int32 = 16
    """Accepted and not used: all nodes are looked at in one vector operation."""
    leader_election: LeaderElection = LeaderElection()
    client_connection: ClientConnection = ClientConnection()
    percentage_of_nodes_to_score: Percentage | None = None
    """Unlike kube-scheduler, which then samples, all nodes are scored when this is not given."""
    pod_initial_backoff_seconds: Int64 = 1
    pod_max_backoff_seconds: Int64 = 10
    profiles: tuple[Profile, ...] = ()
    """After loading there is at least one."""
    extenders: tuple[Extender, ...] = ()
    enable_profiling: bool = True
    enable_contention_profiling: bool = True
    delay_cache_until_active: bool = False
    path: FieldPath = FieldPath()


class KubeSchedulerConfigurationV1Beta2(KubeSchedulerConfiguration, frozen=True):
    """The oldest version accepted: it had two addresses that have no effect here."""

    healthz_bind_address: str = ""
    metrics_bind_address: str = ""


VERSIONS: Final[dict[str, type[KubeSchedulerConfiguration]]] = {
    f"{GROUP}/v1": KubeSchedulerConfiguration,
    f"{GROUP}/v1beta3": KubeSchedulerConfiguration,
    f"{GROUP}/v1beta2": KubeSchedulerConfigurationV1Beta2,
}
"""What a file of each accepted `apiVersion` decodes to.

Plugin lists mean the same in all of them, and the default plugins and weights are those of v1.
"""
