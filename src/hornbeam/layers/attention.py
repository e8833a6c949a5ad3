"""Multi-head and grouped-query attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import constraints, initializers, ops, random, regularizers
from hornbeam._internal.typing import PartialShape, ShapeLike, Tree
from hornbeam._internal.validation import check_int, check_rate
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, TensorLike, Unpack
from hornbeam.layers.attention_masks import (
    combine_attention_masks,
    masked_softmax,
)
from hornbeam.layers.attention_names import MultiHeadNames
from hornbeam.layers.config import serialize_argument
from hornbeam.layers.einsum_dense import EinsumDense
from hornbeam.layers.layer import TensorsLayer
from hornbeam.layers.options import LayerOptions
from hornbeam.ops.attention import masked_attention


def _with_causal(mask: Any, query: Tensor, key: Tensor, causal: bool) -> Tensor | None:
    """Return a mask of attention as a tensor of booleans, without later positions if it is causal."""
    return combine_attention_masks(query, key, None, None, None, mask, causal, None)


def _copy_initializer(initializer: Any) -> InitializerLike:
    """Copy an initializer for each projection: without a seed, each draws its own."""
    if not hasattr(initializer, "get_config"):
        return initializer
    return type(initializer).from_config(initializer.get_config())


class _Projected(TensorsLayer):
    """Base of multi-head and grouped-query attention: projections to heads and from heads."""

    dropout: float
    seed_generator: random.SeedGenerator
    _compute_attention: Callable[..., tuple[Tensor, Tensor | None]]
    # Private as in Keras, whose files contain this name.
    _gate_dense: EinsumDense | None = None

    def _set_attention_arguments(
        self,
        sliding_window: int | None,
        use_gate: bool,
        use_bias: bool,
        kernel_initializer: InitializerLike,
        bias_initializer: InitializerLike,
        kernel_regularizer: RegularizerLike,
        bias_regularizer: RegularizerLike,
        kernel_constraint: ConstraintLike,
        bias_constraint: ConstraintLike,
    ) -> None:
        self.sliding_window = (
            sliding_window
            if sliding_window is None
            else check_int("sliding_window", sliding_window, minimum=1, where=type(self).__name__)
        )
        self.use_gate = use_gate
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _projection(
        self,
        equation: str,
        output_shape: ShapeLike,
        bias_axes: str,
        name: str,
        input_shape: Any,
        activation: str | None = None,
    ) -> EinsumDense:
        """Build an EinsumDense with this layer's initializers, regularizers and constraints."""
        layer = EinsumDense(
            equation,
            output_shape=output_shape,
            activation=activation,
            bias_axes=bias_axes if self.use_bias else None,
            kernel_initializer=_copy_initializer(self.kernel_initializer),
            bias_initializer=_copy_initializer(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.supports_masking = True  # masks are handled here, not in the projections
        layer.build(input_shape)
        return layer

    def _attention_weights(self, scores: Tensor, mask: Any, training: bool | None) -> tuple[Tensor, Tensor]:
        """Return the attention weights, and the same after dropout, which multiply the values."""
        weights = masked_softmax(scores, mask)
        if mask is not None:  # a query without any key attends to no value
            weights = ops.where(mask, weights, 0.0)
        if training and self.dropout:
            return weights, random.dropout(weights, self.dropout, seed=self.seed_generator)
        return weights, weights

    def _is_only_causal(self, owner: type[Any], causal: bool, *masks: Any) -> bool:
        """Return whether the causal mask is the only one: engines apply it without a mask in memory.

        A subclass of `owner` with a `_compute_attention` of its own gets all masks as one.
        """
        own = type(self)._compute_attention is owner._compute_attention
        return causal and own and self.sliding_window is None and all(mask is None for mask in masks)

    def _fused_attention(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Any, causal: bool, training: bool | None
    ) -> Tensor:
        """Apply attention as one operation that engines know, to heads (batch, steps, heads, size)."""
        mask = None if mask is None else ops.cast(mask, "bool")
        if mask is not None and mask.ndim == 3:
            mask = ops.expand_dims(mask, 1)
        scale = 1.0 / math.sqrt(q.shape[-1])
        if not self.dropout:
            return ops.dot_product_attention(q, k, v, mask=mask, scale=scale, is_causal=causal)
        rate, seed = (self.dropout, random.draw_seed(self.seed_generator)) if training else (0.0, None)
        return masked_attention(q, k, v, mask, scale=scale, is_causal=causal, rate=rate, seed=seed)

    def _apply_gate(self, query: Tensor, values: Tensor) -> Tensor:
        """Multiply the output of each head by its gate."""
        return values if self._gate_dense is None else values * self._gate_dense(query)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activity_regularizer": serialize_argument(self.activity_regularizer)}


_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@exported("keras.layers")
class MultiHeadAttention(MultiHeadNames, _Projected):
    """Multi-head attention: `y = concat over heads of softmax(q k^T / sqrt(key_dim)) v`, projected.

    q, k and v are projections of query, key and value; the key is the value by default. Calls also take
    `query_mask` (batch, T), `value_mask` and `key_mask` (batch, S), `attention_mask` (batch, T, S) or (batch,
    heads, T, S), `use_causal_mask`, with which no position attends to later ones, and
    `return_attention_scores`, whether the weights (batch, heads, T, S) are returned too.

    Shapes: query (batch, T, n), value (batch, S, m) -> y (batch, T, n), or (batch, T, *output_shape).

    Args:
        num_heads: Number of heads.
        key_dim: Size of queries and keys in each head.
        value_dim: Size of values in each head, `key_dim` by default.
        dropout: Fraction of the attention weights that are dropped in training, in [0, 1).
        use_bias: Whether projections have a bias.
        output_shape: Sizes of the output's features, those of the query by default.
        attention_axes: Axes over which attention is applied, all but batch and features by default.
        sliding_window: Distance below which positions attend to each other, to both sides (with
            `use_causal_mask` only to earlier ones); unlimited by default.
        flash_attention: Accepted for Keras's signature: the engine chooses its kernels.
        kernel_initializer: Initializer of the projections' kernels.
        bias_initializer: Initializer of the projections' biases.
        kernel_regularizer: Penalty on the kernels that is added to the loss.
        bias_regularizer: Penalty on the biases that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernels after each update.
        bias_constraint: Function applied to the biases after each update.
        use_gate: Whether the output of each head is multiplied by sigmoid(projection of the query) (Qiu et
            al. 2025).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size or number is below 1.

    Example:
        >>> layer = hornbeam.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> layer(np.ones((1, 5, 8)), np.ones((1, 3, 8))).shape
        (1, 5, 8)

    Source: Vaswani et al. 2017.
    """

    _not_in_config = frozenset({"flash_attention"})

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.num_heads = check_int("num_heads", num_heads, minimum=1, where="MultiHeadAttention")
        self.key_dim = check_int("key_dim", key_dim, minimum=1, where="MultiHeadAttention")
        self.value_dim = (
            self.key_dim
            if value_dim is None
            else check_int("value_dim", value_dim, minimum=1, where="MultiHeadAttention")
        )
        self.dropout = check_rate("dropout", dropout, where="MultiHeadAttention")
        self._set_attention_arguments(
            sliding_window, use_gate, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, kernel_constraint, bias_constraint,
        )  # fmt: skip
        sizes: Any = output_shape
        if sizes is not None and not isinstance(sizes, (list, tuple)):
            sizes = (sizes,)
        for size in sizes or ():
            check_int("output_shape", size, minimum=1, where="MultiHeadAttention")
        self.output_shape: Sequence[int] | None = sizes
        self.attention_axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.seed = seed
        if self.dropout:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def build(
        self, query_shape: PartialShape, value_shape: PartialShape, key_shape: PartialShape | None = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self.query_dense = self._project_to_heads(query_shape, self.key_dim, "query")
        self.key_dense = self._project_to_heads(key_shape, self.key_dim, "key")
        if self.use_gate:
            self._gate_dense = self._project_to_heads(query_shape, self.value_dim, "gate", "sigmoid")
        self.value_dense = self._project_to_heads(value_shape, self.value_dim, "value")
        rank = len(query_shape)
        leading = _LETTERS[: rank - 1]
        self._build_attention(rank + 1)
        output_shape = self.output_shape or (query_shape[-1],)
        out = _LETTERS[rank + 1 : rank + 1 + len(output_shape)]
        self.output_dense = self._projection(
            f"{leading}yz,yz{out}->{leading}{out}",
            (*[None] * (rank - 2), *output_shape),
            out,
            "attention_output",
            (*query_shape[:-1], self.num_heads, self.value_dim),
        )

    def _project_to_heads(
        self, shape: Any, size: int, name: str, activation: str | None = None
    ) -> EinsumDense:
        leading, last = _LETTERS[: len(shape) - 1], _LETTERS[len(shape) - 1]
        output_shape = (*(None,) * (len(shape) - 2), self.num_heads, size)
        return self._projection(
            f"{leading}{last},{last}yz->{leading}yz", output_shape, "yz", name, shape, activation
        )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: TensorLike | None = None,
        value_mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        attention_mask: TensorLike | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Tree:
        key = value if key is None else key
        masks = (query_mask, value_mask, key_mask, attention_mask)
        causal = self._is_only_causal(MultiHeadAttention, use_causal_mask, *masks)
        mask = None if causal else self._compute_attention_mask(query, value, *masks, use_causal_mask)
        q, k, v = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        options = {"use_causal_mask": True} if causal else {}
        outputs, scores = self._compute_attention(q, k, v, mask, training, return_attention_scores, **options)
        result = self.output_dense(self._apply_gate(query, outputs))
        return (result, scores) if return_attention_scores else result

    def _compute_attention(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        attention_mask: TensorLike | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply attention to heads (batch, ..., heads, size), and return the values and the weights.

        The weights may be None unless `return_attention_scores`. Subclasses may override it, as in Keras.
        """
        q, k, v = (ops.convert_to_tensor(x) for x in (query, key, value))
        if q.ndim == 4 and not return_attention_scores:
            return self._fused_attention(q, k, v, attention_mask, use_causal_mask, training), None
        mask = _with_causal(attention_mask, q, k, use_causal_mask)
        weights, outputs = self._attend(q, k, v, mask, bool(training))
        return outputs, weights

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor]:
        """Apply attention to heads (batch, ..., heads, size), with the attended axes flattened to one.

        Returns the attention weights and the weighted values.
        """
        rank = q.ndim
        axes = self.attention_axes or tuple(range(1, rank - 2))
        axes = tuple(axis % (rank - 1) for axis in axes)
        batch_axes = tuple(axis for axis in range(rank - 2) if axis not in axes)
        order = (*batch_axes, rank - 2, *axes, rank - 1)
        q, k, v = (ops.transpose(x, order) for x in (q, k, v))
        num_leading, inner = len(batch_axes) + 1, q.shape[len(batch_axes) + 1 : -1]
        seen = k.shape[num_leading:-1]
        q, k, v = (
            ops.reshape(x, (*x.shape[:num_leading], math.prod(x.shape[num_leading:-1]), x.shape[-1]))
            for x in (q, k, v)
        )
        transposed = (*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)
        scores = ops.matmul(q * (1.0 / math.sqrt(self.key_dim)), ops.transpose(k, transposed))
        if mask is not None:
            # The axes before the attended ones are batch (and heads); missing axes are inserted after them.
            front = mask.shape[: mask.ndim - len(inner) - len(seen)]
            mask = ops.broadcast_to(mask, (*front, *inner, *seen))
            mask = ops.reshape(mask, (*front, *(1,) * (num_leading - len(front)), *scores.shape[-2:]))
        weights, dropped = self._attention_weights(scores, mask, training)
        outputs = ops.matmul(dropped, v)
        outputs = ops.reshape(outputs, (*outputs.shape[:num_leading], *inner, outputs.shape[-1]))
        inverse = tuple(int(i) for i in np.argsort(order))
        return ops.reshape(weights, (*weights.shape[:num_leading], *inner, *seen)), ops.transpose(
            outputs, inverse
        )

    def compute_mask(self, inputs: Tree, mask: Tensor | None = None) -> Tree:
        return mask


@exported("keras.layers", "GroupQueryAttention")
class GroupedQueryAttention(_Projected):
    """Multi-head attention in which groups of query heads share a key and a value head.

    Calls and masks as in `MultiHeadAttention`.

    Shapes: query (batch, T, n), value (batch, S, m), key as the value -> y (batch, T, n).

    Args:
        head_dim: Size of queries, keys and values in each head.
        num_query_heads: Number of query heads, a multiple of `num_key_value_heads`.
        num_key_value_heads: Number of key and value heads.
        dropout: Fraction of the attention weights that are dropped in training, in [0, 1).
        use_bias: Whether projections have a bias.
        sliding_window: Distance below which positions attend to each other; see `MultiHeadAttention`.
        flash_attention: Accepted for Keras's signature: the engine chooses its kernels.
        kernel_initializer: Initializer of the projections' kernels.
        bias_initializer: Initializer of the projections' biases.
        kernel_regularizer: Penalty on the kernels that is added to the loss.
        bias_regularizer: Penalty on the biases that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernels after each update.
        bias_constraint: Function applied to the biases after each update.
        use_gate: Whether the output of each head is multiplied by sigmoid(projection of the query) (Qiu et
            al. 2025).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If the numbers of heads do not divide.

    Example:
        >>> layer = hornbeam.layers.GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)
        >>> layer(np.ones((1, 5, 8)), np.ones((1, 3, 8))).shape
        (1, 5, 8)

    Source: Ainslie et al. 2023.
    """

    _not_in_config = frozenset({"flash_attention"})
    # Keras writes files under the class's name and configs under this one; its projections are private there,
    # and files know them by that.
    _exported_name = "GroupQueryAttention"
    # Whether the call that runs returns the attention weights.
    _return_attention_scores = False

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = "GroupQueryAttention"
        self.head_dim = check_int("head_dim", head_dim, minimum=1, where=owner)
        self.num_query_heads = check_int("num_query_heads", num_query_heads, minimum=1, where=owner)
        self.num_key_value_heads = check_int(
            "num_key_value_heads", num_key_value_heads, minimum=1, where=owner
        )
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"{owner}: num_query_heads must be a multiple of num_key_value_heads, "
                f"got {num_query_heads} and {num_key_value_heads}"
            )
        self.dropout = check_rate("dropout", dropout, where=owner)
        self._set_attention_arguments(
            sliding_window, use_gate, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, kernel_constraint, bias_constraint,
        )  # fmt: skip
        self.seed = seed
        if self.dropout:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def build(
        self, query_shape: PartialShape, value_shape: PartialShape, key_shape: PartialShape | None = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        heads, shared, size = self.num_query_heads, self.num_key_value_heads, self.head_dim
        self._query_dense = self._projection("bqm,muh->bquh", (None, heads, size), "uh", "query", query_shape)
        self._key_dense = self._projection("bkm,mvh->bkvh", (None, shared, size), "vh", "key", key_shape)
        if self.use_gate:
            self._gate_dense = self._projection(
                "bqm,muh->bquh", (None, heads, size), "uh", "gate", query_shape, "sigmoid"
            )
        self._value_dense = self._projection(
            "bkm,mvh->bkvh", (None, shared, size), "vh", "value", value_shape
        )
        self._output_dense = self._projection(
            "bquh,uhm->bqm",
            (None, query_shape[-1]),
            "m",
            "attention_output",
            (*query_shape[:-1], heads, size),
        )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: TensorLike | None = None,
        value_mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        attention_mask: TensorLike | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Tree:
        masks = (query_mask, value_mask, key_mask, attention_mask)
        causal = self._is_only_causal(GroupedQueryAttention, use_causal_mask, *masks)
        mask = (
            None
            if causal
            else combine_attention_masks(query, value, *masks, use_causal_mask, self.sliding_window)
        )
        key = value if key is None else key
        q, k, v = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if type(self)._compute_attention is not GroupedQueryAttention._compute_attention:
            k, v = self._all_heads(k), self._all_heads(v)  # a subclass gets them as in Keras
        self._return_attention_scores = return_attention_scores
        options = {"use_causal_mask": True} if causal else {}
        outputs, scores = self._compute_attention(q, k, v, mask, training, **options)
        result = self._output_dense(self._apply_gate(query, outputs))
        return (result, scores) if return_attention_scores else result

    def _all_heads(self, x: Tensor) -> Tensor:
        """Repeat key or value heads (batch, S, heads, size), one for each query head."""
        return ops.repeat(x, self.num_query_heads // x.shape[2], axis=2)

    def _compute_attention(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        attention_mask: TensorLike | None = None,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply attention to heads (batch, steps, heads, size), and return the values and the weights.

        The weights may be None unless `_return_attention_scores`. Subclasses may override it, as in Keras.
        """
        q, k, v = (ops.convert_to_tensor(x) for x in (query, key, value))
        if not self._return_attention_scores:
            return self._fused_attention(q, k, v, attention_mask, use_causal_mask, training), None
        mask = _with_causal(attention_mask, q, k, use_causal_mask)
        k, v = self._all_heads(k), self._all_heads(v)
        scores = ops.matmul(
            ops.transpose(q, (0, 2, 1, 3)) * (1.0 / math.sqrt(self.head_dim)), ops.transpose(k, (0, 2, 3, 1))
        )
        if mask is not None and mask.ndim == 3:
            mask = ops.expand_dims(mask, 1)
        weights, dropped = self._attention_weights(scores, mask, training)
        outputs = ops.matmul(dropped, ops.transpose(v, (0, 2, 1, 3)))
        return ops.transpose(outputs, (0, 2, 1, 3)), weights

    def compute_mask(self, inputs: Tree, mask: Tensor | None = None) -> Tree:
        return mask
