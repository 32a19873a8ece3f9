"""PodSets: pods that wait for a trigger, are planned together, and go where the plan says."""
