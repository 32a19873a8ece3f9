"""Keeping the garbage collector away from what lives long, and giving back what caches do not use.

The model of a large cluster is a million objects that stay. A full collection looks at all of them while the
event loop waits, 58 ms for every 30,000 pods, and finds nothing. So none runs by itself: what came lately is
looked at every second, and frozen once that takes long; in between hardly anything is looked at. What is
frozen is left out of collections; it is still freed when nobody refers to it any more, unless it refers to
itself. With each look one cache ages (see bounded_cache): all of them about once a minute.
"""

import gc
from time import perf_counter
from typing import Final, NoReturn

import anyio

from pallet.bounded_cache import Ageing

PERIOD_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.003
"""A collection that takes longer looks at too much that lives."""
YOUNG: Final = 20_000
"""New objects, less those freed, after which the youngest are looked at between two of these collections.
Python's own 700 come together many times a second."""
NEVER: Final = 1_000_000_000
"""Collections of the middle generation after which one of the oldest is due."""


async def collect_in_steps() -> NoReturn:
    """Collect garbage until cancelled, beginning with a freeze of everything that is there."""
    before, ageing = gc.get_threshold(), Ageing()
    gc.freeze()
    gc.set_threshold(YOUNG, before[1], NEVER)
    try:
        while True:
            await anyio.sleep(PERIOD_SECONDS)
            ageing.step()
            started = perf_counter()
            gc.collect()
            if perf_counter() - started > SLOW_SECONDS:
                gc.freeze()
    finally:
        gc.set_threshold(*before)
