"""DenseNet: every layer receives all preceding features (Huang et al. 2016, https://arxiv.org/abs/1608.06993)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import (
    Architecture,
    architecture,
    batch_norm,
    channel_axis,
    channels,
    kernel_files,
    relu,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

_GROWTH = 32
_EPSILON = 1.001e-5


def _norm_relu(x: KerasTensor, norm_name: str, relu_name: str) -> KerasTensor:
    return relu(batch_norm(x, norm_name, epsilon=_EPSILON), relu_name)


def _layer(x: KerasTensor, name: str) -> KerasTensor:
    y = _norm_relu(x, f"{name}_0_bn", f"{name}_0_relu")
    y = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = _norm_relu(y, f"{name}_1_bn", f"{name}_1_relu")
    y = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, y])


def _transition(x: KerasTensor, name: str) -> KerasTensor:
    """Halve the channels and the size."""
    x = _norm_relu(x, f"{name}_bn", f"{name}_relu")
    x = layers.Conv2D(channels(x) // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _body(depths: Sequence[int], x: KerasTensor) -> KerasTensor:
    x = layers.ZeroPadding2D(((3, 3), (3, 3)))(x)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = _norm_relu(x, "conv1_bn", "conv1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        for number in range(1, depth + 1):
            x = _layer(x, f"conv{stage}_block{number}")
        if stage < 5:
            x = _transition(x, f"pool{stage}")
    return _norm_relu(x, "bn", "relu")


def _pytorch(class_name: str, depths: Sequence[int]) -> PyTorchVersion:
    names = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5"}
    names["predictions"] = "classifier"
    for stage, depth in enumerate(depths, 1):
        for number in range(1, depth + 1):
            here, there = f"conv{stage + 1}_block{number}", f"features.denseblock{stage}.denselayer{number}"
            names |= {f"{here}_0_bn": f"{there}.norm1", f"{here}_1_conv": f"{there}.conv1"}
            names |= {f"{here}_1_bn": f"{there}.norm2", f"{here}_2_conv": f"{there}.conv2"}
        if stage < 4:
            names[f"pool{stage + 1}_bn"] = f"features.transition{stage}.norm"
            names[f"pool{stage + 1}_conv"] = f"features.transition{stage}.conv"
    return PyTorchVersion(names, f"torchvision's {class_name.lower()}")


def _densenet(class_name: str, depths: Sequence[int], hashes: tuple[str, str]) -> Architecture:
    return architecture(
        class_name,
        f"{class_name}, an image classifier of {sum(depths)} densely connected layers "
        "(https://arxiv.org/abs/1608.06993).",
        functools.partial(_body, depths),
        name=class_name.lower(),
        size=224,
        files=kernel_files("densenet", class_name.lower(), *hashes),
        pytorch=(_pytorch(class_name, depths),),
    )


DenseNet121 = _densenet(
    "DenseNet121", (6, 12, 24, 16), ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738")
)
DenseNet169 = _densenet(
    "DenseNet169", (6, 12, 32, 32), ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b")
)
DenseNet201 = _densenet(
    "DenseNet201", (6, 12, 48, 32), ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1")
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for DenseNet: mode "torch" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "torch")


explain_missing(__name__)
