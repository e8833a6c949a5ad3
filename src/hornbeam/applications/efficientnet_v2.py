"""EfficientNetV2: its first blocks are plain convolutions, which train faster.

Tan & Le 2021, https://arxiv.org/abs/2104.00298.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Protocol

from hornbeam import initializers, layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ActivationLike
from hornbeam.applications.building import (
    InputShape,
    Request,
    Weights,
    batch_norm,
    build,
    channel_axis,
    channels,
    dense_head,
    document,
    pad_strided,
    published,
)
from hornbeam.applications.efficientnet import (
    DENSE,
    DROP,
    KERNEL,
    add_residual,
    conv,
    depthwise_parts,
    norm_swish,
    pytorch_names,
    squeeze_excite,
)
from hornbeam.applications.imagenet_utils import DEVIATION, MEAN
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import HALF, PyTorchVersion, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = [
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L",
    "EfficientNetV2M", "EfficientNetV2S", "decode_predictions", "preprocess_input",
]  # fmt: skip

# Blocks, channels in and out, expansion, stride of the first block, and True for plain (fused) convolutions.
# The other blocks are depthwise, with squeeze and excitation. All kernels are 3x3.
_BASE = (
    (1, 32, 16, 1, 1, True), (2, 16, 32, 4, 2, True), (2, 32, 48, 4, 2, True), (3, 48, 96, 4, 2, False),
    (5, 96, 112, 6, 1, False), (8, 112, 192, 6, 2, False),
)  # fmt: skip
_SMALL = (
    (2, 24, 24, 1, 1, True), (4, 24, 48, 4, 2, True), (4, 48, 64, 4, 2, True), (6, 64, 128, 4, 2, False),
    (9, 128, 160, 6, 1, False), (15, 160, 256, 6, 2, False),
)  # fmt: skip
_MEDIUM = (
    (3, 24, 24, 1, 1, True), (5, 24, 48, 4, 2, True), (5, 48, 80, 4, 2, True), (7, 80, 160, 4, 2, False),
    (14, 160, 176, 6, 1, False), (18, 176, 304, 6, 2, False), (5, 304, 512, 6, 1, False),
)  # fmt: skip
_LARGE = (
    (4, 32, 32, 1, 1, True), (7, 32, 64, 4, 2, True), (7, 64, 96, 4, 2, True), (10, 96, 192, 4, 2, False),
    (19, 192, 224, 6, 1, False), (25, 224, 384, 6, 2, False), (7, 384, 640, 6, 1, False),
)  # fmt: skip
_MOMENTUM = 0.9


def _round_width(width: float) -> int:
    return max(8, int(width + 4) // 8 * 8)


def _norm_swish(x: KerasTensor, norm: str, name: str) -> KerasTensor:
    return norm_swish(x, norm, name, momentum=_MOMENTUM)


def _block(
    x: KerasTensor, width: int, expansion: int, stride: int, drop: float, fused: bool, name: str
) -> KerasTensor:
    block_width, shortcut = channels(x), x
    if expansion != 1:
        kernel, strides = (3, stride) if fused else (1, 1)
        x, padding = pad_strided(x, kernel, strides)
        width_inside = block_width * expansion
        x = conv(x, width_inside, kernel, f"{name}expand_conv", strides=strides, padding=padding)
        x = _norm_swish(x, f"{name}expand_bn", f"{name}expand_activation")
    if not fused:
        x, padding = pad_strided(x, 3, stride)
        x = layers.DepthwiseConv2D(
            kernel_size=3, strides=stride, depthwise_initializer=KERNEL, padding=padding, use_bias=False,
            name=f"{name}dwconv2",
        )(x)  # fmt: skip
        x = _norm_swish(x, f"{name}bn", f"{name}activation")
        x = squeeze_excite(x, block_width, name)
    single = fused and expansion == 1
    x = conv(x, width, 3 if single else 1, f"{name}project_conv", strides=stride if single else 1)
    x = batch_norm(x, f"{name}project_bn", momentum=_MOMENTUM)
    if single:
        x = layers.Activation("swish", name=f"{name}project_activation")(x)
    return add_residual(x, shortcut, drop, name) if stride == 1 and block_width == width else x


def _preprocess(x: KerasTensor, base: bool) -> KerasTensor:
    if base and channels(x) == 3:
        x = layers.Rescaling(scale=1.0 / 255)(x)
        variance = [value**2 for value in DEVIATION]
        return layers.Normalization(mean=list(MEAN), variance=variance, axis=channel_axis())(x)
    return layers.Rescaling(scale=1.0 / 128.0, offset=-1)(x)


def _body(
    x: KerasTensor,
    stages: Sequence[Any],
    width_factor: float,
    depth_factor: float,
    preprocess: bool,
    base: bool,
) -> KerasTensor:
    if preprocess and pytorch_version() is None:
        x = _preprocess(x, base)
    x, padding = pad_strided(x, 3, 2)
    x = conv(x, _round_width(stages[0][1] * width_factor), 3, "stem_conv", strides=2, padding=padding)
    x = _norm_swish(x, "stem_bn", "stem_activation")
    total = sum(stage[0] for stage in stages)
    done = 0
    for number, (depth, _, width, expansion, stride, fused) in enumerate(stages, 1):
        for index in range(math.ceil(depth_factor * depth)):
            drop, name = DROP * done / total, f"block{number}{chr(ord('a') + index)}_"
            x = _block(
                x, _round_width(width * width_factor), expansion, 1 if index else stride, drop, fused, name
            )
            done += 1
    x = conv(x, _round_width(1280 * width_factor), 1, "top_conv")
    return _norm_swish(x, "top_bn", "top_activation")


def _pytorch(version: str, stages: Sequence[Any]) -> PyTorchVersion:
    parts = []
    for depth, _, _, expansion, _, fused in stages:
        project = [("project_conv", "project_bn")]
        expand = [("expand_conv", "expand_bn"), *project] if expansion != 1 else project
        parts.append([expand if fused else depthwise_parts(False, "dwconv2")] * depth)
    source = f"torchvision's efficientnet_v2_{version.lower()}"
    mean, deviation = (HALF, HALF) if version == "L" else (MEAN, DEVIATION)
    return PyTorchVersion(pytorch_names(parts), source, 1e-3, mean, deviation)


class EfficientNetV2(Protocol):
    """Function that builds an EfficientNetV2."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = ...,
    ) -> Model: ...


def _version(
    version: str,
    stages: Sequence[Any],
    width_factor: float,
    depth_factor: float,
    size: int,
    hashes: tuple[str, str],
) -> EfficientNetV2:
    label = f"efficientnetv2-{version.lower()}"

    def create(
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        include_preprocessing: bool = True,
        name: str = label,
    ) -> Model:
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        head = functools.partial(
            dense_head, dropout=0.2, kernel_initializer=DENSE, bias_initializer=initializers.Constant(0.0)
        )
        return build(
            request,
            lambda x: _body(
                x, stages, width_factor, depth_factor, include_preprocessing, version.startswith("B")
            ),
            size,
            files=published("efficientnet_v2", label, *hashes),
            head=head,
            pytorch=() if version.startswith("B") else (_pytorch(version, stages),),
            normalize=include_preprocessing,
        )

    summary = f"EfficientNetV2{version}, an image classifier (https://arxiv.org/abs/2104.00298)."
    return document(create, f"EfficientNetV2{version}", summary, size)


EfficientNetV2B0 = _version(
    "B0", _BASE, 1.0, 1.0, 224, ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff")
)
EfficientNetV2B1 = _version(
    "B1", _BASE, 1.0, 1.1, 240, ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37")
)
EfficientNetV2B2 = _version(
    "B2", _BASE, 1.1, 1.2, 260, ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb")
)
EfficientNetV2B3 = _version(
    "B3", _BASE, 1.2, 1.4, 300, ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856")
)
EfficientNetV2S = _version(
    "S", _SMALL, 1.0, 1.0, 384, ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070")
)
EfficientNetV2M = _version(
    "M", _MEDIUM, 1.0, 1.0, 480, ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342")
)
EfficientNetV2L = _version(
    "L", _LARGE, 1.0, 1.0, 480, ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615")
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Return `x` unchanged: EfficientNetV2 accepts images of 0 to 255 (see `include_preprocessing`).

    Args:
        x: Image or batch of images.
        data_format: Unused.
    """
    return x


explain_missing(__name__)
