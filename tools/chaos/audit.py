"""The API server's audit log: when each write of a replica was received, and what became of it."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tools.chaos.history import Write

AGENT = "pallet/"
"""What a replica's User-Agent begins with; the name of the process follows."""

Document = dict[str, Any]


def policy(user: str) -> str:
    """What is logged: the writes of a user, with the body of bindings and leases."""
    bodies = [
        {"group": "", "resources": ["pods/binding"]},
        {"group": "coordination.k8s.io", "resources": ["leases"]},
    ]
    document = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {
                "level": "Request",
                "users": [user],
                "resources": bodies,
                "verbs": ["create", "update", "patch"],
            },
            {"level": "Metadata", "users": [user]},
            {"level": "None"},
        ],
    }
    return yaml.safe_dump(document)


def arguments(directory: Path, user: str) -> list[str]:
    """What kube-apiserver is told, to write the log into a folder."""
    file = directory / "audit-policy.yaml"
    file.write_text(policy(user))
    return [
        f"--audit-policy-file={file}",
        f"--audit-log-path={directory / 'audit.log'}",
        "--audit-log-mode=blocking",
    ]


def read(directory: Path) -> Iterator[Write]:
    """The writes of replicas that the log tells of."""
    with (directory / "audit.log").open() as lines:
        yield from writes(_events(lines))


def _events(lines: Iterable[str]) -> Iterator[Document]:
    """The events; the last line before a crash of the API server may be torn."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def writes(events: Iterable[Document]) -> Iterator[Write]:
    """One write for each request, however many stages were logged."""
    requests: dict[str, Document] = {}
    for event in events:
        if event.get("userAgent", "").startswith(AGENT):
            requests[event["auditID"]] = {**requests.get(event["auditID"], {}), **event}
    for event in requests.values():
        yield _write(event)


def _write(event: Document) -> Write:
    target, body = event["objectRef"], event.get("requestObject", {})
    subresource = target.get("subresource", "")
    status = event.get("responseStatus", {})
    received = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return Write(
        at=received.timestamp(),
        agent=event["userAgent"].removeprefix(AGENT),
        verb=event["verb"],
        resource=target["resource"] + (f"/{subresource}" if subresource else ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=status.get("code"),
        seconds=(datetime.fromisoformat(event["stageTimestamp"]) - received).total_seconds(),
        uid=body.get("metadata", {}).get("uid", "") if subresource == "binding" else "",
        node=body.get("target", {}).get("name", ""),
        holder=body.get("spec", {}).get("holderIdentity", "") if target["resource"] == "leases" else "",
    )
