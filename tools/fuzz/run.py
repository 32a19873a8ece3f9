"""Running a target: draw, read, compare."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from tools.fuzz.oracle import ask
from tools.fuzz.targets import Target

_BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Finding:
    """An input whose reading is not the oracle's, or that makes the parser crash."""

    data: bytes
    ours: str
    theirs: str = ""


def run(target: Target, seed: int, inputs: int, oracle: Path) -> Iterator[tuple[int, list[Finding]]]:
    """Yield, batch by batch, how many inputs were tried and what was found in them."""
    rng = Random(f"{target.name} {seed}")  # noqa: S311 - no secret
    drawn = (target.draw(rng) for _ in range(inputs))
    while batch := list(islice(drawn, _BATCH)):
        yield len(batch), list(findings(target, batch, oracle))


def findings(target: Target, inputs: list[bytes], oracle: Path) -> Iterator[Finding]:
    """What is wrong with some inputs."""
    readings = [_read(target, data) for data in inputs]
    theirs = ask(oracle, target.oracle, inputs) if target.oracle else [""] * len(inputs)
    for data, (ours, crashed), other in zip(inputs, readings, theirs, strict=True):
        if crashed or (target.oracle and not target.same(ours, other)):
            yield Finding(data, ours, other)


def _read(target: Target, data: bytes) -> tuple[str, bool]:
    try:
        return target.read(data), False
    except Exception as error:  # noqa: BLE001 - any exception is a finding
        return f"crash: {error!r}", True
