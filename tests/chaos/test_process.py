"""What a replica says of itself: how it is read, and what must not be."""

from typing import Any

import pytest

from pallet.logs import Formatter, Record
from pallet.scheduler.debugger import MISMATCH, NODE, SUMMARY
from tests.chaos.story import Story
from tests.chaos.test_checks import at_rest
from tools.chaos.checks.process import MOST_MEMORY, MOST_REQUESTS, agrees, bounded
from tools.chaos.dump import Dump, Metrics, parse

HELD = {"cpu": 1000, "memory": 0, "pods": 1}


def logged(message: str, **fields: object) -> str:
    return Formatter().format(Record("pallet.app.life", 20, message, fields)) + "\n"


def test_a_dump_is_read_from_the_log() -> None:
    lines = [
        logged("Something else", node="x"),
        logged(MISMATCH, object="pod ns/p", mismatch='is "nowhere"'),
        logged(NODE, node="n", cpu=1000, memory=0, pods=1),
        logged(SUMMARY, mismatches=1, in_flight=2),
    ]
    found = parse(iter(lines))
    assert found == Dump(['pod ns/p is "nowhere"'], {"n": HELD}, {"mismatches": "1", "in_flight": "2"})
    assert parse(iter(lines[:-1])) is None


@pytest.mark.parametrize(
    ("dump", "expected"),
    [
        (Dump(nodes={"n": HELD}), []),
        (Dump(nodes={}), ["I8"]),
        (Dump(nodes={"n": {**HELD, "cpu": 0}}), ["I8"]),
        (Dump(nodes={"n": HELD, "m": HELD}), ["I8"]),
        (Dump(["node n has 2 of cpu"], {"n": HELD}), ["I8"]),
        (Dump(["pod ns/p is pending in the API, in the queue it is nowhere"], {"n": HELD}), ["I3"]),
    ],
)
def test_the_cache_is_compared_with_etcd(dump: Dump, expected: list[str]) -> None:
    story = Story()
    story.node(0)
    story.pod(1, node="n")
    story.pod(1, "done", node="n", cpu=500, finished=True)
    story.pod(1, "lost", node="away")
    story.pod(1, "pending")
    assert [each.rule for each in agrees("a-1", dump, at_rest(story), 9)] == expected


EXPOSITION = """
# TYPE scheduler_inflight_events gauge
scheduler_inflight_events{event="PodAdd"} 0
# TYPE pallet_cache_bytes gauge
pallet_cache_bytes{cache="labels"} 10
# TYPE pallet_cache_bytes_limit gauge
pallet_cache_bytes_limit{cache="labels"} 10
"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0),
        ({"dump": Dump(summary={"assumed": "1"})}, 1),
        ({"dump": Dump(summary={"in_flight": "1"})}, 1),
        ({"dump": Dump(summary={"active": "1"})}, 1),
        ({"text": EXPOSITION.replace('"PodAdd"} 0', '"PodAdd"} 1')}, 1),
        ({"text": EXPOSITION.replace("10\n", "11\n", 1)}, 1),
        ({"requests": MOST_REQUESTS + 0.1}, 1),
        ({"memory": MOST_MEMORY + 1}, 1),
    ],
)
def test_what_is_bounded(changes: dict[str, Any], expected: int) -> None:
    given = {"dump": Dump(), "text": EXPOSITION, "requests": 1.0, "memory": 2**20, **changes}
    metrics = Metrics.parse(given["text"])
    found = bounded("a-1", given["dump"], metrics, given["requests"], given["memory"], 0)
    assert [each.rule for each in found] == ["I10"] * expected
