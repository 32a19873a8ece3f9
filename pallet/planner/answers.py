"""What the calls to a planner say together about a set.

A call is made in the name of one pod, with the nodes that are eligible for it and for the other pods of the
same list; to the planner the list is that pod's alone. Its answer may name nodes for any pod of the set. It
is taken for the pods of the list; for other pods only where their own call named no node.
"""

from collections.abc import Collection, Mapping


class Answers:
    """The nodes and reasons by pod name. What is said about pods that are not in `pods` is passed over."""

    def __init__(self, pods: Collection[str]) -> None:
        self.count = 0
        """How many calls were answered."""
        self.failure = ""
        """Why a call failed, the first that did."""
        self.gone = ""
        """The failure that says that further calls would fail too."""
        self._pods = frozenset(pods)
        self._own: dict[str, str] = {}
        self._others: dict[str, tuple[int, str]] = {}
        self._reasons: dict[str, str] = {}

    def __contains__(self, pod: str) -> bool:
        """Whether some answer names a node for a pod."""
        return pod in self._own or pod in self._others

    def take(
        self, call: int, own: Collection[str], assignments: Mapping[str, str], reasons: Mapping[str, str]
    ) -> None:
        """Take the answer to the call with this number, made for the pods `own`.

        Of several answers that name a node for another pod, the one to the first call counts.
        """
        self.count += 1
        for pod in own:
            if pod in assignments:
                self._own[pod] = assignments[pod]
            elif pod in reasons:
                self._reasons[pod] = reasons[pod]
        for pod, node in assignments.items():
            if pod in self._pods and (pod not in self._others or call < self._others[pod][0]):
                self._others[pod] = (call, node)

    def fail(self, pod: str, cause: str, *, gone: bool) -> None:
        """Take it that the call in the name of a pod failed."""
        self.failure = self.failure or cause
        if gone:
            self.gone = cause
        self._reasons[pod] = cause

    def assignments(self) -> dict[str, str]:
        """The node for each pod that has one."""
        return {**{pod: node for pod, (_, node) in self._others.items()}, **self._own}

    def reasons(self) -> dict[str, str]:
        """Why a pod has no node, in the planner's words or because of the failure."""
        unasked = dict.fromkeys(self._pods, self.gone) if self.gone else {}
        return {**unasked, **self._reasons}
