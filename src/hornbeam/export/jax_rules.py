"""Rules for StableHLO: for each primitive the patterns to try. `jax_operators.py` computes these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hornbeam.export.patterns import Pattern, activations, products, sequences
from hornbeam.export.patterns.arrays import as_it_is, for_float32

RULES: Mapping[str, Sequence[Pattern]] = {
    "conv": (for_float32(products.convolution),),
    "gather": (sequences.embedding,),
    "max": (for_float32(activations.clip),),
    "min": (for_float32(activations.clip),),
    "reverse": (sequences.turned_twice,),
    "select": (for_float32(activations.clip),),
    "softmax": (for_float32(as_it_is()),),
}
