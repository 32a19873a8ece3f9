"""The cache against a plain list of nodes and pods that is walked for every answer."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pallet.api.labels import Labels
from pallet.api.node import Node, Taint
from pallet.api.pod import ContainerPort, Pod
from pallet.cache.cache import Cache, Hold
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Owner
from pallet.cache.snapshot import Fork, Snapshot
from tests.builders import ZONE, make_node, make_pod, make_pod_on, pod_affinity, pod_term
from tests.cache.walked import ASKED, PORTS, TEAM, Walked

MOST_FORKS = 3

NODES = ("a", "b", "c")
GPU = "example.com/gpu"
ONE, TWO = Taint("one", "NoSchedule"), Taint("two", "NoExecute")
AFFINITIES = (
    None,
    pod_affinity(near=[pod_term("web", ZONE)], rather_away={pod_term("db"): 7}),
    pod_affinity(away=[pod_term("web"), pod_term("db", ZONE, namespace_selector=TEAM)]),
    pod_affinity(rather_near={pod_term("web", ZONE): 5}, rather_away={pod_term("web", ZONE): 5}),
)
nodes = st.builds(
    make_node,
    st.sampled_from(NODES),
    cpu=st.sampled_from(("4", "8")),
    taints=st.sampled_from(((), (ONE,), (ONE, TWO))),
    cordoned=st.booleans(),
    labels=st.sampled_from(({}, {ZONE: "z1"}, {ZONE: "z2", "disk": "ssd"})),
    offers=st.sampled_from(({}, {GPU: "2"}, {GPU: "0"}, {GPU: "3", "example.com/nic": "1"})),
    images=st.sampled_from(({}, {"image:latest": 5}, {"image:latest": 6, "other:1": 7})),
)


def pods_of(namespace: str, names: str) -> st.SearchStrategy[Pod]:
    return st.builds(
        make_pod,
        st.sampled_from(names),
        pod_set=st.just(""),
        namespace=st.just(namespace),
        requests=st.sampled_from(
            ({"cpu": "1"}, {"cpu": "250m", GPU: "1"}, {GPU: "2", "example.com/none": "1"})
        ),
        labels=st.sampled_from(({}, {"app": "web"}, {"app": "db"})),
        deleted=st.sampled_from((None, 1)),
        ports=st.sampled_from(
            ((), (ContainerPort(80),), (ContainerPort(80, "TCP", "10.0.0.1"), ContainerPort(80)))
        ),
        affinity=st.sampled_from(AFFINITIES),
    )


pods = pods_of("default", "pq") | pods_of("other", "rs")
on_nodes = st.sampled_from(NODES)


class CacheModel(RuleBasedStateMachine):
    """Events and decisions in any order, and after each of them the whole of the cache."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.nodes: dict[str, Node] = {}
        self.held: dict[str, tuple[Pod, str, Hold]] = {}
        self.namespaces: dict[str, Labels] = {}
        self.forks: list[tuple[Fork, Walked]] = []
        self.asked: set[Fork] = set()
        """The forks that are looked at after each step; others keep nothing of what they were asked yet."""

    @property
    def snapshot(self) -> Snapshot:
        return self.cache.snapshot

    @rule(node=nodes)
    def put_node(self, node: Node) -> None:
        self.cache.put_node(node)
        self.nodes[node.metadata.name] = node

    @rule(name=on_nodes)
    def drop_node(self, name: str) -> None:
        self.cache.drop_node(name)
        self.nodes.pop(name, None)

    @rule(name=st.sampled_from(("default", "other")), labels=st.sampled_from(({}, {"team": "x"})))
    def set_namespace(self, name: str, labels: dict[str, str]) -> None:
        self.cache.set_namespace(name, Labels(labels))
        self.namespaces[name] = Labels(labels)

    @rule(pod=pods, node=on_nodes, finished=st.sampled_from(("Running",) * 3 + ("Failed",)))
    def see_pod(self, pod: Pod, node: str, finished: str) -> None:
        seen = make_pod_on(pod, node, finished)
        self.cache.put_pod(seen)
        self.held.pop(seen.metadata.uid, None)
        if not seen.finished:
            self.held[seen.metadata.uid] = (seen, node, Hold.BOUND)

    @rule(pod=pods)
    def lose_pod(self, pod: Pod) -> None:
        self.cache.drop_pod(pod)
        self.held.pop(pod.metadata.uid, None)

    @rule(pod=pods, node=on_nodes)
    def reserve(self, pod: Pod, node: str) -> None:
        self.cache.reserve(PodInfo(pod), node, Owner())
        if self.hold(pod) in (None, Hold.RESERVED):
            self.held[pod.metadata.uid] = (pod, node, Hold.RESERVED)

    @rule(pod=pods)
    def unreserve(self, pod: Pod) -> None:
        reserved = self.hold(pod) is Hold.RESERVED
        expected = self.held[pod.metadata.uid][1] if reserved else None
        reservation = self.cache.unreserve(pod.metadata.uid)
        assert (reservation and reservation.node) == expected
        if reserved:
            del self.held[pod.metadata.uid]

    @rule(pod=pods, node=on_nodes)
    def assume(self, pod: Pod, node: str) -> None:
        if self.hold(pod) in (None, Hold.RESERVED):
            self.cache.assume(PodInfo(pod), node)
            self.held[pod.metadata.uid] = (pod, node, Hold.ASSUMED)

    @rule(pod=pods)
    def forget(self, pod: Pod) -> None:
        self.cache.forget(pod.metadata.uid)
        if self.hold(pod) is Hold.ASSUMED:
            del self.held[pod.metadata.uid]

    @precondition(lambda self: self.snapshot.table.capacity < 200)
    @rule()
    def grow(self) -> None:
        """Make the table hold more rows than it has."""
        names = [f"new-{number}" for number in range(self.snapshot.table.capacity)]
        for name in names:
            self.cache.put_node(make_node(name))
        for name in names:
            self.cache.drop_node(name)

    @precondition(lambda self: len(self.forks) < MOST_FORKS)
    @rule(number=st.integers(0, MOST_FORKS))
    def fork(self, number: int) -> None:
        """Take a fork of the live snapshot, or of a fork."""
        parents = [(self.snapshot, self.walked()), *self.forks]
        snapshot, walked = parents[number % len(parents)]
        self.forks.append((snapshot.fork(), walked.copy()))

    @precondition(lambda self: self.forks)
    @rule(number=st.integers(0, MOST_FORKS), pods=st.lists(st.tuples(pods, on_nodes), max_size=3))
    def suppose(self, number: int, pods: list[tuple[Pod, str]]) -> None:
        """Move pods on a fork, or remove those that are there already."""
        fork, walked = self.forks[number % len(self.forks)]
        for pod, node in pods:
            move(fork, walked, pod, node)

    @precondition(lambda self: self.forks)
    @rule(number=st.integers(0, MOST_FORKS), pods=st.lists(st.tuples(pods, on_nodes), max_size=3))
    def suppose_and_take_back(self, number: int, pods: list[tuple[Pod, str]]) -> None:
        """After a rollback all is as it was, to the order of the pods of a node."""
        fork, walked = self.forks[number % len(self.forks)]
        before, supposed = copied(fork), walked.copy()
        checkpoint = fork.checkpoint()
        for pod, node in pods:
            move(fork, supposed, pod, node)
        supposed.check(fork)
        fork.rollback(checkpoint)
        assert copied(fork) == before

    @precondition(lambda self: self.forks)
    @rule(number=st.integers(0, MOST_FORKS))
    def ask_from_now_on(self, number: int) -> None:
        self.asked.add(self.forks[number % len(self.forks)][0])

    @precondition(lambda self: self.forks)
    @rule()
    def close(self) -> None:
        """Close the fork that was taken last, so that none is closed before its own forks."""
        fork, walked = self.forks.pop()
        walked.check(fork)
        fork.close()

    @invariant()
    def forks_are_as_walked(self) -> None:
        """Whatever happened to what they were taken of."""
        for fork, walked in self.forks:
            if fork in self.asked:
                walked.check(fork)

    @invariant()
    def all_is_as_walked(self) -> None:
        assert self.snapshot.table.capacity == 64 or self.snapshot.table.capacity <= 4 * len(self.nodes)
        self.walked().check(self.snapshot)
        for uid, (pod, node, hold) in self.held.items():
            placement = self.cache.location(uid)
            assert placement is not None
            assert (placement.hold, placement.node) == (hold, node)
            assert placement.info.pod == pod
        for hold in Hold:
            assert self.cache.count(hold) == sum(held is hold for _, _, held in self.held.values())

    def hold(self, pod: Pod) -> Hold | None:
        held = self.held.get(pod.metadata.uid)
        return held and held[2]

    def walked(self) -> Walked:
        pods = {uid: (pod, node) for uid, (pod, node, _) in self.held.items()}
        return Walked(dict(self.nodes), pods, dict(self.namespaces))


def move(fork: Fork, walked: Walked, pod: Pod, node: str) -> None:
    """Place a pod on a node of a fork, or, if it is on the fork already, remove it."""
    known = walked.pods.get(pod.metadata.uid)
    if known is None:
        if node in walked.nodes:
            fork.place(PodInfo(pod), node)
            walked.pods[pod.metadata.uid] = pod, node
    elif known[1] in walked.nodes:
        row = fork.table.row_of[known[1]]
        fork.remove(PodInfo(known[0]), row)
        del walked.pods[pod.metadata.uid]


def copied(fork: Fork) -> list[object]:
    """All that a fork has to say, in values."""
    columns = fork.table.resources.values()
    newcomer = make_pod("newcomer", pod_set="", labels={"app": "web"})
    met = [held.meet(newcomer) for held in fork.holders.sorts()]
    return [
        [list(fork.pods(row)) for row in fork.rows()],
        [(column.requested.tolist(), column.scored.tolist()) for column in columns],
        [fork.counters.count(selection).tolist() for selection in ASKED],
        [
            {key: rows for key in each.keys if any(rows := each.tally(key).by_row.tolist())} if each else {}
            for each in met
        ],
        [sorted(fork.ports.rows(port)) for port in PORTS],
    ]


TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(max_examples=80, stateful_step_count=30)
