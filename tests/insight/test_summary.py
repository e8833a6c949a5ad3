"""`model.summary()`: the text as it is printed, FLOPs and receptive fields against hand-computed and measured
ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.models.receptive_field import ReceptiveFields, calls_of
from hornbeam.models.summary import Trace, rows_of
from tests.helpers.builders import tutorial


def text_of(model: Any, **options: Any) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, **options)
    (text,) = lines
    return text


def branches() -> hb.Model:
    image, facts = hb.Input((32, 32, 3), name="image"), hb.Input((5,), name="facts")
    h = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    g = layers.Dense(4, activation="relu", name="dense")(facts)
    both = layers.Concatenate(name="both")([h, g])
    return hb.Model([image, facts], layers.Dense(2, name="out")(both), name="branches")


def nested() -> hb.Model:
    i = hb.Input((8,), name="i")
    inner = hb.Model(i, layers.Dense(4, name="second")(layers.Dense(6, name="first")(i)), name="inner")
    x = hb.Input((8,), name="x")
    return hb.Model(x, layers.Dense(1, name="out")(inner(x) + inner(x * 2.0)), name="nested")


TUTORIAL = """\
Model "tutorial"
───────────────────────────────────────────────────────────────────
layer (type)         output       params    FLOPs  field     memory
───────────────────────────────────────────────────────────────────
conv_1 (Conv2D)      26×26×32        320  432.6 k      3   84.5 KiB
conv_2 (Conv2D)      24×24×64     18,496   21.3 M      5  144.0 KiB
pool (MaxPooling2D)  12×12×64          0   36.9 k      6   36.0 KiB
drop_1 (Dropout)     12×12×64          0        0      6   36.0 KiB
flatten (Flatten)    9216              0        0    all   36.0 KiB
dense (Dense)        128       1,179,776    2.4 M    all      512 B
drop_2 (Dropout)     128               0        0    all      512 B
digits (Dense)       10            1,290    2.6 k    all       40 B
───────────────────────────────────────────────────────────────────
1,199,882 parameters (4.6 MiB), 1,199,882 of them trained
one sample: 24.1 MFLOPs forward, 337.5 KiB of activations
field: receptive field, the input positions along each axis on which a value depends"""


def test_the_tutorial() -> None:
    assert text_of(tutorial()) == TUTORIAL


def test_two_branches() -> None:
    assert text_of(branches()) == (
        'Model "branches"\n'
        "─────────────────────────────────────────────────────────────────────────────────────\n"
        "layer (type)                   output   params    FLOPs  field    memory  after\n"
        "─────────────────────────────────────────────────────────────────────────────────────\n"
        "image (InputLayer)             32×32×3       0        0      1  12.0 KiB\n"
        "conv (Conv2D)                  16×16×8     224  112.6 k      3   8.0 KiB  image\n"
        "norm (BatchNormalization)      16×16×8      32    4.1 k      3   8.0 KiB  conv\n"
        "facts (InputLayer)             5             0        0             20 B\n"
        "pool (GlobalAveragePooling2D)  8             0    2.1 k    all      32 B  norm\n"
        "dense (Dense)                  4            24       48             16 B  facts\n"
        "both (Concatenate)             12            0        0    all      48 B  pool, dense\n"
        "out (Dense)                    2            26       50    all       8 B  both\n"
        "─────────────────────────────────────────────────────────────────────────────────────\n"
        "306 parameters (1.2 KiB), 290 of them trained\n"
        "one sample: 118.9 kFLOPs forward, 16.1 KiB of activations\n"
        "field: receptive field, the input positions along each axis on which a value depends"
    )


def test_inner_models_and_shared_layers() -> None:
    """A layer that is used twice works twice; what lies between the layers counts in the total."""
    model = nested()
    text = text_of(model, expand_nested=True)
    assert text.splitlines()[3:-2] == [
        "──────────────────────────────────────────────────────────────",
        "x (InputLayer)      8            0      0    32 B",
        "inner (Functional)  4           82    308    16 B  x, multiply",
        "  i (InputLayer)    8            0      0    32 B",
        "  first (Dense)     6           54    204    24 B  i",
        "  second (Dense)    4           28    104    16 B  first",
        "out (Dense)         1            5      9     4 B  add",
        "──────────────────────────────────────────────────────────────",
    ]
    # 2 (6 (2*8 + 1) + 4 (2*6 + 1)) for the inner model, 8 to double x, 4 to add, 2*4 + 1 at the end
    assert Trace(model).flops == 308 + 8 + 4 + 9
    assert "first" not in text_of(model)


def test_subclassed_models() -> None:
    class Net(hb.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.convolve = layers.Conv2D(2, 3, name="convolve")
            self.classify = layers.Dense(3, name="classify")

        def call(self, x: Any) -> Any:
            return self.classify(ops.mean(self.convolve(x), axis=(1, 2)))

    model = Net()
    lines = text_of(model).splitlines()
    assert [line.split() for line in lines[4:6]] == [
        ["convolve", "(Conv2D)", "?", "?", "?", "?"],
        ["classify", "(Dense)", "?", "?", "?", "?"],
    ]
    assert lines[-1].startswith("not built: sizes are known once it is called on data")
    model.build((None, 6, 6, 1))
    lines = text_of(model).splitlines()
    assert lines[4] == "convolve (Conv2D)  4×4×2       20    608   128 B"  # 16 * 2 * (2*9 + 1)
    assert lines[5] == "classify (Dense)   3            9     15    12 B"
    assert lines[-1] == "one sample: 657 FLOPs forward, 140 B of activations"  # and 34 for the mean


def test_sequential_models_that_wait_for_data() -> None:
    model = hb.Sequential([layers.Embedding(9, 4), layers.LSTM(3)], name="late")
    before = text_of(model)
    assert "not built" in before
    model(np.zeros((2, 5), "int32"))
    after = text_of(model).splitlines()
    assert "not built" not in after[-1]
    assert [line.split()[3] for line in after[4:6]] == ["36", "96"]


def test_models_without_input_sizes() -> None:
    model = hb.Sequential(
        [hb.Input((None,)), layers.Embedding(9, 4), layers.LSTM(3), layers.Dense(1)], name="text"
    )
    rows = [line.split() for line in text_of(model).splitlines()[4:7]]
    assert [row[2:] for row in rows] == [
        ["?×4", "36", "?", "1", "?"],
        ["3", "96", "?", "all", "12", "B"],
        ["1", "4", "?", "all", "4", "B"],
    ]


def test_models_that_look_at_values() -> None:
    class Eager(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            y = self.dense(x)
            return y if float(ops.sum(y)) > 0 else -y

    model = Eager()
    model(np.ones((2, 3), "float32"))
    assert "?" in text_of(model).splitlines()[4]


def test_fixed_batches() -> None:
    free = hb.Sequential([hb.Input((5,)), layers.Dense(3)])
    fixed = hb.Sequential([hb.Input(batch_shape=(4, 5)), layers.Dense(3)])
    assert Trace(free).flops == Trace(fixed).flops == 3 * (2 * 5 + 1)


def test_options() -> None:
    model = tutorial()
    model.get_layer("conv_1").trainable = False
    lines = text_of(model, show_trainable=True).splitlines()
    assert lines[2].endswith("memory  trained")
    assert lines[4].endswith("84.5 KiB  no")
    assert lines[5].endswith("144.0 KiB  yes")
    assert "1,199,562 of them trained" in lines[-3]
    assert all(len(line) <= 50 for line in text_of(model, line_length=50).splitlines())
    assert text_of(model, line_length=50).splitlines()[4] == "conv_1 (Conv2D)      26×26×32        320      3"
    assert text_of(model, line_length=36).splitlines()[6] == "pool (MaxPoo…)  12×12×64          0"
    names = [line.split()[0] for line in text_of(model, layer_range=("conv_2", "flatten")).splitlines()[4:-4]]
    assert names == ["conv_2", "pool", "drop_1", "flatten"]
    names = [line.split()[0] for line in text_of(model, layer_range=("drop.*", "drop.*")).splitlines()[4:-4]]
    assert names == ["drop_1", "flatten", "dense", "drop_2"]
    for wrong, text in [(("nothing", "dense"), "no layer is named 'nothing'"), (("dense",), "two names")]:
        with pytest.raises(ValueError, match=text):
            model.summary(layer_range=wrong)
    with pytest.raises(ValueError, match="positions is not supported"):
        model.summary(positions=[1])


def test_it_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    tutorial().summary()
    assert capsys.readouterr().out == TUTORIAL + "\n"


@pytest.mark.parametrize(("columns", "width"), [("60", 59), ("0", 62), ("wide", 62), (None, 62)])
def test_a_file_is_as_wide_as_columns_says(
    columns: str | None, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
    nested().summary()
    assert max(map(len, capsys.readouterr().out.splitlines())) == width


def test_partly_trained_models() -> None:
    norm = hb.Sequential([hb.Input((3,)), layers.BatchNormalization(name="norm")])
    assert text_of(norm, show_trainable=True).splitlines()[4].endswith("yes")  # all that can be
    model = nested()
    model.get_layer("inner").layers[1].trainable = False
    lines = text_of(model, show_trainable=True).splitlines()
    assert lines[5].endswith("in part")


# -- FLOPs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (lambda: layers.Dense(3), (5,), 3 * (2 * 5 + 1)),
        (lambda: layers.Dense(3, use_bias=False), (5,), 3 * 2 * 5),
        (lambda: layers.Dense(3), (7, 5), 7 * 3 * (2 * 5 + 1)),
        (lambda: layers.Dense(3, activation="relu"), (5,), 3 * (2 * 5 + 2)),
        (lambda: layers.Conv2D(4, 3), (8, 9, 2), 6 * 7 * 4 * (2 * 9 * 2 + 1)),
        (lambda: layers.Conv2D(4, 3, strides=2, padding="same"), (8, 9, 2), 4 * 5 * 4 * (2 * 9 * 2 + 1)),
        (lambda: layers.Conv2D(4, 3, groups=2), (8, 8, 2), 36 * 4 * (2 * 9 * 1 + 1)),
        (lambda: layers.DepthwiseConv2D(3), (8, 8, 2), 36 * 2 * (2 * 9 + 1)),
        (lambda: layers.Conv1D(4, 3, dilation_rate=2), (9, 2), 5 * 4 * (2 * 3 * 2 + 1)),
        (lambda: layers.MaxPooling2D(2), (8, 8, 2), 4 * 4 * 2 * 4),
        (lambda: layers.Flatten(), (8, 8, 2), 0),
        (lambda: layers.Dropout(0.5), (8,), 0),
    ],
)
def test_flops(layer: Any, shape: tuple[int, ...], flops: int) -> None:
    assert Trace(hb.Sequential([hb.Input(shape), layer()])).flops == flops


# -- receptive fields ----------------------------------------------------------------------------------------


def measured(model: hb.Model, length: int) -> int:
    """The most input positions that any one output depends on: a NaN in one of them comes out as NaN."""
    x = np.tile(np.linspace(1, 2, length, dtype="float32")[:, None], (length, 1, 1))
    x[np.arange(length), np.arange(length)] = np.nan
    touched = np.isnan(np.asarray(model(x))).any(-1)  # (NaN at, output)
    return max(int(np.ptp(np.flatnonzero(column))) + 1 for column in touched.T if column.any())


@pytest.mark.parametrize(
    ("stack", "size"),
    [
        (lambda: [layers.Conv1D(1, 3)], 3),
        (lambda: [layers.Conv1D(1, 3), layers.Conv1D(1, 3)], 5),
        (lambda: [layers.Conv1D(1, 3, strides=2), layers.Conv1D(1, 3)], 7),
        (lambda: [layers.Conv1D(1, 3, dilation_rate=4)], 9),
        (lambda: [layers.Conv1D(1, 5, padding="same"), layers.MaxPooling1D(2), layers.Conv1D(1, 3)], 10),
        (lambda: [layers.AveragePooling1D(3, strides=2), layers.ReLU(), layers.MaxPooling1D(2)], 5),
        (lambda: [layers.SeparableConv1D(1, 3), layers.BatchNormalization(), layers.DepthwiseConv1D(2)], 4),
        (lambda: [layers.ZeroPadding1D(2), layers.Conv1D(1, 3), layers.Cropping1D(1), layers.Dense(2)], 3),
        (lambda: [layers.Conv1D(1, 3), layers.UpSampling1D(2), layers.Conv1D(1, 3)], 4),
        (lambda: [layers.Conv1DTranspose(1, 3, strides=2)], 2),
        (lambda: [layers.MaxPooling1D(2), layers.Conv1DTranspose(1, 4, strides=2), layers.Conv1D(1, 3)], 6),
    ],
)
def test_receptive_fields(stack: Any, size: int) -> None:
    length = 24
    model = hb.Sequential([hb.Input((length, 1)), *stack()])
    for weight in model.weights:
        weight.assign(ops.ones(weight.shape))
    fields = ReceptiveFields()
    fields.follow(calls_of(model))
    assert str(fields.of(model.output)) == str(size)
    assert measured(model, length) == size


def test_random_layers_on_images_see_one_pixel_since_they_rest() -> None:
    parts = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.CenterCrop(24, 24), layers.Conv2D(4, 3)]
    model = hb.Sequential([hb.Input((32, 32, 3)), *parts])
    fields = ReceptiveFields()
    fields.follow(calls_of(model))
    assert str(fields.of(model.output)) == "3"


def test_fields_of_two_axes_and_of_merged_paths() -> None:
    x = hb.Input((32, 32, 3))
    wide = layers.Conv2D(4, (1, 7), padding="same")(x)
    tall = layers.Conv2D(4, (5, 1), padding="same")(x)
    both = layers.Add()([wide, tall])
    model = hb.Model(x, layers.Conv2D(4, 3)(both))
    seen = [row.receptive_field for row in rows_of(model, Trace(model))]
    assert seen == ["1", "1×7", "5×1", "5×7", "7×9"]


def test_fields_through_inner_models() -> None:
    i = hb.Input((32, 1))
    block = hb.Model(i, layers.Conv1D(1, 3, padding="same")(layers.MaxPooling1D(2)(i)), name="block")
    x = hb.Input((64, 1))
    model = hb.Model(x, block(layers.Conv1D(1, 3, strides=2, padding="same")(x)))
    assert [row.receptive_field for row in rows_of(model, Trace(model))] == ["1", "3", "13"]


def test_what_is_not_known_is_not_guessed() -> None:
    class Custom(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs[:, ::-1]

    x = hb.Input((9, 2))
    model = hb.Model(x, layers.Flatten()(layers.Conv1D(1, 3)(Custom()(x))))
    assert [row.receptive_field for row in rows_of(model, Trace(model))] == ["1", "?", "?", "all"]


def test_what_has_no_place_sees_nothing() -> None:
    """A generator's image is computed from a vector; words are in a row."""
    generator = hb.Sequential(
        [
            hb.Input((8,)),
            layers.Dense(4 * 4 * 2),
            layers.Reshape((4, 4, 2)),
            layers.Conv2DTranspose(1, 3, strides=2),
        ]
    )
    assert {row.receptive_field for row in rows_of(generator, Trace(generator))} == {""}
    words = hb.Sequential([hb.Input((9,)), layers.Embedding(5, 2), layers.Conv1D(2, 3), layers.GRU(2)])
    assert [row.receptive_field for row in rows_of(words, Trace(words))] == ["1", "3", "all"]
    frames = hb.Sequential([hb.Input((4, 8, 8, 1)), layers.TimeDistributed(layers.Conv2D(1, 3))])
    assert [row.receptive_field for row in rows_of(frames, Trace(frames))] == ["?"]
