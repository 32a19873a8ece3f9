"""Asks a planner for a plan, as another scheduler would, from a pod of the project's image.

    python planner_caller.py HOST:PORT NAMESPACE SET POD [FOLDER]

Prints `pod node` for each assignment, sorted. With a folder of `ca.crt`, `tls.crt` and `tls.key`, it shows
that certificate.
"""

import sys
from pathlib import Path

import grpc

from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse

CALL_SECONDS = 15.0


def channel(address: str, folder: Path | None) -> grpc.Channel:
    """A connection, with mutual TLS if there are files for it."""
    if folder is None:
        return grpc.insecure_channel(address)
    ca, certificate, key = ((folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))


def main() -> None:
    """Ask, and print the answer."""
    address, namespace, pod_set, pod, *folder = sys.argv[1:]
    request = SchedulePlanRequest(namespace=namespace, podSet=pod_set, scheduledPod=pod)
    with channel(address, Path(folder[0]) if folder else None) as connection:
        call = connection.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=SchedulePlanRequest.SerializeToString,
            response_deserializer=SchedulePlanResponse.FromString,
        )
        answer = call(request, timeout=CALL_SECONDS)
    for name, node in sorted(answer.assignments.items()):
        print(name, node)  # noqa: T201


if __name__ == "__main__":
    main()
