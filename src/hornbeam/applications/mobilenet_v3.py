"""MobileNetV3: inverted residual blocks that weigh their channels (Howard et al. 2019,
https://arxiv.org/abs/1905.02244).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import layers
from hornbeam.applications.building import (
    ARGUMENTS,
    STORE,
    Files,
    Request,
    build,
    channels,
    divisible,
    halving_pad,
    normalized,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

# Expansion, channels, whether the kernel is 5x5, stride, whether channels are weighed, whether the activation
# is hard swish. The minimalistic versions have 3x3 kernels, no weighing, and rectifiers only.
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


def _norm(x: Any, name: str) -> Any:
    return normalized(x, name, axis=-1, epsilon=1e-3, momentum=0.999)


def _active(x: Any, swish: bool) -> Any:
    return layers.Activation("hard_swish")(x) if swish else layers.ReLU()(x)


def _weighed(x: Any, name: str) -> Any:
    """Channels times a weight out of their means (squeeze and excitation)."""
    width = channels(x)
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze_excite_avg_pool")(x)
    y = layers.Conv2D(
        divisible(width * 0.25), kernel_size=1, padding="same", name=f"{name}squeeze_excite_conv"
    )(y)
    y = layers.ReLU(name=f"{name}squeeze_excite_relu")(y)
    y = layers.Conv2D(width, kernel_size=1, padding="same", name=f"{name}squeeze_excite_conv_1")(y)
    y = layers.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}squeeze_excite_mul")([x, y])


def _block(
    x: Any, number: int, expansion: float, width: int, kernel: int, stride: int, weigh: bool, swish: bool
) -> Any:
    before, begin = channels(x), x
    name = f"expanded_conv_{number}_" if number else "expanded_conv_"
    if number:
        wide = divisible(before * expansion)
        x = layers.Conv2D(wide, kernel_size=1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = _active(_norm(x, f"{name}expand_bn"), swish)
    if stride == 2:
        x = layers.ZeroPadding2D(halving_pad(x, kernel), name=f"{name}depthwise_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise"
    )(x)
    x = _active(_norm(x, f"{name}depthwise_bn"), swish)
    x = _weighed(x, name) if weigh else x
    x = layers.Conv2D(width, kernel_size=1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_bn")
    return layers.Add(name=f"{name}add")([begin, x]) if stride == 1 and before == width else x


def _body(x: Any, table: Sequence[Any], alpha: float, minimalistic: bool, preprocess: bool) -> Any:
    full = not minimalistic
    if preprocess:
        x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(16, kernel_size=3, strides=(2, 2), padding="same", use_bias=False, name="conv")(x)
    x = _active(_norm(x, "conv_bn"), full)
    for number, (expansion, width, large, stride, weigh, swish) in enumerate(table):
        kernel = 5 if large and full else 3
        x = _block(
            x, number, expansion, divisible(width * alpha), kernel, stride, weigh and full, swish and full
        )
    last = divisible(channels(x) * 6)
    x = layers.Conv2D(last, kernel_size=1, padding="same", use_bias=False, name="conv_1")(x)
    return _active(_norm(x, "conv_1_bn"), full)


def _head(x: Any, request: Request, width: int, dropout: float, swish: bool) -> Any:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(width, kernel_size=1, padding="same", use_bias=True, name="conv_2")(x)
    x = _active(x, swish)
    if dropout > 0:
        x = layers.Dropout(dropout)(x)
    x = layers.Conv2D(request.classes, kernel_size=1, padding="same", name="logits")(x)
    x = layers.Flatten()(x)
    return layers.Activation(request.classifier_activation, name="predictions")(x)


def _version(kind: str, table: Sequence[Any], width: int) -> Callable[..., Model]:
    def make(
        input_shape: Any = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = f"MobileNetV3{kind}",
    ) -> Model:
        label = f"{kind.lower()}{'_minimalistic' if minimalistic else ''}_224_{alpha}_float"
        files = None
        if label in _HASHES:
            top, bare = _HASHES[label]
            stem = f"weights_mobilenet_v3_{label}"
            files = Files(f"{STORE}mobilenet_v3/", (f"{stem}.h5", top), (f"{stem}_no_top_v2.h5", bare))
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        last = divisible(width * alpha) if alpha > 1.0 else width
        return build(
            request,
            lambda x: _body(x, table, alpha, minimalistic, include_preprocessing),
            224,
            files=files,
            head=functools.partial(_head, width=last, dropout=dropout_rate, swish=not minimalistic),
            free_size=True,
        )

    make.__name__ = make.__qualname__ = f"MobileNetV3{kind}"
    make.__doc__ = f"""MobileNetV3{kind}, an image classifier for small devices (https://arxiv.org/abs/1905.02244).

    alpha: factor of the numbers of channels. minimalistic: only parts that every device computes quickly.
    dropout_rate: before the classifier. include_preprocessing: take images of 0 to 255. Images may have any
    size, with a classifier too.
    {ARGUMENTS.format(size="free")}
    """
    return make


MobileNetV3Small = _version("Small", _SMALL, 1024)
MobileNetV3Large = _version("Large", _LARGE, 1280)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: MobileNetV3 takes images of 0 to 255 (see `include_preprocessing`)."""
    return x
