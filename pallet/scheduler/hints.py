"""Whether an event may help a refused pod, in the eyes of the plugins that refused it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource, Hint
from pallet.framework.metrics import Metrics
from pallet.logs import get_logger
from pallet.runtime.pod_limits import NAME as LIMITS
from pallet.runtime.profile import Profile
from pallet.scheduler.queued_pod import QueuedPod

log = get_logger(__name__)

_ANYTHING: Sequence[EventInterest] = (EventInterest(ClusterEvent(EventResource.WILDCARD, Action.ALL)),)
"""What helps the rejects of a plugin that does not say: any event."""


class Hints:
    """What the plugins of all profiles want to hear of, and what they think of it."""

    def __init__(self, profiles: Mapping[str, Profile], metrics: Metrics, clock: Callable[[], float]) -> None:
        self._interests = {name: _interests(profile) for name, profile in profiles.items()}
        self._durations = metrics.queueing_hint_execution_duration_seconds
        self._clock = clock

    def resources(self) -> frozenset[EventResource]:
        """All resources that some plugin wants to hear of."""
        return frozenset(
            interest.event.resource
            for by_plugin in self._interests.values()
            for interests in by_plugin.values()
            for interest in interests
        )

    def matching(self, scheduler_name: str, plugin: str, event: ClusterEvent) -> Sequence[EventInterest]:
        """The interests of a plugin that cover an event."""
        interests = self._interests[scheduler_name].get(plugin, _ANYTHING)
        return [interest for interest in interests if interest.event.matches(event)]

    def helps(
        self, queued: QueuedPod, plugins: Iterable[str], event: ClusterEvent, old: object, new: object
    ) -> bool:
        """Whether any of the plugins that refused a pod thinks that an event may help it."""
        return event.resource is EventResource.WILDCARD or any(
            self.agrees(interest, plugin, queued, event, old, new)
            for plugin in plugins
            for interest in self.matching(queued.pod.spec.scheduler_name, plugin, event)
        )

    def agrees(
        self,
        interest: EventInterest,
        plugin: str,
        queued: QueuedPod,
        event: ClusterEvent,
        old: object,
        new: object,
    ) -> bool:
        """Ask the hint of an interest that covers the event. A hint that fails has the pod tried again.

        A large pod is tried without asking: a hint may go through all its parts, and one event brings many.
        """
        if interest.hint is None or queued.large:
            return True
        started = self._clock()
        try:
            hint = interest.hint(queued.info, old, new)
            label = "Queue" if hint is Hint.QUEUE else "QueueSkip"
        except Exception:
            log.exception(
                "A queueing hint failed", plugin=plugin, pod=queued.pod.key, cluster_event=event.label
            )
            hint, label = Hint.QUEUE, "Error"
        self._durations[plugin, event.label, label].observe(self._clock() - started)
        return hint is Hint.QUEUE


def _interests(profile: Profile) -> Mapping[str, Sequence[EventInterest]]:
    return {
        LIMITS: (),  # no event makes a pod shorter
        **{
            name: plugin.events_to_register()
            for name, plugin in profile.plugins.items()
            if hasattr(plugin, "events_to_register")
        },
    }
