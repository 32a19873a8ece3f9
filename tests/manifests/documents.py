"""The files that users apply, as kubectl sees them."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.controlplane import binaries

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]


def rendered(overlay: str) -> tuple[Document, ...]:
    """What `kubectl apply -k config/<overlay>` would apply."""
    return kustomized(f"config/{overlay}")


@cache
def kustomized(folder: str) -> tuple[Document, ...]:
    """What `kubectl apply -k <folder>` would apply."""
    command = [str(binaries.find("kubectl")), "kustomize", str(ROOT / folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(yaml.safe_load_all(built.stdout))


def example(name: str) -> tuple[Document, ...]:
    """The documents of one file in `examples/`."""
    return tuple(yaml.safe_load_all((ROOT / "examples" / name).read_text()))


def find(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """The one object of that kind and name."""
    [found] = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
