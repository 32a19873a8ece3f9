"""A plugin that declares the annotations of pods and does nothing with them: what keeping them costs."""

from pallet.framework.handle import Handle

READS_ANNOTATIONS = f"{__name__}:ReadsAnnotations"


class ReadsAnnotations:
    """Runs after pods are bound."""

    name = READS_ANNOTATIONS
    pod_metadata = frozenset({"annotations"})

    def __init__(self, _: object, __: Handle) -> None:
        """Take no arguments."""

    def post_bind(self, *_: object) -> None:
        """Do nothing."""
