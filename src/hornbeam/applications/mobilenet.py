"""MobileNet: depthwise and pointwise convolutions, for small devices.

Howard et al. 2017, https://arxiv.org/abs/1704.04861.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    check,
    image_shape,
    image_size,
    square_side,
)
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images
from hornbeam.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# Channels and stride of the thirteen blocks.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1),
    (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_SIZES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}


def with_default_name(
    request: Request, family: str, alpha: float, size: int, sizes: Sequence[int]
) -> Request:
    """Return the request, with a name of family, alpha and image height if it has none."""
    check(request)
    if request.name:
        return request
    height, width = image_size(image_shape(request, size, 32, request.include_top))
    rows = 224 if request.pretrained and (height != width or height not in sizes) else height
    return replace(request, name=f"{family}_{alpha:0.2f}_{rows}")


def _norm_relu6(x: KerasTensor, name: str) -> KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(batch_norm(x, f"{name}_bn", axis=-1))


def _body(x: KerasTensor, alpha: float, depth_multiplier: int) -> KerasTensor:
    x = layers.Conv2D(int(32 * alpha), (3, 3), padding="same", use_bias=False, strides=(2, 2), name="conv1")(
        x
    )
    x = _norm_relu6(x, "conv1")
    for number, (width, stride) in enumerate(_BLOCKS, 1):
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
        x = layers.DepthwiseConv2D(
            (3, 3), padding="same" if stride == 1 else "valid", depth_multiplier=depth_multiplier,
            strides=(stride, stride), use_bias=False, name=f"conv_dw_{number}",
        )(x)  # fmt: skip
        x = _norm_relu6(x, f"conv_dw_{number}")
        x = layers.Conv2D(
            int(width * alpha), (1, 1), padding="same", use_bias=False, strides=(1, 1),
            name=f"conv_pw_{number}",
        )(x)  # fmt: skip
        x = _norm_relu6(x, f"conv_pw_{number}")
    return x


def _head(x: KerasTensor, request: Request, dropout: float) -> KerasTensor:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(request.classes, (1, 1), padding="same", name="conv_preds")(x)
    x = layers.Reshape((request.classes,), name="reshape_2")(x)
    return layers.Activation(request.classifier_activation, name="predictions")(x)


def MobileNet(
    input_shape: InputShape = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Weights = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: ActivationLike = "softmax",
    name: str | None = None,
) -> Model:
    """MobileNet, an image classifier for small devices (https://arxiv.org/abs/1704.04861).

    Published weights are for sizes of 128, 160, 192 and 224 and alphas of 0.25, 0.5, 0.75 and 1.

    Args:
        input_shape: Shape of one image, without the batch axis. With include_top=True the default is 224 by
            224 with 3 channels; otherwise any size is possible.
        alpha: Factor of all numbers of channels.
        depth_multiplier: Number of outputs of each depthwise convolution for each channel.
        dropout: Dropout rate before the classifier.
        include_top: Whether to end with a classifier of `classes` classes.
        weights: "imagenet" for the published weights (downloaded once to the folder `models` of Keras's
            cache), the path of a `.weights.h5` or `.h5` file, or None for random weights.
        input_tensor: Symbolic tensor to use as the input; a new `Input` if None.
        pooling: Without the classifier: "avg" or "max" pooling over the image, or None for none.
        classes: Number of classes; 1000 with the published weights.
        classifier_activation: Activation of the classifier; None for logits.
        name: Name of the model; "mobilenet_<alpha>_<size>" if None.

    Raises:
        ValueError: If arguments are invalid or conflict.
        DownloadError: Without network, if weights have to be downloaded.
    """
    side = square_side(input_shape)
    size = side if side in _SIZES else 224
    files = None
    if depth_multiplier == 1 and alpha in _ALPHAS:
        stem = f"mobilenet_{_ALPHAS[alpha]}_{size}_tf"
        files = Files(f"{STORE}mobilenet/", (f"{stem}.h5", None), (f"{stem}_no_top.h5", None))
    request = Request(
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name or ""
    )
    return build(
        with_default_name(request, "mobilenet", alpha, size, _SIZES),
        lambda x: _body(x, alpha, depth_multiplier),
        size,
        files=files,
        head=lambda x, request: _head(x, request, dropout),
        named_pooling=False,
    )


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for MobileNet: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
