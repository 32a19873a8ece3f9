"""Kubernetes' own [sig-scheduling] end-to-end tests, with kube-scheduler and with pallet in its place.

Both run against a real control plane whose kubelets are kwok.
"""
