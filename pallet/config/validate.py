"""What must hold between the fields of a configuration: kube-scheduler's rules (apis/config/validation).

Each function yields the mistakes of its part. The arguments of a plugin are checked by the plugin.
"""

import re
from collections.abc import Iterator

from pallet.api.names import is_label_key
from pallet.config.errors import FieldPath, Mistake
from pallet.config.schema import (
    ALL_PLUGINS,
    GROUP,
    Extender,
    KubeSchedulerConfiguration,
    LeaderElection,
    PluginConfig,
    PluginRef,
    PluginSet,
    Profile,
)

JITTER = 1.2
"""The pause between two tries to renew a Lease grows by up to this factor (client-go)."""

_PLUGIN_NAME = re.compile(r"[A-Za-z0-9][-\w.]*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def mistakes_in(configuration: KubeSchedulerConfiguration) -> Iterator[Mistake]:
    """Yield every mistake of a configuration whose defaults are set."""
    root = configuration.path
    if configuration.parallelism <= 0:
        yield root.field("parallelism").mistake("must be greater than 0")
    if configuration.pod_initial_backoff_seconds <= 0:
        yield root.field("podInitialBackoffSeconds").mistake("must be greater than 0")
    if configuration.pod_max_backoff_seconds < configuration.pod_initial_backoff_seconds:
        yield root.field("podMaxBackoffSeconds").mistake("must not be less than podInitialBackoffSeconds")
    if configuration.leader_election.leader_elect:
        yield from _leader_election(configuration.leader_election, root.field("leaderElection"))
    yield from _profiles(configuration.profiles)
    yield from _extenders(configuration.extenders, root.field("extenders"))


def _leader_election(election: LeaderElection, path: FieldPath) -> Iterator[Mistake]:
    """Check what matters only where there is an election. The jitter is client-go's rule."""
    spans = {
        "leaseDuration": election.lease_duration,
        "renewDeadline": election.renew_deadline,
        "retryPeriod": election.retry_period,
    }
    for name, span in spans.items():
        if span <= 0:
            yield path.field(name).mistake("must be greater than 0s")
    if election.renew_deadline >= election.lease_duration:
        yield path.field("renewDeadline").mistake("must be less than leaseDuration")
    if election.retry_period * JITTER >= election.renew_deadline:
        yield path.field("retryPeriod").mistake(f"times {JITTER} must be less than renewDeadline")
    if election.resource_lock != "leases":
        yield path.field("resourceLock").mistake(f'must be "leases", got "{election.resource_lock}"')


def _profiles(profiles: tuple[Profile, ...]) -> Iterator[Mistake]:
    first_of: dict[str, FieldPath] = {}
    for profile in profiles:
        name = profile.scheduler_name
        if not name:
            yield profile.path.field("schedulerName").mistake("is required")
        elif name in first_of:
            yield profile.path.field("schedulerName").mistake(
                f'"{name}" is also the name of {first_of[name].steps}'
            )
        first_of.setdefault(name, profile.path)
        for path, plugin_set in profile.plugins.sets():
            yield from _plugin_set(plugin_set, path)
        yield from _plugin_config(profile.plugin_config)
    yield from _common_queue_sort(profiles)


def _plugin_set(plugin_set: PluginSet, path: FieldPath) -> Iterator[Mistake]:
    seen: set[str] = set()
    for ref in plugin_set.enabled:
        place = ref.path.field("name")
        if ref.name == ALL_PLUGINS:
            yield place.mistake('"*" can only be disabled')
        elif ref.name in seen:
            yield place.mistake(f'"{ref.name}" is enabled twice in {path.steps}')
        else:
            yield from _plugin_name(ref)
        seen.add(ref.name)
    for ref in plugin_set.disabled:
        if ref.name != ALL_PLUGINS:
            yield from _plugin_name(ref)


def _plugin_name(named: PluginRef | PluginConfig) -> Iterator[Mistake]:
    if not _PLUGIN_NAME.fullmatch(named.name):
        yield named.path.field("name").mistake(
            f'"{named.name}" is not the name of a plugin, nor a place of the form module:Class'
        )


def _plugin_config(configs: tuple[PluginConfig, ...]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for config in configs:
        yield from _plugin_name(config)
        if config.name in seen:
            yield config.path.field("name").mistake(f'"{config.name}" has arguments already')
        seen.add(config.name)
        args = config.path.field("args")
        for name in ("apiVersion", "kind"):
            if not isinstance(config.args.get(name, ""), str):
                yield args.field(name).mistake("must be a string")
        in_group = str(config.args.get("apiVersion", GROUP)).partition("/")[0] == GROUP
        kind = config.args.get("kind")
        if isinstance(kind, str) and in_group and kind != f"{config.name}Args":
            yield args.field("kind").mistake(f'must be "{config.name}Args", got "{kind}"')


def _common_queue_sort(profiles: tuple[Profile, ...]) -> Iterator[Mistake]:
    """Check that all profiles sort alike, since they share one queue."""
    first = profiles[0]
    for profile in profiles[1:]:
        if _queue_sort(profile) != _queue_sort(first):
            yield profile.plugins.path.field("queueSort").mistake("must be the same in all profiles")
        for ref in first.plugins.queue_sort.enabled:
            args, path = profile.args_of(ref.name)
            if args != first.args_of(ref.name)[0]:
                yield path.mistake("must be the same in all profiles, since they share one queue")


def _queue_sort(profile: Profile) -> tuple[list[str], frozenset[str]]:
    """What a profile says about the queue's order, apart from where it says so."""
    queue_sort = profile.plugins.queue_sort
    return [ref.name for ref in queue_sort.enabled], queue_sort.disabled_names


def _extenders(extenders: tuple[Extender, ...], path: FieldPath) -> Iterator[Mistake]:
    managed: set[str] = set()
    for extender in extenders:
        if extender.prioritize_verb and extender.weight <= 0:
            yield extender.path.field("weight").mistake("must be greater than 0 with a prioritizeVerb")
        if extender.http_timeout < 0:
            yield extender.path.field("httpTimeout").mistake("must not be negative")
        for index, resource in enumerate(extender.managed_resources):
            place = extender.path.field("managedResources").item(index).field("name")
            if not _is_extended_resource(resource.name):
                yield place.mistake(f'"{resource.name}" is not the name of an extended resource')
            if resource.name in managed:
                yield place.mistake(f'"{resource.name}" is managed already')
            managed.add(resource.name)
    if sum(bool(extender.bind_verb) for extender in extenders) > 1:
        yield path.mistake("only one of them can have a bindVerb")


def _is_extended_resource(name: str) -> bool:
    """Say whether a resource is of a domain other than Kubernetes' own and can be limited by a quota."""
    native = "/" not in name or "kubernetes.io/" in name
    return not native and not name.startswith("requests.") and is_label_key(f"requests.{name}")
