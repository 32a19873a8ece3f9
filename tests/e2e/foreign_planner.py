"""A planner like the original's, as a process: the last node of the list is the scheduled pod's place.

    python -m tests.e2e.foreign_planner 127.0.0.1:12345 [FOLDER]

Each request is printed as a line: the scheduled pod, and the number of its eligible nodes. With a folder of
`ca.crt`, `tls.crt` and `tls.key`, it is served to callers with a certificate of that CA alone. It is a file
of its own, so that it can be mounted into a pod of the project's image.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse


def plan(request: SchedulePlanRequest, _context: grpc.ServicerContext) -> SchedulePlanResponse:
    """Place the pod of the request, and no other."""
    # One write, since other calls print at the same time.
    sys.stdout.write(f"{request.scheduledPod} {len(request.eligibleNodes)}\n")
    sys.stdout.flush()
    return SchedulePlanResponse(assignments={request.scheduledPod: request.eligibleNodes[-1]})


def credentials(folder: Path) -> grpc.ServerCredentials:
    """Mutual TLS with the files of a folder."""
    ca, certificate, key = ((folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key"))
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)


def main() -> None:
    """Serve until the process is ended."""
    server = grpc.server(ThreadPoolExecutor(4))
    method = grpc.unary_unary_rpc_method_handler(
        plan,
        request_deserializer=SchedulePlanRequest.FromString,
        response_serializer=SchedulePlanResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    if sys.argv[2:]:
        server.add_secure_port(sys.argv[1], credentials(Path(sys.argv[2])))
    else:
        server.add_insecure_port(sys.argv[1])
    server.start()
    print("ready", flush=True)  # noqa: T201
    server.wait_for_termination()


if __name__ == "__main__":
    main()
