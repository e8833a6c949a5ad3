"""AWQ: weights of inputs with large values are scaled up before they are rounded, so that they lose less.

Source: Lin et al. 2024, AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration.
"""

from __future__ import annotations

import numpy as np

from hornbeam.quantizers.configs import AWQConfig
from hornbeam.quantizers.gptq import Rounded, range_parameters

Array = np.ndarray


def round_groups(matrix: Array, bits: int, group_size: int) -> Rounded:
    """Round a matrix (outputs, inputs) by the range of each row in each group of inputs.

    Args:
        matrix: Weights.
        bits: Bits of an integer.
        group_size: Inputs of a group; -1 for all.

    Returns:
        Rounded.
    """
    inputs = matrix.shape[1]
    size = inputs if group_size == -1 else min(group_size, inputs)
    parts = [range_parameters(matrix[:, i : i + size], bits) for i in range(0, inputs, size)]
    scale, zero = (np.hstack(column) for column in zip(*parts, strict=True))
    groups = np.arange(inputs) // size
    integers = np.clip(np.round(matrix / scale[:, groups] + zero[:, groups]), 0, 2**bits - 1)
    return Rounded(integers, scale, zero, groups.astype("float32"))


def awq(matrix: Array, largest_inputs: Array, config: AWQConfig) -> Rounded:
    """Quantize a matrix with the scales of inputs that lose least.

    Formula: the scales are `m^r`, divided by the root of their largest times their smallest, where `m` has
    the largest values of the inputs and `r` is one of `num_grid_points` exponents from 0 to 1. They minimize
    `mean(((w - rounded w) * m)^2)`.

    Args:
        matrix: Weights (outputs, inputs).
        largest_inputs: Largest absolute value of each input.
        config: Groups, and number of exponents.

    Returns:
        Rounded, with the scales of the inputs.
    """
    weights = matrix.astype("float32")
    sizes = np.where(largest_inputs < 1e-8, 1.0, largest_inputs).astype("float32")
    best, least = None, np.inf
    for step in range(config.num_grid_points + 1):
        scales = np.maximum(sizes ** np.float32(step / config.num_grid_points), np.float32(1e-4))
        scales = scales / np.maximum(np.sqrt(scales.max() * scales.min()), np.float32(1e-8))
        rounded = round_groups(weights * scales, config.weight_bits, config.group_size)
        rounded = rounded._replace(input_scale=scales)
        loss = np.mean(np.square(weights - rounded.floats()) * np.square(sizes))
        if best is None or loss < least:
            best, least = rounded, loss
    assert best is not None
    return best


class LargestInputs:
    """Largest absolute value of each input of a layer."""

    def __init__(self, size: int) -> None:
        self.values = np.zeros(size, "float32")

    def add(self, rows: Array) -> None:
        """Take the inputs of a batch, (rows, inputs)."""
        self.values = np.maximum(self.values, np.abs(rows).max(0))

    def rounded(self, matrix: Array, config: AWQConfig) -> Rounded:
        """Quantize the weights (outputs, inputs) of the layer."""
        return awq(matrix, self.values, config)
