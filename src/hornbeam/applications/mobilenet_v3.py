"""MobileNetV3: inverted residual blocks with squeeze and excitation.

Howard et al. 2019, https://arxiv.org/abs/1905.02244.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ActivationLike
from hornbeam.applications.building import (
    STORE,
    Files,
    InputShape,
    Request,
    Weights,
    batch_norm,
    build,
    channels,
    document,
    pad_strided,
    round_channels,
    same_padding_stride_2,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

# Expansion, channels, True for 5x5 kernels, stride, True for squeeze and excitation, True for hard swish. The
# minimalistic versions have 3x3 kernels, no squeeze and excitation, and ReLU only.
_SMALL = (
    (1, 16, False, 2, True, False), (72 / 16, 24, False, 2, False, False),
    (88 / 24, 24, False, 1, False, False), (4, 40, True, 2, True, True), (6, 40, True, 1, True, True),
    (6, 40, True, 1, True, True), (3, 48, True, 1, True, True), (3, 48, True, 1, True, True),
    (6, 96, True, 2, True, True), (6, 96, True, 1, True, True), (6, 96, True, 1, True, True),
)  # fmt: skip
_LARGE = (
    (1, 16, False, 1, False, False), (4, 24, False, 2, False, False), (3, 24, False, 1, False, False),
    (3, 40, True, 2, True, False), (3, 40, True, 1, True, False), (3, 40, True, 1, True, False),
    (6, 80, False, 2, False, True), (2.5, 80, False, 1, False, True), (2.3, 80, False, 1, False, True),
    (2.3, 80, False, 1, False, True), (6, 112, False, 1, True, True), (6, 112, False, 1, True, True),
    (6, 160, True, 2, True, True), (6, 160, True, 1, True, True), (6, 160, True, 1, True, True),
)  # fmt: skip
_HASHES = {
    "large_224_0.75_float": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0_float": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0_float": (
        "675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973",
    ),
    "small_224_0.75_float": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0_float": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0_float": (
        "99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4",
    ),
}  # fmt: skip


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, axis=-1, epsilon=1e-3, momentum=0.999)


def _activate(x: KerasTensor, swish: bool) -> KerasTensor:
    return layers.Activation("hard_swish")(x) if swish else layers.ReLU()(x)


def _squeeze_excite(x: KerasTensor, name: str) -> KerasTensor:
    """Scale channels by weights computed from their means (squeeze and excitation)."""
    width = channels(x)
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze_excite_avg_pool")(x)
    y = layers.Conv2D(
        round_channels(width * 0.25), kernel_size=1, padding="same", name=f"{name}squeeze_excite_conv"
    )(y)
    y = layers.ReLU(name=f"{name}squeeze_excite_relu")(y)
    y = layers.Conv2D(width, kernel_size=1, padding="same", name=f"{name}squeeze_excite_conv_1")(y)
    y = layers.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}squeeze_excite_mul")([x, y])


def _block(
    x: KerasTensor,
    number: int,
    expansion: float,
    width: int,
    kernel: int,
    stride: int,
    excite: bool,
    swish: bool,
) -> KerasTensor:
    block_width, shortcut = channels(x), x
    name = f"expanded_conv_{number}_" if number else "expanded_conv_"
    if number:
        wide = round_channels(block_width * expansion)
        x = layers.Conv2D(wide, kernel_size=1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = _activate(_norm(x, f"{name}expand_bn"), swish)
    if stride == 2:
        x = layers.ZeroPadding2D(same_padding_stride_2(x, kernel), name=f"{name}depthwise_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise"
    )(x)
    x = _activate(_norm(x, f"{name}depthwise_bn"), swish)
    x = _squeeze_excite(x, name) if excite else x
    x = layers.Conv2D(width, kernel_size=1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_bn")
    return layers.Add(name=f"{name}add")([shortcut, x]) if stride == 1 and block_width == width else x


def _body(
    x: KerasTensor, table: Sequence[Any], alpha: float, minimalistic: bool, preprocess: bool
) -> KerasTensor:
    full = not minimalistic
    if preprocess and pytorch_version() is None:
        x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
    x, padding = pad_strided(x, 3, 2)
    x = layers.Conv2D(16, kernel_size=3, strides=(2, 2), padding=padding, use_bias=False, name="conv")(x)
    x = _activate(_norm(x, "conv_bn"), full)
    for number, (expansion, width, large, stride, excite, swish) in enumerate(table):
        kernel = 5 if large and full else 3
        x = _block(
            x,
            number,
            expansion,
            round_channels(width * alpha),
            kernel,
            stride,
            excite and full,
            swish and full,
        )
    last = round_channels(channels(x) * 6)
    x = layers.Conv2D(last, kernel_size=1, padding="same", use_bias=False, name="conv_1")(x)
    return _activate(_norm(x, "conv_1_bn"), full)


def _head(x: KerasTensor, request: Request, width: int, dropout: float, swish: bool) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(width, kernel_size=1, padding="same", use_bias=True, name="conv_2")(x)
    x = _activate(x, swish)
    if dropout > 0:
        x = layers.Dropout(dropout)(x)
    x = layers.Conv2D(request.classes, kernel_size=1, padding="same", name="logits")(x)
    x = layers.Flatten()(x)
    return layers.Activation(request.classifier_activation, name="predictions")(x)


def _pytorch(kind: str, table: Sequence[Any]) -> PyTorchVersion:
    names = {"conv": "features.0.0", "conv_bn": "features.0.1"}
    for number, (*_, excite, _) in enumerate(table):
        here = f"expanded_conv_{number}_" if number else "expanded_conv_"
        parts = [("expand", "expand_bn")] if number else []
        parts.append(("depthwise", "depthwise_bn"))
        parts += [("squeeze_excite_conv", "squeeze_excite_conv_1")] if excite else []
        parts.append(("project", "project_bn"))
        for index, (first, second) in enumerate(parts):
            there = f"features.{number + 1}.block.{index}."
            ends = ("fc1", "fc2") if first.startswith("squeeze") else ("0", "1")
            names |= {here + first: there + ends[0], here + second: there + ends[1]}
    last = f"features.{len(table) + 1}."
    names |= {
        "conv_1": f"{last}0",
        "conv_1_bn": f"{last}1",
        "conv_2": "classifier.0",
        "logits": "classifier.3",
    }
    return PyTorchVersion(names, f"torchvision's mobilenet_v3_{kind.lower()}", epsilon=1e-3)


class MobileNetV3(Protocol):
    """Function that builds a MobileNetV3."""

    def __call__(
        self,
        input_shape: InputShape = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = ...,
    ) -> Model: ...


def _version(kind: str, table: Sequence[Any], width: int) -> MobileNetV3:
    def create(
        input_shape: InputShape = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = f"MobileNetV3{kind}",
    ) -> Model:
        label = f"{kind.lower()}{'_minimalistic' if minimalistic else ''}_224_{alpha}_float"
        files = None
        if label in _HASHES:
            top, no_top = _HASHES[label]
            stem = f"weights_mobilenet_v3_{label}"
            files = Files(f"{STORE}mobilenet_v3/", (f"{stem}.h5", top), (f"{stem}_no_top_v2.h5", no_top))
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        last = round_channels(width * alpha) if alpha > 1.0 else width
        return build(
            request,
            lambda x: _body(x, table, alpha, minimalistic, include_preprocessing),
            224,
            files=files,
            head=functools.partial(_head, width=last, dropout=dropout_rate, swish=not minimalistic),
            free_size=True,
            pytorch=(_pytorch(kind, table),) if alpha == 1.0 and not minimalistic else (),
            normalize=include_preprocessing,
        )

    summary = f"MobileNetV3{kind}, an image classifier for small devices (https://arxiv.org/abs/1905.02244)."
    arguments = {
        "input_shape": "Shape of one image, without the batch axis; any size is possible.",
        "alpha": "Factor of all numbers of channels.",
        "minimalistic": "Whether to use only operations that every device computes quickly.",
        "dropout_rate": "Dropout rate before the classifier.",
    }
    return document(create, f"MobileNetV3{kind}", summary, None, arguments)


MobileNetV3Small = _version("Small", _SMALL, 1024)
MobileNetV3Large = _version("Large", _LARGE, 1280)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Return `x` unchanged: MobileNetV3 accepts images of 0 to 255 (see `include_preprocessing`).

    Args:
        x: Image or batch of images.
        data_format: Unused.
    """
    return x


explain_missing(__name__)
