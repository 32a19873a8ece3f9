"""Which kinds an API server serves."""

import anyio
import msgspec

from pallet.client.client import Client
from pallet.client.errors import ApiError, Unreachable
from pallet.logs import get_logger

log = get_logger(__name__)

RETRY_SECONDS = 1.0


class _ResourceList(msgspec.Struct, frozen=True):
    class Named(msgspec.Struct, frozen=True):
        name: str

    resources: tuple[Named, ...]


async def is_served(client: Client, group_version: str, plural: str) -> bool:
    """Ask until the API server says whether it has a collection; discovery is open to all users."""
    while True:
        try:
            found = await client.request(
                "GET", f"/apis/{group_version}", msgspec.json.Decoder(_ResourceList).decode
            )
        except ApiError as refused:
            if refused.code == 404:
                return False
            log.warning("Cannot tell what the API server serves", group=group_version, error=refused)
        except Unreachable as away:
            log.warning("Cannot tell what the API server serves", group=group_version, error=away)
        else:
            return any(each.name == plural for each in found.resources)
        await anyio.sleep(RETRY_SECONDS)
