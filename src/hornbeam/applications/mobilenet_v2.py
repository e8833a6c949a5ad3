"""MobileNetV2: inverted residual blocks, narrow at their ends (Sandler et al. 2018,
https://arxiv.org/abs/1801.04381).
"""

from __future__ import annotations

from typing import Any

from hornbeam import layers
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import (
    STORE,
    Files,
    Request,
    build,
    channels,
    dense_head,
    divisible,
    halving_pad,
    normalized,
    square_side,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.mobilenet import named
from hornbeam.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

# Channels, stride of the first block, number of blocks.
_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def _norm(x: Any, name: str) -> Any:
    return normalized(x, name, axis=-1, epsilon=1e-3, momentum=0.999)


def _block(x: Any, width: int, stride: int, number: int) -> Any:
    """1x1 to six times the channels (but for the first block), 3x3 depthwise, 1x1 back."""
    before, begin = channels(x), x
    name = f"block_{number}_" if number else "expanded_conv_"
    if number:
        x = layers.Conv2D(6 * before, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = layers.ReLU(6.0, name=f"{name}expand_relu")(_norm(x, f"{name}expand_BN"))
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, 3), name=f"{name}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, use_bias=False, padding=padding, name=f"{name}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}depthwise_relu")(_norm(x, f"{name}depthwise_BN"))
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_BN")
    return layers.Add(name=f"{name}add")([begin, x]) if before == width and stride == 1 else x


def _body(x: Any, alpha: float) -> Any:
    first = divisible(32 * alpha)
    x = layers.Conv2D(first, 3, strides=(2, 2), padding="same", use_bias=False, name="Conv1")(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(_norm(x, "bn_Conv1"))
    number = 0
    for width, stride, depth in _STAGES:
        for index in range(depth):
            x = _block(x, divisible(int(width * alpha)), stride if index == 0 else 1, number)
            number += 1
    last = divisible(1280 * alpha) if alpha > 1.0 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return layers.ReLU(6.0, name="out_relu")(_norm(x, "Conv_1_bn"))


def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNetV2, an image classifier for small devices (https://arxiv.org/abs/1801.04381).

    alpha: factor of all numbers of channels. name: by default "mobilenetv2_", alpha, "_" and the size. The
    other arguments are those of `hornbeam.applications.ResNet50`; the size is 224 by 224 by default, and
    published weights are for sizes of 96, 128, 160, 192 and 224 and alphas of 0.35, 0.5, 0.75, 1, 1.3 and
    1.4.

    Raises ValueError for arguments that do not fit together.
    """
    given = input_shape if input_tensor is None or input_shape is not None else input_tensor.shape[1:]
    side = square_side(given)
    size = side if side in _SIZES else 224
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}"
    files = Files(f"{STORE}mobilenet_v2/", (f"{stem}.h5", None), (f"{stem}_no_top.h5", None))
    request = Request(
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name or ""
    )
    return build(
        named(request, "mobilenetv2", alpha, size, _SIZES),
        lambda x: _body(x, alpha),
        size,
        files=files if alpha in _ALPHAS else None,
        head=lambda x, request: dense_head(x, request, pool=None),
        named_pooling=False,
    )


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Images of 0 to 255 for MobileNetV2: mode "tf" of `imagenet_utils.preprocess_input`."""
    return imagenet_utils.preprocess_input(x, data_format, "tf")
