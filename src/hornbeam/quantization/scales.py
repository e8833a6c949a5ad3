"""Scales of the inputs of layers, from sample data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.layers import Layer
from hornbeam.layers.context import layer_call_hook
from hornbeam.models import Model
from hornbeam.quantization.layers import LARGEST

# Values of a layer's inputs that are kept of each batch.
_KEPT = 20_000
# Ranges that are tried, as proportions of the largest value.
_RANGES = np.linspace(1.0, 0.3, 36)


class InputValues:
    """The largest input of a layer, and a sample of all of them."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.sample: list[np.ndarray] = []

    def add(self, values: np.ndarray, rng: np.random.Generator) -> None:
        """Take the inputs of a batch."""
        flat = np.abs(values.reshape(-1))
        self.largest = max(self.largest, float(flat.max(initial=0.0)))
        self.sample.append(flat if flat.size <= _KEPT else flat[rng.integers(0, flat.size, _KEPT)])

    def scale(self) -> float:
        """Return the factor that brings inputs to [-127, 127] with the least squared error of rounding.

        Values beyond the range are clipped: a few large ones would take steps from all others.

        Source: Nagel et al. 2021, A White Paper on Neural Network Quantization, section 3.1.
        """
        if not self.largest:
            return 1.0
        values = np.concatenate(self.sample)
        scales = LARGEST / (self.largest * _RANGES)
        errors = [np.square(np.minimum(np.rint(values * s), LARGEST) / s - values).mean() for s in scales]
        return float(scales[int(np.argmin(errors))])


def input_scales(model: Model, batches: Iterable[Any], targets: Iterable[Layer]) -> dict[Layer, float]:
    """Run a model on batches and return the scale of the inputs of each target that was called.

    Raises:
        ValueError: If an input is infinite or NaN, or there is no batch.
    """
    seen: dict[Layer, InputValues] = {}
    wanted, rng = set(targets), np.random.default_rng(0)

    def observe(layer: Layer, run: Any) -> Any:
        if layer in wanted:
            values = np.asarray(tree.flatten([*run.args, *run.keywords.values()])[0], "float32")
            if not np.isfinite(values).all():
                raise ValueError(
                    f"calibrate(): {layer.describe()} has inputs that are infinite or NaN. Look for them in "
                    "the data, or train the model again"
                )
            seen.setdefault(layer, InputValues()).add(values, rng)
        return run()

    count = 0
    with layer_call_hook(observe):
        for batch in batches:
            tree.map_structure(np.asarray, model(batch, training=False))
            count += 1
    if not count:
        raise ValueError("calibrate(): the data hold no batch")
    return {layer: values.scale() for layer, values in seen.items()}
