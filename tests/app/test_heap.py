"""Memory that is free goes back to the system."""

import ctypes
import platform

import anyio
import pytest

from pallet.app.heap import PERIOD_SECONDS, find_trim, trim_heap
from tests.faults.virtual_time import VIRTUAL_TIME

pytestmark = pytest.mark.anyio

KIB = 1024


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


async def test_the_heap_is_trimmed_once_a_minute() -> None:
    trims: list[int] = []

    def trim(pad: int) -> int:
        trims.append(pad)
        return 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trim_heap, trim)
        await anyio.sleep(PERIOD_SECONDS * 3.5)
        assert trims == [0, 0, 0]
        tasks.cancel_scope.cancel()


async def test_without_a_way_to_trim_nothing_is_done() -> None:
    await trim_heap(None)


def test_free_pages_between_used_ones_are_given_back() -> None:
    trim, library = find_trim(), ctypes.CDLL(None)
    assert (trim is not None) == (platform.libc_ver()[0] == "glibc")
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(64 * KIB) for _ in range(200)]
    for block in blocks:
        ctypes.memset(block, 1, 64 * KIB)
    for block in blocks[::2]:
        library.free(block)
    assert trim is None or trim(0) == 1  # glibc's word for: some memory was given back
    for block in blocks[1::2]:
        library.free(block)
