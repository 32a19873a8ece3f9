"""For the tests of plugins: pods and nodes from a few fields, and what a plugin says about them.

Not for the program itself. What it is good for is shown in docs/plugins.md.
"""

from pallet.testing.asking import Asked
from pallet.testing.builders import make_node, make_pod
from pallet.testing.handle import make_handle

__all__ = ["Asked", "make_handle", "make_node", "make_pod"]
