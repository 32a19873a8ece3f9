"""The application: builds the object graph from the settings, and owns start, leadership and shutdown."""

from pallet.app.life import run

__all__ = ["run"]
