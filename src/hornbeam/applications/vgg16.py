"""VGG16: thirteen 3x3 convolutions and three dense layers.

Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import Architecture, Request, architecture, kernel_files
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def _body(depths: Sequence[int], x: KerasTensor) -> KerasTensor:
    for block, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        for number in range(1, depth + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(width, (3, 3), activation="relu", padding="same", name=name)(x)
        x = layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    return x


def _head(x: KerasTensor, request: Request) -> KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(request.classes, activation=request.classifier_activation, name="predictions")(x)


def _pytorch(class_name: str, depths: Sequence[int], library: str) -> PyTorchVersion:
    names, index = {}, 0
    for block, depth in enumerate(depths, 1):
        for number in range(1, depth + 1):
            names[f"block{block}_conv{number}"] = f"features.{index}"
            index += 2  # an activation after each
        index += 1  # the pooling
    if library == "timm":
        names |= {"fc1": "pre_logits.fc1", "fc2": "pre_logits.fc2", "predictions": "head.fc"}
    else:
        names |= {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}
    return PyTorchVersion(names, f"{library}'s {class_name.lower()}", changes={"fc1": _flattened})


def _flattened(weight: np.ndarray) -> np.ndarray:
    """Return the first dense weight for features (7, 7, 512) instead of (512, 7, 7)."""
    if weight.ndim < 2 or weight[0].size != 512 * 7 * 7:
        return weight
    return weight.reshape(-1, 512, 7, 7).transpose(0, 2, 3, 1).reshape(len(weight), -1)


def vgg(class_name: str, depths: Sequence[int], hashes: tuple[str, str]) -> Architecture:
    """Return the function that builds a VGG, with `depths` convolutions in its five blocks."""
    return architecture(
        class_name,
        f"{class_name}, an image classifier of {sum(depths)} convolutions and three dense layers.",
        functools.partial(_body, depths),
        name=class_name.lower(),
        size=224,
        head=_head,
        named_pooling=False,
        files=kernel_files(class_name.lower(), class_name.lower(), *hashes),
        pytorch=[_pytorch(class_name, depths, library) for library in ("torchvision", "timm")],
    )


VGG16 = vgg(
    "VGG16", (2, 2, 3, 3, 3), ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for VGG: mode "caffe" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "caffe")


explain_missing(__name__)
