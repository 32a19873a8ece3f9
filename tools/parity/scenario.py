"""A cluster and the pods to schedule on it: plain manifests, which can be kept in a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`objects` are there before the scheduler starts, in the order of their creation; `pods` come later.

    `profiles` are those of the schedulers' configuration, `extenders` those of `tools.parity.extender`. Each
    of the `changes` happens `before` the pod of this number: an `action` on an `object`, with its `patch`
    (and its `subresource`).

    The status of pods and budgets is written after them; pods with a deletionTimestamp are then deleted,
    which leaves them terminating as long as their grace period is not zero.
    """

    name: str
    seed: int
    subjects: tuple[str, ...]
    objects: list[Manifest]
    pods: list[Manifest]
    profiles: list[Manifest]
    extenders: list[Manifest]
    changes: list[Manifest]

    def write(self, file: Path, **more: object) -> None:
        """Write a file that `read` takes; what is in `more` is for people."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**asdict(self), **more}, indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> "Scenario":
        """Read a file that `write` wrote."""
        document: Mapping[str, Any] = json.loads(file.read_text())
        return cls(
            document["name"],
            document["seed"],
            tuple(document["subjects"]),
            document["objects"],
            document["pods"],
            document["profiles"],
            document["extenders"],
            document["changes"],
        )


def key_of(manifest: Mapping[str, Any]) -> str:
    """`namespace/name` of a namespaced object, the name of another."""
    meta = manifest["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])
