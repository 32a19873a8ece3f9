"""Which planners plan a set, and the best of their plans.

A planner is found by a label on its Service: `planner.ciena.io/<set>: enabled`, else
`planner.ciena.io/default: enabled`. For a set named `default` these are one label, so it is planned by the
default planners. Only Services of allowed namespaces count: whoever may create a Service there decides where
pods go.
"""

from collections.abc import Iterable, Set
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

import anyio

from pallet.api.core import Service
from pallet.api.meta import key_of
from pallet.api.names import is_label_key
from pallet.api.podset import DEFAULT_PLANNER_LABEL, GROUP
from pallet.informers.store import Store
from pallet.logs import get_logger
from pallet.planner.check import best
from pallet.planner.interface import Plan, Planner, PlannerError, Problem
from pallet.planner.own_service import OwnService

log = get_logger(__name__)

ENABLED = "enabled"
_INDEX = "planner"


class Connect(Protocol):
    """Makes the planner behind a Service."""

    def __call__(self, namespace: str, service: str) -> Planner:
        """The planner behind this Service."""
        ...


class Observe(Protocol):
    """Takes note of a planner's call, for metrics. The result is `success` or `error`."""

    def __call__(self, planner: str, result: str, seconds: float) -> object:
        """One call has ended."""
        ...


def planner_label(pod_set: str) -> str:
    """The label of a set's own planners; a set that makes no label key has only the default ones."""
    label = f"{GROUP}/{pod_set}"
    return label if is_label_key(label) else DEFAULT_PLANNER_LABEL


class DiscoveredPlanners:
    """A planner that asks all planners of the set at once and takes the best plan.

    The built-in planner answers for the Service in front of it (see `own_service`), without a call. Where
    there is no Service for a set, it plans too if `embedded` says so.
    """

    name = "discovered"

    def __init__(
        self,
        services: Store[Service],
        *,
        built_in: Planner,
        embedded: bool,
        own_service: OwnService,
        allowed_namespaces: Set[str],
        connect: Connect,
        observe: Observe,
    ) -> None:
        self._services = services
        self._built_in = built_in
        self._embedded = embedded
        self._own_service = own_service
        self._allowed = allowed_namespaces
        self._connect = connect
        self._observe = observe
        self._reported: set[str] = set()
        services.add_index(_INDEX, _planner_labels)

    def planners(self, pod_set: str) -> list[Planner]:
        """The planners of a set; none means that its pods are scheduled one by one, as pods without a set."""
        services = self._find(planner_label(pod_set)) or self._find(DEFAULT_PLANNER_LABEL)
        if not services:
            return [self._built_in] if self._embedded else []
        return [self._planner(service) for service in services]

    def planner_for(self, _namespace: str, pod_set: str) -> Planner | None:
        """This planner; None for a set that no planner looks after."""
        return self if self.planners(pod_set) else None

    async def plan(self, problem: Problem) -> Plan:
        """Ask all planners of the set; a planner that fails is passed over when another one answers.

        Raises PlannerError with every cause when none answers, or when the set has no planner.
        """
        planners = self.planners(problem.pod_set)
        plans: list[Plan] = []
        failures: list[PlannerError] = []
        with ExitStack() as forks:
            async with anyio.create_task_group() as tasks:
                for planner in planners:
                    fork = forks.enter_context(problem.snapshot.fork())
                    own = replace(problem, snapshot=fork)
                    tasks.start_soon(self._ask, planner, own, plans, failures)
        set_key = f"{problem.namespace}/{problem.pod_set}"
        causes = "; ".join(sorted(map(str, failures)))
        if not plans:
            raise PlannerError(f"no plan for set {set_key}: {causes or 'it has no planner'}")
        if causes:
            log.warning("Planned without some of the planners", pod_set=set_key, causes=causes)
        return best(plans)

    def _find(self, label: str) -> list[Service]:
        """The Services with this label that may plan, by name; others are reported, each once."""
        found = sorted(self._services.by_index(_INDEX, label), key=key_of)
        allowed = [service for service in found if self._may_plan(service)]
        self._reported = {key for key in self._reported if key in self._services}
        for key in {key_of(service) for service in found if service not in allowed} - self._reported:
            self._reported.add(key)
            log.warning(
                "A Service is labelled as a planner, but its namespace may not plan; "
                "to allow it, add the namespace to planner.namespaces in the arguments of PodSetPlanner",
                service=key,
            )
        return allowed

    def _may_plan(self, service: Service) -> bool:
        return service.metadata.namespace in self._allowed or self._own_service.is_ourselves(service)

    def _planner(self, service: Service) -> Planner:
        if self._own_service.is_ourselves(service):
            return self._built_in
        return self._connect(service.metadata.namespace, service.metadata.name)

    async def _ask(
        self, planner: Planner, problem: Problem, plans: list[Plan], failures: list[PlannerError]
    ) -> None:
        began = anyio.current_time()
        try:
            plans.append(await planner.plan(problem))
        except PlannerError as error:
            failures.append(error)
            result = "error"
        except Exception as error:
            log.exception("A planner broke", planner=planner.name)
            failures.append(PlannerError(f"planner {planner.name} broke: {error}"))
            result = "error"
        else:
            result = "success"
        self._observe(planner.name, result, anyio.current_time() - began)


def _planner_labels(service: Service) -> Iterable[str]:
    """The labels that make a Service a planner."""
    prefix = f"{GROUP}/"
    return [
        label
        for label, value in service.metadata.labels.items()
        if value == ENABLED and label.startswith(prefix)
    ]
