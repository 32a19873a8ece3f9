"""A short run of every fuzz target, and the fuzzer against parsers that are wrong on purpose."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tools.fuzz.drawing import damaged, document
from tools.fuzz.oracle import ask, build
from tools.fuzz.run import Finding, run
from tools.fuzz.targets import REFUSED, TARGETS, Target

INPUTS = 2_000


def named(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)


@pytest.fixture(scope="module")
def oracle() -> Path:
    return build()


@pytest.mark.time_limit(300)  # the first of them builds the oracle
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_makes_a_parser_crash_or_differ_from_go(target: Target, oracle: Path) -> None:
    batches = list(run(target, seed=1, inputs=INPUTS, oracle=oracle))
    assert sum(count for count, _ in batches) == INPUTS
    assert [finding for _, findings in batches for finding in findings] == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_inputs_of_both_sorts_are_drawn(target: Target) -> None:
    rng = Random(1)  # noqa: S311 - no secret
    readings = [target.read(target.draw(rng)) for _ in range(500)]
    assert len(set(readings)) > 1
    if target.name not in ("YAML", "label selectors", "node selectors", "watch lines"):  # all are readable
        assert readings.count(REFUSED) > 10
    assert len(readings) - readings.count(REFUSED) > 10


def test_a_parser_that_differs_is_found(oracle: Path) -> None:
    def wrong(data: bytes) -> str:
        return "0" if data == b"1s" else target.read(data)

    target = named("durations")
    (found,) = run(replace(target, read=wrong, draw=lambda _: b"1s"), seed=1, inputs=2, oracle=oracle)
    assert found == (2, [Finding(b"1s", "0", "1000000000")] * 2)


def test_a_parser_that_crashes_is_found(oracle: Path) -> None:
    def crashing(data: bytes) -> str:
        raise KeyError("x")

    (found,) = run(replace(named("plans"), read=crashing), seed=1, inputs=1, oracle=oracle)
    assert [finding.ours for finding in found[1]] == ["crash: KeyError('x')"]


def test_a_run_is_repeated_by_its_seed() -> None:
    first, second = (
        [damaged(named("watch lines").draw, 0.5)(Random(seed)) for seed in range(50)]  # noqa: S311 - no secret
        for _ in range(2)
    )
    assert first == second


def test_the_oracle_answers_every_input(oracle: Path) -> None:
    assert ask(oracle, "quantity", [b"", b"1.5", b"\xff", b"1\n"]) == [
        REFUSED,
        "1500000000 2 1500",
        REFUSED,
        REFUSED,
    ]


def test_documents_keep_their_shape_mostly() -> None:
    rng = Random(1)  # noqa: S311 - no secret
    assert {document(rng, [{"a": 1}]) for _ in range(200)} >= {b'{"a": 1}', b'{"a": null}', b"{}"}
