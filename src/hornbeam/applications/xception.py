"""Xception: depthwise separable convolutions, with shortcuts.

Chollet 2016, https://arxiv.org/abs/1610.02357.
"""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import architecture, batch_norm, kernel_files, relu
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import HALF, PyTorchVersion, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

# Blocks that halve the image, and the widths of their two convolutions.
_HALVING = ((2, (128, 128)), (3, (256, 256)), (4, (728, 728)), (13, (728, 1024)))


def _separable(x: KerasTensor, width: int, name: str) -> KerasTensor:
    x = layers.SeparableConv2D(width, (3, 3), padding="same", use_bias=False, name=name)(x)
    return batch_norm(x, f"{name}_bn", axis=-1)


def _halving_block(x: KerasTensor, block: int, widths: Sequence[int]) -> KerasTensor:
    shortcut = layers.Conv2D(widths[1], (1, 1), strides=(2, 2), padding="same", use_bias=False)(x)
    shortcut = batch_norm(shortcut, axis=-1)
    for number, width in enumerate(widths, 1):
        if block > 2 or number > 1:  # the input of the first block is activated already
            x = relu(x, f"block{block}_sepconv{number}_act")
        x = _separable(x, width, f"block{block}_sepconv{number}")
    x = _halved(x, f"block{block}_pool")
    return layers.Add()([x, shortcut])


def _halved(x: KerasTensor, name: str) -> KerasTensor:
    if pytorch_version() is None:
        return layers.MaxPooling2D((3, 3), strides=(2, 2), padding="same", name=name)(x)
    # With one row and column more at both sides, of no values: every second maximum.
    x = layers.MaxPooling2D((3, 3), strides=(1, 1), padding="same", name=name)(x)
    return layers.MaxPooling2D((1, 1), strides=(2, 2))(x)


def _middle_block(x: KerasTensor, block: int) -> KerasTensor:
    shortcut = x
    for number in (1, 2, 3):
        x = relu(x, f"block{block}_sepconv{number}_act")
        x = _separable(x, 728, f"block{block}_sepconv{number}")
    return layers.Add()([x, shortcut])


def _body(x: KerasTensor) -> KerasTensor:
    for number, width, stride in ((1, 32, (2, 2)), (2, 64, (1, 1))):
        name = f"block1_conv{number}"
        x = layers.Conv2D(width, (3, 3), strides=stride, use_bias=False, name=name)(x)
        x = relu(batch_norm(x, f"{name}_bn", axis=-1), f"{name}_act")
    for block, widths in _HALVING[:3]:
        x = _halving_block(x, block, widths)
    for block in range(5, 13):
        x = _middle_block(x, block)
    x = _halving_block(x, *_HALVING[3])
    for number, width in ((1, 1536), (2, 2048)):
        x = relu(_separable(x, width, f"block14_sepconv{number}"), f"block14_sepconv{number}_act")
    return x


def _pytorch() -> PyTorchVersion:
    names = {f"block1_conv{i}": f"conv{i}" for i in (1, 2)} | {f"block1_conv{i}_bn": f"bn{i}" for i in (1, 2)}
    names |= {f"block14_sepconv{i}": f"conv{i + 2}" for i in (1, 2)}
    names |= {f"block14_sepconv{i}_bn": f"bn{i + 2}" for i in (1, 2)}
    names["predictions"] = "fc"
    halving = [block for block, _ in _HALVING]
    for block in range(2, 14):
        there = f"block{block - 1}"
        first = 0 if block == 2 else 1  # an activation is the first of the others
        for number in range(2 if block in halving else 3):
            here, index = f"block{block}_sepconv{number + 1}", first + 3 * number
            names |= {here: f"{there}.rep.{index}", f"{here}_bn": f"{there}.rep.{index + 1}"}
    unnamed = [(f"block{block - 1}.skip", f"block{block - 1}.skipbn") for block in halving]
    return PyTorchVersion(names, "timm's legacy_xception", 1e-5, HALF, HALF, unnamed=unnamed)


Xception = architecture(
    "Xception",
    "Xception, an image classifier of depthwise separable convolutions (https://arxiv.org/abs/1610.02357).",
    _body,
    name="xception",
    size=299,
    min_size=71,
    named_pooling=False,
    pytorch=(_pytorch(),),
    files=kernel_files(
        "xception", "xception", "0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"
    ),
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for Xception: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
