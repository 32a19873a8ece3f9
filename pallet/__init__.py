"""pallet: a Kubernetes scheduler that places the pods of a set together."""

__version__ = "0.1.0"
