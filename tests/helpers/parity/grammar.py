"""Random functional models, as Keras source code.

`write(seed)` gives the text of a function `build(keras)`. Every line is run on Hornbeam as it is written,
which tells the shapes that the next lines may use; the same text then builds the model on either side.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any

import hornbeam
from hornbeam.ir.types import ShapeError

# What may be done with a tensor `{x}`, by the number of its axes (with the batch); {n} is its last size.
VECTOR = """
layers.Dense({w}, activation={act!r})({x})
layers.Dense({w}, use_bias=False, kernel_regularizer='l2')({x})
layers.Dense({w}, activity_regularizer='l2')({x})
layers.LayerNormalization()({x})
layers.RMSNormalization()({x})
layers.BatchNormalization()({x})
layers.UnitNormalization()({x})
layers.Activation({act!r})({x})
layers.LeakyReLU(0.2)({x})
layers.PReLU()({x})
layers.Softmax()({x})
layers.Dropout(0.5)({x})
layers.RepeatVector({s})({x})
layers.Reshape((-1, 1))({x})
layers.Reshape(({n}, 1, 1))({x})
layers.Rescaling(0.5, offset=0.1)({x})
layers.ELU()(layers.Identity()({x}))
layers.Dense({w}, kernel_constraint='unit_norm', bias_initializer='ones')({x})
layers.Reshape((1, {n}))(layers.GaussianDropout(0.3)({x}))
keras.ops.tanh({x})
{x} * 0.5 + 1.0
1.0 - {x}
keras.ops.concatenate([{x}, {x}[:, :1]], axis=-1)
keras.ops.mean({x}, axis=-1, keepdims=True)
keras.Sequential([layers.Dense({w}, activation={act!r}), layers.LayerNormalization(), layers.Dense(4)])({x})
keras.Sequential([keras.Input(({n},)), layers.Dense({w}), layers.BatchNormalization()])({x})
"""
SEQUENCE = """
layers.Dense({w}, activation={act!r})({x})
layers.EinsumDense('...c,cd->...d', {w}, bias_axes='d')({x})
layers.Conv1D({w}, 2, padding={pad!r}, activation={act!r})({x})
layers.Conv1D({w}, 2, padding='causal', dilation_rate=2)({x})
layers.Conv1D({w}, 3, strides=2, padding='same')({x})
layers.Conv1DTranspose({w}, 2, strides=2, padding='same')({x})
layers.DepthwiseConv1D(2, padding='same', depth_multiplier=2)({x})
layers.SeparableConv1D({w}, 2, padding='same')({x})
layers.MaxPooling1D(2, padding='same')({x})
layers.AveragePooling1D(2, strides=1, padding='same')({x})
layers.UpSampling1D(2)({x})
layers.ZeroPadding1D(1)({x})
layers.SimpleRNN({w}, return_sequences=True)({x})
layers.LSTM({w}, return_sequences=True)({x})
layers.LSTM({w})({x})
layers.GRU({w}, return_sequences=True)({x})
layers.GRU({w}, reset_after=False)({x})
layers.LSTM({w}, return_state=True)({x})[1]
layers.Bidirectional(layers.LSTM({w}, return_sequences=True))({x})
layers.Bidirectional(layers.GRU({w}), merge_mode='sum')({x})
layers.RNN([layers.GRUCell({w}), layers.SimpleRNNCell(3)])({x})
layers.TimeDistributed(layers.Dense({w}))({x})
layers.MultiHeadAttention(2, 3)({x} * 1.0, {x} * 1.0)
layers.MultiHeadAttention(2, 3)({x} * 1.0, {x} * 1.0, use_causal_mask=True)
layers.GroupQueryAttention(3, 4, 2)({x} * 1.0, {x} * 1.0)
layers.Attention()([{x}, {x}])
layers.AdditiveAttention()([{x}, {x}])
layers.LayerNormalization()({x})
layers.BatchNormalization()({x})
layers.RMSNormalization()({x} * 1.0)
layers.GroupNormalization(1)({x})
layers.SpatialDropout1D(0.3)({x})
layers.GaussianNoise(0.3)({x})
layers.Permute((2, 1))({x})
layers.GlobalAveragePooling1D()({x})
layers.GlobalMaxPooling1D()({x})
layers.Flatten()({x})
layers.Masking()(layers.ReLU()({x}))
layers.LSTM({w}, go_backwards=True)(layers.Masking()(layers.ReLU()({x})))
layers.GRU({w}, return_sequences=True)({x}, initial_state=layers.Dense({w})({x}[:, 0]))
layers.SimpleRNN({w}, return_sequences=True)({x}, mask=keras.ops.any({x} > 0.0, axis=-1))
layers.Bidirectional(layers.SimpleRNN({w}, return_sequences=True), merge_mode='mul')({x})
layers.TimeDistributed(keras.Sequential([layers.Dense({w}), layers.Activation({act!r})]))({x})
layers.Cropping1D((1, 0))(layers.ZeroPadding1D(1)({x}))
layers.Conv1D({n}, 3, groups={n}, padding='same')({x})
layers.GlobalMaxPooling1D(keepdims=True)({x})
layers.MultiHeadAttention(2, 2, value_dim=2, output_shape={w})({x} * 1.0, {x} * 1.0)
layers.Dot(axes=2)([{x}, {x}])
layers.Concatenate(axis=1)([{x}, {x}[:, :2]])
keras.ops.einsum('btc,bsc->bts', {x}, {x})
keras.ops.where({x} > 0.0, {x}, 0.1 * {x})
keras.ops.max({x}, axis=1)
layers.Reshape((-1, {n}, 1))({x})
layers.Activation({act!r})({x})
keras.ops.sum({x}, axis=1)
keras.ops.softmax({x}, axis=-1)
{x}[:, -1]
keras.ops.transpose({x}, (0, 2, 1))
"""
IMAGE = """
layers.Conv2D({w}, 3, padding='same', activation={act!r})({x})
layers.Conv2D({w}, 2, strides=2, padding='same')({x})
layers.Conv2D({w}, (1, 2), padding={pad!r}, use_bias=False)({x})
layers.Conv2D({w}, 2, dilation_rate=2, padding='same')({x})
layers.Conv2DTranspose({w}, 2, strides=2, padding='same')({x})
layers.Conv2DTranspose({w}, 3)({x})
layers.DepthwiseConv2D(2, padding='same')({x})
layers.SeparableConv2D({w}, 2, padding='same')({x})
layers.MaxPooling2D(2, padding='same')({x})
layers.AveragePooling2D(2, strides=1, padding='same')({x})
layers.UpSampling2D(2)({x})
layers.UpSampling2D(2, interpolation='bilinear')({x})
layers.ZeroPadding2D(((1, 0), (0, 1)))({x})
layers.BatchNormalization()({x})
layers.LayerNormalization()({x})
layers.GroupNormalization(1)({x})
layers.PReLU(shared_axes=[1, 2])({x})
layers.SpatialDropout2D(0.3)({x})
layers.GlobalAveragePooling2D()({x})
layers.GlobalMaxPooling2D(keepdims=True)({x})
layers.Flatten()({x})
layers.Reshape((-1, {n}))({x})
layers.Permute((2, 1, 3))({x})
layers.TimeDistributed(layers.Dense({w}))({x})
layers.TimeDistributed(layers.Conv1D({w}, 2, padding='same'))({x})
layers.Activation({act!r})({x})
keras.ops.mean({x}, axis=(1, 2))
keras.ops.max({x}, axis=-1)
layers.Conv2D({w}, (2, 1), strides=(2, 1), kernel_regularizer='l2')({x})
layers.Cropping2D(((0, 1), (1, 0)))(layers.ZeroPadding2D(1)({x}))
layers.DepthwiseConv2D((2, 1), depth_multiplier=2, strides=2, padding='same')({x})
layers.ConvLSTM1D({w}, 2, padding='same')({x})
layers.TimeDistributed(layers.LSTM({w}))({x})
layers.Reshape((-1, 2, {n}, 1))(layers.UpSampling2D((1, 2))({x}))
layers.AveragePooling2D(2, padding='same')(layers.RMSNormalization()({x}))
keras.ops.stack([{x}, {x} * 0.5], axis=1)
keras.ops.squeeze({x}[:, :1], axis=1)
keras.ops.average_pool({x}, 2, strides=1, padding='same')
"""
VOLUME = """
layers.Conv3D({w}, 2, padding={pad!r}, activation={act!r})({x})
layers.Conv3D({w}, (1, 2, 1), strides=(1, 2, 1), padding='same')({x})
layers.Conv3DTranspose({w}, 2, padding='same')({x})
layers.MaxPooling3D(2, padding='same')({x})
layers.AveragePooling3D((1, 2, 2), padding='same')({x})
layers.UpSampling3D((1, 2, 1))({x})
layers.ZeroPadding3D((1, 0, 0))({x})
layers.Cropping3D(((0, 1), (0, 0), (0, 0)))(layers.ZeroPadding3D((1, 0, 0))({x}))
layers.ConvLSTM2D({w}, 2, padding='same')({x})
layers.TimeDistributed(layers.Conv2D({w}, 2, padding='same'))({x})
layers.TimeDistributed(layers.GlobalAveragePooling2D())({x})
layers.BatchNormalization()({x})
layers.LayerNormalization(axis=[-2, -1])({x})
layers.SpatialDropout3D(0.3)({x})
layers.Dense({w}, activation={act!r})({x})
layers.GlobalAveragePooling3D()({x})
layers.GlobalMaxPooling3D()({x})
layers.Permute((2, 3, 1, 4))({x})
layers.Reshape((-1, {n}))({x})
layers.Flatten()({x})
keras.ops.mean({x}, axis=1)
{x}[:, 0]
"""
PRODUCTIONS = {
    axes: text.split("\n")[1:-1] for axes, text in ((2, VECTOR), (3, SEQUENCE), (4, IMAGE), (5, VOLUME))
}
# Keras's MultiHeadAttention removes the masks of its inputs, also for other users of these tensors, and its
# RMSNormalization drops them: they get products with 1, which have none.
# Two tensors of one shape, and two vectors or sequences that may differ in some sizes.
MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Concatenate")
ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "elu", "softplus", "silu", "linear", "selu", "mish")
LARGEST = 400  # values a sample
INPUTS = ("(5,)", "(4, 3)", "(6, 5, 2)", "(2, 4, 3, 2)")


class Writer:
    """The lines of one model, and the tensors that they have made so far."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.lines = ["layers = keras.layers"]
        self.names: dict[str, Any] = {"keras": hornbeam}
        self.tensors: dict[str, tuple[int, ...]] = {}
        self.used: set[str] = set()
        self.inputs: list[str] = []
        # Inputs in a dict are named by its keys.
        self.named = self.rng.random() < 0.2
        exec(self.lines[0], self.names)

    def add(self, expression: str, uses: tuple[str, ...] = ()) -> str:
        """A line that gives a new tensor its name."""
        name = f"x{len(self.tensors)}"
        exec(f"{name} = {expression}", self.names)
        self.lines.append(f"{name} = {expression}")
        self.tensors[name] = tuple(self.names[name].shape)
        self.used.update(uses)
        return name

    def define(self, name: str, expression: str) -> None:
        """A line that names a layer or a model."""
        exec(f"{name} = {expression}", self.names)
        self.lines.append(f"{name} = {expression}")

    def input(self) -> None:
        kind = self.rng.randrange(len(INPUTS) + 3)
        name = f", name='in{len(self.inputs)}'" if self.named else ""
        if kind < len(INPUTS):
            self.inputs.append(self.add(f"keras.Input({INPUTS[kind]}{name})"))
            return
        ids = self.add(f"keras.Input((4,), dtype='int32'{name})")
        self.inputs.append(ids)
        masked = kind > len(INPUTS)
        self.add(f"layers.Embedding(6, 3, mask_zero={masked})({ids})", (ids,))
        # Integers are not used further.
        self.tensors[ids] = ()

    def small(self) -> list[str]:
        """Tensors with something left to do to them, the latest ones more often."""
        names = [n for n, shape in self.tensors.items() if len(shape) in PRODUCTIONS]
        return names + names[-3:] * 2

    def choices(self, shape: tuple[int, ...]) -> dict[str, Any]:
        pick = self.rng.choice
        return {
            "w": pick((2, 4)),
            "s": pick((2, 3)),
            "n": shape[-1],
            "act": pick(ACTIVATIONS),
            "pad": pick(("same", "valid")),
        }

    def step(self) -> None:
        """One more line or two."""
        x = self.rng.choice(self.small())
        shape = self.tensors[x]
        kind = self.rng.random()
        alike = [n for n, other in self.tensors.items() if other == shape and n != x]
        if kind < 0.25 and alike:
            y = self.rng.choice(alike)
            result = self.add(f"layers.{self.rng.choice(MERGES)}()([{x}, {y}])", (x, y))
        elif kind < 0.32 and alike:
            y = self.rng.choice(alike)
            layer = f"shared{len(self.lines)}"
            self.define(layer, f"layers.Dense({shape[-1]}, activation='tanh')")
            first = self.add(f"{layer}({x})", (x,))
            result = self.add(f"{layer}({y}) + {first}", (y, first))
        elif kind < 0.42 and None not in shape[1:]:
            result = self.nested(x, shape)
        elif kind < 0.5 and len(shape) == 3:
            others = [n for n, s in self.tensors.items() if len(s) == 3 and s[-1] == shape[-1]]
            y = self.rng.choice(others)
            how = self.rng.choice(
                (
                    "layers.MultiHeadAttention(2, 2)({x} * 1.0, {y} * 1.0)",
                    "layers.Attention()([{x}, {y}])",
                    "layers.Concatenate(axis=1)([{x}, {y}])",
                    "layers.Dot(axes=2, normalize=True)([{x}, {y}])",
                    "layers.GRU(2, return_sequences=True)({y}, initial_state=layers.GRU(2)({x}))",
                )
            )
            result = self.add(how.format(x=x, y=y), (x, y))
        else:
            production = self.rng.choice(PRODUCTIONS[len(shape)])
            result = self.add(production.format(x=x, **self.choices(shape)), (x,))
        if self.size(result) > LARGEST:
            axes = len(self.tensors[result])
            shrink = f"GlobalAveragePooling{axes - 2}D()" if axes > 2 else "Dense(4)"
            self.add(f"layers.{shrink}({result})", (result,))

    def size(self, name: str) -> int:
        size = 1
        for n in self.tensors[name][1:]:
            size *= n or 1
        return size

    def nested(self, x: str, shape: tuple[int, ...]) -> str:
        """A model of its own in the middle, now and then called twice."""
        inner = f"inner{len(self.lines)}"
        self.define(f"{inner}_input", f"keras.Input({tuple(shape[1:])})")
        production = self.rng.choice(PRODUCTIONS[len(shape)]).format(
            x=f"{inner}_input", **self.choices(shape)
        )
        self.define(f"{inner}_output", production)
        alike = [n for n, other in self.tensors.items() if other == shape and n != x]
        if alike and self.rng.random() < 0.4:
            return self.nested_pair(inner, x, self.rng.choice(alike))
        self.define(inner, f"keras.Model({inner}_input, {inner}_output)")
        result = self.add(f"{inner}({x})", (x,))
        if self.rng.random() < 0.3:
            result = self.add(f"{inner}({x} * 0.5) + {result}", (x, result))
        return result

    def nested_pair(self, inner: str, x: str, y: str) -> str:
        """The inner model with a second input, a dict of outputs, or both as dicts."""
        self.define(f"{inner}_other", f"keras.Input({tuple(self.tensors[x][1:])})")
        ins, inputs = f"[{inner}_input, {inner}_other]", f"[{x}, {y}]"
        if self.rng.random() < 0.3:
            self.define(f"{inner}_input", f"keras.Input({tuple(self.tensors[x][1:])}, name='{inner}_a')")
            self.define(f"{inner}_other", f"keras.Input({tuple(self.tensors[x][1:])}, name='{inner}_b')")
            self.define(f"{inner}_output", f"layers.Dense(3)({inner}_input)")
            ins, inputs = (
                f"{{'{inner}_a': {a}, '{inner}_b': {b}}}"
                for a, b in ((f"{inner}_input", f"{inner}_other"), (x, y))
            )
        outs = f"{{'p': {inner}_output, 'q': layers.Subtract()([{inner}_input, {inner}_other])}}"
        self.define(inner, f"keras.Model({ins}, {outs})")
        self.define(f"{inner}_made", f"{inner}({inputs})")
        self.add(f"{inner}_made['p']", (x, y))
        return self.add(f"{inner}_made['q']")

    def finish(self) -> str:
        """Return the outputs: tensors that no layer used, three at most."""
        loose = [n for n, shape in self.tensors.items() if n not in self.used and shape]
        kept = loose[-3:]
        for rest in loose[:-3]:
            flat = self.add(f"layers.Flatten()({rest})", (rest,))
            kept[-1] = self.add(f"layers.Dense(2)({flat})", (flat,)) if kept else flat
        outputs = f"[{', '.join(kept)}]" if len(kept) > 1 else kept[0]
        if len(kept) > 1 and self.rng.random() < 0.3:
            outputs = "{" + ", ".join(f"'{'abc'[i]}': {name}" for i, name in enumerate(kept)) + "}"
        inputs = f"[{', '.join(self.inputs)}]"
        if self.named:
            inputs = "{" + ", ".join(f"'in{i}': {name}" for i, name in enumerate(self.inputs)) + "}"
        self.lines.append(f"return keras.Model({inputs}, {outputs})")
        return "def build(keras):\n" + "".join(f"    {line}\n" for line in self.lines)


def write(seed: int) -> str:
    """The code of model `seed`."""
    writer = Writer(seed)
    for _ in range(writer.rng.choice((1, 1, 2, 3))):
        writer.input()
    for _ in range(writer.rng.randrange(4, 12)):
        with contextlib.suppress(ShapeError):  # such as a window larger than its image
            writer.step()
    return writer.finish()


def build(code: str, keras: Any) -> Any:
    """The model on one side."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names["build"](keras)
