"""Inception-ResNet: parallel convolutions with shortcuts.

Szegedy et al. 2016, https://arxiv.org/abs/1602.07261.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import (
    architecture,
    batch_norm,
    channel_axis,
    channels,
    kernel_files,
    relu,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import HALF, PyTorchVersion, farthest_first, pytorch_version
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

Kernel = int | list[int]
Step = tuple[int, Kernel]


@exported("keras.src.applications.inception_resnet_v2")
class CustomScaleLayer(layers.Layer):
    """y = x + scale * residual, for inputs [x, residual].

    Args:
        scale: Factor of the residual.
        **kwargs: Arguments of every layer, such as `name` and `dtype`.
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Sequence[Any]) -> KerasTensor:
        return inputs[0] + inputs[1] * self.scale


def _conv(
    x: KerasTensor, step: Step, stride: int = 1, padding: str = "same", name: str | None = None
) -> KerasTensor:
    width, kernel = step
    x = layers.Conv2D(width, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)
    scale = pytorch_version() is not None
    x = batch_norm(x, None if name is None else f"{name}_bn", scale=scale)
    return relu(x, None if name is None else f"{name}_ac")


def _path(x: KerasTensor, *steps: Step) -> KerasTensor:
    for step in steps:
        x = _conv(x, step)
    return x


def _downsampling_path(x: KerasTensor, *steps: Step) -> KerasTensor:
    """Apply convolutions, the last of which halves the image."""
    return _conv(_path(x, *steps[:-1]), steps[-1], 2, "valid")


def _concat(parts: Sequence[Any], name: str) -> KerasTensor:
    return layers.Concatenate(axis=channel_axis(), name=name)(parts)


def _max_pool(x: KerasTensor) -> KerasTensor:
    return layers.MaxPooling2D(3, strides=2)(x)


# Parallel paths of each kind of block.
_PATHS: dict[str, tuple[tuple[Step, ...], ...]] = {
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, [1, 7]), (192, [7, 1]))),
    "block8": (((192, 1),), ((192, 1), (224, [1, 3]), (256, [3, 1]))),
}


def _block(x: KerasTensor, kind: str, number: int, scale: float, active: bool = True) -> KerasTensor:
    name = f"{kind}_{number}"
    mixed = _concat([_path(x, *steps) for steps in _PATHS[kind]], f"{name}_mixed")
    up = layers.Conv2D(channels(x), 1, strides=1, padding="same", name=f"{name}_conv")(mixed)
    x = CustomScaleLayer(scale)([x, up])
    return relu(x, f"{name}_ac") if active else x


def _body(x: KerasTensor) -> KerasTensor:
    x = _conv(x, (32, 3), 2, "valid")
    x = _conv(_conv(x, (32, 3), padding="valid"), (64, 3))
    x = _max_pool(x)
    x = _conv(_conv(x, (80, 1), padding="valid"), (192, 3), padding="valid")
    x = _max_pool(x)
    paths = [_path(x, (96, 1)), _path(x, (48, 1), (64, 5)), _path(x, (64, 1), (96, 3), (96, 3))]
    pool = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = _concat([*paths, _path(pool, (64, 1))], "mixed_5b")
    for number in range(1, 11):
        x = _block(x, "block35", number, 0.17)
    paths = [_downsampling_path(x, (384, 3)), _downsampling_path(x, (256, 1), (256, 3), (384, 3))]
    x = _concat([*paths, _max_pool(x)], "mixed_6a")
    for number in range(1, 21):
        x = _block(x, "block17", number, 0.1)
    paths = [
        _downsampling_path(x, (256, 1), (384, 3)),
        _downsampling_path(x, (256, 1), (288, 3)),
        _downsampling_path(x, (256, 1), (288, 3), (320, 3)),
    ]
    x = _concat([*paths, _max_pool(x)], "mixed_7a")
    for number in range(1, 10):
        x = _block(x, "block8", number, 0.2)
    x = _block(x, "block8", 10, 1.0, active=False)
    return _conv(x, (1536, 1), name="conv_7b")


def _pytorch() -> PyTorchVersion:
    def path(number: int, length: int) -> list[str]:
        return [f"branch{number}.{step}" for step in range(length)]

    block = [["branch0"], path(1, 3)]
    modules = [f"conv2d_{name}" for name in ("1a", "2a", "2b", "3b", "4a")]
    modules += farthest_first("mixed_5b.", [["branch0"], path(1, 2), path(2, 3), ["branch3.1"]])
    names = {"conv_7b": "conv2d_7b.conv", "conv_7b_bn": "conv2d_7b.bn", "predictions": "classif"}
    for number in range(10):
        modules += farthest_first(f"repeat.{number}.", [["branch0"], path(1, 2), path(2, 3)])
        names[f"block35_{number + 1}_conv"] = f"repeat.{number}.conv2d"
    modules += farthest_first("mixed_6a.", block)
    for number in range(20):
        modules += farthest_first(f"repeat_1.{number}.", block)
        names[f"block17_{number + 1}_conv"] = f"repeat_1.{number}.conv2d"
    modules += farthest_first("mixed_7a.", [path(0, 2), path(1, 2), path(2, 3)])
    for number in range(10):
        there = f"repeat_2.{number}" if number < 9 else "block8"
        modules += farthest_first(f"{there}.", block)
        names[f"block8_{number + 1}_conv"] = f"{there}.conv2d"
    unnamed = [(f"{module}.conv", f"{module}.bn") for module in modules]
    return PyTorchVersion(names, "timm's inception_resnet_v2", 1e-3, HALF, HALF, unnamed=unnamed)


InceptionResNetV2 = architecture(
    "InceptionResNetV2",
    "InceptionResNetV2, an image classifier of parallel convolutions with shortcuts "
    "(https://arxiv.org/abs/1602.07261).",
    _body,
    name="inception_resnet_v2",
    size=299,
    min_size=75,
    named_pooling=False,
    pytorch=(_pytorch(),),
    files=kernel_files(
        "inception_resnet_v2",
        "inception_resnet_v2",
        "e693bd0210a403b3192acc6073ad2e96",
        "d19885ff4a710c122648d3b5c3b684e4",
    ),
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for Inception-ResNet: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
