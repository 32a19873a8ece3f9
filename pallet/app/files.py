"""The files that the configuration names, looked at before anything is started."""

from collections.abc import Iterator

from pallet.config.decode import decode_args
from pallet.config.errors import FieldPath, Mistake
from pallet.config.pem import authority_mistakes, identity_mistakes
from pallet.config.schema import Extender, KubeSchedulerConfiguration, Profile
from pallet.podset.plugin import NAME, PodSetPlannerArgs


def file_mistakes(configuration: KubeSchedulerConfiguration) -> Iterator[Mistake]:
    """Yield each file that cannot be used, with the place that names it. It reads them."""
    for extender in configuration.extenders:
        yield from _of_extender(extender)
    for profile in configuration.profiles:
        yield from _of_planners(profile)


def _of_extender(extender: Extender) -> Iterator[Mistake]:
    """Look at the files in whose place there is no data."""
    tls, place = extender.tls_config, extender.path.field("tlsConfig")
    if tls is None:
        return
    if not tls.ca_data:
        yield from authority_mistakes((place.field("caFile"), tls.ca_file))
    if not tls.cert_data and not tls.key_data:
        yield from _identity(place, tls.cert_file, tls.key_file)


def _of_planners(profile: Profile) -> Iterator[Mistake]:
    raw, path = profile.args_of(NAME)
    tls, place = decode_args(PodSetPlannerArgs, raw, path).planner.tls, path.field("planner").field("tls")
    if tls is not None:
        yield from authority_mistakes((place.field("caFile"), tls.ca_file))
        yield from _identity(place, tls.cert_file, tls.key_file)


def _identity(place: FieldPath, certificate: str, key: str) -> Iterator[Mistake]:
    return identity_mistakes((place.field("certFile"), certificate), (place.field("keyFile"), key))
