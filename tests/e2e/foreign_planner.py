"""A planner like the original's, as a process: the last node of the list is the scheduled pod's place.

    python -m tests.e2e.foreign_planner 127.0.0.1:12345

Each request is printed as a line: the scheduled pod, and the number of its eligible nodes.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse


def plan(request: SchedulePlanRequest, _context: grpc.ServicerContext) -> SchedulePlanResponse:
    """Place the pod of the request, and no other."""
    print(request.scheduledPod, len(request.eligibleNodes), flush=True)  # noqa: T201
    return SchedulePlanResponse(assignments={request.scheduledPod: request.eligibleNodes[-1]})


def main() -> None:
    """Serve until the process is ended."""
    server = grpc.server(ThreadPoolExecutor(4))
    method = grpc.unary_unary_rpc_method_handler(
        plan,
        request_deserializer=SchedulePlanRequest.FromString,
        response_serializer=SchedulePlanResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    server.add_insecure_port(sys.argv[1])
    server.start()
    print("ready", flush=True)  # noqa: T201
    server.wait_for_termination()


if __name__ == "__main__":
    main()
