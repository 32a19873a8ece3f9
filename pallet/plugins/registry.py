"""All built-in plugins, and the ones that run when a configuration says nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pallet.config.schema import ExtensionPoint
from pallet.plugins.default_binder import DefaultBinder
from pallet.plugins.default_preemption import DefaultPreemption
from pallet.plugins.dynamic_resources import DynamicResources
from pallet.plugins.image_locality import ImageLocality
from pallet.plugins.inter_pod_affinity import InterPodAffinity
from pallet.plugins.node_affinity import NodeAffinity
from pallet.plugins.node_declared_features import NodeDeclaredFeatures
from pallet.plugins.node_name import NodeName
from pallet.plugins.node_ports import NodePorts
from pallet.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pallet.plugins.node_resources_fit import NodeResourcesFit
from pallet.plugins.node_unschedulable import NodeUnschedulable
from pallet.plugins.node_volume_limits import NodeVolumeLimits
from pallet.plugins.pod_topology_spread import PodTopologySpread
from pallet.plugins.priority_sort import PrioritySort
from pallet.plugins.scheduling_gates import SchedulingGates
from pallet.plugins.taint_toleration import TaintToleration
from pallet.plugins.volume_binding import VolumeBinding
from pallet.plugins.volume_restrictions import VolumeRestrictions
from pallet.plugins.volume_zone import VolumeZone
from pallet.runtime.registry import PluginFactory

_WEIGHTED: Sequence[tuple[type[Any], int]] = (
    (SchedulingGates, 0),
    (PrioritySort, 0),
    (NodeName, 0),
    (NodeUnschedulable, 0),
    (TaintToleration, 3),
    (NodeAffinity, 2),
    (NodePorts, 0),
    (NodeResourcesFit, 1),
    (VolumeRestrictions, 0),
    (NodeVolumeLimits, 0),
    (VolumeBinding, 1),
    (VolumeZone, 0),
    (PodTopologySpread, 2),
    (InterPodAffinity, 2),
    (DynamicResources, 2),
    (DefaultPreemption, 0),
    (NodeResourcesBalancedAllocation, 1),
    (ImageLocality, 1),
    (DefaultBinder, 0),
    (NodeDeclaredFeatures, 0),
)

_PRE_SCORE = frozenset({ExtensionPoint.PRE_SCORE})
_PRE_FILTER = frozenset({ExtensionPoint.PRE_FILTER})
_ALSO_AT: Mapping[type[Any], frozenset[ExtensionPoint]] = {
    NodeName: _PRE_FILTER,
    NodeUnschedulable: _PRE_FILTER,
    TaintToleration: _PRE_FILTER | _PRE_SCORE,
    NodeAffinity: _PRE_SCORE,
    NodePorts: _PRE_FILTER,
    NodeResourcesFit: _PRE_FILTER | _PRE_SCORE,
    NodeVolumeLimits: _PRE_FILTER,
    InterPodAffinity: _PRE_SCORE,
    DynamicResources: frozenset(
        {
            ExtensionPoint.PRE_ENQUEUE,
            ExtensionPoint.FILTER,
            ExtensionPoint.SCORE,
            ExtensionPoint.RESERVE,
            ExtensionPoint.PRE_BIND,
            ExtensionPoint.POD_GROUP_POST_FILTER,
        }
    ),
    DefaultPreemption: frozenset({ExtensionPoint.POD_GROUP_POST_FILTER}),
    NodeResourcesBalancedAllocation: _PRE_SCORE,
    NodeDeclaredFeatures: _PRE_FILTER,
}
"""Where kube-scheduler's plugins of these names have something to do, and those here have not."""

BUILT_IN: Mapping[str, PluginFactory] = {
    kind.name: PluginFactory(kind, kind, _ALSO_AT.get(kind, frozenset())) for kind, _ in _WEIGHTED
}

DEFAULTS: Sequence[tuple[str, int]] = tuple((kind.name, weight) for kind, weight in _WEIGHTED)
"""kube-scheduler's default plugins in its order, with its weights."""
