"""Layers that prepare data: scaling, normalization fitted on data, crops, sizes, categories, bins."""

from __future__ import annotations

from hornbeam.layers.preprocessing.categories import CategoryEncoding
from hornbeam.layers.preprocessing.discretization import Discretization
from hornbeam.layers.preprocessing.images import CenterCrop, Rescaling, Resizing
from hornbeam.layers.preprocessing.normalization import Normalization

__all__ = ["CategoryEncoding", "CenterCrop", "Discretization", "Normalization", "Rescaling", "Resizing"]
