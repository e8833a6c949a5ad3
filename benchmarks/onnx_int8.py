"""Write four nets as ONNX files of int8, in every way of ONNX Runtime's quantizer.

    python benchmarks/onnx_int8.py FOLDER
    python benchmarks/onnx_reading.py FOLDER [rows]

Weights are random, and so are the batches that ranges are taken from.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import quantization
from onnxruntime.quantization import QuantFormat, QuantType

import hornbeam as hb
from hornbeam import layers

RNG = np.random.default_rng(0)
# The forms of files: options of `quantize_static`, or the type of weights of `quantize_dynamic`.
FORMS: dict[str, Any] = {
    "dynamic": QuantType.QInt8,
    "dynamic_u8": QuantType.QUInt8,
    "qoperator": (QuantFormat.QOperator, QuantType.QUInt8, True),
    "qdq": (QuantFormat.QDQ, QuantType.QUInt8, True),
    "qdq_s8": (QuantFormat.QDQ, QuantType.QInt8, False),
}


def normalized(x: Any) -> Any:
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def residual() -> hb.Model:
    """Convolutions 3x3 with shortcuts."""
    inputs = hb.Input((64, 64, 3))
    x = normalized(layers.Conv2D(32, 3, strides=2, padding="same")(inputs))
    for filters, strides in ((64, 1), (128, 2), (128, 1), (256, 2)):
        y = normalized(layers.Conv2D(filters, 3, strides=strides, padding="same")(x))
        y = layers.Conv2D(filters, 3, padding="same")(y)
        x = layers.ReLU()(layers.Add()([y, layers.Conv2D(filters, 1, strides=strides)(x)]))
    return hb.Model(inputs, layers.Dense(100)(layers.GlobalAveragePooling2D()(x)))


def depthwise() -> hb.Model:
    """Depthwise convolutions 3x3 and products of pixels."""
    inputs = hb.Input((96, 96, 3))
    x = normalized(layers.Conv2D(32, 3, strides=2, padding="same")(inputs))
    for filters, strides in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)):
        x = normalized(layers.DepthwiseConv2D(3, strides=strides, padding="same")(x))
        x = normalized(layers.Conv2D(filters, 1)(x))
    return hb.Model(inputs, layers.Dense(100)(layers.GlobalAveragePooling2D()(x)))


def dense() -> hb.Model:
    """Dense layers."""
    x = inputs = hb.Input((784,))
    for units in (1024, 1024, 512):
        x = layers.Dense(units, activation="relu")(x)
    return hb.Model(inputs, layers.Dense(10)(x))


def transformer() -> hb.Model:
    """Three blocks on 64 steps of width 256."""
    x = inputs = hb.Input((64, 256))
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 64)(y, y)])
        y = layers.Dense(1024, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(256)(y)])
    return hb.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


class Batches:
    """Four batches for the ranges of activations."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.batches = iter([{name: RNG.normal(size=(8, *shape)).astype("float32")} for _ in range(4)])

    def get_next(self) -> Any:
        """Return the next batch, None after the last."""
        return next(self.batches, None)


def write(make: Callable[[], hb.Model], folder: Path) -> None:
    """Write the files of a net."""
    hb.utils.set_random_seed(0)
    model = make()
    for weight in model.weights:  # normalizations that do something
        if weight.name in ("gamma", "beta", "moving_mean", "moving_variance"):
            weight.assign(np.asarray(weight) + RNG.uniform(0, 0.2, weight.shape))
    with tempfile.TemporaryDirectory() as scratch:
        source, prepared = Path(scratch, "float.onnx"), Path(scratch, "prepared.onnx")
        model.export(source, format="onnx", verbose=False)
        quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        for form, options in FORMS.items():
            path = folder / f"{make.__name__}_{form}.onnx"
            if isinstance(options, QuantType):
                quantization.quantize_dynamic(prepared, path, weight_type=options)
                continue
            layout, activations, per_channel = options
            quantization.quantize_static(
                prepared,
                path,
                Batches(model.input_names[0], model.input_shape[1:]),
                quant_format=layout,
                activation_type=activations,
                weight_type=QuantType.QInt8,
                per_channel=per_channel,
            )


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    for net in (residual, depthwise, dense, transformer):
        write(net, Path(sys.argv[1]))
