"""Embeddings: integers to trained vectors, and vectors to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_int, check_unsupported
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.core import QUANTIZATION
from hornbeam.layers.layer import TensorLayer

if TYPE_CHECKING:
    from hornbeam._internal.typing import (
        ArrayLike,
        Config,
        ConstraintLike,
        DTypeLike,
        InitializerLike,
        RegularizerLike,
        ShapeTree,
        TensorLike,
        Tree,
    )


@exported("keras.layers")
class Embedding(TensorLayer):
    """Map integers to trained vectors: `y[...] = embeddings[x[...]]`.

    Shapes: x (...) of integers in [0, input_dim) -> y (..., output_dim); embeddings (input_dim, output_dim).

    Indices out of range are clamped. `fit` and `evaluate` check the indices in a model's inputs before they
    start, and raise ValueError.

    Args:
        input_dim: Number of vectors: the largest index plus 1.
        output_dim: Size of the vectors.
        embeddings_initializer: Initializer of the embeddings.
        embeddings_regularizer: Penalty on the embeddings that is added to the loss.
        embeddings_constraint: Function applied to the embeddings after each update.
        mask_zero: Whether index 0 is padding, which later layers skip.
        weights: Initial values of the embeddings, (input_dim, output_dim).
        lora_rank: Not supported; must be None.
        lora_alpha: Ignored without `lora_rank`.
        quantization_config: Not supported; must be None.
        **kwargs: `input_length`, the number of steps in Keras 2; other arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> y = hornbeam.layers.Embedding(1000, 64)(np.array([[4, 20]]))
        >>> y.shape
        (1, 2, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "weights"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: InitializerLike = "uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        weights: ArrayLike | list[ArrayLike] | None = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Config | None = None,
        **kwargs: Any,
    ) -> None:
        check_unsupported(
            "Embedding", QUANTIZATION, lora_rank=lora_rank, quantization_config=quantization_config
        )
        length = kwargs.pop("input_length", None)  # an argument of Keras 2; the input shape implies it
        if length is not None:
            kwargs.setdefault("input_shape", (length,))
        super().__init__(**kwargs)
        self.input_dim = check_int("input_dim", input_dim, minimum=1, where="Embedding")
        self.output_dim = check_int("output_dim", output_dim, minimum=1, where="Embedding")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        self.quantization_config = quantization_config
        if weights is not None:
            self.build(None)
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: ShapeTree = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )

    def check_values(self, x: np.ndarray) -> None:
        """Check that every index has a vector.

        Args:
            x: Array of indices.

        Raises:
            ValueError: If an index is negative or not below `input_dim`.
        """
        if x.size == 0 or x.dtype.kind not in "iuf" or type(self).call is not Embedding.call:
            return
        if x.dtype.kind == "f" and not (x == np.round(x)).all():
            fraction = x[x != np.round(x)].flat[0]
            raise ValueError(
                f"{self.describe()}: x contains {fraction:g}, the layer takes indices (integers). For other "
                "numbers use a Dense layer, or put Discretization before this one"
            )
        low, high = x.min(), x.max()
        if low < 0 or high >= self.input_dim:
            index, fix = low, "Indices start at 0"
            if low >= 0:
                index, fix = high, f"Write Embedding({int(high) + 1}, ...), or check the indices"
            raise ValueError(
                f"{self.describe()}: x contains the index {index:g}, "
                f"the layer has vectors for 0 to {self.input_dim - 1}. {fix}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        indices = ops.cast(inputs, "int32")
        return ops.cast(ops.take(self.embeddings, indices, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: TensorLike, mask: Tensor | None = None) -> Tree:
        if not self.mask_zero:
            return None
        return ops.not_equal(inputs, 0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


@exported("keras.layers")
class ReversibleEmbedding(Embedding):
    """Embedding that also computes logits from vectors: `y = x @ embeddings^T` with `reverse=True`.

    Shapes: with `reverse=True`, x (..., output_dim) -> y (..., input_dim).

    Args:
        input_dim: Number of vectors: the largest index plus 1.
        output_dim: Size of the vectors.
        tie_weights: Whether logits use the embeddings themselves (Press and Wolf 2017) instead of a weight
            `reverse_embeddings` (output_dim, input_dim).
        embeddings_initializer: Initializer of the embeddings.
        embeddings_regularizer: Penalty on the embeddings that is added to the loss.
        embeddings_constraint: Function applied to the embeddings after each update.
        mask_zero: Whether index 0 is padding, which later layers skip.
        reverse_dtype: Dtype in which logits are computed, the compute dtype by default.
        logit_soft_cap: Bound on the logits, `y = cap * tanh(y / cap)`; none by default.
        **kwargs: Arguments of `Embedding` and `Layer`.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> layer = hornbeam.layers.ReversibleEmbedding(100, 8)
        >>> layer(layer(np.array([[4, 20]])), reverse=True).shape
        (1, 2, 100)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: InitializerLike = "uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        reverse_dtype: DTypeLike | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: ShapeTree = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight(
                shape, self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            embedded = super().call(inputs)
            embedded._keras_mask = super().compute_mask(inputs)
            return embedded
        dtype = self.reverse_dtype or self.compute_dtype
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        logits = ops.matmul(ops.cast(inputs, dtype), ops.cast(kernel, dtype))
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap

    def compute_mask(self, inputs: TensorLike, mask: Tensor | None = None) -> None:
        """Return None: `call` attaches the mask to embedded indices, and logits have none.

        Args:
            inputs: Ignored.
            mask: Ignored.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantization_config": self.quantization_config}
