"""Keeping the garbage collector away from what lives long.

The model of a large cluster is a million objects that stay. A full collection looks at all of them while the
event loop waits: 58 ms for every 30,000 pods. Frozen objects are left out; they are still freed when nobody
refers to them any more.
"""

import gc
from collections.abc import Callable
from typing import NoReturn

import anyio

PERIOD_SECONDS = 5.0
STEP = 5_000
"""Objects of the API by which the model grows until it is frozen anew."""


def freeze() -> None:
    """Freeze everything that is there; what is garbage already is collected first."""
    gc.collect()
    gc.freeze()


async def freeze_as_it_grows(size: Callable[[], int]) -> NoReturn:
    """Freeze anew whenever the model has grown by STEP. Only the young generations are collected before."""
    frozen = size()
    while True:
        await anyio.sleep(PERIOD_SECONDS)
        if size() - frozen > STEP:
            gc.collect(1)
            gc.freeze()
            frozen = size()
