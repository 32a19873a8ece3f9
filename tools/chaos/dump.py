"""What a replica says of itself at rest: the dump that it logs on SIGUSR2, and its metrics."""

import json
import re
import signal
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from pallet.scheduler.debugger import MISMATCH, NODE, SUMMARY
from tools.chaos.replicas import Replica

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')
DUMP_SECONDS = 10.0
PAUSE = 0.1


class Dump(msgspec.Struct):
    """A dump: what does not agree, nodes by name with what is requested of them, and counts."""

    mismatches: list[str] = []
    nodes: dict[str, dict[str, int]] = {}
    summary: dict[str, str] = {}


def parse(lines: Iterator[str]) -> Dump | None:
    """Read a dump from the lines of a log; None where it has no end yet."""
    dump = Dump()
    for line in lines:
        fields = {name: _value(text) for name, text in FIELD.findall(line)}
        if f'"{MISMATCH}"' in line:
            dump.mismatches.append(f"{fields['object']} {fields['mismatch']}")
        elif f'"{NODE}"' in line:
            name = fields.pop("node")
            dump.nodes[name] = {resource: int(amount) for resource, amount in fields.items()}
        elif f'"{SUMMARY}"' in line:
            dump.summary = fields
    return dump if dump.summary else None


def _value(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def take(replica: Replica) -> Dump | None:
    """Have a replica dump; None where it does not."""
    begin = replica.log.stat().st_size
    replica.signal(signal.SIGUSR2)
    deadline = time.monotonic() + DUMP_SECONDS
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        with replica.log.open() as log:
            log.seek(begin)
            if dump := parse(iter(log)):
                return dump
    return None


class Metrics(msgspec.Struct):
    """What a replica's metrics say, by name and labels."""

    samples: dict[str, float]

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        """Read an exposition."""
        families = text_string_to_metric_families(text)
        return cls(
            {_key(each.name, each.labels): each.value for family in families for each in family.samples}
        )

    def of(self, name: str) -> dict[str, float]:
        """The samples of a metric, by labels."""
        return {key: value for key, value in self.samples.items() if key.partition("{")[0] == name}


def _key(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def metrics(replica: Replica, token: str) -> Metrics:
    """Ask for a replica's metrics. Raises OSError."""
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of its own, on loopback
    request = urllib.request.Request(
        f"https://127.0.0.1:{replica.port}/metrics", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10.0, context=context) as answer:  # noqa: S310
        return Metrics.parse(answer.read().decode())


def resident_bytes(pid: int) -> int:
    """The memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
