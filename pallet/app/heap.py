"""Giving memory back to the system that the C library keeps free.

Arrays and large objects come from the C library's heap. Where pods come and go for hours, what is free there
lies between what is in use: glibc gives back only the end of its heap by itself, so the process would grow
although it holds no more than before. A trim gives back whole free pages wherever they lie. It takes about
5 ms for a heap of 100 MiB.
"""

import ctypes
from collections.abc import Callable
from typing import Final

import anyio

PERIOD_SECONDS: Final = 60.0


def find_trim() -> Callable[[int], int] | None:
    """Give glibc's malloc_trim; None with another C library, such as that of macOS or Alpine."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


async def trim_heap(trim: Callable[[int], int] | None) -> None:
    """Trim the heap once a minute until cancelled; return at once where that cannot be done."""
    while trim is not None:
        await anyio.sleep(PERIOD_SECONDS)
        trim(0)
