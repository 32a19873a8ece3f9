"""The configuration in force, from the file and the defaults, as kube-scheduler shows it under /configz."""

from typing import Any

import msgspec

from pallet.api.codec import encode
from pallet.api.duration import format_duration
from pallet.config.decode import Seconds
from pallet.config.errors import FieldPath
from pallet.config.schema import KubeSchedulerConfiguration

WITHHELD = "(withheld)"


def configz(configuration: KubeSchedulerConfiguration) -> bytes:
    """Give the JSON. Keys and certificates that stand in the configuration itself are withheld."""
    return encode({"componentconfig": _plain(configuration)})


def _plain(value: Any) -> Any:
    """Turn structs into what the file would say."""
    if isinstance(value, msgspec.Struct):
        fields = ((field.encode_name, getattr(value, field.name)) for field in msgspec.structs.fields(value))
        return {name: _plain(entry) for name, entry in fields if not isinstance(entry, FieldPath)}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Seconds):
        return format_duration(value)
    if isinstance(value, bytes):
        return WITHHELD if value else ""
    return value
