"""numpy.ma takes 50 ms to import, which some numpy functions do when first called: decisions need it not."""

import sys
from subprocess import run
from textwrap import dedent

DECISIONS = """
    import sys
    from random import Random

    from pallet.api.labels import Labels
    from pallet.api.pod import Affinity, NodeAffinity
    from pallet.api.selectors import NodeSelector, NodeSelectorRequirement as Requirement, NodeSelectorTerm
    from pallet.cache.cache import Cache
    from pallet.cache.pod_info import PodInfo
    from pallet.runtime.evaluator import Evaluator
    from pallet.framework.state import CycleState
    from tests.builders import make_node, make_pod
    from tests.profiles import default_profile

    def wanting(*labels, fields=()):
        return Affinity(NodeAffinity(NodeSelector((NodeSelectorTerm(labels, fields),))))

    cache = Cache()
    for number in range(200):
        labels = {"size": str(number)}
        cache.put_node(make_node(f"n{number}", labels=labels, offers={f"x/{number % 20}": "1"}))
    evaluator = Evaluator(default_profile(cache), cache.snapshot, Random(0))
    some = Requirement("size", "In", tuple(map(str, range(0, 200, 9))))
    affinities = [
        None,
        wanting(some),
        wanting(some, fields=(Requirement("metadata.name", "In", ("n7",)),)),
        wanting(Requirement("size", "NotIn", ("1", "2"))),
        wanting(Requirement("size", "Gt", ("7",))),
        wanting(fields=(Requirement("metadata.name", "In", ("n7",)),)),
        wanting(fields=(Requirement("metadata.name", "NotIn", ("n7",)),)),
    ]
    for affinity in affinities:
        for requests in ({"cpu": "1"}, {"cpu": "9"}, {"x/1": "1"}, {f"x/{n}": "1" for n in range(20)}):
            evaluator.choose(CycleState(), PodInfo(make_pod("p", affinity=affinity, requests=requests)))
    for number in range(1000):
        cache.put_node(make_node("n0", labels={"size": f"other-{number}"}))
    print("numpy.ma" in sys.modules)
"""


def test_no_decision_imports_masked_arrays() -> None:
    answer = run([sys.executable, "-c", dedent(DECISIONS)], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
