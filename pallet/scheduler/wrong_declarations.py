"""What is done about plugins that do not declare all that they depend on (--check-plugins)."""

from pallet.framework.metrics import Metrics
from pallet.logs import get_logger
from pallet.runtime.checked import WrongDeclaration

log = get_logger(__name__)


class WrongDeclarations:
    """Counts each wrong answer, and logs the first of each declaration: the next ones say nothing new."""

    def __init__(self, metrics: Metrics) -> None:
        self._counts = metrics.wrong_declarations_total
        self._logged: set[tuple[str, str]] = set()

    def report(self, wrong: WrongDeclaration) -> None:
        """Take note of a wrong answer."""
        self._counts[wrong.plugin, wrong.declaration].inc()
        if (wrong.plugin, wrong.declaration) not in self._logged:
            self._logged.add((wrong.plugin, wrong.declaration))
            log.error("A plugin depends on more than it declares", plugin=wrong.plugin, error=str(wrong))
