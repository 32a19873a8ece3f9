"""Asking one plugin: what `pallet.testing` offers to everybody."""

from pallet.testing.asking import Asked

__all__ = ["Asked"]
