"""Layers at the core of most models: Input, Dense, EinsumDense, Embedding, Lambda, Masking, Identity,
Wrapper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam import activations, constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_int, check_unsupported
from hornbeam.config import floatx
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.symbolic import KerasTensor, SymbolicCall, symbolic_dtype
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
from hornbeam.layers.shapes import is_shape

QUANTIZATION = "low-rank and quantized weights are not in this version of Hornbeam"


@exported("keras.layers")
class InputLayer(Layer):
    """The entry of a model: holds the symbolic tensor that stands for its input. Usually made by `Input`.

    shape: sizes without the batch, None where unknown; or batch_shape with it. dtype: floatx by default.
    input_tensor: a KerasTensor to use. optional: the input may be None.

    Raises ValueError if neither or both of shape and batch_shape are given.

    >>> layer = hornbeam.layers.InputLayer(shape=(784,), name="pixels"); layer.output
    <KerasTensor shape=(None, 784) dtype=float32 name=pixels>
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_unsupported("InputLayer", "use dense tensors and masks", sparse=sparse, ragged=ragged)
        # What older files call it.
        shape, batch_shape = kwargs.pop("input_shape", shape), kwargs.pop("batch_input_shape", batch_shape)
        super().__init__(name=name, **kwargs)
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(f"{self.name}: input_tensor must be a KerasTensor, got {input_tensor!r}")
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        elif (shape is None) == (batch_shape is None):
            raise ValueError(
                f"Input {self.name!r} needs `shape` (without the batch size) or `batch_shape`, and not both"
            )
        if batch_shape is None:
            if isinstance(shape, int) or not is_shape(shape):
                raise ValueError(
                    f"Input {self.name!r}: shape must be a tuple of sizes such as (784,), got {shape!r}"
                )
            batch_shape = (batch_size, *shape)
        self._shape = tuple(batch_shape)
        self._dtype = symbolic_dtype(dtype or floatx())
        self.sparse = self.ragged = False
        self.optional = optional
        tensor = (
            input_tensor
            if input_tensor is not None
            else KerasTensor(self._shape, self._dtype, name=self.name)
        )
        if tensor.history is None:
            tensor.history = SymbolicCall(self, (), {})
            tensor.history.outputs = tensor
        self._inbound = (tensor.history,)
        self.built = True

    def call(self) -> None:
        """An input has nothing to compute."""

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """Sizes of the input with the batch."""
        return self._shape

    @property
    def dtype(self) -> str:
        return self._dtype

    @property
    def input(self) -> KerasTensor:
        """The symbolic tensor, of which scripts say `model.layers[0].input`."""
        return self.output

    @property
    def output(self) -> KerasTensor:
        """The symbolic tensor."""
        return self._inbound[0].outputs

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self._shape,
            "dtype": self._dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


@exported("keras")
@exported("keras.layers")
def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for the input of a model.

    shape: sizes without the batch, None where unknown. Raises ValueError if neither shape nor batch_shape is
    given.

    >>> x = hornbeam.Input(shape=(28, 28, 1))
    >>> y = hornbeam.layers.Flatten()(x)
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    return layer.output


@exported("keras.layers")
class Dense(Layer):
    """y = activation(x @ kernel + bias): every output sees every input.

    x (..., n) -> y (..., units); kernel (n, units), bias (units,). units: number of outputs.
    activation, initializers, regularizers, constraints: names or objects of those modules.

    Raises ValueError for units below 1, ShapeError if the last axis is unknown or not the one it was built
    for.

    >>> y = hornbeam.layers.Dense(10, activation="softmax")(np.ones((2, 5)))
    >>> y.shape
    (2, 10)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "activity_regularizer"})

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        check_unsupported("Dense", QUANTIZATION, lora_rank=lora_rank, quantization_config=quantization_config)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = check_int("units", units, minimum=1, where="Dense")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.quantization_config = quantization_config
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 1:
            raise ShapeError(
                f"{self.describe()} expects an input of shape (batch, ..., features), it got a single number"
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs if self.activation is None else self.activation(outputs)


@exported("keras.layers")
class Lambda(Layer):
    """y = function(x, **arguments), for a function without weights.

    function: takes a tensor (and `mask`, `training` if it names them). output_shape: kept for Keras's
    signature, shapes are found by a trial run. mask: a tensor, or a function (inputs, mask) -> mask.
    arguments: further keyword arguments.

    A model with a Lambda can be saved only if the function is registered with `register_keras_serializable`:
    code is never put into a file. Raises TypeError otherwise, when it is saved.

    >>> hornbeam.layers.Lambda(lambda x: x ** 2)(np.array([3.0]))  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ValueError(f"Lambda: function must be callable, got {function!r}")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        given = {"mask": mask, "training": training}
        wanted = _parameters(self.function)
        return self.function(
            inputs, **self.arguments, **{name: value for name, value in given.items() if name in wanted}
        )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for optional in ("mask", "output_shape"):
            if config[optional] is None:
                del config[optional]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lambda:
        config = dict(config)
        for name in ("function", "mask"):
            if isinstance(config.get(name), dict):
                if config[name].get("class_name") == "__lambda__":
                    raise ValueError(
                        "the config holds the code of a lambda, which is never run: use a registered function"
                    )
                config[name] = deserialize(config[name])
            elif isinstance(config.get(name), str):
                config[name] = activations.get(config[name])
        return cls(**config)


def _parameters(function: Callable[..., Any]) -> set[str]:
    import inspect

    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C tell nothing about themselves
        return set()


@exported("keras.layers")
class Masking(Layer):
    """Marks the steps of a sequence at which all features equal `mask_value`, so that later layers skip them.

    x (batch, steps, features) -> the same, with 0 at masked steps, and a mask (batch, steps), True where to
    look.

    >>> y = hornbeam.layers.Masking(mask_value=0.0)(np.zeros((1, 3, 2)))
    >>> np.asarray(y._keras_mask)
    array([[False, False, False]])
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Tensor) -> Tensor:
        keep = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return inputs * ops.cast(keep, inputs.dtype)


@exported("keras.layers")
class Identity(Layer):
    """y = x, for any structure of tensors.

    >>> hornbeam.layers.Identity()(np.ones(3)).shape
    (3,)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


@exported("keras.layers")
class Wrapper(Layer):
    """Base of layers that hold one other layer, `self.layer`. Subclasses write `call`.

    Raises ValueError if `layer` is not a Layer.

    >>> hornbeam.layers.Wrapper(hornbeam.layers.Dense(2)).layer.units
    2
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(f"{type(self).__name__}: layer must be a Layer, got {layer!r}")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        config["layer"] = (
            deserialize(config["layer"]) if isinstance(config["layer"], dict) else config["layer"]
        )
        return cls(**config)
