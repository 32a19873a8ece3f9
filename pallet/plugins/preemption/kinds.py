"""What the pods of a ladder request, numbered: many pods request the same."""

from collections.abc import Iterable, Sequence

import numpy as np

from pallet.api.requests import Requests
from pallet.cache.pod_info import PodInfo
from pallet.cache.resource_columns import Amounts, added

_MOST_NAMES = 64


class Kinds:
    """A number for each of the requests that a pod on the ladder has; 0 stands for none.

    Numbers are given back with the last pod, so that the requests of pods that are gone are not kept.
    """

    def __init__(self) -> None:
        self._number_of: dict[Requests, int] = {}
        self._requests: list[Requests | None] = [None]
        self._pods = [0]
        self._free: list[int] = []
        self._weights: dict[str, Amounts] = {}

    def take(self, pods: Iterable[PodInfo]) -> list[int]:
        """The numbers of some pods that come to the ladder."""
        numbers = [self._number_of.get(info.requests) or self._new(info.requests) for info in pods]
        for number in numbers:
            self._pods[number] += 1
        return numbers

    def give_back(self, numbers: Iterable[int]) -> None:
        """Some pods, of these numbers, are gone from the ladder."""
        for number in numbers:
            self._pods[number] -= 1
            requests = self._requests[number]
            if requests is not None and not self._pods[number]:
                del self._number_of[requests]
                self._requests[number] = None
                self._free.append(number)

    def weights(self, names: Sequence[str]) -> Amounts:
        """What a pod of each kind adds to what is requested of some resources: int64, (kinds, names)."""
        if len(self._weights) > _MOST_NAMES:
            self._weights.clear()
        columns = [self._weights_of(name)[: len(self._requests)] for name in names]
        return np.stack(columns, axis=1)

    def _weights_of(self, name: str) -> Amounts:
        """The same of one resource, with room for kinds to come."""
        weights = self._weights.get(name)
        if weights is None:
            weights = self._weights[name] = np.zeros(2 * len(self._requests), np.int64)
            for number, requests in enumerate(self._requests):
                weights[number] = 0 if requests is None else added(requests, name)
        return weights

    def _new(self, requests: Requests) -> int:
        if self._free:
            number = self._free.pop()
            self._requests[number] = requests
        else:
            number = len(self._requests)
            self._requests.append(requests)
            self._pods.append(0)
        self._number_of[requests] = number
        for name, weights in self._weights.items():
            if number == len(weights):
                self._weights[name] = np.concatenate((weights, np.zeros_like(weights)))
            self._weights[name][number] = added(requests, name)
        return number
