"""The metrics of the scheduler: kube-scheduler's names, labels and buckets, so that dashboards go on working.

Each attribute is named like its metric, without the prefix `scheduler_`.
"""

from typing import Final

from pallet.bounded_cache import cache_sizes
from pallet.framework.instruments import NO_LABELS, Instruments, exponential

FROM_10_MICROSECONDS: Final = exponential(0.00001, 1.5, 20)
FROM_100_MICROSECONDS: Final = exponential(0.0001, 2, 12)
FROM_1_MILLISECOND: Final = exponential(0.001, 2, 15)
FROM_10_MILLISECONDS: Final = exponential(0.01, 2, 20)


class Metrics:
    """What a scheduler counts and times. Durations are in seconds."""

    def __init__(self, instruments: Instruments) -> None:
        counter, gauge, histogram = instruments.counter, instruments.gauge, instruments.histogram

        self.schedule_attempts_total = counter(
            "scheduler_schedule_attempts_total",
            "Attempts to schedule a pod, by result: scheduled, unschedulable or error.",
            "result",
            "profile",
        )
        self.queue_incoming_pods_total = counter(
            "scheduler_queue_incoming_pods_total",
            "Pods that entered a queue, by queue and by the event that brought them there.",
            "queue",
            "event",
        )
        self.queue_incoming_entities_total = counter(
            "scheduler_queue_incoming_entities_total",
            "The same for all that is scheduled as one: pods, as there are no groups here (type).",
            "queue",
            "event",
            "type",
        )
        self.plugin_evaluation_total = counter(
            "scheduler_plugin_evaluation_total",
            "Scheduling attempts in which a plugin had a say, for PreFilter, Filter, PreScore and Score.",
            "plugin",
            "extension_point",
            "profile",
        )
        self.pod_scheduled_after_flush_total = counter(
            "scheduler_pod_scheduled_after_flush_total",
            "Pods scheduled after no event, but only a long time, had brought them back into the queue.",
        )[NO_LABELS]
        self.preemption_attempts_total = counter(
            "scheduler_preemption_attempts_total", "Attempts to make room for a pod by preempting others."
        )[NO_LABELS]
        self.preemption_victims = histogram(
            "scheduler_preemption_victims",
            "Pods preempted at once, for one other.",
            bounds=exponential(1, 2, 7),
        )[NO_LABELS]

        self.scheduling_attempt_duration_seconds = histogram(
            "scheduler_scheduling_attempt_duration_seconds",
            "Time of an attempt to schedule a pod, its binding included.",
            "result",
            "profile",
            bounds=FROM_1_MILLISECOND,
        )
        self.scheduling_algorithm_duration_seconds = histogram(
            "scheduler_scheduling_algorithm_duration_seconds",
            "Time it takes to choose a node.",
            bounds=FROM_1_MILLISECOND,
        )[NO_LABELS]
        self.framework_extension_point_duration_seconds = histogram(
            "scheduler_framework_extension_point_duration_seconds",
            "Time of all plugins of an extension point.",
            "extension_point",
            "status",
            "profile",
            bounds=FROM_100_MICROSECONDS,
        )
        self.plugin_execution_duration_seconds = histogram(
            "scheduler_plugin_execution_duration_seconds",
            "Time of one plugin at an extension point, in some of the cycles.",
            "plugin",
            "extension_point",
            "status",
            bounds=FROM_10_MICROSECONDS,
        )
        self.pod_scheduling_attempts = histogram(
            "scheduler_pod_scheduling_attempts",
            "Attempts it took to schedule a pod.",
            bounds=exponential(1, 2, 5),
        )[NO_LABELS]
        self.pod_scheduling_sli_duration_seconds = histogram(
            "scheduler_pod_scheduling_sli_duration_seconds",
            "Time from a pod's entry into the queue to its binding, over all attempts.",
            "attempts",
            bounds=FROM_10_MILLISECONDS,
        )
        self.permit_wait_duration_seconds = histogram(
            "scheduler_permit_wait_duration_seconds",
            "Time a pod waited at Permit.",
            "result",
            bounds=FROM_1_MILLISECOND,
        )
        self.event_handling_duration_seconds = histogram(
            "scheduler_event_handling_duration_seconds",
            "Time it takes to handle an event of the cluster.",
            "event",
            bounds=FROM_100_MICROSECONDS,
        )
        self.queueing_hint_execution_duration_seconds = histogram(
            "scheduler_queueing_hint_execution_duration_seconds",
            "Time of a plugin's queueing hint.",
            "plugin",
            "event",
            "hint",
            bounds=FROM_10_MICROSECONDS,
        )

        self.pending_pods = gauge(
            "scheduler_pending_pods",
            "Pods that wait, by queue: active, backoff, unschedulable or gated. Pods of groups (incomplete, "
            "pending) are among the gated ones.",
            "queue",
        )
        self.queued_entities = gauge(
            "scheduler_queued_entities",
            "The same for all that is scheduled as one: pods, as there are no groups here (type).",
            "queue",
            "type",
        )
        self.cache_size = gauge(
            "scheduler_cache_size", "Nodes, pods and assumed pods (assumed_pods) in the cache.", "type"
        )
        self.unschedulable_pods = gauge(
            "scheduler_unschedulable_pods",
            "Pods that a plugin refused; a pod counts for each of the plugins that refused it.",
            "plugin",
            "profile",
        )
        self.inflight_events = gauge(
            "scheduler_inflight_events",
            "Events kept for the pods whose cycle runs, by event.",
            "event",
        )
        self.goroutines = gauge(
            "scheduler_goroutines",
            "Tasks that run, by what they do (binding). The name is kube-scheduler's.",
            "operation",
        )
        self.leader = gauge(
            "leader_election_master_status",
            "Whether this process leads (1) or stands by (0), by Lease. The name is client-go's.",
            "name",
        )
        self.feature_enabled = gauge(
            "kubernetes_feature_enabled",
            "Whether a feature gate is on (1) or off (0), by its stage, which is empty once it is generally "
            "available.",
            "name",
            "stage",
        )
        self.oldest_pending_pod = gauge(
            "pallet_oldest_pending_pod_seconds",
            "How long the pod that has waited longest has not got a node since it was first let into the "
            "active queue; pods that are held back do not wait.",
            "profile",
        )
        self.wrong_declarations_total = counter(
            "pallet_plugin_wrong_declarations_total",
            "Remembered answers of a plugin that were wrong, by the declaration that does not hold; found "
            "with --check-plugins only.",
            "plugin",
            "declaration",
        )
        self.loop_held_seconds = histogram(
            "pallet_loop_held_seconds",
            "How late the event loop came back to a timer: what it did meanwhile held everything else up.",
            bounds=exponential(0.001, 2, 12),
        )[NO_LABELS]
        instruments.follow(
            "pallet_cache_bytes",
            "Memory that is kept to save work, by cache, as estimated when it was put there.",
            "cache",
            lambda: {name: held for name, (held, _) in cache_sizes().items()},
        )
        instruments.follow(
            "pallet_cache_bytes_limit",
            "The bound of pallet_cache_bytes.",
            "cache",
            lambda: {name: limit for name, (_, limit) in cache_sizes().items()},
        )
