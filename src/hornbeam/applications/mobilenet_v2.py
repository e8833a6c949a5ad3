"""MobileNetV2: inverted residual blocks, narrow at their ends.

Sandler et al. 2018, https://arxiv.org/abs/1801.04381.
"""

from __future__ import annotations

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
    channels,
    dense_head,
    pad_strided,
    round_channels,
    same_padding_stride_2,
    square_side,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.mobilenet import with_default_name
from hornbeam.applications.pytorch import PyTorchVersion
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

# Channels, stride of the first block, number of blocks.
_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, axis=-1, epsilon=1e-3, momentum=0.999)


def _block(x: KerasTensor, width: int, stride: int, number: int) -> KerasTensor:
    """Apply 1x1 to six times the channels (except in the first block), 3x3 depthwise, and 1x1."""
    block_width, shortcut = channels(x), x
    name = f"block_{number}_" if number else "expanded_conv_"
    if number:
        x = layers.Conv2D(6 * block_width, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = layers.ReLU(6.0, name=f"{name}expand_relu")(_norm(x, f"{name}expand_BN"))
    if stride == 2:
        x = layers.ZeroPadding2D(same_padding_stride_2(x, 3), name=f"{name}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, use_bias=False, padding=padding, name=f"{name}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}depthwise_relu")(_norm(x, f"{name}depthwise_BN"))
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_BN")
    return layers.Add(name=f"{name}add")([shortcut, x]) if block_width == width and stride == 1 else x


def _body(x: KerasTensor, alpha: float) -> KerasTensor:
    first = round_channels(32 * alpha)
    x, padding = pad_strided(x, 3, 2)
    x = layers.Conv2D(first, 3, strides=(2, 2), padding=padding, use_bias=False, name="Conv1")(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(_norm(x, "bn_Conv1"))
    number = 0
    for width, stride, depth in _STAGES:
        for index in range(depth):
            x = _block(x, round_channels(int(width * alpha)), stride if index == 0 else 1, number)
            number += 1
    last = round_channels(1280 * alpha) if alpha > 1.0 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return layers.ReLU(6.0, name="out_relu")(_norm(x, "Conv_1_bn"))


def _pytorch() -> PyTorchVersion:
    names = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "predictions": "classifier.1"}
    blocks = sum(depth for *_, depth in _STAGES)
    for number in range(blocks):
        here, there = f"block_{number}_" if number else "expanded_conv_", f"features.{number + 1}.conv"
        if number:
            names |= {f"{here}expand": f"{there}.0.0", f"{here}expand_BN": f"{there}.0.1"}
        depthwise = 1 if number else 0
        names |= {
            f"{here}depthwise": f"{there}.{depthwise}.0",
            f"{here}depthwise_BN": f"{there}.{depthwise}.1",
        }
        names[f"{here}project"] = f"{there}.{depthwise + 1}"
        names[f"{here}project_BN"] = f"{there}.{depthwise + 2}"
    names |= {"Conv_1": f"features.{blocks + 1}.0", "Conv_1_bn": f"features.{blocks + 1}.1"}
    return PyTorchVersion(names, "torchvision's mobilenet_v2")


def _timm() -> PyTorchVersion:
    names = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
    names["predictions"] = "classifier"
    blocks = [(stage, index) for stage, (*_, depth) in enumerate(_STAGES) for index in range(depth)]
    for number, (stage, index) in enumerate(blocks):
        here, there = f"block_{number}_" if number else "expanded_conv_", f"blocks.{stage}.{index}."
        parts = [("expand", "conv_pw")] if number else []
        parts += [("depthwise", "conv_dw"), ("project", "conv_pwl" if number else "conv_pw")]
        for count, (part, module) in enumerate(parts, 1):
            names |= {f"{here}{part}": f"{there}{module}", f"{here}{part}_BN": f"{there}bn{count}"}
    return PyTorchVersion(names, "timm's mobilenetv2_100")


def MobileNetV2(
    input_shape: InputShape = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Weights = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: ActivationLike = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNetV2, an image classifier for small devices (https://arxiv.org/abs/1801.04381).

    Published weights are for sizes of 96, 128, 160, 192 and 224 and alphas of 0.35, 0.5, 0.75, 1, 1.3 and
    1.4.

    Args:
        input_shape: Shape of one image, without the batch axis. With include_top=True the default is 224 by
            224 with 3 channels; otherwise any size is possible.
        alpha: Factor of all numbers of channels.
        include_top: Whether to end with a classifier of `classes` classes.
        weights: "imagenet" for the published weights (downloaded once to the folder `models` of Keras's
            cache), the path of a `.weights.h5` or `.h5` file, or of one that PyTorch trained (`.pth`,
            `.safetensors`; the model is then built as torchvision's and normalizes images of 0 to 255
            itself, see docs/pretrained.md), or None for random weights.
        input_tensor: Symbolic tensor to use as the input; a new `Input` if None.
        pooling: Without the classifier: "avg" or "max" pooling over the image, or None for none.
        classes: Number of classes; 1000 with the published weights.
        classifier_activation: Activation of the classifier; None for logits.
        name: Name of the model; "mobilenetv2_<alpha>_<size>" if None.

    Raises:
        ValueError: If arguments are invalid or conflict.
        DownloadError: Without network, if weights have to be downloaded.
    """
    shape = input_shape if input_tensor is None or input_shape is not None else input_tensor.shape[1:]
    side = square_side(shape)
    size = side if side in _SIZES else 224
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}"
    files = Files(f"{STORE}mobilenet_v2/", (f"{stem}.h5", None), (f"{stem}_no_top.h5", None))
    request = Request(
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name or ""
    )
    return build(
        with_default_name(request, "mobilenetv2", alpha, size, _SIZES),
        lambda x: _body(x, alpha),
        size,
        files=files if alpha in _ALPHAS else None,
        head=lambda x, request: dense_head(x, request, pool=None),
        named_pooling=False,
        pytorch=(_pytorch(), _timm()) if alpha == 1.0 else (),
    )


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for MobileNetV2: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
