"""ConvNeXt: a residual network designed like transformers, with large depthwise kernels.

Liu et al. 2022, https://arxiv.org/abs/2201.03545.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hornbeam import initializers, layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ActivationLike, ShapeLike
from hornbeam.applications.building import InputShape, Request, Weights, build, channels, document, published
from hornbeam.applications.imagenet_utils import DEVIATION, MEAN
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import PyTorchVersion, pytorch_version
from hornbeam.config import image_data_format
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Images
from hornbeam.models import Model, Sequential

__all__ = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge",
    "decode_predictions", "preprocess_input",
]  # fmt: skip

# Blocks and channels of the four stages; checksums of the files with and without classifier.
_VERSIONS = {
    "Tiny": (
        (3, 3, 9, 3), (96, 192, 384, 768),
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "Small": (
        (3, 3, 27, 3), (96, 192, 384, 768),
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "Base": (
        (3, 3, 27, 3), (128, 256, 512, 1024),
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "Large": (
        (3, 3, 27, 3), (192, 384, 768, 1536),
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "XLarge": (
        (3, 3, 27, 3), (256, 512, 1024, 2048),
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}  # fmt: skip
_EPSILON = 1e-6
_SCALE = 1e-6  # initial scale of a block's residual


@exported("keras.src.applications.convnext")
class LayerScale(layers.Layer):
    """y = x * gamma, with one trainable gamma a channel.

    Args:
        init_values: Initial value of gamma.
        projection_dim: Number of channels.
        **kwargs: Arguments of every layer, such as `name` and `dtype`.
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: ShapeLike) -> None:
        start = initializers.Constant(self.init_values)
        self.gamma = self.add_weight(shape=(self.projection_dim,), initializer=start)

    def call(self, x: Tensor) -> Tensor:
        return x * self.gamma


def _norm(name: str | None = None) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=_EPSILON, name=name)


def _block(shortcut: KerasTensor, width: int, name: str) -> KerasTensor:
    x = layers.Conv2D(width, kernel_size=7, padding="same", groups=width, name=f"{name}_depthwise_conv")(
        shortcut
    )
    x = _norm(f"{name}_layernorm")(x)
    x = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(width, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(_SCALE, width, name=f"{name}_layer_scale")(x)
    return shortcut + layers.Activation("linear", name=f"{name}_identity")(x)


def _downsampling(stage: int, width: int, name: str) -> Sequential:
    """Return the layers before a stage: patches for the first one, half the size for the others."""
    if stage == 0:
        patches = layers.Conv2D(width, kernel_size=4, strides=4, name=f"{name}_stem_conv")
        return Sequential([patches, _norm(f"{name}_stem_layernorm")], name=f"{name}_stem")
    number = stage - 1
    half = layers.Conv2D(width, kernel_size=2, strides=2, name=f"{name}_downsampling_conv_{number}")
    norm = _norm(f"{name}_downsampling_layernorm_{number}")
    return Sequential([norm, half], name=f"{name}_downsampling_block_{number}")


def _body(
    x: KerasTensor, depths: Sequence[int], widths: Sequence[int], name: str, preprocess: bool
) -> KerasTensor:
    if preprocess and channels(x) == 3 and pytorch_version() is None:
        mean, variance = [255 * m for m in MEAN], [(255 * d) ** 2 for d in DEVIATION]
        label = f"{name}_prestem_normalization"
        x = layers.Normalization(mean=mean, variance=variance, name=label)(x)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        x = _downsampling(stage, width, name)(x)
        for number in range(depth):
            x = _block(x, width, f"{name}_stage_{stage}_block_{number}")
    return x


def _head(x: KerasTensor, request: Request) -> KerasTensor:
    name = request.name
    x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
    x = _norm(f"{name}_head_layernorm")(x)
    activation = request.classifier_activation
    return layers.Dense(request.classes, activation=activation, name=f"{name}_head_dense")(x)


def _pytorch(version: str, depths: Sequence[int], name: str) -> list[PyTorchVersion]:
    versions = [_timm(version, depths, name)]
    return versions if version == "XLarge" else [_torchvision(version, depths, name), *versions]


def _timm(version: str, depths: Sequence[int], name: str) -> PyTorchVersion:
    names = {f"{name}_stem_conv": "stem.0", f"{name}_stem_layernorm": "stem.1"}
    names |= {f"{name}_head_layernorm": "head.norm", f"{name}_head_dense": "head.fc"}
    for stage, depth in enumerate(depths):
        if stage:
            names[f"{name}_downsampling_layernorm_{stage - 1}"] = f"stages.{stage}.downsample.0"
            names[f"{name}_downsampling_conv_{stage - 1}"] = f"stages.{stage}.downsample.1"
        for number in range(depth):
            here, there = f"{name}_stage_{stage}_block_{number}_", f"stages.{stage}.blocks.{number}."
            names |= {f"{here}depthwise_conv": f"{there}conv_dw", f"{here}layernorm": f"{there}norm"}
            names |= {
                f"{here}pointwise_conv_1": f"{there}mlp.fc1",
                f"{here}pointwise_conv_2": f"{there}mlp.fc2",
            }
            names[f"{here}layer_scale"] = f"{there}gamma"
    return PyTorchVersion(names, f"timm's convnext_{version.lower()}")


def _torchvision(version: str, depths: Sequence[int], name: str) -> PyTorchVersion:
    names = {f"{name}_stem_conv": "features.0.0", f"{name}_stem_layernorm": "features.0.1"}
    names |= {f"{name}_head_layernorm": "classifier.0", f"{name}_head_dense": "classifier.2"}
    for stage, depth in enumerate(depths):
        if stage:
            names[f"{name}_downsampling_layernorm_{stage - 1}"] = f"features.{2 * stage}.0"
            names[f"{name}_downsampling_conv_{stage - 1}"] = f"features.{2 * stage}.1"
        for number in range(depth):
            here = f"{name}_stage_{stage}_block_{number}_"
            there = f"features.{2 * stage + 1}.{number}."
            names |= {f"{here}depthwise_conv": f"{there}block.0", f"{here}layernorm": f"{there}block.2"}
            names |= {
                f"{here}pointwise_conv_1": f"{there}block.3",
                f"{here}pointwise_conv_2": f"{there}block.5",
            }
            names[f"{here}layer_scale"] = f"{there}layer_scale"
    return PyTorchVersion(names, f"torchvision's convnext_{version.lower()}")


class ConvNeXt(Protocol):
    """Function that builds a ConvNeXt."""

    def __call__(
        self,
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        name: str = ...,
    ) -> Model: ...


def _version(version: str) -> ConvNeXt:
    depths, widths, top, no_top = _VERSIONS[version]
    stem = f"convnext_{version.lower()}"

    def create(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        name: str = stem,
    ) -> Model:
        if image_data_format() == "channels_first":
            raise ValueError(
                "ConvNeXt needs images with channels last: set_image_data_format('channels_last')"
            )
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        return build(
            request,
            lambda x: _body(x, depths, widths, name, include_preprocessing),
            224,
            files=published("convnext", stem, top, no_top),
            head=_head,
            named_pooling=False,
            tail=lambda x: _norm()(x),
            pytorch=_pytorch(version, depths, name),
            normalize=include_preprocessing,
        )

    summary = f"ConvNeXt{version}, an image classifier (https://arxiv.org/abs/2201.03545)."
    return document(create, f"ConvNeXt{version}", summary, 224)


ConvNeXtTiny = _version("Tiny")
ConvNeXtSmall = _version("Small")
ConvNeXtBase = _version("Base")
ConvNeXtLarge = _version("Large")
ConvNeXtXLarge = _version("XLarge")


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Return `x` unchanged: ConvNeXt accepts images of 0 to 255 (see `include_preprocessing`).

    Args:
        x: Image or batch of images.
        data_format: Unused.
    """
    return x


explain_missing(__name__)
