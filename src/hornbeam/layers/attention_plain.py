"""Attention without projections: dot products (Luong) and sums (Bahdanau)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops, random
from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam._internal.validation import check_choice, check_rate
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.attention_masks import causal_mask, combine_masks, masked_softmax
from hornbeam.layers.layer import TensorsLayer
from hornbeam.layers.options import RegularizedLayerOptions


@exported("keras.layers")
class Attention(TensorsLayer):
    """Dot-product attention without projections: `y = softmax(score(q, k)) v`.

    The score is `q k^T` ("dot") or `sum(tanh(q + k))` ("concat").

    Calls take [query, value] or [query, value, key]; `mask`, a list of query mask (batch, T) and value mask
    (batch, S); `return_attention_scores`, whether the weights (batch, T, S) are returned too; and
    `use_causal_mask`, with which no position attends to later ones.

    Shapes: query (batch, T, n), value (batch, S, m), key (batch, S, n), which is the value by default -> y
    (batch, T, m).

    Args:
        use_scale: Whether scores are multiplied by a trained scalar.
        score_mode: "dot" or "concat".
        dropout: Fraction of the attention weights that are dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If the number of inputs is wrong or the score mode unknown.

    Example:
        >>> hornbeam.layers.Attention()([np.ones((1, 5, 8)), np.ones((1, 3, 8))]).shape
        (1, 5, 8)

    Source: Luong et al. 2015.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = check_choice("score_mode", score_mode, ("dot", "concat"), where=type(self).__name__)
        self.dropout = check_rate("dropout", dropout, where=type(self).__name__)
        self.seed = seed
        if self.dropout:
            self.seed_generator = random.SeedGenerator(seed)
        self.scale: Variable | None = None
        self.concat_score_weight: Variable | Any = None

    def build(self, input_shape: ShapeTree) -> None:
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _check(self, inputs: Any, mask: Tree = None) -> None:
        """Check the tensors of a call, or their shapes, and the masks."""
        single = isinstance(inputs, tuple) and not all(hasattr(x, "__len__") for x in inputs)
        if not isinstance(inputs, (list, tuple)) or single or len(inputs) not in (2, 3):
            raise ValueError(f"{self.describe()} takes a list [query, value] or [query, value, key]")
        if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
            raise ValueError(f"{self.describe()}: mask must be a list [query mask, value mask]")

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            if query.shape[-1] != key.shape[-1]:
                raise ShapeError(
                    f"{self.describe()}: query {query.shape} and key {key.shape} differ in their last axis"
                )
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else scores * self.scale
        total = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        total = total if self.scale is None else total * self.scale
        return self.concat_score_weight * ops.sum(ops.tanh(total), axis=-1)

    def call(
        self,
        inputs: Sequence[Tensor],
        mask: Tree = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._check(inputs, mask)
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        scores = self._scores(query, key)
        mask_of_scores = combine_masks(
            ops.expand_dims(value_mask, -2) if value_mask is not None else None,
            causal_mask(*scores.shape[-2:]) if use_causal_mask else None,
        )
        weights = masked_softmax(scores, mask_of_scores)
        if training and self.dropout:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        result = ops.matmul(weights, value)
        if query_mask is not None:
            result = result * ops.expand_dims(ops.cast(query_mask, result.dtype), -1)
        return (result, weights) if return_attention_scores else result

    def compute_mask(self, inputs: Tree, mask: Sequence[Tensor | None] | None = None) -> Tree:
        if not isinstance(mask, (list, tuple)) or mask[0] is None:
            return None
        return ops.copy(mask[0])  # an operation, as in Keras: the order of layers depends on their number


@exported("keras.layers")
class AdditiveAttention(Attention):
    """Additive attention: `y = softmax(sum(scale * tanh(q + k))) v`.

    Inputs, masks and outputs as in `Attention`; the weight `scale` (n,).

    Args:
        use_scale: Whether the sum is weighted by the trained vector `scale`.
        dropout: Fraction of the attention weights that are dropped in training, in [0, 1).
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.AdditiveAttention()([np.ones((1, 5, 8)), np.ones((1, 3, 8))]).shape
        (1, 5, 8)

    Source: Bahdanau et al. 2015.
    """

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: ShapeTree) -> None:
        self._check(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        total = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(total if self.scale is None else total * self.scale, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
