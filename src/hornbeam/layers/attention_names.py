"""Parts of multi-head attention that are private in Keras and that subclasses of packages use."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import PartialShape, ShapeTree
from hornbeam.core.keras_names import Computed, synonyms
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError
from hornbeam.layers.activation import Softmax
from hornbeam.layers.attention_equations import attention_equations, projected_shape, projection_equation
from hornbeam.layers.attention_masks import combine_attention_masks
from hornbeam.layers.einsum_dense import EinsumDense
from hornbeam.layers.regularization import Dropout

_PUBLIC = (
    "dropout use_bias use_gate sliding_window kernel_initializer bias_initializer kernel_regularizer "
    "bias_regularizer activity_regularizer kernel_constraint bias_constraint"
)
_OF_MULTI_HEAD = "num_heads key_dim value_dim output_shape query_dense key_dense value_dense output_dense"


def _owned(layer: Any, name: str, part: Any) -> Any:
    """Remember a part without state of its own, which files do not have."""
    object.__setattr__(layer, name, part)
    return part


def _dropout_layer(layer: Any) -> Dropout:
    part = Dropout(layer.dropout, dtype=layer.dtype_policy)
    if layer.dropout:
        part.seed_generator = layer.seed_generator
    return _owned(layer, "_dropout_layer", part)


def _axes(layer: Any) -> tuple[int, ...]:
    """Return the attended axes; before the layer is built, those of inputs of three axes."""
    return tuple(layer._attention_axes or (1,))


@synonyms({f"_{name}": name for name in f"{_PUBLIC} {_OF_MULTI_HEAD}".split()})
class MultiHeadNames:
    """Base of `MultiHeadAttention` for what is private in Keras, with its arguments and results."""

    _flash_attention = False
    _inverse_sqrt_key_dim = Computed(lambda layer: 1.0 / math.sqrt(layer.key_dim))
    _attention_axes = Computed(lambda layer: layer.attention_axes)
    _dot_product_equation = Computed(lambda layer: attention_equations(4, _axes(layer)).scores)
    _combine_equation = Computed(lambda layer: attention_equations(4, _axes(layer)).output)
    _dropout_layer = Computed(_dropout_layer)
    _softmax = Computed(
        lambda layer: _owned(
            layer,
            "_softmax",
            Softmax(axis=tuple(range(-len(_axes(layer)), 0)), dtype=layer.dtype_policy),
        )
    )

    def compute_output_shape(
        self: Any, query_shape: PartialShape, value_shape: PartialShape, key_shape: PartialShape | None = None
    ) -> ShapeTree:
        """Return the shape of the output. It depends on arguments alone, so subclasses may ask in `build`.

        Args:
            query_shape: Shape of the query, None where unknown.
            value_shape: Shape of the values.
            key_shape: Shape of the keys, by default that of the values.

        Raises:
            ShapeError: If keys and values differ in another size than the last.
        """
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ShapeError(
                f"{self.describe()}: value and key differ in their last size at most, got the shapes "
                f"{tuple(value_shape)} and {tuple(key_shape)}"
            )
        return (*query_shape[:-1], *(self.output_shape or (query_shape[-1],)))

    def _build_attention(self: Any, rank: int) -> None:
        """Set the attended axes and the equations for heads with `rank` axes."""
        axes = self.attention_axes
        axes = tuple(range(1, rank - 2)) if axes is None else tuple(axis % (rank - 1) for axis in axes)
        equations = attention_equations(rank, axes)
        self._attention_axes = axes
        self._dot_product_equation, self._combine_equation = equations.scores, equations.output

    def _get_common_kwargs_for_sublayer(self: Any) -> dict[str, Any]:
        """Return the arguments that the projections have in common."""

        def copied(initializer: Any) -> Any:
            return type(initializer).from_config(initializer.get_config())

        return {
            "kernel_initializer": copied(self.kernel_initializer),
            "bias_initializer": copied(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self.activity_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self.dtype_policy,
        }

    def _make_output_dense(
        self: Any, query_shape: Any, common_kwargs: dict[str, Any], name: str | None = None
    ) -> EinsumDense:
        """Create the projection of the heads to the output."""
        sizes = list(self.output_shape or [query_shape[-1]])
        equation, bias_axes, rank = projection_equation(len(query_shape) - 1, 2, len(sizes))
        bias = bias_axes if self.use_bias else None
        shape: Any = projected_shape(rank - 1, sizes)
        return EinsumDense(equation, output_shape=shape, bias_axes=bias, name=name, **common_kwargs)

    def _masked_softmax(self: Any, attention_scores: Tensor, attention_mask: Any = None) -> Tensor:
        """Apply softmax to scores (batch, heads, T, S) under a mask without the axis of heads, or with it."""
        if attention_mask is not None:
            for _ in range(attention_scores.ndim - attention_mask.ndim):
                attention_mask = ops.expand_dims(attention_mask, -len(_axes(self)) * 2 - 1)
        return self._softmax(attention_scores, mask=attention_mask)

    def _compute_attention_mask(
        self: Any,
        query: Tensor,
        value: Tensor,
        query_mask: TensorLike | None = None,
        value_mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        attention_mask: TensorLike | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | None:
        """Return all masks as one."""
        return combine_attention_masks(
            query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask,
            self.sliding_window,
        )  # fmt: skip
