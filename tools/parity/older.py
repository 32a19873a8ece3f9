"""What is not compared with kube-scheduler 1.36: pallet decides, and words its messages, as 1.37 does."""

import re
from dataclasses import replace

from tools.parity.decision import Decision

SUBJECTS = ("budgets", "images", "namespaces", "nominated", "resizing", "terminating", "volumes")
"""Where decisions differ: several budgets of one pod, images mounted as volumes, namespaceSelectors that
select a namespace without labels, gated pods that are nominated (which come with those that terminate), pods
in a resize, scores by capacity.
"""

_NEW = re.compile(r" ?preemption: found a potential placement for pod on node \S+, preempting \d+ victims$")
_OLD = re.compile(r" ?no new claims to deallocate(?:$|,)")


def is_older(version: str) -> bool:
    """Whether a version such as `v1.36.3` is one before 1.37."""
    major, minor = version.removeprefix("v").split(".")[:2]
    return (int(major), int(minor)) < (1, 37)


def without_new_words(decision: Decision) -> Decision:
    """A decision with the part of its message that both versions word alike."""
    return replace(decision, message=_NEW.sub("", _OLD.sub("", decision.message)))
