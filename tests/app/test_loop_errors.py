"""Errors that reach the event loop."""

import asyncio
import logging

import pytest

from pallet.app.loop_errors import report


@pytest.mark.parametrize(
    ("error", "levels"),
    [
        (RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed"), []),
        (RuntimeError("something else"), [logging.ERROR]),
        (OSError("the handler is closed"), [logging.ERROR]),
    ],
)
def test_only_what_means_something_is_an_error(
    error: Exception, levels: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    try:
        report(loop, {"message": "Fatal error on SSL protocol", "exception": error})
    finally:
        loop.close()
    assert [record.levelno for record in caplog.records] == levels
