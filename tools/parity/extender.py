"""A process that extends both schedulers: what it says depends on nothing but its seed and what it is asked.

Each extender of a scenario has a `config`, as in a KubeSchedulerConfiguration but without its address, and a
`manner`: a `seed`, and how likely it `keeps` a node, `fails` for a pod, and `empties` the victims of a node.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

import anyio
from aiohttp import web

from tools.parity.scenario import Manifest

MOST_BYTES = 64 * 1024**2
"""Of a request: whole nodes and pods may be in it."""

SCORES = 11

Bind = Callable[[Manifest], None]
"""Binds a pod as an ExtenderBindingArgs says. Raises ApiError."""


class VerbFailedError(Exception):
    """An extender's verb is to fail, with a status and without an answer."""


def answer(manner: Manifest, verb: str, asked: Manifest) -> Any:
    """What an extender says when it is asked to filter, prioritize or preempt. Raises VerbFailedError."""
    pod = asked["Pod"]["metadata"]["name"]
    chance = _Chance(manner["seed"], verb, pod)
    fails = chance("fails") < manner["fails"]
    if fails and (verb != "filter" or chance("how") < 0.5):
        raise VerbFailedError
    match verb:
        case "filter":
            return {"Error": f"no opinion on {pod}"} if fails else _filter(manner, chance, asked)
        case "prioritize":
            return [
                {"Host": name, "Score": int(chance(name) * SCORES)}
                for name in (*_names(asked), "unknown")
                if chance("omits", name) > 0.1
            ]
    return {"NodeNameToMetaVictims": _victims(manner, chance, asked)}


class _Chance:
    """Numbers below 1, evenly spread, the same whenever the same is asked."""

    def __init__(self, *words: object) -> None:
        self._words = words

    def __call__(self, *words: object) -> float:
        text = "/".join(map(str, (*self._words, *words)))
        return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) / 2**32


def _names(asked: Manifest) -> list[str]:
    names: list[str] | None = asked["NodeNames"]
    return [node["metadata"]["name"] for node in asked["Nodes"]["items"]] if names is None else names


def _filter(manner: Manifest, chance: _Chance, asked: Manifest) -> Manifest:
    """Keep some nodes; say of the others that they are refused, for now or for good or both, or nothing."""
    names = _names(asked)
    kept = [name for name in names if chance(name) < manner["keeps"]]
    failed, unresolvable = {}, {}
    for name in set(names).difference(kept):
        how = int(chance("how", name) * 6)
        if how in (0, 1, 2, 3):
            failed[name] = f"too far {'east' if how % 2 else 'west'}"
        if how in (3, 4):
            unresolvable[name] = "on an island"
    said: Manifest = {"FailedNodes": failed, "FailedAndUnresolvableNodes": unresolvable, "Error": ""}
    if asked["NodeNames"] is None:
        said["Nodes"] = {
            "items": [node for node in asked["Nodes"]["items"] if node["metadata"]["name"] in kept]
        }
    else:
        said["NodeNames"] = kept
    return said


def _victims(manner: Manifest, chance: _Chance, asked: Manifest) -> Manifest:
    """Agree to some nodes, and perhaps to one without victims.

    Otherwise to all victims of a node: with one less the preemptor preempts again, while others are compared.
    """
    by_node = asked.get("NodeNameToMetaVictims") or asked.get("NodeNameToVictims") or {}
    agreed = {}
    for node, victims in by_node.items():
        if chance(node) < manner["keeps"]:
            uids = [pod["UID"] if "UID" in pod else pod["metadata"]["uid"] for pod in victims["Pods"]]
            pods = [{"UID": uid} for uid in uids]
            agreed[node] = {"Pods": pods, "NumPDBViolations": victims["NumPDBViolations"]}
    if agreed and chance("empties") < manner["empties"]:
        agreed[min(agreed)]["Pods"] = []
    return agreed


@asynccontextmanager
async def extending(extenders: Sequence[Manifest], bind: Bind) -> AsyncIterator[list[Manifest]]:
    """Serve extenders while the block runs; gives their configurations with their addresses."""
    if not extenders:
        yield []
        return

    async def handle(request: web.Request) -> web.Response:
        verb, asked = request.match_info["verb"], await request.json()
        if verb == "bind":
            await anyio.to_thread.run_sync(bind, asked)
            return web.json_response({})
        manner = extenders[int(request.match_info["number"])]["manner"]
        try:
            return web.json_response(answer(manner, verb, asked))
        except VerbFailedError:
            return web.Response(status=500)

    application = web.Application(client_max_size=MOST_BYTES)
    application.router.add_post("/{number}/{verb}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield [
            {**each["config"], "urlPrefix": f"http://{host}:{port}/{number}"}
            for number, each in enumerate(extenders)
        ]
    finally:
        await runner.cleanup()


def hides_pods(extenders: Iterable[Manifest], pod: Manifest) -> bool:
    """Whether kube-scheduler scores a pod on nodes as if no pods were there.

    Since 1.34 its score plugins are handed the nodes themselves, and those that come back from a filter that
    was sent whole nodes have no pods, no requests and no images. This is a fault there that pallet does not
    have, so that scores cannot be compared.
    """
    return any(
        "filterVerb" in each["config"] and not each["config"]["nodeCacheCapable"] and _concerns(each, pod)
        for each in extenders
    )


def _concerns(extender: Manifest, pod: Manifest) -> bool:
    managed = {each["name"] for each in extender["config"].get("managedResources", ())}
    containers = (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
    asked = (container.get("resources", {}) for container in containers)
    return not managed or any(
        managed & {*each.get("requests", ()), *each.get("limits", ())} for each in asked
    )
