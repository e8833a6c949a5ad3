"""`model.explain()`: every line of arithmetic is computed and compared with the model; what it says of
layers, and that it leaves the model as it was.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import NotRemovableError
from hornbeam.insight.ablation import parameters_without, without
from hornbeam.insight.arithmetic import parameter_sum, percent, window_count
from hornbeam.random import random_state
from hornbeam.visualization.explanation import Explanation, Section
from tests.helpers.builders import compiled_model, tutorial

SUM = re.compile(r"([\d(⌊⌈](?:(?<=\d),(?=\d)|[\d.()⌊⌋⌈⌉×+\-/ ])*) = ([\d,.]+)")


def value_of(text: str) -> float:
    """Return the value of a line of arithmetic, computed anew."""
    code = re.sub(r"(?<=\d),(?=\d)", "", text).replace("×", "*")
    code = code.replace("⌊", "floor(").replace("⌈", "ceil(").replace("⌋", ")").replace("⌉", ")")
    return eval(code, {"__builtins__": {}, "floor": math.floor, "ceil": math.ceil})


def sums_in(text: str) -> list[tuple[str, float, float]]:
    results = []
    for left, right in SUM.findall(text):
        results.append((left, value_of(left), float(right.rstrip(".,").replace(",", ""))))
    return results


def weights_of(note: Section) -> int:
    """The parameters that the line on weights comes to, by the shapes written there."""
    text = note.entry("weights").split(" = ")[0]
    return sum(int(value_of(re.sub(r"^[a-z_0-9]* ", "", part))) for part in text.split(" + "))


def explained(layer: Any, *shapes: tuple[int, ...], dtype: str = "float32") -> tuple[Section, Any]:
    inputs = [hb.Input(shape, dtype=dtype) for shape in shapes]
    model = hb.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    note = model.explain()[layer.name]
    assert note.entry("does")
    assert note.entry("why")
    assert note.entry("without")
    for label, text in note.entries:
        for left, computed, said in sums_in(text if label != "weights" else ""):
            assert computed == pytest.approx(said, rel=2e-3), left
    if layer.weights:
        assert weights_of(note) == layer.count_params()
        assert f"= {layer.count_params():,}" in note.entry("weights")
    return note, model


IMAGE, WORDS, ROW = (12, 10, 4), (7, 6), (5,)

# layer, its input shapes, and what its volume line must say.
FAMILIES: list[tuple[Callable[[], Any], tuple[tuple[int, ...], ...], str]] = [
    (lambda: layers.Conv1D(3, 2), (WORDS,), "(7 - 2) / 1 + 1 = 6, 3 values"),
    (lambda: layers.Conv2D(8, 3, strides=2), (IMAGE,), "⌊(12 - 3) / 2⌋ + 1 = 5, ⌊(10 - 3) / 2⌋ + 1 = 4"),
    (lambda: layers.Conv2D(8, 3, padding="same"), (IMAGE,), "12 / 1 = 12 (zero padding)"),
    (lambda: layers.Conv2D(8, 3, strides=3, padding="same"), (IMAGE,), "⌈10 / 3⌉ = 4 (zero padding)"),
    (lambda: layers.Conv2D(8, 3, dilation_rate=2), (IMAGE,), "(12 - ((3 - 1) × 2 + 1)) / 1 + 1 = 8"),
    (lambda: layers.Conv2D(8, 3, groups=2), (IMAGE,), "8 values"),
    (lambda: layers.Conv3D(2, 2), ((4, 4, 4, 1),), "(4 - 2) / 1 + 1 = 3 along each axis"),
    (lambda: layers.Conv1D(3, 2, padding="causal"), (WORDS,), "before the first step only"),
    (lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), (WORDS,), "12 values"),
    (lambda: layers.DepthwiseConv2D(3), (IMAGE,), "(12 - 3) / 1 + 1 = 10"),
    (lambda: layers.SeparableConv1D(9, 2), (WORDS,), "9 values"),
    (lambda: layers.SeparableConv2D(9, 3), (IMAGE,), "9 values"),
    (lambda: layers.Conv1DTranspose(2, 3, strides=2), (WORDS,), "(7 - 1) × 2 + 3 = 15"),
    (lambda: layers.Conv2DTranspose(2, 3, strides=2, padding="same"), (IMAGE,), "12 × 2 = 24, 10 × 2 = 20"),
    (lambda: layers.Conv2DTranspose(2, 2, strides=3), (IMAGE,), "12 × 3 = 36"),
    (
        lambda: layers.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1),
        (IMAGE,),
        "(12 - 1) × 2 + 3 - 2 + 1 = 24",
    ),
    (lambda: layers.Conv3DTranspose(2, 2), ((3, 3, 3, 1),), "(3 - 1) × 1 + 2 = 4 along each axis"),
    (lambda: layers.MaxPooling2D(2), (IMAGE,), "(12 - 2) / 2 + 1 = 6, (10 - 2) / 2 + 1 = 5"),
    (lambda: layers.MaxPooling1D(3), (WORDS,), "⌊(7 - 3) / 3⌋ + 1 = 2"),
    (lambda: layers.AveragePooling2D(2, padding="same"), (IMAGE,), "12 / 2 = 6"),
    (lambda: layers.GlobalAveragePooling2D(), (IMAGE,), "120 positions × 4 channels become 4 values"),
    (lambda: layers.GlobalMaxPooling1D(), (WORDS,), "7 positions × 6 channels become 6 values"),
    (lambda: layers.AdaptiveMaxPooling2D(3), (IMAGE,), "12×10 positions become 3×3"),
    (lambda: layers.Dense(3), (ROW,), "the last axis of 5 becomes 3"),
    (lambda: layers.Dense(3, use_bias=False), (WORDS,), "7×6 becomes 3"),
    (lambda: layers.EinsumDense("abc,cd->abd", (None, 9), bias_axes="d"), (WORDS,), "7×6 becomes 7×9"),
    (lambda: layers.SimpleRNN(4), (WORDS,), "4: the last state"),
    (lambda: layers.LSTM(4, return_sequences=True), (WORDS,), "7×4: every step's state"),
    (lambda: layers.GRU(4), (WORDS,), "4: the last state"),
    (lambda: layers.Bidirectional(layers.LSTM(4)), (WORDS,), "4 + 4 = 8 values"),
    (lambda: layers.ConvLSTM2D(2, 2), ((3, 6, 6, 1),), "5×5×2: the last state"),
    (lambda: layers.TimeDistributed(layers.Dense(2)), (WORDS,), "7 steps, each: the last axis of 6 "
    "becomes 2"),
    (lambda: layers.BatchNormalization(), (IMAGE,), "12×10×4, unchanged"),
    (lambda: layers.LayerNormalization(), (WORDS,), "unchanged"),
    (lambda: layers.GroupNormalization(2), (IMAGE,), "unchanged"),
    (lambda: layers.RMSNormalization(), (WORDS,), "unchanged"),
    (lambda: layers.UnitNormalization(), (WORDS,), "unchanged"),
    (lambda: layers.SpectralNormalization(layers.Dense(3)), (ROW,), "5 becomes 3"),
    (lambda: layers.Dropout(0.25), (IMAGE,), "unchanged"),
    (lambda: layers.SpatialDropout2D(0.5), (IMAGE,), "unchanged"),
    (lambda: layers.GaussianNoise(0.1), (ROW,), "unchanged"),
    (lambda: layers.GaussianDropout(0.1), (ROW,), "unchanged"),
    (lambda: layers.AlphaDropout(0.1), (ROW,), "unchanged"),
    (lambda: layers.ActivityRegularization(0.1), (ROW,), "unchanged"),
    (lambda: layers.ReLU(), (ROW,), "unchanged"),
    (lambda: layers.LeakyReLU(0.2), (ROW,), "unchanged"),
    (lambda: layers.PReLU(), (ROW,), "unchanged"),
    (lambda: layers.ELU(), (ROW,), "unchanged"),
    (lambda: layers.Softmax(), (ROW,), "unchanged"),
    (lambda: layers.Activation("gelu"), (ROW,), "unchanged"),
    (lambda: layers.Flatten(), (IMAGE,), "12 × 10 × 4 = 480"),
    (lambda: layers.Reshape((6, 7)), (WORDS,), "7 × 6 = 42 values as 6×7"),
    (lambda: layers.Permute((2, 1)), (WORDS,), "7 × 6 = 42 values as 6×7"),
    (lambda: layers.RepeatVector(3), (ROW,), "3 × 5 = 15"),
    (lambda: layers.ZeroPadding2D(((1, 2), (0, 3))), (IMAGE,), "12 + 1 + 2 = 15, 10 + 0 + 3 = 13"),
    (lambda: layers.ZeroPadding1D(2), (WORDS,), "7 + 2 + 2 = 11"),
    (lambda: layers.Cropping2D(1), (IMAGE,), "12 - 1 - 1 = 10, 10 - 1 - 1 = 8"),
    (lambda: layers.UpSampling2D((2, 3)), (IMAGE,), "12 × 2 = 24, 10 × 3 = 30"),
    (lambda: layers.UpSampling1D(2), (WORDS,), "7 × 2 = 14"),
    (lambda: layers.Add(), (ROW, ROW), "5, same as the inputs"),
    (lambda: layers.Maximum(), (ROW, ROW, ROW), "5, same as the inputs"),
    (lambda: layers.Concatenate(), (ROW, (3,)), "5 + 3 = 8"),
    (lambda: layers.Dot(1), (ROW, ROW), "5 and 5 become 1"),
    (lambda: layers.MultiHeadAttention(2, 3), (WORDS, WORDS), "2 × 7 × 7 = 98"),
    (lambda: layers.Attention(), (WORDS, WORDS), "7×6"),
    (lambda: layers.Normalization(mean=0.0, variance=1.0), (ROW,), "unchanged"),
    (lambda: layers.Rescaling(1 / 255), (IMAGE,), "unchanged"),
    (lambda: layers.RandomFlip(), (IMAGE,), "12×10×4"),
    (lambda: layers.Masking(), (WORDS,), "unchanged"),
    (lambda: layers.Identity(), (ROW,), "unchanged"),
    (lambda: layers.CategoryEncoding(4, output_mode="count"), ((3,),), "3 becomes 4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "shapes", "volume"), FAMILIES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_family(make: Any, shapes: Any, volume: str) -> None:
    layer = make()
    attends = isinstance(layer, layers.MultiHeadAttention)
    if attends:
        inputs = [hb.Input(shape) for shape in shapes]
        model = hb.Model(inputs, layer(*inputs))
        note = model.explain()[layer.name]
        assert weights_of(note) == layer.count_params()
        for left, computed, said in sums_in(note.entry("output")):
            assert computed == said, left
    else:
        note, _ = explained(layer, *shapes)
    assert volume in note.entry("output")
    assert "no description" not in note.entry("does")


def test_embedding_and_channels_first() -> None:
    note, _ = explained(layers.Embedding(50, 4), (7,), dtype="int32")
    assert "7 × 4 = 28" in note.entry("output")
    note, model = explained(layers.Conv2D(2, 3, data_format="channels_first"), (3, 9, 8))
    assert "(9 - 3) / 1 + 1 = 7, (8 - 3) / 1 + 1 = 6, 2 values" in note.entry("output")
    assert model.output_shape == (None, 2, 7, 6)


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    groups=st.integers(1, 2),
    channels=st.integers(1, 3),
    filters=st.integers(1, 3),
    bias=st.booleans(),
)
def test_random_convolutions(
    size: Any,
    window: Any,
    stride: Any,
    dilation: Any,
    padding: str,
    groups: int,
    channels: int,
    filters: int,
    bias: bool,
) -> None:
    if max(stride) > 1:
        dilation = (1, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "valid" and any(r > s for r, s in zip(reach, size, strict=True)):
        return
    options = {"strides": stride, "dilation_rate": dilation, "padding": padding, "use_bias": bias}
    layer = layers.Conv2D(filters * groups, window, groups=groups, **options)
    x = hb.Input((*size, channels * groups))
    result = layer(x).shape
    for i in range(2):
        text = window_count(size[i], result[1 + i], window[i], stride[i], dilation[i], padding == "same")
        ((_, computed, said),) = sums_in(text) or [("", result[1 + i], result[1 + i])]
        assert computed == said == result[1 + i]
    by_hand = window[0] * window[1] * channels * filters * groups + bias * filters * groups
    assert parameter_sum(layer.weights).endswith(f"= {by_hand:,}")


@settings(max_examples=60)
@given(
    size=st.integers(1, 20),
    window=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.sampled_from(["valid", "same"]),
    extra=st.none() | st.integers(0, 3),
)
def test_random_transposed_convolutions(
    size: int, window: int, stride: int, padding: str, extra: Any
) -> None:
    if extra is not None and extra >= stride:
        return
    if extra is not None and padding == "same" and (size - 1) * stride + window % 2 + extra <= 0:
        return
    layer = layers.Conv1DTranspose(1, window, strides=stride, padding=padding, output_padding=extra)
    x = hb.Input((size, 1))
    result = layer(x).shape[1]
    text = hb.Model(x, layer.output).explain()[layer.name].entry("output").split(",")[0]
    assert sums_in(text)[0][1] == result


# -- the whole -----------------------------------------------------------------------------------------------


def test_the_tutorial() -> None:
    explanation = tutorial().explain()
    conv = explanation["conv_2"]
    assert conv.title == "conv_2 (Conv2D)  26×26×32 → 24×24×64"
    assert conv.entry("output") == "(26 - 3) / 1 + 1 = 24 along each axis, 64 values at each position"
    assert conv.entry("weights") == "kernel 3 × 3 × 32 × 64 + bias 64 = 18,496, 1.5% of all"
    assert conv.entry("field") == "every value depends on 5×5 positions of the input"
    assert "88.3% of all" in conv.entry("cost")
    assert "0.25 × 9,216 = 2,304 values" in explanation["drop_1"].entry("does")
    assert explanation["dense"].entry("does") == (
        "128 weighted sums of all 9,216 inputs; then relu keeps positive values and sets the others to 0"
    )
    assert "98.3% of the parameters are in dense." in explanation.closing
    # What the model would be without them, against models written by hand.
    assert "110,986 parameters instead of 1,199,882" in explanation["dense"].entry("without")
    others = [layer for layer in tutorial().layers if layer.name != "pool"]
    by_hand = hb.Sequential([hb.Input((28, 28, 1)), *(type(x).from_config(x.get_config()) for x in others)])
    assert f"{by_hand.count_params():,} parameters instead" in explanation["pool"].entry("without")
    assert "cannot be removed" in explanation["flatten"].entry("without")
    with pytest.raises(KeyError, match="conv_1"):
        explanation["conv_9"]


def test_text_html_and_rich() -> None:
    explanation = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="a<b")], name="tiny").explain()
    assert str(explanation) == explanation.text == repr(explanation)
    assert max(map(len, explanation.text.splitlines())) <= 100
    assert "4 × 3 + bias 3 = 15" in explanation.text
    html = explanation._repr_html_()
    assert "<dt>weights</dt>" in html
    assert "a&lt;b" in html


def test_shared_nested_and_subclassed() -> None:
    i = hb.Input((8,), name="i")
    inner = hb.Model(i, layers.Dense(4, name="second")(layers.Dense(6, name="first")(i)), name="inner")
    x = hb.Input((8,), name="x")
    model = hb.Model(x, layers.Dense(1, name="out")(inner(x) + inner(x * 2.0)))
    assert weights_of(model.explain()["inner"]) == inner.count_params() == 82
    explanation = model.explain(expand_nested=True)
    assert [note.depth for note in explanation.sections] == [0, 0, 1, 1, 1, 0]
    assert "the answer" not in explanation["second"].entry("why")
    assert "the answer" in explanation["out"].entry("why")

    class Own(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3, name="own_dense")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    own = Own()
    with pytest.raises(ValueError, match="not built"):
        own.explain()
    own(np.ones((2, 4), "float32"))
    assert "4 × 3 + bias 3 = 15" in own.explain()["own_dense"].entry("weights")


def test_a_layer_of_ones_own_is_told_honestly() -> None:
    class Odd(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2.0

    note, _ = explained(Odd(), (3,))
    assert "no description" in note.entry("does")


def test_time_is_measured_with_data() -> None:
    model = compiled_model(
        (16, 16, 8),
        [layers.Conv2D(32, 3, name="conv"), layers.Flatten(), layers.Dense(2, name="out")],
        "sgd",
        "mse",
    )
    before = [np.array(w) for w in model.get_weights()]
    x = np.ones((64, 16, 16, 8), "float32")
    explanation = model.explain(x, np.zeros((64, 2), "float32"))
    assert "measured time" in explanation["conv"].entry("cost")
    shares = [
        re.match(r"([\d.]+)% of the layers' measured", note.entry("cost")) for note in explanation.sections
    ]
    assert sum(float(share[1]) for share in shares if share) == pytest.approx(100, abs=0.5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_layers_do_on_data() -> None:
    model = hb.Sequential([hb.Input((2,)), layers.Dense(3, activation="relu", name="d"), layers.Dense(1)])
    model.get_layer("d").set_weights(
        [np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]), np.array([0.0, 0.0, -1.0])]
    )
    x = np.array([[1.0, 5.0], [-3.0, 5.0]], "float32")
    values = np.array([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    text = model.explain(x)["d"].entry("on data")
    assert text == (
        f"mean {values.mean():.3g}, std {values.std():.3g}, 67% of the values are 0; "
        "1 of 3 channels are 0 throughout"
    )
    explanation = model.explain(x)
    assert "prediction" in explanation.closing[-1]
    with hb.engines.using("reference"):
        explanation = model.explain(x)
    assert "could not be measured" in explanation.closing[-1]
    assert "FLOPs" in explanation["d"].entry("cost")


def test_percents() -> None:
    assert [percent(1, 3), percent(1, 2), percent(1, 100_000), percent(0, 5), percent(1, 0)] == [
        "33.3%", "50%", "under 0.1%", "0%", "",
    ]  # fmt: skip


# -- without a layer -----------------------------------------------------------------------------------------


def test_what_can_go() -> None:
    a, b = hb.Input((4,), name="a"), hb.Input((4,), name="b")
    both = layers.Add(name="sum")([layers.Dense(4, name="da")(a), b])
    model = hb.Model([a, b], layers.Dense(2, name="out")(both))
    by_name = {layer.name: layer for layer in model.layers}
    assert parameters_without(model, by_name["da"]) == 10
    for name, reason in (("sum", "joins"), ("out", "output shape"), ("a", "is an input")):
        with pytest.raises(NotRemovableError, match=reason):
            without(model, by_name[name])


def test_attention_to_oneself_can_go_and_strings_are_told() -> None:
    x = hb.Input((6, 8))
    h = layers.MultiHeadAttention(2, 4, name="mha")(x, x)
    model = hb.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(h)))
    mha = model.get_layer("mha")
    assert parameters_without(model, mha) == model.count_params() - mha.count_params() == 9
    words = layers.TextVectorization(max_tokens=20, output_sequence_length=5)
    words.adapt(np.array(["a b c d", "b c e"]))
    text = hb.Sequential(
        [
            hb.Input((1,), dtype="string"),
            words,
            layers.Embedding(20, 4, name="e"),
            layers.LSTM(3),
            layers.Dense(2),
        ]
    )
    explanation = text.explain(np.array([["a b"], ["c d"]]))
    assert explanation["e"].entry("on data").startswith("mean ")
    assert "vocabulary" in explanation[words.name].entry("does")
    assert explanation.closing[-1] == "Time is that of 5 steps of prediction with 2 samples."


def test_ablation_finds_what_matters_and_leaves_everything() -> None:
    # Classes by the sign of a product: linear layers cannot tell, a hidden layer with relu can.
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 2)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int32")
    hb.utils.set_random_seed(3)
    model = compiled_model(
        (2,),
        [
            layers.Identity(name="nothing"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(2, activation="softmax", name="out"),
        ],
        hb.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x[:64], y[:64], verbose=0)
    kept = [np.array(w) for w in model.get_weights()], [np.array(v) for v in model.optimizer.variables]
    state, name = random_state(), layers.Dense(1).name
    explanation = model.explain(x, y, ablate=True, epochs=8, seeds=3)
    result = explanation.extra["ablations"]
    assert result["hidden"].verdict == "worse"
    assert result["nothing"].verdict == "cannot tell"
    assert result["out"].verdict == "not removable" or result["out"].verdict == "worse"
    assert "worse without it" in explanation["hidden"].entry("measured")
    assert "cannot tell" in explanation["nothing"].entry("measured")
    assert result["hidden"].high < 0
    for old, new in zip(kept[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(kept[1], model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    np.testing.assert_array_equal(state["hornbeam"], random_state()["hornbeam"])
    number = [int((re.findall(r"_(\d+)$", text) or ["0"])[0]) for text in (name, layers.Dense(1).name)]
    assert number[1] == number[0] + 1


def test_wrong_requests() -> None:
    model = hb.Sequential([hb.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="needs data"):
        model.explain(ablate=True)
    with pytest.raises(ValueError, match="not compiled"):
        model.explain(np.ones((20, 2)), np.ones((20, 1)), ablate=True)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="seeds"):
        model.explain(np.ones((20, 2)), np.ones((20, 1)), ablate=True, seeds=1)
    with pytest.raises(ValueError, match="at least 10 samples"):
        model.explain(np.ones((4, 2)), np.ones((4, 1)), ablate=True)


def test_told_by_title() -> None:
    explanation = Explanation("t", [Section("The loop", (("a", "b"),))])
    assert explanation["The loop"].entry("a") == "b"


def test_the_guide_shows_what_is_printed() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "insight.md").read_text()
    shown = {line.strip() for line in guide.splitlines()}
    model = tutorial()
    explanation = model.explain()
    for name in ("conv_2", "drop_1", "dense"):
        block = next(part for part in explanation.text.split("\n\n") if part.startswith(f"{name} "))
        assert {line.strip() for line in block.splitlines()} <= shown
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loop = model.explain_training(samples=60_000, batch_size=128, epochs=12).text
    assert {line.strip() for line in loop.splitlines()} <= shown
