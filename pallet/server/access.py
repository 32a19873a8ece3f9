"""Who may read metrics and configuration: the API server is asked, as every Kubernetes component does.

A TokenReview says whose bearer token it is, a SubjectAccessReview whether that user may `get` the path (a
`nonResourceURLs` rule of RBAC). Answers are kept for 10 s, as in k8s.io/apiserver's delegated authorization.
"""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import anyio
import msgspec

from pallet.api.codec import decoder, encode
from pallet.bounded_cache import MIB, BoundedCache
from pallet.client import AnswerLost, ApiError, Client, Unreachable

KEPT_SECONDS: Final = 10.0
ANSWERS_BYTES: Final = 2 * MIB
REVIEW_SECONDS: Final = 10.0
"""How long a caller waits for the API server's answers."""
REVIEW_TRIES: Final = 3
"""Whoever scrapes comes back soon: better a quick error than a late answer."""
MAX_REVIEWS: Final = 16
"""Callers that are reviewed at the same time; with tokens made up, anybody can have that done."""

_WHOSE: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_MAY: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class AccessError(Exception):
    """The caller gets this HTTP status and these words instead of an answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class User(msgspec.Struct, frozen=True):
    """Who a token belongs to (authentication/v1 UserInfo)."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class TokenStatus(msgspec.Struct, frozen=True):
    """The answer to a TokenReview."""

    authenticated: bool = False
    user: User = User()
    error: str = ""


class AccessStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a SubjectAccessReview."""

    allowed: bool = False
    reason: str = ""
    evaluation_error: str = ""


class TokenReview(msgspec.Struct, frozen=True):
    """authentication/v1 TokenReview, as answered."""

    status: TokenStatus


class AccessReview(msgspec.Struct, frozen=True):
    """authorization/v1 SubjectAccessReview, as answered."""

    status: AccessStatus


R = TypeVar("R", TokenReview, AccessReview)
K = TypeVar("K")
V = TypeVar("V")


class _Answers(Generic[K, V]):
    """What was answered in the last seconds."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: BoundedCache[K, tuple[float, V]] = BoundedCache(name, ANSWERS_BYTES)

    def get(self, key: K) -> V | None:
        """An answer that is not too old."""
        kept = self._kept.get(key)
        return None if kept is None or self._clock() >= kept[0] else kept[1]

    def __setitem__(self, key: K, answer: V) -> None:
        self._kept[key] = self._clock() + KEPT_SECONDS, answer


class Access:
    """Lets callers in, or not.

    Anybody who reaches the port can make it send requests: the client must have a limiter of its own.
    `clock` gives seconds and is replaced in tests.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._reviewed = 0
        # Tokens are kept as digests: a memory dump must not give them away.
        self._users: _Answers[bytes, TokenStatus] = _Answers("token_reviews", clock)
        self._verdicts: _Answers[tuple[bytes, str, str], AccessStatus] = _Answers("access_reviews", clock)

    async def admit(self, authorization: str, verb: str, path: str) -> None:
        """Return if the caller with this Authorization header may `verb` the path, else raise AccessError."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AccessError(HTTPStatus.UNAUTHORIZED, f"{path} needs a bearer token of the cluster")
        if self._reviewed >= MAX_REVIEWS:
            raise AccessError(HTTPStatus.SERVICE_UNAVAILABLE, "too many callers are being reviewed")
        self._reviewed += 1
        try:
            with anyio.fail_after(REVIEW_SECONDS):
                await self._admit(token.strip(), verb, path)
        except (ApiError, Unreachable, AnswerLost) as error:
            raise AccessError(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot tell who may {verb} {path}: {error}"
            ) from error
        except TimeoutError as error:
            raise AccessError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"cannot tell who may {verb} {path}: no answer from the API server in {REVIEW_SECONDS:g} s",
            ) from error
        finally:
            self._reviewed -= 1

    async def _admit(self, token: str, verb: str, path: str) -> None:
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        identity = self._users.get(digest)
        if identity is None:
            identity = self._users[digest] = await self._identify(token)
        if not identity.authenticated:
            why = identity.error or "the API server does not know it"
            raise AccessError(HTTPStatus.UNAUTHORIZED, f"the bearer token is not valid: {why}")
        verdict = self._verdicts.get((digest, verb, path))
        if verdict is None:
            verdict = self._verdicts[digest, verb, path] = await self._judge(identity.user, verb, path)
        if not verdict.allowed:
            why = verdict.reason or verdict.evaluation_error
            raise AccessError(
                HTTPStatus.FORBIDDEN,
                f'forbidden: User "{identity.user.username}" cannot {verb} path "{path}"'
                + (f": {why}" if why else ""),
            )

    async def _identify(self, token: str) -> TokenStatus:
        """Ask whose token it is."""
        spec = {"token": token}
        answer = await self._review(_WHOSE, "TokenReview", spec, TokenReview)
        return answer.status

    async def _judge(self, user: User, verb: str, path: str) -> AccessStatus:
        """Ask whether the user may."""
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "nonResourceAttributes": {"verb": verb, "path": path},
        }
        answer = await self._review(_MAY, "SubjectAccessReview", spec, AccessReview)
        return answer.status

    async def _review(self, path: str, kind: str, spec: Mapping[str, Any], answer: type[R]) -> R:
        group_version = path.removeprefix("/apis/").rpartition("/")[0]
        return await self._client.request(
            "POST",
            path,
            decoder(answer),
            body=encode({"apiVersion": group_version, "kind": kind, "spec": spec}),
            safe=True,  # a review stores nothing
            tries=REVIEW_TRIES,
            verb="create",
            subject=f"{path.rpartition('/')[2]}.{group_version.partition('/')[0]}",
        )
