"""Local copies of the API's collections, kept up to date by watches."""

from pallet.informers.factory import InformerFactory, NotSyncedError
from pallet.informers.informer import Handler, SharedInformer
from pallet.informers.store import Store

__all__ = ["Handler", "InformerFactory", "NotSyncedError", "SharedInformer", "Store"]
