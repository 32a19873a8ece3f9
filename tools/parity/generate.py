"""From a seed to a scenario."""

from collections.abc import Mapping, Sequence
from random import Random

from tools.parity.draft import Draft, Subject
from tools.parity.scenario import Manifest, Scenario
from tools.parity.subjects import (
    affinity,
    arguments,
    basics,
    budgets,
    changes,
    extenders,
    features,
    images,
    lengths,
    namespaces,
    nominated,
    ports,
    priority,
    profiles,
    quantities,
    resizing,
    resources,
    selection,
    spreading,
    taints,
    terminating,
    volumes,
    weights,
)

_MODULES = (
    *(taints, selection, ports, resources, quantities, images, resizing),
    *(affinity, namespaces, spreading, lengths, volumes, priority, budgets, nominated, terminating),
    *(features, profiles, arguments, weights, extenders, changes),
)

SUBJECTS: Mapping[str, Subject] = {module.SUBJECT.name: module.SUBJECT for module in _MODULES}

MOST_NODES = 40


def scenario(
    seed: int, pods: int, only: Sequence[str] = (), among: Sequence[str] = tuple(SUBJECTS)
) -> Scenario:
    """Draw a cluster with one to three of the subjects `among`, or with all of those in `only`, and its pods.

    The subjects that these need are drawn too.
    """
    rng = Random(seed)  # noqa: S311 - no secret
    names = list(only) or rng.sample(among, rng.randint(1, 3))
    names += [needed for name in names for needed in SUBJECTS[name].needs]
    subjects = [subject for name, subject in SUBJECTS.items() if name in names]
    draft = Draft(rng, f"parity-{seed}")
    basics.add_namespaces(draft)
    basics.add_nodes(draft, round(rng.triangular(4, MOST_NODES, 8)))
    for subject in subjects:
        subject.prepare(draft)
    there = [_pod(draft, subjects, _node(draft)) for _ in range(len(draft.nodes) * rng.randint(0, 5))]
    coming = [_pod(draft, subjects, None) for _ in range(pods)]
    return Scenario(
        name=draft.prefix,
        seed=seed,
        subjects=tuple(subject.name for subject in subjects),
        objects=[*draft.namespaces, *draft.nodes, *draft.objects, *there],
        pods=coming,
        profiles=draft.profiles,
        extenders=draft.extenders,
        changes=draft.changes,
    )


def _node(draft: Draft) -> str:
    name: str = draft.pick(draft.nodes)["metadata"]["name"]
    return name


def _pod(draft: Draft, subjects: Sequence[Subject], node: str | None) -> Manifest:
    """Make a pod of which about half of the subjects speak."""
    pod = basics.pod(draft, node)
    for subject in subjects:
        if draft.chance(0.6):
            subject.dress(draft, pod)
    if node is None:
        draft.coming += 1
    return pod
