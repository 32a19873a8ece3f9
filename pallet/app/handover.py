"""What a leader that gives up its lease tells the next one: how much of each collection it has seen.

A replica that has seen as much knows of everything that the leader before did, and need not ask the API how
far it is, which takes a second or two.
"""

from typing import Final

import anyio
import msgspec

from pallet.api.codec import decoder, encode
from pallet.cache.cache import Cache, Hold
from pallet.informers.factory import InformerFactory

EVENTS_SECONDS: Final = 0.2
"""How long the events of what the last leader did may be under way."""

LOOK_SECONDS: Final = 0.01


async def word(informers: InformerFactory, cache: Cache) -> str:
    """What to tell, when nothing is bound any more; empty while the bindings are not seen in time."""
    with anyio.move_on_after(EVENTS_SECONDS):
        while cache.count(Hold.ASSUMED):  # noqa: ASYNC110 - it is over soon
            await anyio.sleep(LOOK_SECONDS)
    return "" if cache.count(Hold.ASSUMED) else encode(informers.seen()).decode()


async def received(informers: InformerFactory, last_word: str) -> bool:
    """Whether this process has seen as much as the last leader says, or sees it in a moment."""
    try:
        seen = decoder(dict[str, str])(last_word.encode())
    except msgspec.DecodeError:
        return False
    with anyio.move_on_after(EVENTS_SECONDS):
        while not informers.have_seen(seen):  # noqa: ASYNC110 - as above
            await anyio.sleep(LOOK_SECONDS)
    return informers.have_seen(seen)
