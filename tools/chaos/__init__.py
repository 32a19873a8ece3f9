"""Chaos: two replicas on a real control plane, under load, with faults drawn from a seed; then a checker."""
