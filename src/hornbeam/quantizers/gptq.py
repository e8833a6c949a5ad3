"""GPTQ: columns of a weight are rounded one after another, and later ones make up for the errors.

Source: Frantar et al. 2023, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hornbeam.quantizers.configs import GPTQConfig

Array = np.ndarray
# Columns whose errors are carried to the later ones together.
_BLOCK = 128


class Rounded(NamedTuple):
    """A quantized matrix (outputs, inputs), with scales and zero points of its groups.

    Attributes:
        integers: Unsigned integers (outputs, inputs).
        scale: Scales (outputs, groups).
        zero: Zero points (outputs, groups).
        groups: Group of each input (inputs,).
        input_scale: Numbers by which the inputs' weights were multiplied before, for AWQ.
    """

    integers: Array
    scale: Array
    zero: Array
    groups: Array
    input_scale: Array | None = None

    def floats(self) -> Array:
        """Return the matrix that the integers stand for."""
        index = self.groups.astype(int)
        matrix = (self.integers - self.zero.astype("float32")[:, index]) * self.scale[:, index]
        return matrix if self.input_scale is None else matrix / self.input_scale


def range_parameters(
    matrix: Array, bits: int, symmetric: bool = False, per_channel: bool = True
) -> tuple[Array, Array]:
    """Return scales and zero points, (outputs, 1), that map the range of each row of a matrix to integers.

    Args:
        matrix: Matrix (outputs, inputs of a group).
        bits: Bits of an integer.
        symmetric: Whether the zero point is the middle of the range.
        per_channel: Whether each row has its own range.
    """
    axis = 1 if per_channel else None
    # 0 is always in the range, so that the zero point is one of the integers.
    low = np.minimum(matrix.min(axis, keepdims=True), 0)
    high = np.maximum(matrix.max(axis, keepdims=True), 0)
    if symmetric:
        high = np.maximum(-low, high)
        low = -high
    low, high = np.where(low == high, low - 1, low), np.where(low == high, high + 1, high)
    scale = ((high - low) / np.float32(2**bits - 1)).astype("float32")
    zero = np.full_like(scale, 2 ** (bits - 1)) if symmetric else np.round(-low / scale)
    shape = (len(matrix), 1)
    return np.broadcast_to(scale, shape).copy(), np.broadcast_to(zero, shape).copy()


def gptq(matrix: Array, hessian: Array, config: GPTQConfig) -> Rounded:
    """Quantize a matrix so that its products with inputs change little.

    Args:
        matrix: Weights (outputs, inputs).
        hessian: `2 / n * sum of x x^T` over n inputs, (inputs, inputs).
        config: Bits, groups, damping and order.

    Returns:
        Rounded.
    """
    weights = matrix.astype("float32").copy()
    inputs = weights.shape[1]
    hessian = hessian.astype("float64").copy()
    diagonal = np.diag(hessian).copy()
    diagonal[diagonal == 0] = 1  # inputs that are always 0
    np.fill_diagonal(hessian, diagonal + config.hessian_damping * diagonal.mean())
    order = np.arange(inputs)
    if config.activation_order:
        order = np.argsort(-np.diag(hessian), kind="stable")
    weights, hessian = weights[:, order], hessian[np.ix_(order, order)]
    # Row j of the factor has what an error in column j costs the later ones.
    factor = np.linalg.cholesky(np.linalg.inv(hessian)).T.astype("float32")
    size = inputs if config.group_size == -1 else config.group_size
    integers = np.zeros(weights.shape, "float32")
    scales: list[Array] = []
    zeros: list[Array] = []
    largest = 2**config.weight_bits - 1
    for start in range(0, inputs, _BLOCK):
        end = min(start + _BLOCK, inputs)
        errors = np.zeros((len(weights), end - start), "float32")
        for column in range(start, end):
            if column % size == 0:
                # Columns of this block have their corrections; those behind it get them below.
                group = weights[:, column : column + size].copy()
                behind = min(column + size, inputs)
                if behind > end and column > start:
                    group[:, end - column :] -= errors @ factor[start:end, end:behind]
                scale, zero = range_parameters(
                    group, config.weight_bits, config.symmetric, config.per_channel
                )
                scales.append(scale)
                zeros.append(zero)
            value = weights[:, column]
            scale, zero = scales[-1][:, 0], zeros[-1][:, 0]
            rounded = np.clip(np.round(value / scale + zero), 0, largest)
            integers[:, column] = rounded
            error = (value - (rounded - zero) * scale) / factor[column, column]
            weights[:, column + 1 : end] -= np.outer(error, factor[column, column + 1 : end])
            errors[:, column - start] = error
        weights[:, end:] -= errors @ factor[start:end, end:]
    back = np.argsort(order)
    groups = (np.arange(inputs) // size).astype("float32")
    return Rounded(integers[:, back], np.hstack(scales), np.hstack(zeros), groups[back])


class Hessian:
    """2 / n * sum of x x^T over the inputs x of a layer."""

    def __init__(self, size: int) -> None:
        self.total, self.count = np.zeros((size, size)), 0

    def add(self, rows: Array) -> None:
        """Take the inputs of a batch, (rows, inputs)."""
        self.total += np.asarray(rows.T @ rows, "float64")
        self.count += len(rows)

    def rounded(self, matrix: Array, config: GPTQConfig) -> Rounded:
        """Quantize the weights (outputs, inputs) of the layer."""
        return gptq(matrix, 2 / max(self.count, 1) * self.total, config)
