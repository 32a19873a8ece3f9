import pytest

from pallet.api.meta import Cause, Status, StatusDetails
from pallet.client.errors import ApiError

FORBIDDEN_IN_CLUSTER = (
    'nodes is forbidden: User "system:serviceaccount:x:y" cannot list resource "nodes" in API group "" '
    "at the cluster scope"
)
FORBIDDEN_IN_NAMESPACE = (
    'leases.coordination.k8s.io "a" is forbidden: User "jane" cannot get resource "leases" in API group '
    '"coordination.k8s.io" in the namespace "kube-system"'
)


@pytest.mark.parametrize(
    ("status", "verb", "subject", "text"),
    [
        (
            Status(code=403, reason="Forbidden", message=FORBIDDEN_IN_CLUSTER),
            "list",
            "nodes",
            (
                'cannot list nodes: forbidden; grant verb "list" on resource "nodes" (API group "") '
                "to system:serviceaccount:x:y"
            ),
        ),
        (
            Status(code=403, reason="Forbidden", message=FORBIDDEN_IN_NAMESPACE),
            "get",
            "leases.coordination.k8s.io kube-system/a",
            (
                "cannot get leases.coordination.k8s.io kube-system/a: forbidden; "
                'grant verb "get" on resource "leases" (API group "coordination.k8s.io") '
                'in namespace "kube-system" to jane'
            ),
        ),
        (
            Status(code=403, reason="Forbidden", message="exceeded quota"),
            "create",
            "pods",
            "cannot create pods: exceeded quota (403 Forbidden)",
        ),
        (
            Status(code=401, reason="Unauthorized", message="Unauthorized"),
            "list",
            "pods",
            "cannot list pods: unauthorized; the API server does not accept the credentials, or they expired",
        ),
        (
            Status(code=404, reason="NotFound", message='pods "a" not found'),
            "get",
            "pods x/a",
            'cannot get pods x/a: pods "a" not found (404 NotFound)',
        ),
    ],
)
def test_the_text_says_what_failed_and_what_to_do(status: Status, verb: str, subject: str, text: str) -> None:
    assert str(ApiError(status, verb, subject)) == text


@pytest.mark.parametrize(
    ("status", "true"),
    [
        (Status(code=404, reason="NotFound"), {"not_found"}),
        (Status(code=404), set()),
        (Status(code=409, reason="Conflict"), {"conflict"}),
        (Status(code=409, reason="AlreadyExists"), {"already_exists"}),
        (Status(code=410), {"expired"}),
        (Status(code=400, reason="Expired"), {"expired"}),
        (
            Status(code=504, details=StatusDetails(causes=(Cause(reason="ResourceVersionTooLarge"),))),
            {"too_large_resource_version"},
        ),
        (Status(code=504, message="Too large resource version: 9"), {"too_large_resource_version"}),
        (Status(code=500, reason="InternalError"), set()),
    ],
)
def test_kinds_of_errors(status: Status, true: set[str]) -> None:
    error = ApiError(status, "get", "pods")
    kinds = ("not_found", "conflict", "already_exists", "expired", "too_large_resource_version")
    assert {kind for kind in kinds if getattr(error, kind)} == true


@pytest.mark.parametrize(
    ("status", "key"),
    [
        (Status(code=403, reason="Forbidden", message=FORBIDDEN_IN_CLUSTER), "Forbidden"),
        (Status(code=403, reason="Forbidden", message=FORBIDDEN_IN_NAMESPACE), "Forbidden"),
        (Status(code=401, reason="Unauthorized"), "Unauthorized"),
        (Status(code=429, reason="TooManyRequests"), "429 TooManyRequests"),
        (Status(code=503), "503 "),
        (Status(code=404, reason="NotFound"), ""),
        (Status(code=409, reason="Conflict"), ""),
    ],
)
def test_what_is_wrong_with_all_requests_alike_is_one_thing_to_the_log(status: Status, key: str) -> None:
    assert ApiError(status, "list", "nodes").log_key == key


def test_the_wait_is_read_from_the_status_too() -> None:
    status = Status(code=504, details=StatusDetails(retry_after_seconds=3))
    assert ApiError(status, "get", "pods").retry_after == 3.0
    assert ApiError(status, "get", "pods", retry_after=7.0).retry_after == 7.0
