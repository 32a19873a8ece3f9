"""PodDisruptionBudgets: which pods they guard, and whose preemption violates one."""

from collections import Counter
from collections.abc import Iterable

from pallet.api.labels import Labels
from pallet.api.pod import Pod
from pallet.api.workloads import POD_DISRUPTION_BUDGETS, PodDisruptionBudget
from pallet.bounded_cache import MIB, BoundedCache
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler

_MATCHES_BYTES = 16 * MIB

_Key = tuple[str, str]


class Budgets:
    """All budgets, and which pods each of them selects.

    `stamp` grows with every change, `selection` with those that may change which pods a budget selects.
    """

    def __init__(self, informers: InformerFactory) -> None:
        self.stamp = 0
        self.selection = 0
        self._budgets: dict[_Key, PodDisruptionBudget] = {}
        self._matches: BoundedCache[tuple[str, Labels], tuple[_Key, ...]] = BoundedCache(
            "budget_matches", _MATCHES_BYTES
        )
        informers.informer(POD_DISRUPTION_BUDGETS).add_handler(
            Handler(on_add=self._put, on_update=self._update, on_delete=self._drop)
        )

    def __len__(self) -> int:
        return len(self._budgets)

    def guards(self, pod: Pod) -> bool:
        """Whether any budget selects a pod."""
        return bool(self._selecting(pod))

    def violated_by(self, pods: Iterable[Pod]) -> list[bool]:
        """For each of some pods, whether preempting it after those before it violates a budget.

        A pod that its budget's status names as disrupted is counted already. Of several budgets, those after
        the first that is violated are not counted down (framework/preemption/util.go).
        """
        taken: Counter[_Key] = Counter()
        return [self._is_violated_by(pod, taken) for pod in pods]

    def _is_violated_by(self, pod: Pod, taken: Counter[_Key]) -> bool:
        for key in self._selecting(pod) if self._budgets else ():
            status = self._budgets[key].status
            if pod.metadata.name not in status.disrupted_pods:
                taken[key] += 1
                if taken[key] > status.disruptions_allowed:
                    return True
        return False

    def _selecting(self, pod: Pod) -> tuple[_Key, ...]:
        meta = pod.metadata
        if not meta.labels:
            return ()
        found = self._matches.get((meta.namespace, meta.labels))
        if found is None:
            found = self._matches[meta.namespace, meta.labels] = tuple(
                key for key, budget in self._budgets.items() if _selects(budget, meta.namespace, meta.labels)
            )
        return found

    def _put(self, budget: PodDisruptionBudget) -> None:
        self._budgets[_key(budget)] = budget
        self._reselect()

    def _update(self, old: PodDisruptionBudget, new: PodDisruptionBudget) -> None:
        self._budgets[_key(new)] = new
        if old.spec != new.spec:
            self._reselect()
        elif old.status != new.status:
            self.stamp += 1

    def _drop(self, budget: PodDisruptionBudget) -> None:
        self._budgets.pop(_key(budget), None)
        self._reselect()

    def _reselect(self) -> None:
        self._matches.clear()
        self.selection += 1
        self.stamp += 1


def _key(budget: PodDisruptionBudget) -> _Key:
    return budget.metadata.namespace, budget.metadata.name


def _selects(budget: PodDisruptionBudget, namespace: str, labels: Labels) -> bool:
    """A budget without selector, or with an empty one, selects no pods here."""
    selector = budget.spec.selector
    if selector is None or not (selector.match_labels or selector.match_expressions):
        return False
    return budget.metadata.namespace == namespace and selector.matches(labels)
