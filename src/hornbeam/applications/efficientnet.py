"""EfficientNet: one network scaled in width, depth and image size.

Tan & Le 2019, https://arxiv.org/abs/1905.11946.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ActivationLike
from hornbeam.applications.building import (
    Architecture,
    Files,
    InputShape,
    Request,
    Weights,
    batch_norm,
    build,
    channel_axis,
    channels,
    dense_head,
    document,
    round_channels,
    same_padding_stride_2,
)
from hornbeam.applications.imagenet_utils import DEVIATION
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = [
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4",
    "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "decode_predictions", "preprocess_input",
]  # fmt: skip

KERNEL = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}
DENSE = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0 / 3.0, "mode": "fan_out", "distribution": "uniform"},
}
# Kernel, blocks, channels in and out, expansion, stride of the first block.
_STAGES = (
    (3, 1, 32, 16, 1, 1), (3, 2, 16, 24, 6, 2), (5, 2, 24, 40, 6, 2), (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1), (5, 4, 112, 192, 6, 2), (3, 1, 192, 320, 6, 1),
)  # fmt: skip
# Factors of width and depth, size of images, dropout; checksums of the files with and without classifier.
_VERSIONS = {
    "B0": (1.0, 1.0, 224, 0.2, "902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    "B1": (1.0, 1.1, 240, 0.2, "1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    "B2": (1.1, 1.2, 260, 0.3, "b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "B3": (1.2, 1.4, 300, 0.3, "ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    "B4": (1.4, 1.8, 380, 0.4, "18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "B5": (1.6, 2.2, 456, 0.4, "ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    "B6": (1.8, 2.6, 528, 0.5, "165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    "B7": (2.0, 3.1, 600, 0.5, "8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
}
DROP = 0.2  # maximum rate of dropped blocks (stochastic depth), which grows with depth


def conv(x: KerasTensor, width: int, kernel: int, name: str, **options: Any) -> KerasTensor:
    """Apply a convolution without bias, by default of stride 1 and with padding."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": KERNEL, **options}
    return layers.Conv2D(width, kernel, name=name, **options)(x)


def squeeze_excite(x: KerasTensor, block_width: int, name: str) -> KerasTensor:
    """Scale channels by weights computed from their means (squeeze and excitation).

    block_width: channels of the block's input; a quarter of them is the size of the bottleneck.
    """
    width = channels(x)
    shape = (width, 1, 1) if channel_axis() == 1 else (1, 1, width)
    y = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    y = layers.Reshape(shape, name=f"{name}se_reshape")(y)
    bottleneck = max(1, int(block_width * 0.25))
    y = conv(y, bottleneck, 1, f"{name}se_reduce", activation="swish", use_bias=True)
    y = conv(y, width, 1, f"{name}se_expand", activation="sigmoid", use_bias=True)
    return layers.Multiply(name=f"{name}se_excite")([x, y])


def add_residual(x: KerasTensor, shortcut: KerasTensor, drop: float, name: str) -> KerasTensor:
    """Add the block's input; in training, drop blocks at random (stochastic depth)."""
    if drop > 0:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.Add(name=f"{name}add")([x, shortcut])


def norm_swish(x: KerasTensor, norm: str, name: str, **options: Any) -> KerasTensor:
    """Apply batch normalization and swish."""
    return layers.Activation("swish", name=name)(batch_norm(x, norm, **options))


def _block(
    x: KerasTensor, kernel: int, width: int, expansion: int, stride: int, drop: float, name: str
) -> KerasTensor:
    block_width, shortcut = channels(x), x
    if expansion != 1:
        x = conv(x, block_width * expansion, 1, f"{name}expand_conv")
        x = norm_swish(x, f"{name}expand_bn", f"{name}expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(same_padding_stride_2(x, kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False,
        depthwise_initializer=KERNEL, name=f"{name}dwconv",
    )(x)  # fmt: skip
    x = norm_swish(x, f"{name}bn", f"{name}activation")
    x = squeeze_excite(x, block_width, name)
    x = batch_norm(conv(x, width, 1, f"{name}project_conv"), f"{name}project_bn")
    return add_residual(x, shortcut, drop, name) if stride == 1 and block_width == width else x


def _body(x: KerasTensor, width_factor: float, depth_factor: float, pretrained: bool) -> KerasTensor:
    if pytorch_version() is None:
        x = layers.Rescaling(1.0 / 255.0)(x)
        x = layers.Normalization(axis=channel_axis())(x)
    if pretrained:  # the published weights expect images divided by the roots of the variances
        x = layers.Rescaling([1.0 / math.sqrt(value) for value in DEVIATION])(x)
    x = layers.ZeroPadding2D(same_padding_stride_2(x, 3), name="stem_conv_pad")(x)
    x = conv(x, round_channels(32 * width_factor), 3, "stem_conv", strides=2, padding="valid")
    x = norm_swish(x, "stem_bn", "stem_activation")
    depths = [math.ceil(depth_factor * stage[1]) for stage in _STAGES]
    done = 0
    for number, ((kernel, _, _, width, expansion, stride), depth) in enumerate(
        zip(_STAGES, depths, strict=True), 1
    ):
        for index in range(depth):
            drop, name = DROP * done / sum(depths), f"block{number}{chr(ord('a') + index)}_"
            x = _block(
                x, kernel, round_channels(width * width_factor), expansion, 1 if index else stride, drop, name
            )
            done += 1
    x = conv(x, round_channels(1280 * width_factor), 1, "top_conv")
    return norm_swish(x, "top_bn", "top_activation")


def depthwise_parts(first: bool, depthwise: str) -> list[tuple[str, str]]:
    """Return the parts of a block, pairs of layers, in the order of torchvision's modules.

    first: the block has no expansion. depthwise: name of the depthwise convolution.
    """
    expand = [] if first else [("expand_conv", "expand_bn")]
    return [*expand, (depthwise, "bn"), ("se_reduce", "se_expand"), ("project_conv", "project_bn")]


def pytorch_names(stages: Sequence[Sequence[list[tuple[str, str]]]]) -> dict[str, str]:
    """Return the names of torchvision's modules for stages of blocks of parts (see `depthwise_parts`)."""
    names = {"stem_conv": "features.0.0", "stem_bn": "features.0.1", "predictions": "classifier.1"}
    for stage, blocks in enumerate(stages, 1):
        for number, parts in enumerate(blocks):
            here = f"block{stage}{chr(ord('a') + number)}_"
            for index, (first, second) in enumerate(parts):
                there = f"features.{stage}.{number}.block.{index}."
                ends = ("fc1", "fc2") if first == "se_reduce" else ("0", "1")
                names |= {here + first: there + ends[0], here + second: there + ends[1]}
    last = f"features.{len(stages) + 1}."
    return {**names, "top_conv": f"{last}0", "top_bn": f"{last}1"}


def _pytorch(version: str, depth_factor: float) -> PyTorchVersion:
    depths = [math.ceil(depth_factor * stage[1]) for stage in _STAGES]
    stages = [[depthwise_parts(number == 0, "dwconv")] * depth for number, depth in enumerate(depths)]
    epsilon = 1e-3 if version in ("B5", "B6", "B7") else 1e-5
    return PyTorchVersion(pytorch_names(stages), f"torchvision's efficientnet_{version.lower()}", epsilon)


def _version(version: str) -> Architecture:
    width_factor, depth_factor, size, dropout, top, no_top = _VERSIONS[version]
    stem = f"efficientnet{version.lower()}"

    def create(
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        name: str = stem,
    ) -> Model:
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        address = "https://storage.googleapis.com/keras-applications/"
        return build(
            request,
            lambda x: _body(x, width_factor, depth_factor, request.pretrained),
            size,
            files=Files(address, (f"{stem}.h5", top), (f"{stem}_notop.h5", no_top)),
            head=functools.partial(dense_head, dropout=dropout, kernel_initializer=DENSE),
            pytorch=(_pytorch(version, depth_factor),),
        )

    summary = f"EfficientNet{version}, an image classifier for images of 0 to 255 (https://arxiv.org/abs/1905.11946)."
    return document(create, f"EfficientNet{version}", summary, size)


EfficientNetB0 = _version("B0")
EfficientNetB1 = _version("B1")
EfficientNetB2 = _version("B2")
EfficientNetB3 = _version("B3")
EfficientNetB4 = _version("B4")
EfficientNetB5 = _version("B5")
EfficientNetB6 = _version("B6")
EfficientNetB7 = _version("B7")


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Return `x` unchanged: EfficientNet accepts images of 0 to 255.

    Args:
        x: Image or batch of images.
        data_format: Unused.
    """
    return x


explain_missing(__name__)
