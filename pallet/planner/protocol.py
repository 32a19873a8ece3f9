"""What both ends of a planner call have in common: names, limits, and TLS files."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from pallet.planner.wire.planner_pb2 import DESCRIPTOR

SERVICE: str = DESCRIPTOR.services_by_name["SchedulePlanner"].full_name
METHOD = "BuildSchedulePlan"

PLANNER_PORT = 7309
"""The port of a planner's Service."""

MAX_REQUEST = 1024 * 1024
"""Bytes of a request: room for the names of some 20,000 nodes. gRPC refuses what is longer unread."""

MAX_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer: room for some 25,000 pods. What is longer is refused unread, by the caller."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files for mutual TLS: the CA that signs the other side, the own certificate and its key."""

    ca_file: str
    cert_file: str
    key_file: str

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the files: the field of the configuration, and why it cannot be used."""
        fields = {"caFile": self.ca_file, "certFile": self.cert_file, "keyFile": self.key_file}
        unreadable = {field: reason for field, file in fields.items() if (reason := _unreadable(file))}
        yield from unreadable.items()
        if unreadable:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.ca_file)
        except OSError as error:
            yield "caFile", f"{self.ca_file} has no certificate of a CA: {error}"
        try:
            context.load_cert_chain(self.cert_file, self.key_file, password="")  # rather than ask for one
        except OSError as error:
            yield "certFile", f"{self.cert_file} and the key {self.key_file} do not serve: {error}"

    async def read(self) -> tuple[bytes, bytes, bytes]:
        """CA, certificate and key. Raises OSError, which names the file, where one cannot be read."""
        return (
            await anyio.Path(self.ca_file).read_bytes(),
            await anyio.Path(self.cert_file).read_bytes(),
            await anyio.Path(self.key_file).read_bytes(),
        )


def _unreadable(file: str) -> str:
    """Why a file cannot be read; empty if it can."""
    try:
        Path(file).read_bytes()
    except OSError as error:
        return f"cannot read {file}: {error.strerror}"
    return ""
