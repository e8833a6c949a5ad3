"""EfficientNet: one network scaled in width, depth and size of its images (Tan & Le 2019,
https://arxiv.org/abs/1905.11946).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from hornbeam import layers
from hornbeam.applications.building import (
    Files,
    Request,
    build,
    channel_axis,
    channels,
    dense_head,
    described,
    divisible,
    halving_pad,
    normalized,
)
from hornbeam.applications.imagenet_utils import DEVIATION
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
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
DROP = 0.2  # of whole blocks, growing with depth up to this


def conv(x: Any, width: int, kernel: int, name: str, **options: Any) -> Any:
    """A convolution without bias, by default of stride 1 and padded."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": KERNEL, **options}
    return layers.Conv2D(width, kernel, name=name, **options)(x)


def weighed(x: Any, before: int, name: str) -> Any:
    """Channels times a weight out of their means (squeeze and excitation). before: channels of the block's
    input, a quarter of which the weights are computed from.
    """
    width = channels(x)
    shape = (width, 1, 1) if channel_axis() == 1 else (1, 1, width)
    y = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    y = layers.Reshape(shape, name=f"{name}se_reshape")(y)
    few = max(1, int(before * 0.25))
    y = conv(y, few, 1, f"{name}se_reduce", activation="swish", use_bias=True)
    y = conv(y, width, 1, f"{name}se_expand", activation="sigmoid", use_bias=True)
    return layers.Multiply(name=f"{name}se_excite")([x, y])


def carried(x: Any, begin: Any, drop: float, name: str) -> Any:
    """The block's input added; in training whole blocks are dropped."""
    if drop > 0:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.Add(name=f"{name}add")([x, begin])


def active(x: Any, norm: str, name: str, **options: Any) -> Any:
    """Normalized, then swish."""
    return layers.Activation("swish", name=name)(normalized(x, norm, **options))


def _block(x: Any, kernel: int, width: int, expansion: int, stride: int, drop: float, name: str) -> Any:
    before, begin = channels(x), x
    if expansion != 1:
        x = conv(x, before * expansion, 1, f"{name}expand_conv")
        x = active(x, f"{name}expand_bn", f"{name}expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False,
        depthwise_initializer=KERNEL, name=f"{name}dwconv",
    )(x)  # fmt: skip
    x = active(x, f"{name}bn", f"{name}activation")
    x = weighed(x, before, name)
    x = normalized(conv(x, width, 1, f"{name}project_conv"), f"{name}project_bn")
    return carried(x, begin, drop, name) if stride == 1 and before == width else x


def _body(x: Any, wide: float, deep: float, pretrained: bool) -> Any:
    x = layers.Rescaling(1.0 / 255.0)(x)
    x = layers.Normalization(axis=channel_axis())(x)
    if pretrained:  # the published weights were trained on images divided by variances' roots instead
        x = layers.Rescaling([1.0 / math.sqrt(value) for value in DEVIATION])(x)
    x = layers.ZeroPadding2D(halving_pad(x, 3), name="stem_conv_pad")(x)
    x = conv(x, divisible(32 * wide), 3, "stem_conv", strides=2, padding="valid")
    x = active(x, "stem_bn", "stem_activation")
    depths = [math.ceil(deep * stage[1]) for stage in _STAGES]
    done = 0
    for number, ((kernel, _, _, width, expansion, stride), depth) in enumerate(
        zip(_STAGES, depths, strict=True), 1
    ):
        for index in range(depth):
            drop, name = DROP * done / sum(depths), f"block{number}{chr(ord('a') + index)}_"
            x = _block(x, kernel, divisible(width * wide), expansion, 1 if index else stride, drop, name)
            done += 1
    x = conv(x, divisible(1280 * wide), 1, "top_conv")
    return active(x, "top_bn", "top_activation")


def _version(version: str) -> Callable[..., Model]:
    wide, deep, size, dropout, top, bare = _VERSIONS[version]
    stem = f"efficientnet{version.lower()}"

    def make(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = stem,
    ) -> Model:
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        address = "https://storage.googleapis.com/keras-applications/"
        return build(
            request,
            lambda x: _body(x, wide, deep, request.pretrained),
            size,
            files=Files(address, (f"{stem}.h5", top), (f"{stem}_notop.h5", bare)),
            head=functools.partial(dense_head, dropout=dropout, kernel_initializer=DENSE),
        )

    about = (
        f"EfficientNet{version}, an image classifier (https://arxiv.org/abs/1905.11946) for images of 0\n"
        "    to 255."
    )
    return described(make, f"EfficientNet{version}", about, size)


EfficientNetB0 = _version("B0")
EfficientNetB1 = _version("B1")
EfficientNetB2 = _version("B2")
EfficientNetB3 = _version("B3")
EfficientNetB4 = _version("B4")
EfficientNetB5 = _version("B5")
EfficientNetB6 = _version("B6")
EfficientNetB7 = _version("B7")


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: EfficientNet takes images of 0 to 255."""
    return x
