"""An extender as somebody else would write one: a small web service, in a real server on loopback."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pallet.config.schema import Extender as Configuration

VERBS = ("filter", "prioritize", "preempt", "bind")


class Service:
    """Answers each verb with what it was given, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; a number stands for a status without a body, bytes for a raw body.

        What can be called is called first, and gives the answer.
        """
        verb = request.match_info["verb"]
        self.asked.append((verb, await request.json()))
        answer: Any = self.answers[verb]
        if callable(answer):
            answer = answer()
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer)

    def configured(self, **more: Any) -> Configuration:
        """A configuration with the verbs that it answers, for a service that knows nodes and pods."""
        given: dict[str, Any] = {f"{verb}_verb": verb for verb in self.answers if verb in VERBS}
        common = {"url_prefix": self.url, "node_cache_capable": True, "weight": 1}
        return Configuration(**(given | common | more))


class Api:
    """Gives whole pods, of which it knows the names."""

    async def request(self, method: str, path: str, read: Callable[[bytes], bytes], **_: str) -> bytes:
        """Get a pod."""
        start, name = path.rsplit("/", 1)
        assert (method, start) == ("GET", "/api/v1/namespaces/default/pods")
        return read(b'{"metadata":{"name":"%b"}}' % name.encode())


@asynccontextmanager
async def serving(answers: Mapping[str, Any]) -> AsyncIterator[Service]:
    """A service that is up until the block is left."""
    service = Service(answers)
    application = web.Application()
    application.router.add_post("/scheduler/{verb}", service.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        service.url = f"http://{host}:{port}/scheduler"
        yield service
    finally:
        await runner.cleanup()
