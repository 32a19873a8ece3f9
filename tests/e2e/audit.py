"""The API server's audit log of what the scheduler does, and what its shipped roles allow."""

import json
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from tests.e2e.workload import eventually
from tests.manifests.documents import Document, find, rendered
from tests.running import SCHEDULER

USER = f"system:serviceaccount:planner-system:{SCHEDULER}"
POLICY = f"""\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    users: ["{USER}"]
  - level: None
"""

DECISION = "authorization.k8s.io/decision"

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


def arguments(folder: Path) -> list[str]:
    """The API server's, to write the scheduler's requests to `audit.log` in a folder."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}"]


def refused(folder: Path) -> list[Document]:
    """The requests that RBAC did not allow; admission may forbid one for other reasons."""
    return [event for event in _events(folder) if event.get("annotations", {}).get(DECISION) == "forbid"]


def _events(folder: Path) -> list[Document]:
    return [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]


def granted() -> set[Right]:
    """What the roles allow."""
    documents = rendered("default")
    roles: list[Document] = [
        find(documents, "ClusterRole", f"{SCHEDULER}-role"),
        find(documents, "Role", f"{SCHEDULER}-leader-election"),
    ]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def unused(folder: Path) -> set[Right]:
    """What the roles allow and was not done. Watches are seen when they end."""
    used = set()
    for event in _events(folder):
        reference = event.get("objectRef", {})
        resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
        used.add((reference.get("apiGroup", ""), resource, event["verb"]))
    return granted() - used


def await_use(folder: Path, *, without: Set[Right] = frozenset()) -> None:
    """Wait for the log to have every right, but for some; fails with those that it lacks."""
    with suppress(AssertionError):
        eventually("the last lines", lambda: unused(folder) <= without, patience=3)
    lacking = unused(folder) - without
    assert not lacking, sorted(lacking)
