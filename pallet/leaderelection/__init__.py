"""Which replica is active: leader election over a Lease, compatible with client-go's.

elector = LeaderElector(LeaseLock(client, namespace, name), settings, new_identity())
await elector.acquire()            # returns when this process leads
task_group.start_soon(elector.hold)  # raises LeadershipLostError, which ends the process
...                                # every write asks elector.fence
await elector.release()            # when no write is under way any more
"""

from pallet.leaderelection.elector import LeaderElector, LeadershipLostError, new_identity
from pallet.leaderelection.fence import Fence
from pallet.leaderelection.lock import LeaseLock
from pallet.leaderelection.observer import LeaseObserver, LeaseRenewedError
from pallet.leaderelection.thread import ElectionThread

__all__ = [
    "ElectionThread",
    "Fence",
    "LeaderElector",
    "LeadershipLostError",
    "LeaseLock",
    "LeaseObserver",
    "LeaseRenewedError",
    "new_identity",
]
