"""Finds out at the start which rights this process lacks, and tells all of them at once."""

from typing import Any, Final, NoReturn, TypeVar

import anyio

from pallet.api.codec import decoder, encode
from pallet.api.core import ObjectReference
from pallet.api.resource import Resource
from pallet.api.reviews import (
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SelfSubjectAccessReview,
    SelfSubjectReview,
)
from pallet.app.rights import ESSENTIAL_TO_SETS, Right, rules
from pallet.client import AnswerLost, ApiError, Client, Unreachable
from pallet.framework.handle import Recorder
from pallet.logs import get_logger

log = get_logger(__name__)

AGAIN_SECONDS: Final = 30.0
"""The pause until it is asked again, where something is missing or could not be found out."""
RARELY_SECONDS: Final = 300.0
"""The pause where nothing is missing: a right may be taken away."""

SERVICE_ACCOUNT: Final = "system:serviceaccount:"

R = TypeVar("R", SelfSubjectAccessReview, SelfSubjectReview)


class RightsCheck:
    """Asks for each right by a SelfSubjectAccessReview, now and then.

    No fence may keep `client` from writing: a review stores nothing, and a standby asks too. Events are in
    the name of `controller`.
    """

    def __init__(self, client: Client, needed: frozenset[Right], recorder: Recorder, controller: str) -> None:
        self._client = client
        self._needed = sorted(needed)
        self._recorder = recorder
        self._controller = controller
        self._missing: list[Right] = []
        self._stops_sets = ""

    def ready(self) -> str | None:
        """Why no set can be scheduled; None where nothing is known to stand against it."""
        return f"no set can be scheduled: grant {self._stops_sets}" if self._stops_sets else None

    async def run(self) -> NoReturn:
        """Ask for ever. What cannot be found out changes nothing."""
        while True:
            pause = AGAIN_SECONDS
            try:
                await self._look()
            except (ApiError, Unreachable, AnswerLost) as error:
                log.v(1, "Cannot find out which rights are missing", error=error)
            else:
                pause = AGAIN_SECONDS if self._missing else RARELY_SECONDS
            await anyio.sleep(pause)

    async def _look(self) -> None:
        """Find out what is missing, and tell it where it is not what was told before."""
        missing = [right for right in self._needed if not await self._allowed(right)]
        stops = [
            right
            for right in missing
            if right in ESSENTIAL_TO_SETS and not (right.instead and await self._allowed(right.instead))
        ]
        self._stops_sets = "; ".join(rules(stops))
        if missing == self._missing:
            return
        self._missing = missing
        if missing:
            await self._tell(missing)
        else:
            log.info("No right is missing any more")

    async def _allowed(self, right: Right) -> bool:
        """Ask for one right."""
        asked = {"spec": {"resourceAttributes": right.attributes()}}
        return (await self._review(SELF_SUBJECT_ACCESS_REVIEWS, asked)).status.allowed

    async def _review(self, resource: Resource[R], asked: dict[str, Any]) -> R:
        """Have the API server answer; it stores nothing, so that the answer is no object with a name."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind.__name__}
        read, body = decoder(resource.kind), encode({**kind, **asked})
        return await self._client.request(
            "POST", resource.path(), read, body=body, safe=True, verb="create", subject=str(resource)
        )

    async def _tell(self, missing: list[Right]) -> None:
        """Write a line in the log, and an event on whoever is to be granted the rights."""
        user = (await self._review(SELF_SUBJECT_REVIEWS, {})).status.user_info.username
        grant, sets = "; ".join(rules(missing)), "stand still" if self._stops_sets else "are scheduled"
        log.warning("Rights are missing", user=user, grant=grant, sets=sets)
        note = f"grant {grant}"
        self._recorder.event(
            _subject(user),
            self._controller,
            kind="Warning",
            reason="MissingRights",
            action="Starting",
            note=note,
        )


def _subject(user: str) -> ObjectReference:
    """The user as a role binding names it."""
    if user.startswith(SERVICE_ACCOUNT):
        namespace, _, name = user.removeprefix(SERVICE_ACCOUNT).partition(":")
        return ObjectReference(kind="ServiceAccount", namespace=namespace, name=name, api_version="v1")
    return ObjectReference(kind="User", name=user, api_version="rbac.authorization.k8s.io/v1")
