"""Arguments of layers beside Keras's: what both refuse, and by errors that code for Keras catches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.comparison import Comparison
from tests.helpers.parity.configs import SIDES

REFUSED = [
    "layers.Dropout(0.5, noise_shape='ab')",
    "layers.Dropout(0.5, noise_shape=3)",
    "layers.Dropout(0.5, noise_shape=(2, 1.5))",
    "layers.Dropout(0.5, noise_shape=(2, 0))",
    "layers.Softmax()(np.ones((1, 3)), mask=np.ones((2, 3)))",
    "layers.Softmax()(np.ones((1, 3)), mask=np.ones((1, 1, 3)))",
    "layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3, 4)), mask=np.ones((2, 4), bool))",
    "layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3, 4)), mask=np.ones((1, 3), bool))",
    "layers.Add().compute_mask([np.ones((2, 3))] * 2, np.ones((2, 3)))",
    "layers.Add().compute_mask(np.ones((2, 3)), [None, None])",
    "layers.Concatenate().compute_mask([np.ones((2, 3))] * 2, [None])",
    "layers.Attention()(np.ones((1, 2, 3)))",
    "layers.Attention()([np.ones((1, 2, 3))] * 2, mask=np.ones((1, 2), bool))",
    "layers.AdditiveAttention()([np.ones((1, 2, 3))] * 2, mask=[np.ones((1, 2), bool)])",
    "layers.MultiHeadAttention(2, 4, output_shape=8.0)",
    "layers.LayerNormalization(axis={'a': 1})",
    "layers.UnitNormalization(axis={'a': 1})",
    "layers.RepeatVector('3')",
    "layers.RepeatVector(3.5)",
    "layers.Dense(2, trainable='yes')",
    "layers.Dense(2, trainable=1)",
    "random.uniform((2,), dtype='int32')",
    "random.SeedGenerator(other=1)",
    "metrics.FBetaScore(threshold='0.5')",
]


@pytest.mark.parametrize("call", REFUSED)
def test_both_refuse(call: str) -> None:
    errors = []
    for side in SIDES:
        names = {"layers": side.layers, "random": side.random, "metrics": side.metrics, "np": np}
        with pytest.raises((TypeError, ValueError)) as caught:
            eval(call, names)
        errors.append(caught.value)
    ours, theirs = errors
    kind = TypeError if isinstance(theirs, TypeError) else ValueError
    assert isinstance(ours, kind)


BUILT = [
    "Activation('relu')", "ReLU()", "LeakyReLU()", "ELU()", "Softmax()", "PReLU()", "Dropout(0.5)",
    "Identity()", "GaussianNoise(0.1)", "AlphaDropout(0.1)", "SpatialDropout1D(0.1)",
    "ActivityRegularization(l2=0.1)",
    "MaxPooling2D()", "AveragePooling1D(2)", "GlobalMaxPooling3D()", "Masking()", "UnitNormalization()",
    "Dense(2)", "BatchNormalization()",
]  # fmt: skip


@pytest.mark.parametrize("text", BUILT)
def test_layers_without_weights_are_built_from_the_start(compare: Comparison, text: str) -> None:
    ours, theirs = (eval(f"side.layers.{text}", {"side": side}) for side in SIDES)
    compare.same("built", ours.built, theirs.built)
    subclasses = [
        type("Own", (type(layer),), {"build": lambda self, input_shape: None}) for layer in (ours, theirs)
    ]
    compare.same(
        "with a build()",
        *(cls.from_config(x.get_config()).built for cls, x in zip(subclasses, (ours, theirs), strict=True)),
    )


def test_masks_of_steps_reach_the_layer(compare: Comparison) -> None:
    outputs = []
    for side in SIDES:

        class Marked(side.layers.Layer):  # type: ignore[name-defined, misc]
            def call(self, inputs: Any, mask: Any = None) -> Any:
                return inputs * side.ops.cast(side.ops.expand_dims(mask, -1), inputs.dtype)  # noqa: B023

        x = np.arange(24, dtype="float32").reshape(3, 2, 4) + 1
        mask = np.array([[False, True], [True, False], [True, True]])
        outputs.append(side.layers.TimeDistributed(Marked())(x, mask=mask))
    compare.close("output", *outputs, "layers")


def test_states_of_cells_with_one_state_are_tensors(compare: Comparison) -> None:
    outputs = []
    for side in SIDES:

        class Cell(side.layers.Layer):  # type: ignore[name-defined, misc]
            def __init__(self, size: int) -> None:
                super().__init__()
                self.state_size = size

            def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
                new = states[0] * 0.5 + side.ops.sum(inputs, axis=-1, keepdims=True)  # noqa: B023
                return new, [new]

        layer = side.layers.RNN([Cell(3), Cell(2)], return_state=True)
        outputs.append(layer(np.arange(24, dtype="float32").reshape(2, 3, 4)))
    compare.close("output and states", *outputs, "layers")


@pytest.mark.parametrize("mode", ["multi_hot", "count", "one_hot"])
def test_categories_of_axis_1(compare: Comparison, mode: str) -> None:
    x = np.random.default_rng(0).integers(0, 5, (2, 3, 4))
    compare.close("value", *(side.layers.CategoryEncoding(5, mode)(x) for side in SIDES), "layers")


def test_shapes_of_means(compare: Comparison) -> None:
    data = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype("float32")
    for axis, numbers in (((1, 2), np.arange(5.0)), (-1, 2.0), ((1,), np.arange(7.0)), (2, None)):
        layers = [
            side.layers.Normalization(axis, numbers, None if numbers is None else numbers + 1)
            for side in SIDES
        ]
        for layer in layers:
            layer.adapt(data) if numbers is None else layer.build(data.shape)
        compare.close(f"means {axis}", *([layer.mean, layer.variance] for layer in layers), "layers")
        compare.close(f"outputs {axis}", *(layer(data) for layer in layers), "layers")
    layers = [side.layers.Normalization() for side in SIDES]
    assert [layer.mean for layer in layers] == [None, None]
    for layer in layers:
        layer.adapt(data[0])
    compare.close("outputs of another rank", *(layer(data) for layer in layers), "layers")


def test_rescaling_of_channels_first(compare: Comparison) -> None:
    outputs = []
    for side in SIDES:
        side.config.set_image_data_format("channels_first")
        try:
            outputs.append(side.layers.Rescaling([1.0, 2.0, 3.0], 1.0)(np.ones((2, 3, 4, 5), "float32")))
        finally:
            side.config.set_image_data_format("channels_last")
    compare.close("output", *outputs, "layers")


def test_old_arguments_of_recurrent_layers() -> None:
    for cls in (hornbeam.layers.LSTM, hornbeam.layers.GRU):
        config = {**cls(3).get_config(), "implementation": 1}
        assert cls.from_config(config)(np.ones((2, 4, 5))).shape == (2, 3)


def test_values_beyond_float16(compare: Comparison) -> None:
    x = np.full((2, 4, 8), 70000.0, "float32")
    outputs = [side.layers.GroupNormalization(2, dtype="mixed_float16")(x) for side in SIDES]
    compare.close("output", *outputs, "float16")


def test_an_empty_batch_has_no_penalty() -> None:
    layer = hornbeam.layers.Dense(2, activity_regularizer="l2")
    layer(np.zeros((0, 3)))
    assert float(layer.losses[0]) == 0.0


def test_metrics_are_not_among_the_variables(compare: Comparison) -> None:
    counts = []
    for side in SIDES:

        class Own(side.layers.Layer):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.dense = side.layers.Dense(2)  # noqa: B023
                self.mean = side.metrics.Mean()  # noqa: B023

            def build(self, input_shape: Any) -> None:
                self.dense.build(input_shape)

            def call(self, x: Any) -> Any:
                return self.dense(x)

        layer = Own()
        layer.build((1, 3))
        counts.append(
            [len(layer.variables), len(layer.non_trainable_variables), len(layer.metrics_variables)]
        )
    compare.same("counts", *counts)


def test_shapes_of_masks_reach_build() -> None:
    for side in (hornbeam, keras):
        seen: list[Any] = []

        class Own(side.layers.Layer):  # type: ignore[name-defined, misc]
            def build(self, inputs_shape: Any, attention_mask_shape: Any = None) -> None:
                seen.append(attention_mask_shape)  # noqa: B023

            def call(self, inputs: Any, attention_mask: Any = None) -> Any:
                return inputs

        Own()(np.ones((2, 3)), attention_mask=np.ones((2, 1)))
        assert [tuple(shape) for shape in seen] == [(2, 1)]


def test_output_shapes_need_no_registered_cells(compare: Comparison) -> None:
    shapes = []
    for side in SIDES:

        class Cell(side.layers.Layer):  # type: ignore[name-defined, misc]
            def __init__(self, size: int, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.state_size = self.size = size

            def call(self, inputs: Any, states: Any) -> Any:
                new = states[0] + side.ops.sum(inputs, axis=-1, keepdims=True)  # noqa: B023
                return new, [new]

            def get_config(self) -> dict[str, Any]:
                return {"size": self.size}

        layer = side.layers.RNN(Cell(8), return_sequences=True)
        shapes.append(tuple(layer.compute_output_shape((3, 4, 5))))
    compare.same("shape", *shapes)


def test_the_batch_of_stateful_layers_is_fixed() -> None:
    for side in SIDES:
        inputs = side.Input(batch_shape=(4, 5, 3))
        model = side.Model(inputs, side.layers.GRU(2, stateful=True)(inputs))
        model(np.ones((4, 5, 3)))
        with pytest.raises(ValueError, match="batch"):
            model(np.ones((1, 5, 3)))


def test_adapt_refuses_numbers() -> None:
    with pytest.raises(TypeError, match="takes arrays"):
        hornbeam.layers.Normalization().adapt(number for number in [42])


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_shapes_of_bins_before_adapt(compare: Comparison, mode: str) -> None:
    for options in ({"num_bins": 4}, {"bin_boundaries": [0.0, 1.0]}):
        ours, theirs = (side.layers.Discretization(output_mode=mode, **options) for side in SIDES)
        for shape in ((3,), (None, 1), (None, 3), (2, 3, 4), (None, 5, 1)):
            compare.same(f"{shape}", *(tuple(x.compute_output_shape(shape)) for x in (ours, theirs)))
        symbols = [layer(side.Input((5, 2))) for side, layer in zip(SIDES, (ours, theirs), strict=True)]
        compare.same("symbols", *((x.shape, x.dtype) for x in symbols))
        compare.same("dtype", ours.output_dtype, theirs.output_dtype)


def test_shapes_by_name(compare: Comparison) -> None:
    shapes = []
    for side in SIDES:
        three = [(2, 3, 4), (2, 5, 6), (2, 5, 4)]
        attention = side.layers.Attention().compute_output_shape(input_shape=three)
        dense = side.layers.Dense(3).compute_output_shape(input_shape=(None, 2))
        layer = side.layers.MultiHeadAttention(2, 4)
        heads = layer.compute_output_shape(query_shape=(2, 3, 4), value_shape=(2, 5, 6))
        shapes.append([tuple(attention), tuple(dense), tuple(heads)])
    compare.same("shapes", *shapes)
