"""All built-in plugins, and the ones that run when a configuration says nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pallet.framework.registry import PluginFactory
from pallet.plugins.default_binder import DefaultBinder
from pallet.plugins.image_locality import ImageLocality
from pallet.plugins.inter_pod_affinity import InterPodAffinity
from pallet.plugins.node_affinity import NodeAffinity
from pallet.plugins.node_name import NodeName
from pallet.plugins.node_ports import NodePorts
from pallet.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pallet.plugins.node_resources_fit import NodeResourcesFit
from pallet.plugins.node_unschedulable import NodeUnschedulable
from pallet.plugins.priority_sort import PrioritySort
from pallet.plugins.scheduling_gates import SchedulingGates
from pallet.plugins.taint_toleration import TaintToleration

_WEIGHTED: Sequence[tuple[type[Any], int]] = (
    (SchedulingGates, 0),
    (PrioritySort, 0),
    (NodeUnschedulable, 0),
    (NodeName, 0),
    (TaintToleration, 3),
    (NodeAffinity, 2),
    (NodePorts, 0),
    (NodeResourcesFit, 1),
    (InterPodAffinity, 2),
    (NodeResourcesBalancedAllocation, 1),
    (ImageLocality, 1),
    (DefaultBinder, 0),
)

BUILT_IN: Mapping[str, PluginFactory] = {kind.name: PluginFactory.of(kind) for kind, _ in _WEIGHTED}

DEFAULTS: Sequence[tuple[str, int]] = tuple((kind.name, weight) for kind, weight in _WEIGHTED)
"""kube-scheduler's default plugins in its order, with its weights."""
