"""Errors that reach the event loop because no task waits for them."""

import asyncio
from typing import Any, Final

from pallet.logs import get_logger

log = get_logger(__name__)

_CLOSED: Final = "the handler is closed"


def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error as the loop does by itself, but for one that means nothing (loop.set_exception_handler).

    Where a watch is aborted while bytes of the server lie unread, uvloop answers them on a closed connection
    and reports its own failure to do so.
    """
    error = context.get("exception")
    if isinstance(error, RuntimeError) and _CLOSED in str(error):
        log.v(4, "Bytes came in on a connection that is closed", error=error)
    else:
        loop.default_exception_handler(context)
