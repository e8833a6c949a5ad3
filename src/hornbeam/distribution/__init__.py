"""Distributed training on several devices and processes, with Keras's names. See docs/distribution.md."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.distribution.distributions import DataParallel as DataParallel
from hornbeam.distribution.distributions import Distribution as Distribution
from hornbeam.distribution.distributions import ModelParallel as ModelParallel
from hornbeam.distribution.distributions import distribute_tensor as distribute_tensor
from hornbeam.distribution.distributions import distribution as distribution
from hornbeam.distribution.distributions import set_distribution as set_distribution
from hornbeam.distribution.mesh import DeviceMesh as DeviceMesh
from hornbeam.distribution.mesh import LayoutMap as LayoutMap
from hornbeam.distribution.mesh import TensorLayout as TensorLayout
from hornbeam.distribution.mesh import get_device_count as get_device_count
from hornbeam.distribution.mesh import list_devices as list_devices
from hornbeam.distribution.processes import initialize as initialize

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "Distribution",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]


explain_missing(__name__)
