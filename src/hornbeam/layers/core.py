"""Core layers: Dense, Lambda, Masking, Identity, Wrapper."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam import activations, constraints, initializers, ops, regularizers, tree
from hornbeam._internal.typing import ActivationLike, Config, PartialShape, ShapeLike, ShapeTree, Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.symbolic import KerasTensor, holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Self, TensorLike, Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer, TensorLayer
from hornbeam.layers.options import LayerOptions, RegularizedLayerOptions
from hornbeam.layers.products import ProductLayer
from hornbeam.quantizers.formats import WeightLayout

if TYPE_CHECKING:
    from hornbeam.quantizers import QuantizationConfig


@exported("keras.layers")
class Dense(ProductLayer):
    """Densely connected layer: every output depends on every input.

    Formula: `y = activation(x @ kernel + bias)`.

    Shapes: x (..., n) -> y (..., units); kernel (n, units), bias (units,).

    Args:
        units: Number of outputs.
        activation: Activation function, by name or as a function; none by default.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        lora_rank: Rank of factors that are trained instead of the kernel (see `enable_lora`).
        lora_alpha: Numerator of their factor `lora_alpha / lora_rank`; `lora_rank` by default.
        quantization_config: Config of `hornbeam.quantizers` for a layer whose `dtype` quantizes, such as
            "int8_from_float32"; see `quantize`.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1.
        ShapeError: If the size of the last axis is unknown, or differs from the one that the layer was built
            for.

    Example:
        >>> y = hornbeam.layers.Dense(10, activation="softmax")(np.ones((2, 5)))
        >>> y.shape
        (2, 10)
    """

    _not_in_config = frozenset({"lora_rank", "lora_alpha", "activity_regularizer"})

    def __init__(
        self,
        units: int,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: QuantizationConfig | Config | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(lora_rank, lora_alpha, activity_regularizer=activity_regularizer, **kwargs)
        self.units = check_int("units", units, minimum=1, where="Dense")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._take_quantization(quantization_config)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: PartialShape) -> ShapeTree:
        """Return the shape of the output. It depends on arguments alone, so subclasses may ask in `build`.

        Args:
            input_shape: Shape of the input, None where unknown.
        """
        return (*input_shape[:-1], self.units)

    def build(self, input_shape: PartialShape) -> None:
        if len(input_shape) < 1:
            raise ShapeError(
                f"{self.describe()} expects an input of shape (batch, ..., features), got a scalar"
            )
        self._add_main_weight((input_shape[-1], self.units))
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
        self._build_lora()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._finish(self._product(inputs, self._plain_weight()), inputs)

    def _layouts(self, shape: tuple[int, ...]) -> list[WeightLayout]:
        return [WeightLayout("kernel", "_kernel", shape, (0,), (shape[0], shape[1]), (shape[1],))]

    def _product(self, inputs: Tensor, kernel: Any) -> Tensor:
        return ops.matmul(inputs, kernel)

    def _lora_product(self, inputs: Tensor) -> Tensor:
        a, b = self._lora_factors
        return ops.matmul(ops.matmul(inputs, a), b) * self._lora_scale

    def _reduced_inputs(self, inputs: Tensor) -> tuple[int, ...]:
        return (-1,)

    def _align_inputs(self, scale: Tensor) -> Tensor:
        return scale


@exported("keras.layers")
class Lambda(Layer):
    """Layer that applies a function without weights: `y = function(x, **arguments)`.

    A model with a Lambda can be saved only if the function is registered with `register_keras_serializable`:
    code is never put into a file. Saving raises TypeError otherwise.

    Args:
        function: Function of a tensor; `mask` and `training` are passed if it has these parameters.
        output_shape: Ignored, for Keras's signature: the shape is inferred.
        mask: Mask of the output: a tensor, or a function (inputs, mask) -> mask.
        arguments: Further keyword arguments of the function.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.Lambda(lambda x: x ** 2)(np.array([3.0]))  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: ShapeLike | Callable[..., Any] | None = None,
        mask: TensorLike | Callable[..., Any] | None = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ValueError(f"Lambda: function must be callable, got {function!r}")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None

    def call(self, inputs: Tree, mask: Tree = None, training: bool | None = None) -> Tree:
        parameters = _parameters(self.function)
        optional = {"mask": mask, "training": training}
        accepted = {name: value for name, value in optional.items() if name in parameters}
        return self.function(inputs, **self.arguments, **accepted)

    def compute_mask(self, inputs: Tree, mask: Tree = None) -> Tree:
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
    except ValueError:  # some functions written in C have no signature
        return set()


@exported("keras.layers")
class Masking(TensorLayer):
    """Mask the steps of a sequence at which all features equal `mask_value`, so that later layers skip them.

    Shapes: x (batch, steps, features) -> the same with 0 at masked steps, and a mask (batch, steps) that is
    True at steps to use.

    Args:
        mask_value: Value of the features at masked steps.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> y = hornbeam.layers.Masking(mask_value=0.0)(np.zeros((1, 3, 2)))
        >>> np.asarray(y._keras_mask)
        array([[False, False, False]])
    """

    _is_stateless = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Tree, mask: Tree = None) -> Tree:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Tensor) -> Tensor:
        keep = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return inputs * ops.cast(keep, inputs.dtype)


@exported("keras.layers")
class Identity(Layer):
    """Layer that returns its input, a tensor or any structure of tensors: `y = x`.

    Args:
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.Identity()(np.ones(3)).shape
        (3,)
    """

    _is_stateless = True
    takes_strings = True

    def __init__(self, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Tree) -> Tree:
        return inputs

    def compute_output_spec(self, inputs: Tree, **kwargs: Any) -> Tree:
        """Return symbolic tensors like the inputs.

        Args:
            inputs: Symbolic inputs.
            **kwargs: Arguments of the call.
        """
        if any(map(holds_strings, tree.flatten(inputs))):  # which are in no graph
            return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), inputs)
        return super().compute_output_spec(inputs, **kwargs)


@exported("keras.layers")
class Wrapper(Layer):
    """Base of layers that wrap one other layer, `self.layer`. Subclasses define `call`.

    Args:
        layer: Layer to wrap.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `layer` is not a Layer.

    Example:
        >>> hornbeam.layers.Wrapper(hornbeam.layers.Dense(2)).layer.units
        2
    """

    def __init__(self, layer: Layer, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        if not isinstance(layer, Layer):
            is_class = isinstance(layer, type)
            hint = f": it is the class, write {layer.__name__}(...)" if is_class else ""
            raise ValueError(f"{type(self).__name__}: layer must be a Layer, got {layer!r}{hint}")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: PartialShape) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        config["layer"] = (
            deserialize(config["layer"]) if isinstance(config["layer"], dict) else config["layer"]
        )
        return cls(**config)
