"""One HTTP extender: its verbs, each a POST to `<urlPrefix>/<verb>`."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import anyio.to_thread
import msgspec

from pallet.api.pod import Pod
from pallet.client.channel import Fence
from pallet.client.errors import NotLeading
from pallet.config.errors import ConfigError
from pallet.config.schema import Extender as ExtenderConfiguration
from pallet.extenders import wire
from pallet.extenders.tls import tls_context
from pallet.extenders.wire import Document

A = TypeVar("A")


class ExtenderError(Exception):
    """An extender could not be asked, or said that it failed. The text names it and says why."""


class Extender:
    """A web service of a configuration. Its requests raise ExtenderError, whatever goes wrong."""

    def __init__(self, configuration: ExtenderConfiguration, session: aiohttp.ClientSession) -> None:
        self.configuration = configuration
        self.url = configuration.url_prefix.rstrip("/")
        self._session = session
        self._managed = frozenset(resource.name for resource in configuration.managed_resources)

    def concerns(self, pod: Pod) -> bool:
        """Whether it wants to be asked about a pod: about all, or those that want what it manages."""
        spec = pod.spec
        return not self._managed or any(
            self._managed & (container.resources.requests.keys() | container.resources.limits.keys())
            for container in (*spec.containers, *spec.init_containers)
        )

    async def filter(
        self, pod: Document, names: Sequence[str], nodes: Mapping[str, Document]
    ) -> tuple[frozenset[str], Mapping[str, str], Mapping[str, str]]:
        """The names that are left, and reasons by name: of nodes it refuses, and of those for good."""
        answer = await self._ask(
            self.configuration.filter_verb, self._args(pod, names, nodes), wire.FilterResult
        )
        if answer.error:
            raise ExtenderError(answer.error)
        if self.configuration.node_cache_capable and answer.nodenames is not None:
            left = frozenset(answer.nodenames)
        else:
            left = frozenset(node.metadata.name for node in (answer.nodes and answer.nodes.items) or ())
        if unknown := sorted(left.difference(names)):
            raise ExtenderError(
                f'extender "{self.url}" claims a filtered node "{unknown[0]}" '
                "which is not found in the input node list"
            )
        return left, answer.failednodes or {}, answer.failedandunresolvablenodes or {}

    async def prioritize(
        self, pod: Document, names: Sequence[str], nodes: Mapping[str, Document]
    ) -> Mapping[str, int]:
        """Scores by name, not weighted: from 0 to MAX_EXTENDER_SCORE, if the extender keeps to that."""
        answer = await self._ask(
            self.configuration.prioritize_verb,
            self._args(pod, names, nodes),
            tuple[wire.HostPriority, ...],
        )
        return {each.host: each.score for each in answer}

    async def preempt(
        self, pod: Document, victims: Mapping[str, Sequence[str | Document]], violations: Mapping[str, int]
    ) -> Mapping[str, wire.MetaVictims]:
        """The nodes on which it agrees to preemption, and who has to go there.

        It is given victims by node, by their UIDs if it knows pods, or else whole.
        """
        body = wire.preemption_args(pod, victims, violations)
        answer = await self._ask(self.configuration.preempt_verb, body, wire.PreemptionResult)
        return answer.nodenametometavictims or {}

    async def bind(self, pod: Pod, node_name: str) -> None:
        """Have it bind a pod."""
        meta = pod.metadata
        body = wire.binding_args(meta.name, meta.namespace, meta.uid, node_name)
        answer = await self._ask(self.configuration.bind_verb, body, wire.BindingResult, writes=True)
        if answer.error:
            raise ExtenderError(answer.error)

    def _args(self, pod: Document, names: Sequence[str], nodes: Mapping[str, Document]) -> bytes:
        if self.configuration.node_cache_capable:
            return wire.args(pod, names=names)
        return wire.args(pod, nodes=[nodes[name] for name in names if name in nodes])

    async def _ask(self, verb: str, body: bytes, kind: type[A], *, writes: bool = False) -> A:
        url = f"{self.url}/{verb}"
        try:
            async with self._session.post(url, data=body, trace_request_ctx=writes) as response:
                if response.status != 200:
                    raise ExtenderError(f"failed {verb} with extender at URL {url}, code {response.status}")
                return wire.read(kind, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExtenderError(f'Post "{url}": {str(error) or type(error).__name__}') from error
        except msgspec.DecodeError as error:
            raise ExtenderError(
                f"the extender at URL {url} gave no answer of extender/v1: {error}"
            ) from error


@asynccontextmanager
async def extenders_of(
    configurations: Iterable[ExtenderConfiguration], fence: Fence | None = None
) -> AsyncIterator[tuple[Extender, ...]]:
    """Extenders in their configured order, each with connections of its own until the block is left.

    With a fence, none is asked to bind when that gives 0 or less.

    Raises ConfigError where certificates cannot be used.
    """
    async with AsyncExitStack() as stack:
        extenders = []
        for configuration in configurations:
            session = await stack.enter_async_context(await _session(configuration, fence))
            extenders.append(Extender(configuration, session))
        yield tuple(extenders)


async def _session(configuration: ExtenderConfiguration, fence: Fence | None) -> aiohttp.ClientSession:
    try:
        tls = await anyio.to_thread.run_sync(tls_context, configuration)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        place = configuration.path.field("tlsConfig")
        raise ConfigError(place.mistake(f"cannot be used: {error}; check its files and data")) from error
    return aiohttp.ClientSession(
        trust_env=True,  # as kube-scheduler's, which go by way of the environment's proxies
        timeout=aiohttp.ClientTimeout(total=configuration.http_timeout),
        headers={"Content-Type": "application/json"},
        connector=aiohttp.TCPConnector(ssl=tls),
        trace_configs=[_fenced(fence)] if fence is not None else None,
    )


def _fenced(fence: Fence) -> aiohttp.TraceConfig:
    """Ask the fence when a connection is there and the head of a request that writes is about to be sent."""

    async def ask(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceRequestHeadersSentParams) -> None:
        if context.trace_request_ctx and fence() <= 0:
            raise ExtenderError(f"not sent: {NotLeading('', '')}")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(ask)
    return tracing
