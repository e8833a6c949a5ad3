"""Layers that prepare data: numbers (scaling, bins), texts and categories."""

from __future__ import annotations

from hornbeam.layers.preprocessing.categories import CategoryEncoding
from hornbeam.layers.preprocessing.discretization import Discretization
from hornbeam.layers.preprocessing.hashing import HashedCrossing, Hashing
from hornbeam.layers.preprocessing.images import Rescaling
from hornbeam.layers.preprocessing.integer_lookup import IntegerLookup
from hornbeam.layers.preprocessing.normalization import Normalization
from hornbeam.layers.preprocessing.string_lookup import StringLookup
from hornbeam.layers.preprocessing.text_vectorization import TextVectorization

__all__ = [
    "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "Normalization",
    "Rescaling", "StringLookup", "TextVectorization",
]  # fmt: skip
