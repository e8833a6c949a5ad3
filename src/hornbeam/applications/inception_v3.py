"""InceptionV3: blocks of parallel convolutions (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import layers
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.building import architecture, batch_norm, channel_axis, kernel_files, relu
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.pytorch import HALF, PyTorchVersion, farthest_first, pytorch_version
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.typing import Images

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

Step = tuple[int, int, int]  # channels, height and width of the kernel


def _conv(x: KerasTensor, step: Step, stride: int = 1, padding: str = "same") -> KerasTensor:
    width, rows, columns = step
    strides = (stride, stride)
    x = layers.Conv2D(width, (rows, columns), strides=strides, padding=padding, use_bias=False)(x)
    return relu(batch_norm(x, scale=pytorch_version() is not None))


def _path(x: KerasTensor, *steps: Step) -> KerasTensor:
    for step in steps:
        x = _conv(x, step)
    return x


def _concat(parts: Sequence[Any], name: str | None = None) -> KerasTensor:
    return layers.Concatenate(axis=channel_axis(), name=name)(parts)


def _avg_pool(x: KerasTensor) -> KerasTensor:
    if pytorch_version() is None:
        return layers.AveragePooling2D((3, 3), strides=(1, 1), padding="same")(x)
    x = layers.ZeroPadding2D(1)(x)  # there, means count the zeros beyond the border
    return layers.AveragePooling2D((3, 3), strides=(1, 1))(x)


def _max_pool(x: KerasTensor) -> KerasTensor:
    return layers.MaxPooling2D((3, 3), strides=(2, 2))(x)


def _block_a(x: KerasTensor, width: int, name: str) -> KerasTensor:
    return _concat(
        [
            _path(x, (64, 1, 1)),
            _path(x, (48, 1, 1), (64, 5, 5)),
            _path(x, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
            _path(_avg_pool(x), (width, 1, 1)),
        ],
        name,
    )


def _block_b(x: KerasTensor, width: int, name: str) -> KerasTensor:
    return _concat(
        [
            _path(x, (192, 1, 1)),
            _path(x, (width, 1, 1), (width, 1, 7), (192, 7, 1)),
            _path(x, (width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7)),
            _path(_avg_pool(x), (192, 1, 1)),
        ],
        name,
    )


def _block_c(x: KerasTensor, number: int) -> KerasTensor:
    straight = _path(x, (320, 1, 1))
    short = _path(x, (384, 1, 1))
    short = _concat([_conv(short, (384, 1, 3)), _conv(short, (384, 3, 1))], f"mixed9_{number}")
    long = _path(x, (448, 1, 1), (384, 3, 3))
    long = _concat([_conv(long, (384, 1, 3)), _conv(long, (384, 3, 1))])
    return _concat([straight, short, long, _path(_avg_pool(x), (192, 1, 1))], f"mixed{9 + number}")


def _body(x: KerasTensor) -> KerasTensor:
    x = _conv(x, (32, 3, 3), 2, "valid")
    x = _conv(_conv(x, (32, 3, 3), padding="valid"), (64, 3, 3))
    x = _max_pool(x)
    x = _conv(_conv(x, (80, 1, 1), padding="valid"), (192, 3, 3), padding="valid")
    x = _max_pool(x)
    for number, width in enumerate((32, 64, 64)):
        x = _block_a(x, width, f"mixed{number}")
    wide = _conv(x, (384, 3, 3), 2, "valid")
    narrow = _conv(_path(x, (64, 1, 1), (96, 3, 3)), (96, 3, 3), 2, "valid")
    x = _concat([wide, narrow, _max_pool(x)], "mixed3")
    for number, width in enumerate((128, 160, 160, 192), 4):
        x = _block_b(x, width, f"mixed{number}")
    short = _conv(_path(x, (192, 1, 1)), (320, 3, 3), 2, "valid")
    long = _conv(_path(x, (192, 1, 1), (192, 1, 7), (192, 7, 1)), (192, 3, 3), 2, "valid")
    x = _concat([short, long, _max_pool(x)], "mixed8")
    return _block_c(_block_c(x, 0), 1)


def _pytorch() -> PyTorchVersion:
    def steps(kind: str, count: int) -> list[str]:
        return [f"branch{kind}_{number}" for number in range(1, count + 1)]

    double, pool = steps("3x3dbl", 3), ["branch_pool"]
    a = [["branch1x1"], steps("5x5", 2), double, pool]
    b = [["branch1x1"], steps("7x7", 3), steps("7x7dbl", 5), pool]
    blocks = dict.fromkeys(("5b", "5c", "5d"), a) | {"6a": [["branch3x3"], double]}
    blocks |= dict.fromkeys(("6b", "6c", "6d", "6e"), b)
    blocks["7a"] = [steps("3x3", 2), steps("7x7x3", 4)]
    modules = [f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    for block, paths in blocks.items():
        modules += farthest_first(f"Mixed_{block}.", paths)
    # Their paths fork, and are joined before the end.
    forks = ("3x3dbl_1", "3x3_1", "3x3dbl_2", "3x3_2a", "3x3_2b", "3x3dbl_3a", "3x3dbl_3b", "1x1", "_pool")
    modules += [f"Mixed_{block}.branch{name}" for block in ("7b", "7c") for name in forks]
    unnamed = [(f"{module}.conv", f"{module}.bn") for module in modules]
    return PyTorchVersion(
        {"predictions": "fc"}, "torchvision's inception_v3", 1e-3, HALF, HALF, ("AuxLogits.",), unnamed
    )


InceptionV3 = architecture(
    "InceptionV3",
    "InceptionV3, an image classifier of parallel convolutions (https://arxiv.org/abs/1512.00567).",
    _body,
    name="inception_v3",
    size=299,
    min_size=75,
    named_pooling=False,
    pytorch=(_pytorch(),),
    files=kernel_files(
        "inception_v3", "inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"
    ),
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for InceptionV3: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
