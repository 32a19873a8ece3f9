"""One HTTP/1.1 connection for many short requests, one at a time.

Binding thousands of pods is thousands of small POSTs, and their cost is what a scheduler spends most of its
time on. This is the least that such a request needs: one write, and a parser (httptools) that is fed what
comes back. No redirects, cookies or streams; those are left to the HTTP library.
"""

import asyncio

import httptools
import msgspec

from pallet.client.channel import Channel, Fence, FencedError

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str:
        """Give the value of a header, whose name is told in lower case; empty where there is none."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return ""


class NotSentError(Exception):
    """The request never left: no connection could be made."""


class LostError(Exception):
    """The request left, or may have, but no whole answer came back."""


class Connection:
    """Requests and answers over a channel."""

    def __init__(self, channel: Channel) -> None:
        self.reusable = True
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: Headers = []
        self._body: list[bytes] = []
        channel.listen(self._receive, self._fail)

    async def exchange(self, request: bytes, seconds: float, fence: Fence | None = None) -> Answer:
        """Send a request, head and body, and wait for the answer.

        With a fence, no byte is sent after it has closed, and the answer is waited for at most as long as it
        allows. Raise FencedError where it closed before the last byte, NotSentError, or LostError. A
        connection whose answer did not come in time, or was not waited for, is closed.
        """
        if not self._channel.is_open:
            raise NotSentError("the connection was closed")
        if fence is not None:
            seconds = min(seconds, fence())
            if seconds <= 0:
                raise FencedError
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        late = self._loop.call_later(seconds, self._fail, TimeoutError(f"no answer in {seconds:g} s"))
        self._channel.write(request, fence)
        try:
            return await answer
        finally:
            late.cancel()
            unanswered = not answer.done() or answer.cancelled() or answer.exception()
            if unanswered or self._channel.is_writing:
                self.close()
            self._answer = None

    def close(self) -> None:
        """Close at once; an answer that is waited for is lost."""
        self._fail(ConnectionAbortedError("the connection was closed"))

    def on_message_begin(self) -> None:
        """Begin an answer (httptools), which after another one is none that was asked for."""
        if self._answer is None or self._answer.done():
            raise LostError("the server answered twice")
        self._headers, self._body = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header (httptools)."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body (httptools)."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the answer over (httptools)."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _receive(self, data: bytes) -> None:
        """Parse what came in. Nothing may come unasked: it would be taken for the answer to what is asked
        next.
        """
        if self._answer is None or self._answer.done():
            self._fail(LostError("the server spoke unasked"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(LostError(f"the answer is not HTTP: {error}"))

    def _fail(self, why: Exception) -> None:
        """Give up what is waited for, and the connection."""
        self.reusable = False
        self._channel.close()
        if self._answer is not None and not self._answer.done():
            known = isinstance(why, FencedError | LostError)
            self._answer.set_exception(why if known else LostError(str(why)))
