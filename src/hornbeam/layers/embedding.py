"""Embeddings: whole numbers become learned vectors, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_int, check_unsupported
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.core import QUANTIZATION
from hornbeam.layers.layer import Layer


@exported("keras.layers")
class Embedding(Layer):
    """y[...] = embeddings[x[...]]: whole numbers become vectors that are learned.

    x (...) of integers in [0, input_dim) -> y (..., output_dim); embeddings (input_dim, output_dim).
    mask_zero: 0 is padding, and later layers are told to skip it. weights: initial values.

    Indices outside the range are clamped into it; `fit` and `evaluate` look at those of a model's inputs
    before they begin, and raise ValueError. Raises ValueError for sizes below 1.

    >>> y = hornbeam.layers.Embedding(1000, 64)(np.array([[4, 20]]))
    >>> y.shape
    (1, 2, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "weights"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        check_unsupported(
            "Embedding", QUANTIZATION, lora_rank=lora_rank, quantization_config=quantization_config
        )
        length = kwargs.pop("input_length", None)  # Keras 2 asked for it; shapes say it now
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

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )

    def check_values(self, x: np.ndarray) -> None:
        """Raises ValueError for indices that have no vector."""
        if x.size == 0 or x.dtype.kind not in "iuf" or type(self).call is not Embedding.call:
            return
        low, high = x.min(), x.max()
        if low < 0 or high >= self.input_dim:
            wrong, fix = low, "Indices begin at 0"
            if low >= 0:
                wrong, fix = high, f"Write Embedding({int(high) + 1}, ...), or check the indices"
            raise ValueError(
                f"{self.describe()}: x contains the index {wrong:g}, the layer has vectors for 0 to "
                f"{self.input_dim - 1}. {fix}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        indices = ops.cast(inputs, "int32")
        return ops.cast(ops.take(self.embeddings, indices, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
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
    """An Embedding that also maps back: with reverse=True, logits y = x @ embeddings^T over the `input_dim`
    words.

    x (..., output_dim) -> y (..., input_dim). tie_weights: use the embeddings themselves (Press and Wolf
    2017), else a matrix of its own, reverse_embeddings (output_dim, input_dim). logit_soft_cap: y = cap *
    tanh(y / cap).

    Raises ValueError for sizes below 1.

    >>> layer = hornbeam.layers.ReversibleEmbedding(100, 8)
    >>> layer(layer(np.array([[4, 20]])), reverse=True).shape
    (1, 2, 100)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
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

    def build(self, input_shape: Any = None) -> None:
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

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: `call` puts a mask on embedded words, and logits have none."""
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantization_config": self.quantization_config}
