"""A process that is a candidate for a lease, and "writes" whenever its fence lets it.

`python -m tests.leaderelection.candidate KUBECONFIG NAMESPACE LEASE` prints its identity, `write <time>` for
each write (on a clock that all processes of a machine share), and at the end `lost` or, after SIGTERM,
`released`.
"""

import signal
import sys

import anyio

from pallet.client import Client
from pallet.config.decode import Seconds
from pallet.config.schema import LeaderElection
from pallet.leaderelection import Fence, LeaderElector, LeadershipLostError, LeaseLock, new_identity
from pallet.leaderelection.fence import steady_now

FAST = LeaderElection(lease_duration=Seconds(4), renew_deadline=Seconds(3), retry_period=Seconds(0.5))
"""Short enough for a test, long enough for a machine that is busy with others."""


def say(*words: object) -> None:
    """Print a line at once."""
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def write_on(fence: Fence) -> None:
    """Write again and again."""
    while True:
        begun = steady_now()  # before the fence is asked: in between, the process may be stopped
        if fence.remaining() > 0:
            say("write", begun)
        await anyio.sleep(0.02)


async def end_on_signal(scope: anyio.CancelScope) -> None:
    """Leave the scope at SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def main(kubeconfig: str, namespace: str, lease: str) -> None:
    """Be a candidate until leadership is lost, or until SIGTERM."""
    async with Client.connect(kubeconfig) as client:
        elector = LeaderElector(LeaseLock(client, namespace, lease), FAST, new_identity())
        say(elector.identity)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end_on_signal, tasks.cancel_scope)
                tasks.start_soon(write_on, elector.fence)
                await elector.acquire()
                tasks.start_soon(elector.hold)
        except* LeadershipLostError:
            say("lost")
        else:
            await elector.release()
            say("released")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
