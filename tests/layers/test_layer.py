"""The base class: tracking, building, calling, masks, losses, dtypes, configs, errors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import dtype_policies, layers, ops
from hornbeam.core import registry
from hornbeam.core.jit import trace_function
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import Layer


class Scale(Layer):
    """y = x * factor, with a factor of its own and a Dense inside."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.stack = [layers.Dense(units, name="first")]
        self.named = {"second": layers.Dense(units, name="second")}

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((), "ones", name="factor")
        self.steps = self.add_weight((), "zeros", dtype="int32", trainable=False, name="steps")

    def call(self, inputs: Any) -> Any:
        self.steps.assign_add(1)
        return self.named["second"](self.stack[0](inputs)) * self.factor


def test_finds_variables_and_layers_in_attributes_lists_and_dicts() -> None:
    layer = Scale(3)
    layer(np.ones((2, 4)))
    assert [w.path for w in layer.weights] == [
        "scale/factor", "scale/steps", "scale/first/kernel", "scale/first/bias", "scale/second/kernel",
        "scale/second/bias",
    ]  # fmt: skip
    assert [w.name for w in layer.non_trainable_weights] == ["steps"]
    assert layer.count_params() == 1 + 1 + (4 * 3 + 3) + (3 * 3 + 3)
    assert int(layer.steps) == 1
    layer.stack.append(layers.Dense(1))
    assert len(layer._flatten_layers()) == 4


def test_variables_set_as_attributes_are_weights() -> None:
    class Own(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.table = [hornbeam.Variable(np.ones(2, "float32"), name="a")]
            self.b = hornbeam.Variable(np.ones(3, "float32"), trainable=False, name="b")

        def call(self, inputs: Any) -> Any:
            return inputs

    layer = Own()
    assert [w.name for w in layer.trainable_weights] == ["a"]
    assert [w.name for w in layer.non_trainable_weights] == ["b"]
    del layer.b
    assert [w.name for w in layer.weights] == ["a"]


def test_trainable_reaches_all_layers_inside() -> None:
    layer = Scale(3)
    layer(np.ones((2, 4)))
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 6
    assert not layer.stack[0].trainable
    layer.trainable = True
    assert [w.name for w in layer.non_trainable_weights] == ["steps"]


def test_calls_may_hand_on_all_arguments() -> None:
    class Wrapped(layers.BatchNormalization):
        def call(self, *args: Any, **kwargs: Any) -> Any:
            return super().call(*args, **kwargs)

    layer = Wrapped(axis=2)
    assert layer(np.ones((2, 3, 4), "float32")).shape == (2, 3, 4)
    assert layer.gamma.shape == (4,)
    outputs = Wrapped(axis=3)(hornbeam.Input((5, 6, 3)))
    assert outputs.shape == (None, 5, 6, 3)


def test_build_runs_once_and_locks() -> None:
    layer = layers.Dense(3)
    layer.build((None, 4))
    kernel = layer.kernel
    layer.build((None, 4))
    assert layer.kernel is kernel
    with pytest.raises(ValueError, match="is built: weight 'more' cannot be added"):
        layer.add_weight((2,), name="more")
    with pytest.raises(ValueError, match="attribute 'extra' cannot bring in a new Dense"):
        layer.extra = layers.Dense(1)


def test_weights_may_be_given_by_position_as_keras_2_had_it() -> None:
    layer = Layer()
    result = [layer.add_weight("a", (2,), "ones"), layer.add_weight((3,), "ones"), layer.add_weight(name="c")]
    assert [(w.name, w.shape) for w in result] == [("a", (2,)), ("variable", (3,)), ("c", ())]
    with pytest.raises(TypeError, match="by position"):
        layer.add_weight("a", (2,), "ones", "float32", True)


def test_a_layer_of_layers_is_built_from_its_shape() -> None:
    class Twice(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    layer = Twice()
    layer.build((None, 5))
    assert layer.inner.kernel.shape == (5, 3)
    assert layer.compute_output_shape((None, 5)) == (None, 3)


def test_build_takes_the_shapes_of_several_arguments() -> None:
    class Pair(Layer):
        def build(self, left_shape: Any, right_shape: Any) -> None:
            self.shapes = (left_shape, right_shape)

        def call(self, left: Any, right: Any) -> Any:
            return left + ops.sum(right)

    layer = Pair()
    layer(np.ones((2, 3)), right=np.ones((4,)))
    assert layer.shapes == ((2, 3), (4,))
    assert layer.get_build_config() == {"shapes_dict": {"left_shape": (2, 3), "right_shape": (4,)}}


def test_overridden_shapes_and_specs_may_ask_those_of_the_base() -> None:
    class Attention(layers.MultiHeadAttention):
        def compute_output_spec(self, query: Any, value: Any = None, key: Any = None, **kwargs: Any) -> Any:
            return super().compute_output_spec(query=query, value=value, key=key, **kwargs)

        def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
            return super().compute_output_shape(query_shape, value_shape, key_shape)

    class Affine(layers.Dense):
        def compute_output_spec(self, inputs: Any) -> Any:
            return super().compute_output_spec(inputs)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return super().compute_output_shape(input_shape)

    x = hornbeam.Input((4, 8))
    assert Attention(2, 3)(x, x).shape == (None, 4, 8)
    assert Affine(3)(x).shape == (None, 4, 3)
    assert Affine(3).compute_output_shape((2, 5)) == (2, 3)


def test_einsum_dense_has_the_shapes_of_keras() -> None:
    layer = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6))
    layer(np.ones((2, 3, 4)))
    assert (layer.partial_output_shape, layer.full_output_shape) == ((None, 6), (2, 3, 6))


def test_layers_of_several_inputs_without_a_build_are_loaded(tmp_path: Path) -> None:
    @hornbeam.saving.register_keras_serializable(package="test_layer")
    class Gate(Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = layers.Dense(2)

        def call(self, x: Any, gate: Any, scale: Any = None) -> Any:
            return self.inner(x) * gate * scale

    x, gate, scale = (hornbeam.Input((n,)) for n in (3, 2, 1))
    model = hornbeam.Model([x, gate, scale], Gate()(x, gate, scale=scale))
    assert model.layers[-1].get_build_config() is None
    model.save(tmp_path / "m.keras")
    data = [np.ones((4, n), "float32") for n in (3, 2, 1)]
    loaded = hornbeam.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(data), model(data))
    # Files of earlier versions have the shapes.
    Gate().build_from_config({"shapes_dict": {"x_shape": [None, 3], "gate_shape": [None, 2]}})


def test_compute_output_shape_leaves_the_layer_unbuilt() -> None:
    layer = layers.Conv2D(4, 3)
    assert layer.compute_output_shape((None, 8, 8, 3)) == (None, 6, 6, 4)
    assert not layer.built
    assert layer.weights == []


def test_weights_are_made_eagerly_inside_a_trace() -> None:
    layer = Scale(3)
    traced = trace_function(lambda x: layer(x), [np.ones((2, 4), "float32")])
    assert len(traced.variables) == 6
    assert [v.name for v in traced.updated] == ["steps"]
    assert np.asarray(layer.stack[0].kernel).shape == (4, 3)


def test_training_comes_from_the_argument_then_the_caller_then_the_default() -> None:
    seen: list[Any] = []

    class Inner(Layer):
        def call(self, inputs: Any, training: bool = False) -> Any:
            seen.append(training)
            return inputs

    class Outer(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def call(self, inputs: Any) -> Any:
            return self.inner(self.inner(inputs), training=True)

    x = np.ones(2)
    Outer()(x)
    Outer()(x, training=True)
    Outer()(x, training=False)
    assert seen == [False, True, True, True, False, True]


def test_training_without_a_default_may_be_left_out() -> None:
    class Told(Layer):
        def call(self, inputs: Any, training: bool) -> Any:
            return inputs if training is None else inputs + (1 if training else 2)

    x = np.zeros(2)
    assert [float(message[0]) for message in (Told()(x), Told()(x, True), Told()(x, training=False))] == [
        0,
        1,
        2,
    ]
    assert float(layers.Pipeline([Told()])(x, training=True)[0]) == 1


def test_masks_are_handed_on_and_stopped_with_a_warning() -> None:
    x = np.array([[[1.0], [0.0]]])
    masked = layers.Masking()(x)
    assert np.asarray(masked._keras_mask).tolist() == [[True, False]]
    through = layers.Dropout(0.5)(layers.Dense(3)(masked))
    assert np.asarray(through._keras_mask).tolist() == [[True, False]]
    with pytest.warns(UserWarning, match=r"layer 'stop' \(Flatten\) does not support masking"):
        stopped = layers.Flatten(name="stop")(masked)
    assert stopped._keras_mask is None


def test_masks_reach_mask_arguments_by_name() -> None:
    class Look(Layer):
        def call(self, query: Any, value: Any, value_mask: Any = None) -> Any:
            return ops.sum(ops.cast(value_mask, "float32")) + query

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return mask

    value = layers.Masking()(np.array([[[1.0], [0.0], [2.0]]]))
    assert float(Look()(np.zeros(()), value)) == 2.0


def test_losses_are_those_of_the_last_call_and_the_penalties() -> None:
    class Extra(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1")

        def call(self, inputs: Any) -> Any:
            self.add_loss(ops.sum(inputs))
            return self.dense(inputs)

    layer = Extra()
    for _ in range(2):
        y = layer(np.ones((1, 3)))
    values = [float(loss) for loss in layer.losses]
    kernel = np.asarray(layer.dense.kernel)
    np.testing.assert_allclose(
        values, [3.0, 0.01 * np.abs(np.asarray(y)).sum(), 0.01 * (kernel**2).sum()], rtol=1e-5
    )
    layer.add_loss(np.ones(2))
    assert [float(loss) for loss in layer.losses[:2]] == [3.0, 2.0]


def test_losses_of_a_finished_trace_are_not_shown() -> None:
    layer = layers.ActivityRegularization(l2=1.0)
    trace_function(lambda x: layer(x), [np.ones(3, "float32")])
    assert layer.losses == []


def test_mixed_precision_computes_in_16_bits_and_keeps_32() -> None:
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    y = layer(np.ones((2, 4)))
    assert (y.dtype, layer.kernel.dtype, layer.compute_dtype) == ("bfloat16", "float32", "bfloat16")
    loss = ops.sum(ops.cast(layer(np.ones((2, 4))), "float32"))
    (gradient,) = hornbeam.gradients(loss, [layer.kernel])
    assert gradient.dtype == "float32"
    np.testing.assert_allclose(np.asarray(gradient), 2 * np.ones((4, 3)))
    norm = layers.BatchNormalization(dtype="mixed_float16")
    assert norm(np.ones((2, 4)), training=True).dtype == "float16"
    assert norm.moving_mean.dtype == "float32"


def test_the_global_policy_is_that_of_new_layers() -> None:
    dtype_policies.set_dtype_policy("mixed_float16")
    try:
        assert layers.Dense(1).compute_dtype == "float16"
    finally:
        dtype_policies.set_dtype_policy(None)
    assert layers.Dense(1).compute_dtype == "float32"
    with pytest.raises(ValueError, match=r"unknown dtype policy 'mixed_float'.*Did you mean 'mixed_float16'"):
        dtype_policies.get("mixed_float")
    with pytest.raises(ValueError, match="must compute in a float dtype"):
        dtype_policies.set_dtype_policy("int32")


def test_integers_are_not_cast() -> None:
    assert layers.Identity()(np.arange(3)).dtype == "int64"
    assert layers.Identity()(np.ones(3)).dtype == "float32"
    assert layers.Identity(autocast=False)(np.ones(3)).dtype == "float64"


@pytest.mark.parametrize(
    ("outer", "dtype"), [(None, "float16"), ("float32", "float16"), ("mixed_float16", "float32")]
)
def test_weights_without_autocast(outer: str | None, dtype: str) -> None:
    """Keras casts them for the outermost layer with a mixed policy, and not inside of another such layer."""
    seen = []

    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__(dtype="mixed_float16", autocast=False)
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x: Any) -> Any:
            seen.append((self.scale.dtype, x.dtype))
            return x

    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__(dtype=outer)
            self.inner = Own()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    (Own() if outer is None else Outer())(np.ones((2, 3), "float32"))
    assert seen[-1] == (dtype, "float16" if outer == "mixed_float16" else "float32")


def test_set_weights_says_what_does_not_fit_and_changes_nothing() -> None:
    layer = layers.Dense(2)
    with pytest.raises(
        ValueError, match=r"has 0 weights, set_weights got 2 arrays. The layer is not built yet"
    ):
        layer.set_weights([np.ones((3, 2)), np.ones(2)])
    layer.build((None, 3))
    before = layer.get_weights()
    with pytest.raises(
        ShapeError, match=r"weight 'dense[_0-9]*/bias' has shape \(2,\), set_weights got \(3,\)"
    ):
        layer.set_weights([np.zeros((3, 2)), np.ones(3)])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    with pytest.raises(ValueError, match="is not built, so its weights are not known"):
        layers.Dense(2).count_params()


def test_own_variables_go_into_a_store_and_back() -> None:
    layer, other, store = layers.BatchNormalization(), layers.BatchNormalization(), {}
    layer(np.random.default_rng(0).normal(size=(8, 3)), training=True)
    layer.save_own_variables(store)
    assert list(store) == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match="The layer is not built: build it before loading"):
        other.load_own_variables(store)
    other.build((None, 3))
    other.load_own_variables(store)
    for ours, theirs in zip(other.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_stateless_call_changes_nothing() -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 2))
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    trainable = [np.array([2.0, 2.0]), np.array([1.0, 1.0])]
    outputs, new = layer.stateless_call(trainable, [np.zeros(2), np.ones(2)], x, training=True)
    np.testing.assert_allclose(np.asarray(new[0]), [1.0, 2.0])
    np.testing.assert_allclose(np.asarray(outputs).mean(0), [1.0, 1.0], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(layer.moving_mean), [0.0, 0.0])


def test_a_user_layer_needs_no_get_config() -> None:
    @registry.register_keras_serializable(package="tests")
    class Power(Layer):
        def __init__(self, exponent: int, scale: float = 1.0) -> None:
            super().__init__()
            self.p = exponent
            self.s = scale

        def call(self, inputs: Any) -> Any:
            return self.s * inputs**self.p

    again = registry.deserialize(registry.serialize(Power(3, scale=2.0)))
    assert (again.p, again.s) == (3, 2.0)
    named = Power(2)
    assert Power.from_config(named.get_config()).name == named.name


def test_a_subclass_of_a_library_layer_extends_its_config() -> None:
    class Wide(layers.Dense):
        def __init__(self, units: int, factor: int = 2, **kwargs: Any) -> None:
            super().__init__(units, **kwargs)
            self.factor = factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    config = Wide(3, factor=5, activation="relu").get_config()
    assert (config["units"], config["factor"], config["activation"]) == (3, 5, "relu")
    assert Wide.from_config(config).factor == 5
    with pytest.raises(TypeError, match=r"Dense.from_config: .*write get_config\(\)"):
        layers.Dense.from_config({"unit": 3})


def test_input_shape_arguments_of_keras_2_are_kept_for_sequential() -> None:
    assert layers.Dense(3, input_shape=(4,))._batch_shape_arg == (None, 4)
    assert layers.Dense(3, input_dim=4)._batch_shape_arg == (None, 4)
    assert layers.LSTM(3, batch_input_shape=(2, 5, 4))._batch_shape_arg == (2, 5, 4)
    assert layers.Embedding(10, 3, input_length=7)._batch_shape_arg == (None, 7)


def test_symbolic_input_and_output() -> None:
    x = hornbeam.Input((4,))
    layer = layers.Dense(3)
    with pytest.raises(AttributeError, match="has not been called on an Input yet"):
        layer.output  # noqa: B018
    y = layer(x)
    assert layer.input is x
    assert layer.output is y
    assert y.history.operation is layer


def test_names_are_unique_and_checked() -> None:
    first, second = layers.Dense(1), layers.Dense(1)
    assert first.name != second.name
    with pytest.raises(ValueError, match=r"name must be a string without '/' or surrogates, got '\\ud800'"):
        layers.Dense(2, name="\ud800")
    with pytest.raises(ValueError, match="name must be a string without '/'"):
        layers.Dense(1, name="a/b")


def test_what_is_not_there_says_so() -> None:
    layer = layers.Dense(1)
    with pytest.raises(NotImplementedError, match=r"compile\(metrics=\[...\]\)"):
        layer.add_metric(1.0)


ERRORS = [
    (
        lambda: layers.Dense(3, activaton="relu"),
        "Dense has no argument 'activaton'. Did you mean 'activation'",
    ),
    (lambda: layers.Dense(0), "Dense: units must be an integer of at least 1, got 0"),
    (lambda: layers.Dense(3)(np.ones(4)), "expects an input of rank 2 at least, got shape (4,)"),
    (lambda: layers.Dense(3)(hornbeam.Input((None,))), "weight 'kernel' would have shape (None, 3)"),
    (lambda: layers.Conv2D(3, 3)(np.ones((1, 8, 8))), "add it with x[..., None]"),
    (lambda: layers.Conv2D(-1, 3), "Conv2D: filters must be an integer of at least 1, got -1"),
    (lambda: layers.Conv2D(3, (3, 3, 3)), "kernel_size must be an integer or 2 of them"),
    (lambda: layers.Conv2D(3, 3, padding="full"), "padding must be one of 'valid', 'same', got 'full'"),
    (lambda: layers.Conv2D(3, 3, padding="causal"), "padding must be one of"),
    (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), "cannot both be above 1"),
    (lambda: layers.Conv2D(3, 3, groups=2), "filters must be a multiple of groups"),
    (
        lambda: layers.Conv2D(4, 3, groups=2)(np.ones((1, 8, 8, 3))),
        "3 input channels do not divide into groups=2",
    ),
    (lambda: layers.Conv2D(3, 3)(hornbeam.Input((8, 8, None))), "the number of channels must be known"),
    (lambda: layers.Conv2D(3, 3, data_format="NHWC"), "data_format must be"),
    (
        lambda: layers.MaxPooling2D(3, name="pool")(np.ones((1, 2, 2, 1))),
        "layer 'pool' (MaxPooling2D): a window of",
    ),
    (lambda: layers.MaxPooling2D(0), "MaxPooling2D: pool_size must be"),
    (lambda: layers.Dropout(1.5), "Dropout: rate must be a number in [0, 1], got 1.5"),
    (lambda: layers.GaussianNoise(-1), "stddev must be a number that is not negative"),
    (lambda: layers.Reshape((3, 5))(np.ones((2, 12))), "has 12 values, target_shape (3, 5) holds 15"),
    (lambda: layers.Reshape((-1, -1)), "at most one of them -1"),
    (lambda: layers.Permute((0, 1)), "must be a permutation of 1..2"),
    (lambda: layers.Add()([np.ones((2, 3)), np.ones((2, 4))]), "cannot be combined, sizes differ: (3, 4)"),
    (lambda: layers.Add()(np.ones((2, 3))), "merges a list of at least 1 tensors"),
    (lambda: layers.Concatenate()([np.ones((2, 3)), np.ones((3, 3))]), "agree in all axes but axis=-1"),
    (lambda: layers.BatchNormalization(momentum=2), "momentum must be a number in [0, 1]"),
    (
        lambda: layers.GroupNormalization(3)(np.ones((2, 4))),
        "4 channels (axis -1) do not divide into 3 groups",
    ),
    (lambda: layers.LSTM(0), "LSTMCell: units must be an integer of at least 1"),
    (lambda: layers.LSTM(2)(np.ones((2, 3))), "of rank 3 (batch, steps, channels), got shape (2, 3)"),
    (lambda: layers.LSTM(2, stateful=True)(hornbeam.Input((3, 4))), "stateful=True needs a known batch size"),
    (lambda: layers.RNN(layers.Dense(3)), "a cell needs call(inputs, states) and state_size"),
    (lambda: layers.Bidirectional(layers.Dense(3)), "is not a recurrent layer"),
    (lambda: layers.TimeDistributed(3), "layer must be a Layer, got 3"),
    (lambda: layers.MultiHeadAttention(0, 2), "num_heads must be an integer of at least 1"),
    (lambda: layers.Embedding(0, 2), "input_dim must be an integer of at least 1"),
    (lambda: layers.Activation("relo"), "Did you mean 'relu'"),
    (lambda: hornbeam.Input(), "needs `shape` (without the batch size) or `batch_shape`"),
    (lambda: hornbeam.Input(784), "shape must be a tuple of sizes such as (784,), got 784"),
    (lambda: Layer()(np.ones(2)), "does not define call(self, inputs)"),
    (lambda: layers.Dense(2)(), "missing a required argument: 'inputs'"),
    (lambda: layers.CategoryEncoding(3)(np.array([[3]])), "values must be in [0, 3), got 3 to 3"),
]


@pytest.mark.parametrize(("run", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_mistakes_are_named(run: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError, NotImplementedError)) as caught:
        run()
    assert text in str(caught.value)


def test_an_error_inside_call_says_where_once() -> None:
    class Outer(Layer):
        def __init__(self) -> None:
            super().__init__(name="outer")
            self.inner = layers.Dense(2, name="inner")

        def call(self, inputs: Any) -> Any:
            return self.inner(ops.concatenate([inputs, np.ones((1, 2), "float32")], axis=1))

    with pytest.raises(ShapeError) as caught:
        Outer()(np.ones((3, 4)))
    assert str(caught.value).count("\n  in layer") == 1
    assert "in layer 'outer' (Outer), called with inputs=float32[3, 4]" in str(caught.value)


def test_a_layer_without_super_init_says_so() -> None:
    class Bare(Layer):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r"must call super\(\).__init__\(\)"):
        Bare()(np.ones(2))


def test_right_uses_stay_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.Dense(2)([[1.0, 2.0], [3.0, 4.0]])
        layers.LSTM(2)(layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 0]])))
        layers.GlobalAveragePooling1D()(layers.Masking()(np.ones((1, 2, 3))))


def test_a_name_may_change() -> None:
    model = hornbeam.Sequential([hornbeam.Input((3,)), layers.Dense(2, name="before")], name="old")
    model.name, model.layers[0].name = "new", "after"
    assert (model.name, model.get_layer("after").name) == ("new", "after")
    copy = hornbeam.Sequential.from_config(model.get_config())
    assert (copy.name, copy.layers[0].name) == ("new", "after")
    with pytest.raises(ValueError, match="without '/'"):
        model.name = "a/b"
    with pytest.raises(ValueError, match="'after' already"):
        model.add(layers.Dense(2, name="after"))


def test_the_shape_of_a_number_is_not_the_absence_of_one() -> None:
    assert layers.Activation("relu").compute_output_shape(()) == ()
    assert layers.CategoryEncoding(6, output_mode="multi_hot").compute_output_shape(()) == (6,)


def test_rematerialized_call() -> None:
    layer = layers.Dense(4)
    assert layer.rematerialized_call(layer.call, np.ones((2, 3))) == layer.call
    with hornbeam.RematScope(mode="larger_than", output_size_threshold=10):
        layer = layers.Dense(4)
    layer.build((None, 3))
    small, large = np.ones((2, 3), "float32"), np.ones((5, 3), "float32")
    assert layer.rematerialized_call(layer.call, small) == layer.call
    call = layer.rematerialized_call(layer.call, large)
    assert call != layer.call
    np.testing.assert_array_equal(call(large), layer(large))
