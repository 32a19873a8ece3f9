"""From a file to a configuration that is complete and valid."""

from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import fields, replace

from pallet.config.decode import decode
from pallet.config.errors import ConfigError, FieldPath, fail, refuse
from pallet.config.reader import read
from pallet.config.schema import (
    DEFAULT_SCHEDULER_NAME,
    KIND,
    KUBE_SCHEDULER_LEASE,
    OWN_LEASE,
    VERSIONS,
    KubeSchedulerConfiguration,
    LeaderElection,
    PluginConfig,
    Profile,
    Section,
)
from pallet.config.validate import mistakes_in

NODE_RESOURCES_FIT = "NodeResourcesFit"

AnySection = TypeVar("AnySection", bound=Section)


def load(file: Path, *, leader_elect: bool | None = None) -> KubeSchedulerConfiguration:
    """Read a configuration file. `leader_elect`, if given, is put over what the file says.

    Raises `ConfigError` with every mistake that can be found at once, each with the file's name and the path.
    """
    source = str(file)
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        fail(FieldPath(source), f"cannot be read: {(error.strerror or str(error)).lower()}")
    except UnicodeDecodeError as error:
        fail(FieldPath(source), f"is not UTF-8 text: {error.reason} at byte {error.start}")
    return parse(text, source, leader_elect=leader_elect)


def parse(text: str, source: str, *, leader_elect: bool | None = None) -> KubeSchedulerConfiguration:
    """Do what `load` does for a text; `source` is the name that mistakes are reported under."""
    root = FieldPath(source)
    raw, mistakes = read(text, source)
    configuration = decode(_schema_of(raw, root), raw, root, mistakes)
    return _complete(configuration, leader_elect=leader_elect)


def default_configuration(*, leader_elect: bool | None = None) -> KubeSchedulerConfiguration:
    """Return what holds without a file: the one profile `default-scheduler` with the default plugins."""
    return _complete(KubeSchedulerConfiguration(), leader_elect=leader_elect)


def _schema_of(raw: Any, root: FieldPath) -> type[KubeSchedulerConfiguration]:
    """Return the struct for a file, which it chooses by `apiVersion` and `kind`."""
    if not isinstance(raw, dict):
        fail(root, f'must be a mapping with "kind: {KIND}"')
    version, kind = raw.get("apiVersion"), raw.get("kind")
    schema = VERSIONS.get(version) if isinstance(version, str) else None
    mistakes = []
    if schema is None:
        known = ", ".join(f'"{name}"' for name in VERSIONS)
        mistakes.append(root.field("apiVersion").mistake(f"must be one of {known}{_got(version)}"))
    if kind != KIND:
        mistakes.append(root.field("kind").mistake(f'must be "{KIND}"{_got(kind)}'))
    if schema is None or mistakes:
        raise ConfigError(*mistakes)
    return schema


def _got(value: object) -> str:
    return ", which is missing" if value is None else f', got "{value}"'


def _complete(
    configuration: KubeSchedulerConfiguration, *, leader_elect: bool | None
) -> KubeSchedulerConfiguration:
    """Set the defaults that depend on something, and check what must hold between fields."""
    profiles = _profiles(configuration)
    election = _election(configuration.leader_election, profiles)
    if leader_elect is not None:
        election = replace(election, leader_elect=leader_elect)
    configuration = replace(
        configuration,
        leader_election=election,
        client_connection=_zero_is_default(configuration.client_connection),
        profiles=profiles,
        extenders=tuple(map(_zero_is_default, configuration.extenders)),
    )
    refuse(mistakes_in(configuration))
    ignored = [
        resource.name
        for extender in configuration.extenders
        for resource in extender.managed_resources
        if resource.ignored_by_scheduler
    ]
    profiles = tuple(_ignoring(profile, ignored) for profile in configuration.profiles)
    return replace(configuration, profiles=profiles) if ignored else configuration


def _ignoring(profile: Profile, resources: list[str]) -> Profile:
    """Have a profile leave to the extenders what they manage and want to be ignored.

    As in kube-scheduler this takes the place of what the profile itself ignores.
    """
    configs = {config.name: config for config in profile.plugin_config}
    fit = configs.get(NODE_RESOURCES_FIT) or PluginConfig(
        name=NODE_RESOURCES_FIT, path=profile.path.field("pluginConfig")
    )
    if isinstance(fit.args.get("ignoredResources", []), list):  # or whoever reads them says what is wrong
        configs[NODE_RESOURCES_FIT] = replace(fit, args={**fit.args, "ignoredResources": resources})
    return replace(profile, plugin_config=tuple(configs.values()))


def _profiles(configuration: KubeSchedulerConfiguration) -> tuple[Profile, ...]:
    """Return at least one profile, each with the settings it takes over from the whole."""
    profiles = configuration.profiles or (Profile(),)
    if len(profiles) == 1 and not profiles[0].scheduler_name:
        profiles = (replace(profiles[0], scheduler_name=DEFAULT_SCHEDULER_NAME),)
    return tuple(
        profile
        if profile.percentage_of_nodes_to_score is not None
        else replace(profile, percentage_of_nodes_to_score=configuration.percentage_of_nodes_to_score)
        for profile in profiles
    )


def _election(election: LeaderElection, profiles: tuple[Profile, ...]) -> LeaderElection:
    """Set the defaults. Who schedules kube-scheduler's pods takes its Lease: only one of the two may act."""
    namespace, name = OWN_LEASE
    if any(profile.scheduler_name == DEFAULT_SCHEDULER_NAME for profile in profiles):
        namespace, name = KUBE_SCHEDULER_LEASE
    return replace(
        _zero_is_default(election),
        resource_namespace=election.resource_namespace or namespace,
        resource_name=election.resource_name or name,
    )


def _zero_is_default(section: AnySection) -> AnySection:
    """Give a section's empty texts and zeros their defaults, as Kubernetes does for these sections."""
    unset = {
        field.name: field.default
        for field in fields(section)
        if not isinstance(field.default, bool) and not getattr(section, field.name)
    }
    return replace(section, **unset)
