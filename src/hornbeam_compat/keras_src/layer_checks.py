"""`run_layer_test` of `keras.src.testing.TestCase`: the checks that a layer has to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hornbeam import KerasTensor, Model, losses, ops, random, tree
from hornbeam.backend import is_float_dtype, standardize_dtype


def _is_shape(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and all(size is None or isinstance(size, int) for size in x)


def _map_shapes(function: Callable[[tuple[int | None, ...], Any], Any], shapes: Any, dtypes: Any) -> Any:
    """Call a function for each shape of a structure, with its dtype; "x_shape" in a dict gives "x"."""
    if _is_shape(shapes):
        return function(tuple(shapes), dtypes or "float32")
    if isinstance(shapes, Mapping):
        return {
            key.removesuffix("_shape"): _map_shapes(function, shape, dtypes[key] if dtypes else None)
            for key, shape in shapes.items()
        }
    each = dtypes if isinstance(dtypes, (list, tuple)) else [dtypes] * len(shapes)
    return type(shapes)(_map_shapes(function, s, d) for s, d in zip(shapes, each, strict=True))


def _random_tensor(shape: Any, dtype: Any) -> Any:
    return ops.cast(random.uniform(shape, dtype="float32") * 3, dtype)


def _spread(method: Callable[..., Any], inputs: Any, **kwargs: Any) -> Any:
    """Call a method with its first argument, or with all of a dict."""
    return method(**inputs, **kwargs) if isinstance(inputs, dict) else method(inputs, **kwargs)


def seed_generators(layer: Any) -> list[random.SeedGenerator]:
    """Return the seed generators of a layer and its sublayers, each once.

    Args:
        layer: Layer.
    """
    values = [value for part in layer._flatten_layers() for value in vars(part).values()]
    unique = {id(value): value for value in values if isinstance(value, random.SeedGenerator)}
    return list(unique.values())


class _Inputs(NamedTuple):
    data: Any
    shapes: Any
    symbolic: Any

    @classmethod
    def of_data(cls, data: Any) -> _Inputs:
        symbolic = tree.map_structure(lambda x: KerasTensor(ops.shape(x), x.dtype), data)
        return cls(data, tree.map_structure(ops.shape, data), symbolic)

    @classmethod
    def random(cls, shapes: Any, dtypes: Any) -> _Inputs:
        data = _map_shapes(_random_tensor, shapes, dtypes)
        return cls(data, shapes, _map_shapes(KerasTensor, shapes, dtypes))


class _Counts(NamedTuple):
    """Numbers of weights and seed generators: those stated, else those of a layer after a call."""

    trainable_weights: int
    non_trainable_weights: int
    non_trainable_variables: int
    seed_generators: int

    @classmethod
    def of(cls, layer: Any) -> _Counts:
        counts = [len(getattr(layer, name)) for name in cls._fields[:3]]
        return cls._make([*counts, len(seed_generators(layer))])

    def replaced(self, *stated: int | None) -> _Counts:
        return _Counts._make(own if n is None else n for own, n in zip(self, stated, strict=True))

    def check(self, layer: Any) -> None:
        assert layer.built
        counts = _Counts.of(layer)
        assert counts == self, f"expected {self}, got {counts}"


class _Outputs(NamedTuple):
    shape: Any
    dtype: Any
    sparse: bool
    ragged: bool

    def check(self, case: Any, outputs: Any) -> None:
        flat = tree.flatten(outputs)
        if self.shape is not None:
            shapes: list[Any] = []
            tree.map_shape_structure(shapes.append, self.shape)
            for want, x in zip(shapes, flat, strict=True):
                fits = len(want) == len(x.shape) and all(
                    w in (None, size) for w, size in zip(want, x.shape, strict=True)
                )
                assert fits, f"expected output shape {want}, got {x.shape}"
        if self.dtype is not None:
            for want, x in zip(tree.flatten(self.dtype), flat, strict=True):
                assert standardize_dtype(x.dtype) == want, f"expected dtype {want}, got {x.dtype}"
        for x in flat:
            case.assertSparse(x, bool(self.sparse))
            case.assertRagged(x, bool(self.ragged))


class _SumOfOutputs(losses.Loss):
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return ops.sum(y_pred)


class _OneLayer(Model):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any, training: bool = False) -> Any:
        return self.layer(x, training=training)


def _train_once(layer: Any, inputs: Any, outputs: Any) -> None:
    model = _OneLayer(layer)
    model.compile(optimizer="sgd", loss=_SumOfOutputs())
    model.fit(iter([(inputs, outputs)]), steps_per_epoch=1, verbose=0)


def run_layer_test(
    self: Any, layer_cls: Any, init_kwargs: dict[str, Any] | None, input_shape: Any = None,
    input_dtype: Any = None, input_sparse: bool = False, input_ragged: bool = False, input_data: Any = None,
    call_kwargs: dict[str, Any] | None = None, expected_output_shape: Any = None,
    expected_output_dtype: Any = None, expected_output_sparse: bool = False,
    expected_output_ragged: bool = False, expected_output: Any = None,
    expected_num_trainable_weights: int | None = None,
    expected_num_non_trainable_weights: int | None = None,
    expected_num_non_trainable_variables: int | None = None,
    expected_num_seed_generators: int | None = None, expected_num_losses: int | None = None,
    supports_masking: bool | None = None, expected_mask_shape: tuple[int | None, ...] | None = None,
    custom_objects: Mapping[str, type] | None = None, run_training_check: bool = True,
    run_mixed_precision_check: bool = True, assert_built_after_instantiation: bool = False,
    tpu_atol: float | None = None, tpu_rtol: float | None = None,
) -> None:  # fmt: skip
    """Check a layer: configuration, weights, symbolic and eager outputs, a step of training, float16.

    Args:
        layer_cls: Class of the layer.
        init_kwargs: Its arguments.
        input_shape: Shape of its inputs, or a structure of shapes.
        input_dtype: Dtypes of the inputs.
        input_sparse: False: no tensor here is sparse.
        input_ragged: False.
        input_data: Inputs, in place of `input_shape`.
        call_kwargs: Further arguments of the call.
        expected_output_shape: Shapes of the outputs; None fits each size.
        expected_output_dtype: Dtypes of the outputs.
        expected_output_sparse: Whether outputs are sparse.
        expected_output_ragged: Whether outputs are ragged.
        expected_output: Outputs for `input_data`.
        expected_num_trainable_weights: Number of trainable weights.
        expected_num_non_trainable_weights: Number of other weights.
        expected_num_non_trainable_variables: Number of other variables, seeds among them.
        expected_num_seed_generators: Number of seed generators.
        expected_num_losses: Number of losses of a call.
        supports_masking: Value of the attribute.
        expected_mask_shape: Shape of the output's mask.
        custom_objects: Classes by name that are not registered.
        run_training_check: Whether to train a step.
        run_mixed_precision_check: Whether to call the layer with dtype "mixed_float16".
        assert_built_after_instantiation: Whether the layer has nothing to build.
        tpu_atol: Ignored.
        tpu_rtol: Ignored.

    Raises:
        ValueError: If arguments exclude each other.
    """
    if input_shape is not None and input_data is not None:
        raise ValueError("expected input_shape or input_data, got both")
    if expected_output is not None and (input_data is None or expected_output_shape is not None):
        raise ValueError("expected_output goes with input_data, and not with expected_output_shape")
    if expected_mask_shape is not None and not supports_masking:
        raise ValueError("expected_mask_shape needs supports_masking=True")
    if input_sparse or input_ragged:
        self.skipTest("inputs of layers are dense in Hornbeam")
    init, call = init_kwargs or {}, call_kwargs or {}
    self.run_class_serialization_test(layer_cls(**init), custom_objects)
    assert supports_masking in (None, layer_cls(**init).supports_masking), "supports_masking"
    if input_shape is None and input_data is None:
        return
    inputs = _Inputs.of_data(input_data) if input_shape is None else _Inputs.random(input_shape, input_dtype)
    first = layer_cls(**init)
    _spread(first, inputs.data, **call)
    counts = _Counts.of(first).replaced(
        expected_num_trainable_weights,
        expected_num_non_trainable_weights,
        expected_num_non_trainable_variables,
        expected_num_seed_generators,
    )
    outputs = _Outputs(
        expected_output_shape, expected_output_dtype, expected_output_sparse, expected_output_ragged
    )
    layer = layer_cls(**init)
    _spread(layer.build, inputs.shapes)
    counts.check(layer)
    layer = layer_cls(**init)
    outputs.check(self, _spread(layer, inputs.symbolic, **call))
    counts.check(layer)
    if expected_mask_shape is not None:
        assert tuple(layer.compute_mask(inputs.symbolic).shape) == tuple(expected_mask_shape)
    if assert_built_after_instantiation:
        assert layer_cls(**init).built, f"{layer_cls.__name__} has nothing to build"
    layer = layer_cls(**init)
    result = _spread(layer, inputs.data, **call)
    outputs.check(self, result)
    if expected_output is not None:
        assert type(expected_output) is type(result)
        for want, x in zip(tree.flatten(expected_output), tree.flatten(result), strict=True):
            self.assertAllClose(want, x, msg="value of the output")
    assert expected_num_losses in (None, len(layer.losses)), "number of losses"
    if run_training_check:
        _train_once(layer, inputs.data, result)
    if run_mixed_precision_check:
        _check_float16(layer_cls(**{**init, "dtype": "mixed_float16"}), inputs, call)


def _check_float16(layer: Any, inputs: _Inputs, call: dict[str, Any]) -> None:
    """Check that symbolic and eager outputs agree in their dtypes, and weights stay float32."""

    def spec(x: Any) -> KerasTensor:
        is_cast = layer.autocast and is_float_dtype(x.dtype)
        return KerasTensor(x.shape, layer.compute_dtype if is_cast else x.dtype)

    specs = tree.map_structure(spec, inputs.symbolic)
    outputs = _spread(layer, inputs.data, **call)
    expected = _spread(layer.compute_output_spec, specs)
    for x, want in zip(tree.flatten(outputs), tree.flatten(expected), strict=True):
        assert standardize_dtype(x.dtype) == standardize_dtype(want.dtype), "dtype in mixed_float16"
    for weight in layer.weights:
        if is_float_dtype(weight.dtype):
            assert standardize_dtype(weight.dtype) == "float32", "dtype of a weight"
