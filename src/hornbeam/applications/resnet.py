"""ResNet: residual blocks of three convolutions, and its second version with normalization first.

He et al. 2015, https://arxiv.org/abs/1512.03385; He et al. 2016, https://arxiv.org/abs/1603.05027.
"""

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
    kernel_files,
    pad_strided,
    relu,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

_EPSILON = 1.001e-5
_WIDTHS = (64, 128, 256, 512)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, epsilon=_EPSILON)


def _block(x: KerasTensor, width: int, stride: int, project: bool, name: str) -> KerasTensor:
    """Apply 1x1, 3x3 and 1x1 convolutions, and add the shortcut.

    The first one has the stride, in PyTorch the second one, and no biases ("version 1.5").
    """
    bias = pytorch_version() is None
    first, second = (stride, 1) if bias else (1, stride)
    shortcut = x
    if project:
        shortcut = layers.Conv2D(4 * width, 1, strides=stride, use_bias=bias, name=f"{name}_0_conv")(x)
        shortcut = _norm(shortcut, f"{name}_0_bn")
    x = layers.Conv2D(width, 1, strides=first, use_bias=bias, name=f"{name}_1_conv")(x)
    x = relu(_norm(x, f"{name}_1_bn"), f"{name}_1_relu")
    x, padding = pad_strided(x, 3, second)
    x = layers.Conv2D(width, 3, strides=second, padding=padding, use_bias=bias, name=f"{name}_2_conv")(x)
    x = relu(_norm(x, f"{name}_2_bn"), f"{name}_2_relu")
    x = layers.Conv2D(4 * width, 1, use_bias=bias, name=f"{name}_3_conv")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, _norm(x, f"{name}_3_bn")])
    return relu(x, f"{name}_out")


def _block_v2(x: KerasTensor, width: int, stride: int, project: bool, name: str) -> KerasTensor:
    """Apply a block with normalization first; a stride without projection is a pooling."""
    preactivated = relu(_norm(x, f"{name}_preact_bn"), f"{name}_preact_relu")
    if project:
        shortcut = layers.Conv2D(4 * width, 1, strides=stride, name=f"{name}_0_conv")(preactivated)
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(width, 1, strides=1, use_bias=False, name=f"{name}_1_conv")(preactivated)
    x = relu(_norm(x, f"{name}_1_bn"), f"{name}_1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name=f"{name}_2_pad")(x)
    x = layers.Conv2D(width, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = relu(_norm(x, f"{name}_2_bn"), f"{name}_2_relu")
    x = layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _body(depths: Sequence[int], version_2: bool, x: KerasTensor) -> KerasTensor:
    x = layers.ZeroPadding2D(((3, 3), (3, 3)), name="conv1_pad")(x)
    x = layers.Conv2D(64, 7, strides=2, use_bias=pytorch_version() is None, name="conv1_conv")(x)
    if not version_2:
        x = relu(_norm(x, "conv1_bn"), "conv1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True)):
        for number in range(1, depth + 1):
            name = f"conv{stage + 2}_block{number}"
            if version_2:  # the last block of a stage halves the image, except in the last stage
                stride = 2 if number == depth and stage < 3 else 1
                x = _block_v2(x, width, stride, number == 1, name)
            else:  # the first block does, except in the first stage
                x = _block(x, width, 2 if number == 1 and stage else 1, number == 1, name)
    return relu(_norm(x, "post_bn"), "post_relu") if version_2 else x


def _pytorch(class_name: str, depths: Sequence[int]) -> PyTorchVersion:
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}
    for stage, depth in enumerate(depths, 1):
        for number in range(depth):
            here, there = f"conv{stage + 1}_block{number + 1}", f"layer{stage}.{number}"
            for part in (1, 2, 3):
                names[f"{here}_{part}_conv"] = f"{there}.conv{part}"
                names[f"{here}_{part}_bn"] = f"{there}.bn{part}"
            if number == 0:
                names[f"{here}_0_conv"] = f"{there}.downsample.0"
                names[f"{here}_0_bn"] = f"{there}.downsample.1"
    return PyTorchVersion(names, f"torchvision's {class_name.lower()}")


def resnet(class_name: str, depths: Sequence[int], hashes: tuple[str, str], version_2: bool) -> Architecture:
    """Return the function that builds a ResNet, with `depths` blocks in its four stages."""
    paper = "https://arxiv.org/abs/1603.05027" if version_2 else "https://arxiv.org/abs/1512.03385"
    return architecture(
        class_name,
        f"{class_name}, an image classifier of {sum(depths)} residual blocks ({paper}).",
        functools.partial(_body, depths, version_2),
        name=class_name.lower(),
        size=224,
        files=kernel_files("resnet", class_name.lower(), *hashes),
        pytorch=() if version_2 else (_pytorch(class_name, depths),),
    )


ResNet50 = resnet(
    "ResNet50", (3, 4, 6, 3), ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"), False
)
ResNet101 = resnet(
    "ResNet101",
    (3, 4, 23, 3),
    ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    False,
)
ResNet152 = resnet(
    "ResNet152",
    (3, 8, 36, 3),
    ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    False,
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for ResNet: mode "caffe" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "caffe")


explain_missing(__name__)
