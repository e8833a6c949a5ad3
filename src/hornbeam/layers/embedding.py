"""Embeddings: integers to trained vectors, and vectors to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.typing import ArrayLike, Config, DTypeLike, ShapeTree, Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, TensorLike
from hornbeam.layers.host_checks import are_checked
from hornbeam.layers.low_rank import MainWeight
from hornbeam.layers.quantizable import QuantizableLayer
from hornbeam.quantizers.formats import WeightLayout
from hornbeam.quantizers.quantizer import AbsMaxQuantizer

if TYPE_CHECKING:
    from hornbeam.quantizers import QuantizationConfig


@exported("keras.layers")
class Embedding(QuantizableLayer):
    """Map integers to trained vectors: `y[...] = embeddings[x[...]]`.

    Shapes: x (...) of integers in [0, input_dim) -> y (..., output_dim); embeddings (input_dim, output_dim).

    An index out of range raises ValueError where it is known before the computation: in the data of `fit`,
    `evaluate` and `predict`, and in a direct call. One that is computed, or comes to an exported model, gives
    a vector of NaN.

    Args:
        input_dim: Number of vectors: the largest index plus 1.
        output_dim: Size of the vectors.
        embeddings_initializer: Initializer of the embeddings.
        embeddings_regularizer: Penalty on the embeddings that is added to the loss.
        embeddings_constraint: Function applied to the embeddings after each update.
        mask_zero: Whether index 0 is padding, which later layers skip.
        weights: Initial values of the embeddings, (input_dim, output_dim).
        lora_rank: Rank of factors that are trained instead of the embeddings (see `enable_lora`); none by
            default.
        lora_alpha: Numerator of their factor `lora_alpha / lora_rank`; `lora_rank` by default.
        quantization_config: Config of `hornbeam.quantizers` for a layer whose `dtype` quantizes, such as
            "int8_from_float32"; see `quantize`.
        **kwargs: `input_length`, the number of steps in Keras 2; other arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> y = hornbeam.layers.Embedding(1000, 64)(np.array([[4, 20]]))
        >>> y.shape
        (1, 2, 64)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "weights"})
    _main_name = "embeddings"
    embeddings = MainWeight()
    _files = {  # noqa: RUF012
        "int8": ["_embeddings", "embeddings_scale"],
        "int4": ["_embeddings", "embeddings_scale", "embeddings_zero", "g_idx"],
    }

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
        quantization_config: QuantizationConfig | Config | None = None,
        **kwargs: Any,
    ) -> None:
        length = kwargs.pop("input_length", None)  # an argument of Keras 2; the input shape implies it
        if length is not None:
            kwargs.setdefault("input_shape", (length,))
        super().__init__(lora_rank, lora_alpha, **kwargs)
        self.input_dim = check_int("input_dim", input_dim, minimum=1, where="Embedding")
        self.output_dim = check_int("output_dim", output_dim, minimum=1, where="Embedding")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        self._take_quantization(quantization_config)
        if weights is not None:
            self.build(None)
            passed = weights if isinstance(weights, list) else [weights]
            self.set_weights([*passed, *self.get_weights()[1:]])

    def build(self, input_shape: ShapeTree = None) -> None:
        self._add_main_weight((self.input_dim, self.output_dim))
        self._build_lora()

    def check_values(self, x: np.ndarray) -> None:
        """Check that every index has a vector.

        Args:
            x: Array of indices.

        Raises:
            ValueError: If an index is negative or not below `input_dim`.
        """
        if x.size == 0 or x.dtype.kind not in "iuf":
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
        return self._finished(ops.take(self._plain_weight(), indices, axis=0), inputs, indices)

    def _finished(self, rows: Tensor, inputs: Tensor, indices: Tensor) -> Tensor:
        if self.lora_enabled:  # rows of the factor A, rather than of the whole product
            a, b = self._lora_factors
            rows = rows + ops.matmul(ops.take(a, indices, axis=0), b) * self._lora_scale
        if not are_checked(self, inputs):
            # `take` gives the nearest vector for an index that has none: it would look like an answer.
            known = ops.logical_and(indices >= 0, indices < self.input_dim)
            rows = ops.where(ops.expand_dims(known, -1), rows, float("nan"))
        return ops.cast(rows, self.compute_dtype)

    def _layouts(self, shape: tuple[int, ...]) -> list[WeightLayout]:
        matrix = (shape[0], shape[1])
        return [WeightLayout("embeddings", "_embeddings", shape, (1,), matrix, (shape[0],), group_axis=1)]

    def _int8_call(self, inputs: Tensor) -> Tensor:
        indices = ops.cast(inputs, "int32")
        # A layer that only looks up is not autocast: its scales are.
        return self._finished(ops.cast(self._formats[0].rows(indices), self.compute_dtype), inputs, indices)

    _int4_call = _int8_call

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
        if not self.tie_weights and self.quantization_mode not in ("int8", "int4"):
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight(
                shape, self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return self._with_mask(super().call(inputs), inputs)
        dtype = self.reverse_dtype or self.compute_dtype
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        return self._capped(ops.matmul(ops.cast(inputs, dtype), ops.cast(kernel, dtype)))

    def _with_mask(self, embedded: Tensor, inputs: Tensor) -> Tensor:
        embedded._keras_mask = super().compute_mask(inputs)
        return embedded

    def _capped(self, logits: Tensor) -> Tensor:
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap

    # -- quantization ----------------------------------------------------------------------------------------

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """Attributes that hold the weights, in the order of a file, for each mode."""
        spec = super().variable_serialization_spec
        if self.tie_weights:
            return spec
        more = {
            "int8": ["reverse_embeddings", "reverse_embeddings_scale"],
            "int4": ["reverse_embeddings", "reverse_embeddings_scale", "reverse_embeddings_zero"],
        }
        other = ["reverse_embeddings"]
        return {mode: names + more.get(mode, other) if mode else names for mode, names in spec.items()}

    def _layouts(self, shape: tuple[int, ...]) -> list[WeightLayout]:
        layouts = super()._layouts(shape)
        if self.tie_weights:
            return layouts
        matrix = (shape[1], shape[0])
        return [
            *layouts,
            WeightLayout(
                "reverse_embeddings",
                "reverse_embeddings",
                matrix,
                (0,),
                matrix,
                (shape[0],),
                packed_axis=0,
            ),
        ]

    def _default_inputs_quantizer(self, mode: str) -> Any:
        return AbsMaxQuantizer(axis=-1)

    def _int8_call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return self._with_mask(super()._int8_call(inputs), inputs)
        if self.inputs_quantizer is None:
            integers, scale = self._reverse_integers(inputs.dtype)
            logits = ops.matmul(inputs, integers) / scale
        else:
            quantized, inputs_scale = self.inputs_quantizer(inputs)
            # Integers as floats: exact up to 2^24, and several times faster than int32.
            integers, scale = self._reverse_integers("float32")
            logits = ops.matmul(ops.cast(quantized, "float32"), integers)
            logits = ops.cast(logits, self.compute_dtype) / (inputs_scale * scale)
        return self._capped(self._with_reverse_lora(logits, inputs))

    def _reverse_integers(self, dtype: str) -> tuple[Tensor, Tensor]:
        stored, scale = (self._formats[0 if self.tie_weights else 1].get(part) for part in ("", "scale"))
        # Cast first: a loop, such as one that generates text, reads the stored integers, not transposed ones.
        integers = ops.cast(stored, dtype)
        return ops.transpose(integers) if self.tie_weights else integers, scale

    def _int4_call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return self._with_mask(super()._int4_call(inputs), inputs)
        kernel = ops.transpose(self._formats[0].decode()) if self.tie_weights else self._formats[1].decode()
        kernel = ops.cast(kernel, self.compute_dtype)
        if self.inputs_quantizer is None:
            logits = ops.matmul(inputs, kernel)
        else:
            quantized, inputs_scale = self.inputs_quantizer(inputs)
            logits = ops.matmul(ops.cast(quantized, self.compute_dtype), kernel) / inputs_scale
        return self._capped(self._with_reverse_lora(logits, inputs))

    def _with_reverse_lora(self, logits: Tensor, inputs: Tensor) -> Tensor:
        if not (self.lora_enabled and self.tie_weights):
            return logits
        return logits + ops.matmul(inputs, ops.cast(ops.transpose(self._lora_change()), inputs.dtype))

    def compute_mask(self, inputs: TensorLike, mask: Tensor | None = None) -> None:
        """Return None: `call` attaches the mask to embedded indices, and logits have none.

        Args:
            inputs: Ignored.
            mask: Ignored.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantization_config": serialize(self.quantization_config)}
