"""NASNet: cells found by architecture search (Zoph et al. 2017, https://arxiv.org/abs/1707.07012)."""

from __future__ import annotations

from typing import Any

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ActivationLike
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import (
    STORE,
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
    same_padding_stride_2,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.config import image_data_format
from hornbeam.core.scopes import name_scope
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, axis=-1, momentum=0.9997, epsilon=1e-3)


def _relu(x: KerasTensor, name: str | None = None) -> KerasTensor:
    return layers.Activation("relu", name=name)(x)


def _conv(x: KerasTensor, width: int, name: str, **options: Any) -> KerasTensor:
    return layers.Conv2D(
        width, (1, 1), padding="same", use_bias=False, kernel_initializer="he_normal", name=name, **options
    )(x)


def _separable(x: KerasTensor, width: int, kernel: int, name: str, stride: int = 1) -> KerasTensor:
    """Apply two separable convolutions; the first one may halve the image."""
    with name_scope(f"separable_conv_block_{name}"):
        x = _relu(x)
        if stride == 2:
            x = layers.ZeroPadding2D(same_padding_stride_2(x, kernel), name=f"separable_conv_1_pad_{name}")(x)
        x = layers.SeparableConv2D(
            width, (kernel, kernel), strides=(stride, stride), padding="same" if stride == 1 else "valid",
            use_bias=False, name=f"separable_conv_1_{name}",
        )(x)  # fmt: skip
        x = _relu(_norm(x, f"separable_conv_1_bn_{name}"))
        x = layers.SeparableConv2D(
            width, (kernel, kernel), padding="same", use_bias=False, name=f"separable_conv_2_{name}"
        )(x)
        return _norm(x, f"separable_conv_2_bn_{name}")


def _adjust(previous: KerasTensor | None, x: KerasTensor, width: int, name: str) -> KerasTensor:
    """Adjust the output of the second to last cell to the size and width of this cell."""
    if previous is None:
        return x
    side = 2 if channel_axis() == 1 else -2
    with name_scope("adjust_block"):
        if previous.shape[side] != x.shape[side]:
            with name_scope(f"adjust_reduction_block_{name}"):
                return _halve(_relu(previous, f"adjust_relu_1_{name}"), width, name)
        if channels(previous) != width:
            with name_scope(f"adjust_projection_block_{name}"):
                projected = _conv(_relu(previous), width, f"adjust_conv_projection_{name}", strides=(1, 1))
                return _norm(projected, f"adjust_bn_{name}")
    return previous


def _halve(x: KerasTensor, width: int, name: str) -> KerasTensor:
    """Halve an image: every second pixel, and the diagonal neighbors of those."""
    shifted = x
    parts = []
    for number in (1, 2):
        if number == 2:
            shifted = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
            shifted = layers.Cropping2D(((1, 0), (1, 0)))(shifted)
        pool = layers.AveragePooling2D(
            (1, 1), strides=(2, 2), padding="valid", name=f"adjust_avg_pool_{number}_{name}"
        )(shifted)
        parts.append(_conv(pool, width // 2, f"adjust_conv_{number}_{name}"))
    return _norm(layers.Concatenate(axis=channel_axis(-1))(parts), f"adjust_bn_{name}")


def _avg_pool(x: KerasTensor, name: str, stride: int = 1) -> KerasTensor:
    padding = "same" if stride == 1 else "valid"
    return layers.AveragePooling2D((3, 3), strides=(stride, stride), padding=padding, name=name)(x)


def _normal_cell(
    x: KerasTensor, previous: KerasTensor | None, width: int, name: str
) -> tuple[KerasTensor, KerasTensor]:
    with name_scope(f"normal_A_block_{name}"):
        p = _adjust(previous, x, width, name)
        h = _conv(_relu(x), width, f"normal_conv_1_{name}", strides=(1, 1))
        h = _norm(h, f"normal_bn_1_{name}")
        with name_scope("block_1"):
            pair = [
                _separable(h, width, 5, f"normal_left1_{name}"),
                _separable(p, width, 3, f"normal_right1_{name}"),
            ]
            x1 = layers.Add(name=f"normal_add_1_{name}")(pair)
        with name_scope("block_2"):
            pair = [
                _separable(p, width, 5, f"normal_left2_{name}"),
                _separable(p, width, 3, f"normal_right2_{name}"),
            ]
            x2 = layers.Add(name=f"normal_add_2_{name}")(pair)
        with name_scope("block_3"):
            x3 = layers.Add(name=f"normal_add_3_{name}")([_avg_pool(h, f"normal_left3_{name}"), p])
        with name_scope("block_4"):
            pair = [_avg_pool(p, f"normal_left4_{name}"), _avg_pool(p, f"normal_right4_{name}")]
            x4 = layers.Add(name=f"normal_add_4_{name}")(pair)
        with name_scope("block_5"):
            x5 = _separable(h, width, 3, f"normal_left5_{name}")
            x5 = layers.Add(name=f"normal_add_5_{name}")([x5, h])
        parts = [p, x1, x2, x3, x4, x5]
        return layers.Concatenate(axis=channel_axis(-1), name=f"normal_concat_{name}")(parts), x


def _reduction_cell(
    x: KerasTensor, previous: KerasTensor | None, width: int, name: str
) -> tuple[KerasTensor, KerasTensor]:
    def max_pool(y: KerasTensor, label: str) -> KerasTensor:
        return layers.MaxPooling2D((3, 3), strides=(2, 2), padding="valid", name=label)(y)

    with name_scope(f"reduction_A_block_{name}"):
        p = _adjust(previous, x, width, name)
        h = _conv(_relu(x), width, f"reduction_conv_1_{name}", strides=(1, 1))
        h = _norm(h, f"reduction_bn_1_{name}")
        h3 = layers.ZeroPadding2D(same_padding_stride_2(h, 3), name=f"reduction_pad_1_{name}")(h)
        with name_scope("block_1"):
            pair = [
                _separable(h, width, 5, f"reduction_left1_{name}", 2),
                _separable(p, width, 7, f"reduction_right1_{name}", 2),
            ]
            x1 = layers.Add(name=f"reduction_add_1_{name}")(pair)
        with name_scope("block_2"):
            pair = [
                max_pool(h3, f"reduction_left2_{name}"),
                _separable(p, width, 7, f"reduction_right2_{name}", 2),
            ]
            x2 = layers.Add(name=f"reduction_add_2_{name}")(pair)
        with name_scope("block_3"):
            pair = [
                _avg_pool(h3, f"reduction_left3_{name}", 2),
                _separable(p, width, 5, f"reduction_right3_{name}", 2),
            ]
            x3 = layers.Add(name=f"reduction_add3_{name}")(pair)
        with name_scope("block_4"):
            x4 = layers.Add()([x2, _avg_pool(x1, f"reduction_left4_{name}")])
        with name_scope("block_5"):
            pair = [
                _separable(x1, width, 3, f"reduction_left4_{name}"),
                max_pool(h3, f"reduction_right5_{name}"),
            ]
            x5 = layers.Add(name=f"reduction_add4_{name}")(pair)
        parts = [x2, x3, x4, x5]
        return layers.Concatenate(axis=channel_axis(-1), name=f"reduction_concat_{name}")(parts), x


def _body(x: KerasTensor, last: int, depth: int, stem: int, skip: bool) -> KerasTensor:
    """Apply the stem and three stages of cells.

    last: channels of the output. depth: normal cells in each stage. skip: stages receive the output of the
    cell before the reduction.
    """
    width = last // 24
    x = layers.Conv2D(
        stem, (3, 3), strides=(2, 2), padding="valid", use_bias=False, name="stem_conv1",
        kernel_initializer="he_normal",
    )(x)  # fmt: skip
    x = _norm(x, "stem_bn1")
    x, previous = _reduction_cell(x, None, width // 4, "stem_1")
    x, previous = _reduction_cell(x, previous, width // 2, "stem_2")
    for stage in range(3):
        stage_width = width * 2**stage
        if stage:
            x, reduced = _reduction_cell(x, previous, stage_width, f"reduce_{stage * depth}")
            previous = previous if skip else reduced
        for number in range(depth):
            x, previous = _normal_cell(x, previous, stage_width, f"{stage * depth + number + bool(stage)}")
    return _relu(x)


def _create(request: Request, size: int, last: int, depth: int, stem: int, skip: bool, hashes: Any) -> Model:
    if image_data_format() == "channels_first":
        raise ValueError("NASNet needs images with channels last: set_image_data_format('channels_last')")
    kind = "mobile" if size == 224 else "large"
    files = Files(
        f"{STORE}nasnet/",
        (f"NASNet-{kind}.h5", hashes[0]),
        (f"NASNet-{kind}-no-top.h5", hashes[1]),
        cache_names=(f"nasnet_{kind}.h5", f"nasnet_{kind}_no_top.h5"),
    )
    return build(
        request,
        lambda x: _body(x, last, depth, stem, skip),
        size,
        files=files,
        head=lambda x, request: dense_head(x, request, pool=None),
        named_pooling=False,
    )


def NASNetMobile(
    input_shape: InputShape = None,
    include_top: bool = True,
    weights: Weights = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: ActivationLike = "softmax",
    name: str = "nasnet_mobile",
) -> Model:
    if not include_top and input_shape is None:
        input_shape = (224, 224, 3)
    request = Request(
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    hashes = ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63")
    return _create(request, 224, 1056, 4, 32, False, hashes)


def NASNetLarge(
    input_shape: InputShape = None,
    include_top: bool = True,
    weights: Weights = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: ActivationLike = "softmax",
    name: str = "nasnet_large",
) -> Model:
    request = Request(
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    )
    hashes = ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5")
    return _create(request, 331, 4032, 6, 96, True, hashes)


for _function, _size, _cells in ((NASNetMobile, 224, 12), (NASNetLarge, 331, 18)):
    _summary = (
        f"{_function.__name__}, an image classifier of {_cells} cells found by architecture search "
        "(https://arxiv.org/abs/1707.07012)."
    )
    document(_function, _function.__name__, _summary, _size)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for NASNet: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
