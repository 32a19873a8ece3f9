"""Which host ports the placed pods take, and on which rows."""

from collections.abc import Iterable

from pallet.cache.pod_info import ANY_ADDRESS, HostPort
from pallet.cache.row_counts import RowCounts


class PortsInUse:
    """Host ports by row. With a parent, what is counted here is added to what is counted there."""

    def __init__(self, parent: "PortsInUse | None" = None) -> None:
        self._by_address: RowCounts[HostPort] = RowCounts(parent._by_address if parent else None)
        self._by_number: RowCounts[tuple[str, int]] = RowCounts(parent._by_number if parent else None)

    def count(self, ports: Iterable[HostPort], row: int, by: int) -> None:
        """Count a pod's ports on a row, or with -1 take them back."""
        for port in ports:
            self._by_address.bump(port, row, by)
            self._by_number.bump((port.protocol, port.port), row, by)

    def rows(self, port: HostPort) -> set[int]:
        """The rows where a port is taken: at its address, or where one of the two is for all addresses."""
        if port.ip == ANY_ADDRESS:
            return set(self._by_number.get((port.protocol, port.port)))
        anywhere = HostPort(port.protocol, port.port, ANY_ADDRESS)
        return {*self._by_address.get(port), *self._by_address.get(anywhere)}

    def is_taken(self, port: HostPort, row: int) -> bool:
        """Whether a port is taken on a row."""
        if row not in self._by_number.get((port.protocol, port.port)):
            return False
        if port.ip == ANY_ADDRESS:
            return True
        anywhere = HostPort(port.protocol, port.port, ANY_ADDRESS)
        return row in self._by_address.get(port) or row in self._by_address.get(anywhere)
