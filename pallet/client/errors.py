"""What can go wrong between this process and the API server."""

import re
from typing import Final

from pallet.api.meta import Status

_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"'
    r' in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)


class ConfigError(Exception):
    """The way to the API server, or the credentials for it, cannot be read; the text names the file."""


class ApiError(Exception):
    """The API server answered a request with an error.

    The text says what was tried and why it failed; for a missing permission, which one to grant to whom.
    """

    def __init__(self, status: Status, verb: str, resource: str, retry_after: float | None = None) -> None:
        super().__init__(status, verb, resource, retry_after)
        self.code = status.code
        self.reason = status.reason
        self.message = status.message
        self.verb = verb
        self.resource = resource
        causes = status.details.causes if status.details else ()
        self.causes = tuple(cause.reason for cause in causes)
        if retry_after is None and status.details and status.details.retry_after_seconds:
            retry_after = float(status.details.retry_after_seconds)
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again; None where it says nothing."""

    def __str__(self) -> str:
        tried = f"cannot {self.verb} {self.resource}"
        if self.code == 403 and (missing := _FORBIDDEN.search(self.message)):
            where = f' in namespace "{missing["namespace"]}"' if missing["namespace"] else ""
            return (
                f'{tried}: forbidden; grant verb "{missing["verb"]}" on resource "{missing["resource"]}" '
                f'(API group "{missing["group"]}"){where} to {missing["user"]}'
            )
        if self.code == 401:
            return f"{tried}: unauthorized; the API server does not accept the credentials, or they expired"
        return f"{tried}: {self.message or self.reason or 'error'} ({self.code} {self.reason})"

    @property
    def log_key(self) -> str:
        """What is wrong, for the log; empty where it concerns this one request."""
        if self.code in (401, 403):
            return self.reason or str(self.code)
        return f"{self.code} {self.reason}" if self.code == 429 or self.code >= 500 else ""

    @property
    def not_found(self) -> bool:
        """Whether the object does not exist; not where the path is unknown, or another than the API server
        says so.
        """
        return self.code == 404 and self.reason == "NotFound"

    @property
    def conflict(self) -> bool:
        """Whether the object changed meanwhile, or a precondition fails (409, but not AlreadyExists)."""
        return self.code == 409 and not self.already_exists

    @property
    def forbidden(self) -> bool:
        """Whether the caller has no right to do this."""
        return self.code == 403

    @property
    def already_exists(self) -> bool:
        """Whether an object of this name was there before."""
        return self.reason == "AlreadyExists"

    @property
    def expired(self) -> bool:
        """Whether the resource version or the continue token is too old to go on from."""
        return self.code == 410 or self.reason in ("Expired", "Gone")

    @property
    def too_large_resource_version(self) -> bool:
        """Whether the server has not come as far as the asked resource version (it was restored, or lags)."""
        return "ResourceVersionTooLarge" in self.causes or "Too large resource version" in self.message


class Unreachable(Exception):  # noqa: N818  # says what is known, not what is wrong
    """No connection to the API server, or it was lost, and trying again did not help."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__(address, cause)
        self.address = address
        self.cause = cause
        self.log_key = f"{type(self).__name__} {address}"

    def __str__(self) -> str:
        return (
            f"no connection to the API server at {self.address}: {self.cause}; "
            "check that it runs, and the server in the kubeconfig or --master"
        )


class Unreadable(Unreachable):
    """An answer came that says nothing of what was asked, so that it counts as none."""

    def __str__(self) -> str:
        return (
            f"the answer from {self.address} cannot be read: {self.cause}; "
            "check that this is the API server, and what stands between"
        )


class NotLeading(Unreachable):
    """A write was held back: another replica may lead by now. This process is about to end."""

    def __str__(self) -> str:
        return "this process leads no longer, so it writes nothing any more"


class AnswerLost(Exception):  # noqa: N818  # says what is known, not what is wrong
    """A write was sent, but no definite answer came back: it may have been done, or not.

    The caller has to ask the API what happened before doing anything else about it.
    """

    def __init__(self, verb: str, resource: str, cause: str) -> None:
        super().__init__(verb, resource, cause)
        self.verb = verb
        self.resource = resource
        self.cause = cause

    def __str__(self) -> str:
        return f"outcome unknown: cannot tell whether {self.verb} {self.resource} was done: {self.cause}"
