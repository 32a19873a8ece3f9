"""What both ends of a planner call have in common: names, limits, and TLS files."""

from dataclasses import dataclass

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

    async def read(self) -> tuple[bytes, bytes, bytes]:
        """CA, certificate and key. Raises OSError, which names the file, where one cannot be read."""
        return (
            await anyio.Path(self.ca_file).read_bytes(),
            await anyio.Path(self.cert_file).read_bytes(),
            await anyio.Path(self.key_file).read_bytes(),
        )
