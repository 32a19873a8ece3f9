"""Requests by method and path: attempts, rate limit, and what each failure means."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from time import perf_counter
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import urlencode

import anyio
import msgspec

from pallet.client.answers import Reader, UnreadableError, read_answer, read_refusal
from pallet.client.backoff import Backoff
from pallet.client.credentials import Credentials
from pallet.client.errors import AnswerLost, ApiError, NotLeading, Unreachable, Unreadable
from pallet.client.limiter import Priority, RateLimiter
from pallet.client.server_clock import ServerClock
from pallet.client.transport import (
    Answer,
    Fence,
    FencedError,
    LostError,
    NotSentError,
    Stream,
    Transport,
)

T = TypeVar("T")

Query = Mapping[str, str | int]
Read = Callable[[], Awaitable[bytes]]

JSON: Final = "application/json"

ATTEMPT_SECONDS: Final = 30.0
"""Seconds one attempt may take; the API server gives up on most requests after 60."""

TRIES: Final = 8
"""Attempts at one request; with the back-off below they span some ten seconds, an API server's restart."""


class _Call(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One request, as it is sent on each attempt."""

    read: Reader[T]
    method: str
    path: str
    body: bytes | None
    content_type: str
    seconds: float
    safe: bool
    verb: str
    subject: str


class Observer(Protocol):
    """Takes note of requests, for metrics. A status of 0 means that no answer came."""

    def answered(self, method: str, status: int, seconds: float) -> None:
        """A request has ended."""

    def watch_answered(self, status: int) -> None:
        """A watch, or a streamed list, has begun, or could not."""

    def waited(self, method: str, seconds: float) -> None:
        """A request waited for the rate limit."""


class Requester:
    """Requests to one API server, by method and path. `Client` adds the typed ones."""

    def __init__(
        self,
        credentials: Credentials,
        transport: Transport,
        limiter: RateLimiter,
        server_clock: ServerClock,
        user_agent: str,
    ) -> None:
        self.server_clock = server_clock
        """The API server's time, as all clients with these credentials see it."""
        self._credentials = credentials
        self._transport = transport
        self._limiter = limiter
        self._user_agent = user_agent
        self.observer: Observer | None = None
        self.fence: Fence | None = None
        """Seconds that a write starting now may take, 0 when none may start; without it, any time. It is
        asked when the bytes go out."""

    @property
    def address(self) -> str:
        """The API server's URL."""
        return self._credentials.address

    async def request(
        self,
        method: str,
        path: str,
        read: Reader[T],
        *,
        query: Query | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        seconds: float = ATTEMPT_SECONDS,
        tries: int = TRIES,
        safe: bool | None = None,
        priority: Priority = Priority.NORMAL,
        verb: str = "",
        subject: str = "",
    ) -> T:
        """Send a request and return what `read` makes of its answer's body (see `client.answers`).

        429 and 5xx are tried again, after the server's Retry-After or a growing delay. A `safe` request (by
        default a GET) may reach the server twice, so it is also tried again when its answer is lost, or
        cannot be read.
        `seconds` is for one attempt. `verb` and `subject` are the words for errors.

        Raise ApiError where the server refuses, Unreachable where there is no connection, and AnswerLost
        where an unsafe request may or may not have been carried out.
        """
        safe = method == "GET" if safe is None else safe
        call = _Call(
            read=read,
            method=method,
            path=f"{path}?{urlencode(query)}" if query else path,
            body=body,
            content_type=content_type,
            seconds=seconds,
            safe=safe,
            verb=verb or method.lower(),
            subject=subject or path,
        )
        backoff = Backoff(initial=0.1, cap=5.0, jitter=0.5)
        for attempt in count(1):
            await self._wait_turn(method, priority)
            try:
                return await self._attempt(call)
            except (ApiError, Unreachable) as failure:
                if attempt >= tries or not _passing(failure, attempt):
                    raise
                await anyio.sleep(_delay(backoff, failure))
        raise AssertionError("the loop above does not end")

    async def _wait_turn(self, method: str, priority: Priority) -> None:
        """Wait for the rate limit."""
        waited = 0.0
        if not self._limiter.try_acquire():
            began = perf_counter()
            await self._limiter.acquire(priority)
            waited = perf_counter() - began
        if self.observer is not None:
            self.observer.waited(method, waited)

    async def _attempt(self, call: "_Call[T]") -> T:
        """Send a request once."""
        fence = self.fence if call.method != "GET" else None
        if fence is not None and fence() <= 0:
            raise NotLeading(self.address, "")
        sent, status, began = self.server_clock.mark(), 0, perf_counter()
        try:
            answer = await self._transport.send(
                call.method, call.path, call.body, call.content_type, call.seconds, fence
            )
            status = answer.status
        except FencedError as error:
            raise NotLeading(self.address, "") from error
        except NotSentError as error:
            raise Unreachable(self.address, str(error)) from error
        except LostError as error:
            if call.safe:
                raise Unreachable(self.address, str(error)) from error
            raise AnswerLost(call.verb, call.subject, str(error)) from error
        finally:
            if self.observer is not None:
                self.observer.answered(call.method, status, perf_counter() - began)
        self.server_clock.observe(answer.header(b"date"), sent)
        try:
            return await self._understand(call, answer)
        except UnreadableError as error:
            if call.safe:
                raise Unreadable(self.address, str(error)) from error
            raise AnswerLost(call.verb, call.subject, f"the answer cannot be read: {error}") from error

    async def _understand(self, call: "_Call[T]", answer: Answer) -> T:
        """Say what an answer means. Raise ApiError, AnswerLost or UnreadableError."""
        if answer.status < 300:
            return read_answer(call.read, answer)
        refusal = _refusal(answer, answer.body, call.verb, call.subject)
        if answer.status == 401:
            await self._credentials.refresh()
        if answer.status >= 500 and not call.safe and refusal.retry_after is None:
            # It may have failed after it had written, so a second attempt could mislead.
            raise AnswerLost(call.verb, call.subject, str(refusal)) from refusal
        try:
            raise refusal
        finally:
            del refusal  # it refers to this frame, which would keep it, and what was sent, in a cycle

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, silence: float, verb: str = "watch", subject: str = ""
    ) -> AsyncIterator[Read]:
        """GET a watch and give the function that reads on: bytes as they come, none at its end.

        Nothing is tried again. Raise ApiError where the server refuses; Unreachable, also from reading,
        where there is no connection, where it breaks, or where it is silent for `silence` seconds.
        """
        await self._wait_turn("GET", Priority.NORMAL)
        async with AsyncExitStack() as stack:
            status = 0
            try:
                stream = await stack.enter_async_context(
                    self._transport.stream(f"{path}?{urlencode(query)}", silence)
                )
                status = stream.status
                if status >= 300:
                    body = await stream.read_all()
                    raise _refusal(stream, body, verb, subject or path)
            except UnreadableError as error:
                raise Unreadable(self.address, str(error)) from error
            except (NotSentError, LostError) as error:
                raise Unreachable(self.address, str(error)) from error
            finally:
                if self.observer is not None:
                    self.observer.watch_answered(status)

            async def read() -> bytes:
                try:
                    return await stream.read()
                except LostError as error:
                    raise Unreachable(self.address, str(error)) from error

            yield read


def _refusal(answer: Answer | Stream, body: bytes, verb: str, subject: str) -> ApiError:
    """Build the error from an answer, or raise UnreadableError. Retry-After is in seconds: the API server
    never sends a date there.
    """
    value = answer.header(b"retry-after")
    retry_after = float(value) if value.isdecimal() else None
    return ApiError(read_refusal(answer.status, body), verb, subject, retry_after)


def _passing(failure: ApiError | Unreachable, attempt: int) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(failure, Unreachable):
        return not isinstance(failure, NotLeading)
    if failure.code == 401:
        return attempt == 1  # the credentials have been read again
    # A version from the future is the caller's to give up.
    return (failure.code == 429 or failure.code >= 500) and not failure.too_large_resource_version


def _delay(backoff: Backoff, failure: ApiError | Unreachable) -> float:
    """Seconds until the next attempt: at least what the server asks for."""
    asked = failure.retry_after if isinstance(failure, ApiError) else None
    return max(backoff.delay(anyio.current_time()), asked or 0.0)
