"""The configuration: a KubeSchedulerConfiguration file, typed, defaulted and validated."""
