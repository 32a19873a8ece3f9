"""Which reservations are lifted for a pod that finds no node while they stand."""

from collections.abc import Sequence
from random import Random
from typing import Final

from pallet.cache.reservation import Reservation

MOST_LIFTED: Final = 256
"""So many reservations are lifted in one cycle: each costs some 4 µs on a fork, and a second verdict."""


def some_of(reservations: Sequence[Reservation], rng: Random) -> Sequence[Reservation]:
    """Choose those to lift: all, or else all those on some nodes, which are drawn at random.

    A node with more of them than may be lifted is drawn too, but alone.
    """
    if len(reservations) <= MOST_LIFTED:
        return reservations
    by_node: dict[str, list[Reservation]] = {}
    for reservation in reservations:
        by_node.setdefault(reservation.node, []).append(reservation)
    nodes = list(by_node)
    rng.shuffle(nodes)
    chosen: list[Reservation] = []
    for node in nodes:
        if chosen and len(chosen) + len(by_node[node]) > MOST_LIFTED:
            break
        chosen += by_node[node]
    return chosen
