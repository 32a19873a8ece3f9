"""Kubernetes' and Go's own parsers, in a program that is built when it is first needed."""

import hashlib
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from tools.controlplane.build import Program, build_into, cache

_MODULE = Path(__file__).parent / "oracle"
_PROGRAM = Program("oracle", ".", _MODULE, megabytes=21, seconds=60)


def build() -> Path:
    """The program, built if the cache lacks it. Raises BuildError."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((_MODULE / name).read_bytes())
    target = cache().parent / "oracle" / digest.hexdigest()[:16]
    return build_into(target, [_PROGRAM]) / _PROGRAM.name


def ask(program: Path, parser: str, inputs: Sequence[bytes]) -> list[str]:
    """What a parser reads in each input; "error" where it refuses one."""
    lines = b"".join(b64encode(data) + b"\n" for data in inputs)
    answered = subprocess.run([program, parser], input=lines, stdout=subprocess.PIPE, check=True)
    answers = answered.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if len(answers) != len(inputs):
        raise RuntimeError(f"{len(answers)} answers to {len(inputs)} inputs of {parser}")
    return answers
