"""I1 and I2: each pod is bound once, and where there is room for it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from tools.chaos.checks.visibility import excused
from tools.chaos.history import Change, History, Node, Object, Pod, Violation, Write, replayed


def bound_once(history: History) -> Iterator[Violation]:
    """I1: at most one binding of a UID succeeds, and a pod's node never changes."""
    succeeded: dict[str, Write] = {}
    for write in history.bindings():
        first = succeeded.setdefault(write.uid, write)
        if first is not write:
            yield Violation(
                "I1",
                write.at,
                f"{write.namespace}/{write.name}",
                f"bound to {first.node} by {first.agent} and to {write.node} by {write.agent}",
            )
    for change, before, _ in replayed(history.changes):
        after = change.object
        was = node_of(before)
        if isinstance(after, Pod) and was and was != after.node:
            yield Violation("I1", change.at, after.key, f"went from {was} to {after.node or 'no node'}")


def node_of(before: Object | None) -> str:
    """The node that a pod had before a change; empty where it had none, or was not there."""
    return before.node if isinstance(before, Pod) else ""


def placements(history: History) -> Iterator[tuple[Change, Pod, Write | None, Mapping[str, Object]]]:
    """Each moment at which one of our pods got its node, with the binding that gave it, if one is known."""
    sent = _by_pod(history)
    for change, before, state in replayed(history.changes):
        pod = change.object
        if isinstance(pod, Pod) and pod.ours and pod.node and not node_of(before):
            yield change, pod, _sender(sent[pod.key], pod, change.at), state


def _by_pod(history: History) -> Mapping[str, list[Write]]:
    sent: dict[str, list[Write]] = defaultdict(list)
    for write in history.writes:
        if write.resource == "pods/binding":
            sent[f"{write.namespace}/{write.name}"].append(write)
    return sent


def _sender(sent: list[Write], pod: Pod, at: float) -> Write | None:
    """The last binding of a pod to its node that was sent before it was seen there.

    One whose answer is unknown, since the API server ended, tells neither UID nor node.
    """
    return next(
        (
            write
            for write in reversed(sent)
            if write.at <= at and write.uid in ("", pod.uid) and write.node in ("", pod.node)
        ),
        None,
    )


def not_overcommitted(history: History) -> Iterator[Violation]:
    """I2: no binding takes more of a node than there is: cpu, memory, pods, host ports, anti-affinity.

    Only bindings of ours place pods, so whoever binds knows of all others, or has to learn of them before.
    """
    on: dict[str, dict[str, Pod]] = defaultdict(dict)
    nodes: dict[str, Node] = {}
    for change, before, _ in replayed(history.changes):
        after = change.object
        if isinstance(before, Pod):
            on[before.node].pop(before.uid, None)
        if isinstance(after, Node):
            nodes[after.name] = after
        if isinstance(before, Node) and after is None:
            nodes.pop(before.name, None)
        if not isinstance(after, Pod) or not after.node or after.finished:
            continue
        others = dict(on[after.node])
        on[after.node][after.uid] = after
        if not node_of(before) and after.node in nodes:
            for what in conflicts(after, nodes[after.node], others):
                yield Violation("I2", change.at, after.key, f"on {after.node}: {what}")


def conflicts(pod: Pod, node: Node, others: Mapping[str, Pod]) -> Iterator[str]:
    """What of a node a pod would take that others have."""
    pods = [*others.values(), pod]
    for what, asked, offered in (
        ("cpu", sum(each.cpu for each in pods), node.cpu),
        ("memory", sum(each.memory for each in pods), node.memory),
        ("pods", len(pods), node.pods),
    ):
        if asked > offered:
            yield f"{what} {asked} of {offered}, with {', '.join(each.key for each in others.values())}"
    ports = Counter(port for each in pods for port in each.ports)
    for port in pod.ports:
        if ports[port] > 1:
            yield f"host port {port} is taken"
    for other in others.values():
        if other.namespace == pod.namespace and (_apart(pod, other) or _apart(other, pod)):
            yield f"anti-affinity with {other.key}"


def _apart(pod: Pod, other: Pod) -> bool:
    return bool(pod.apart) and pod.apart.items() <= other.labels.items()


def refusal(pod: Pod, node: Node) -> str:
    """Why a node may not take a pod, whoever else is there; empty where it may."""
    if node.unschedulable:
        return "cordoned"
    if not pod.selector.items() <= node.labels.items():
        return "not selected"
    taints = [taint for taint in node.taints if taint not in pod.tolerated]
    return f"tainted {taints[0]}" if taints else ""


def legal_place(history: History) -> Iterator[Violation]:
    """I2: a pod is bound to a node that exists and may take it, as far as the binder could know."""
    nodes: dict[str, list[tuple[float, Node | None]]] = defaultdict(list)
    bound = {change.revision: (pod, write) for change, pod, write, _ in placements(history)}
    for change, before, _ in replayed(history.changes):
        for each in (before, change.object):
            if isinstance(each, Node):
                nodes[each.name].append((change.at, each if each is change.object else None))
        if change.revision not in bound:
            continue
        pod, write = bound[change.revision]
        why, since = _refused(pod, nodes[pod.node])
        if write is None:
            yield Violation("I1", change.at, pod.key, f"is on {pod.node}, and no binding was sent")
        elif why and not excused(history.blind, write, "nodes", since):
            text = f"bound by {write.agent} to {pod.node}: {why} for {write.at - since:.1f} s"
            yield Violation("I2", write.at, pod.key, text)


def _refused(pod: Pod, versions: list[tuple[float, Node | None]]) -> tuple[str, float]:
    """Why the last version of a node may not take a pod, and since when that is so without a break."""
    why, since = ("", 0.0) if versions else ("there never was such a node", 0.0)
    for index, (at, node) in enumerate(reversed(versions)):
        reason = refusal(pod, node) if node is not None else "there is no such node"
        if not reason:
            break
        why, since = (reason, at) if index == 0 else (why, at)
    return why, since
