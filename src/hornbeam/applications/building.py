"""Parts that all architectures have in common: checks, input, classifier, weights and documentation."""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hornbeam import activations, layers
from hornbeam._internal.typing import ActivationLike
from hornbeam.applications.pytorch import (
    PyTorchVersion,
    best_version,
    building,
    load_pytorch,
    pytorch_arrays,
    pytorch_version,
)
from hornbeam.config import image_data_format
from hornbeam.core.symbolic import KerasTensor
from hornbeam.datasets.files import get_file, keras_home
from hornbeam.models import Functional, Model
from hornbeam.utils.session import get_source_inputs

STORE = "https://storage.googleapis.com/tensorflow/keras-applications/"

Body = Callable[[KerasTensor], KerasTensor]
Weights = str | os.PathLike[str] | None
InputShape = Sequence[int | None] | None
ModelFunction = TypeVar("ModelFunction", bound=Callable[..., Model])


@dataclass(frozen=True)
class Request:
    """Arguments of an architecture; see `ARGUMENTS`."""

    include_top: bool
    weights: Weights
    input_tensor: KerasTensor | None
    input_shape: InputShape
    pooling: str | None
    classes: int
    classifier_activation: ActivationLike
    name: str

    @property
    def pretrained(self) -> bool:
        """True if the published weights are requested."""
        return isinstance(self.weights, str) and self.weights == "imagenet"


class Architecture(Protocol):
    """Function that builds a model of an architecture."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        name: str = ...,
    ) -> Model: ...


@dataclass(frozen=True)
class Files:
    """Published weights: address, and name and checksum of the files with and without top.

    The checksum is None where Keras publishes none: a line on stderr says so before the download.
    """

    address: str
    top: tuple[str, str | None]
    no_top: tuple[str, str | None]
    # Names in the cache where they differ from those at the address.
    cache_names: tuple[str, str] | None = None


# One wording of each argument for all architectures. {size}: default side of images.
ARGUMENTS = {
    "input_shape": (
        "Shape of one image, without the batch axis. With include_top=True the default is {size}; otherwise "
        "any size is possible."
    ),
    "include_top": "True to end with a classifier of `classes` classes.",
    "include_preprocessing": "True if the model rescales images of 0 to 255 itself.",
    "weights": (
        '"imagenet" for the published weights (downloaded once to the folder `models` of Keras\'s cache), '
        "the path of a `.weights.h5` or `.h5` file, or of one that PyTorch trained (`.pth`, `.safetensors`; "
        "the model is then built as torchvision's and normalizes images of 0 to 255 itself, see "
        "docs/pretrained.md), or None for random weights."
    ),
    "input_tensor": "Symbolic tensor to use as the input; a new `Input` if None.",
    "pooling": 'Without the classifier: "avg" or "max" pooling over the image, or None for none.',
    "classes": "Number of classes; 1000 with the published weights.",
    "classifier_activation": "Activation of the classifier; None for logits.",
    "name": "Name of the model.",
}
_RAISES = {
    "ValueError": "If arguments are invalid or conflict.",
    "DownloadError": "If weights have to be downloaded and the network is not available.",
}


def channel_axis(last: int = 3) -> int:
    """Return the axis of channels. last: value for channels last in configs, 3 or -1."""
    return last if image_data_format() == "channels_last" else 1


def channels(x: KerasTensor) -> int:
    """Return the number of channels of a symbolic tensor."""
    return int(x.shape[channel_axis()])


def batch_norm(x: KerasTensor, name: str | None = None, axis: int = 3, **options: Any) -> KerasTensor:
    """Apply batch normalization over channels."""
    version = pytorch_version()
    if version is not None:
        options["epsilon"] = version.epsilon
    return layers.BatchNormalization(axis=channel_axis(axis), name=name, **options)(x)


def relu(x: KerasTensor, name: str | None = None) -> KerasTensor:
    """Apply max(x, 0)."""
    return layers.Activation("relu", name=name)(x)


def image_size(shape: Sequence[int | None]) -> tuple[int | None, int | None]:
    """Return height and width of an image shape."""
    height, width = shape[:2] if image_data_format() == "channels_last" else shape[1:]
    return height, width


def square_side(shape: InputShape) -> int | None:
    """Return the side of images of a shape, or None unless they are square."""
    height, width = image_size(shape) if shape is not None and len(shape) == 3 else (None, None)
    return height if height == width else None


def same_padding_stride_2(x: KerasTensor, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding that makes a valid convolution of stride 2 equal TensorFlow's "same".

    PyTorch pads both sides alike.
    """
    if pytorch_version() is not None:
        return (kernel // 2, kernel // 2), (kernel // 2, kernel // 2)
    first = 2 if channel_axis() == 1 else 1
    sizes = x.shape[first : first + 2]
    reduction = (1, 1) if sizes[0] is None else tuple(1 - size % 2 for size in sizes)
    half = kernel // 2
    return (half - reduction[0], half), (half - reduction[1], half)


def pad_strided(x: KerasTensor, kernel: int, stride: int) -> tuple[KerasTensor, str]:
    """Return the input of a strided convolution, and the padding that it needs: "same" as Keras has it.

    PyTorch pads both sides alike, so there zeros are added before.
    """
    if stride == 1 or pytorch_version() is None:
        return x, "same"
    return layers.ZeroPadding2D(kernel // 2)(x), "valid"


def round_channels(value: float, divisor: int = 8, minimum: int | None = None) -> int:
    """Return the multiple of `divisor` nearest to a scaled number of channels, at most a tenth below it."""
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


# -- heads ---------------------------------------------------------------------------------------------------


def dense_head(
    x: KerasTensor, request: Request, pool: str | None = "avg_pool", dropout: float = 0.0, **dense: Any
) -> KerasTensor:
    """Apply global average pooling and a dense classifier."""
    x = layers.GlobalAveragePooling2D(name=pool)(x)
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    activation = request.classifier_activation
    return layers.Dense(request.classes, activation=activation, name="predictions", **dense)(x)


def pool_features(x: KerasTensor, request: Request, named: bool) -> KerasTensor:
    """Apply the pooling of a model without a classifier."""
    if request.pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool" if named else None)(x)
    if request.pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool" if named else None)(x)
    return x


# -- models --------------------------------------------------------------------------------------------------


def build(
    request: Request,
    body: Body,
    size: int,
    min_size: int = 32,
    files: Files | None = None,
    head: Callable[[KerasTensor, Request], KerasTensor] = dense_head,
    named_pooling: bool = True,
    tail: Body | None = None,
    free_size: bool = False,
    pytorch: Sequence[PyTorchVersion] = (),
    normalize: bool = True,
) -> Model:
    """Build a model: input, `body`, and `head` or pooling (followed by `tail`), and load its weights.

    free_size: a classifier accepts images of any size, too. pytorch: PyTorch's versions, for their weights.
    normalize: that version normalizes images itself.
    """
    check(request)
    arrays = None if request.pretrained else pytorch_arrays(request.weights)
    if arrays is not None and not pytorch:
        raise ValueError(
            f"no names of PyTorch's layers are known for {request.name!r} with these arguments, which "
            f"weights={os.fspath(request.weights or '')!r} needs: pass weights of Keras, or None"
        )
    version = None if arrays is None else best_version(arrays, pytorch)
    with building(version):
        model = _connected(request, body, size, min_size, head, named_pooling, tail, free_size, normalize)
    if arrays is not None and version is not None:
        load_pytorch(model, arrays, version, request.weights)
    elif request.weights is not None:
        model.load_weights(weights_file(request, files))
    return model


def _connected(
    request: Request,
    body: Body,
    size: int,
    min_size: int,
    head: Callable[[KerasTensor, Request], KerasTensor],
    named_pooling: bool,
    tail: Body | None,
    free_size: bool,
    normalize: bool,
) -> Model:
    shape = image_shape(request, size, min_size, request.include_top and not free_size)
    image = layers.Input(shape) if request.input_tensor is None else request.input_tensor
    x = body(_normalized(image) if normalize else image)
    if request.include_top:
        x = head(x, request)
    else:
        x = pool_features(x, request, named_pooling)
        x = tail(x) if tail is not None else x
    inputs = image if request.input_tensor is None else get_source_inputs(image)
    return Functional(inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs, x, request.name)


def _normalized(image: KerasTensor) -> KerasTensor:
    """Normalize images of 0 to 255 as PyTorch's weights were trained; others are left to the caller."""
    version = pytorch_version()
    if version is None:
        return image
    if channels(image) != 3:
        raise ValueError(f"PyTorch's weights are for images of 3 channels, got {channels(image)}")
    mean, variance = [255 * m for m in version.mean], [(255 * d) ** 2 for d in version.deviation]
    axis = channel_axis()
    return layers.Normalization(axis=axis, mean=mean, variance=variance, name="normalization")(image)


def check(request: Request) -> None:
    """Raise ValueError for invalid or conflicting arguments."""
    weights = request.weights
    if weights is not None and not request.pretrained and not os.path.isfile(weights):
        on_hub = str(weights).startswith("hf://")
        advice = f". Download it: weights=hornbeam.hub.download({weights!r})" if on_hub else ""
        raise ValueError(
            f'weights must be None, "imagenet" or the path of a file, but {weights!r} does not exist{advice}'
        )
    if request.pretrained and request.include_top and request.classes != 1000:
        raise ValueError(
            f'weights="imagenet" have 1000 classes, got classes={request.classes}: set include_top=False and '
            "add a classifier, or set weights=None"
        )
    if request.pooling not in (None, "avg", "max"):
        raise ValueError(f'pooling must be None, "avg" or "max", got {request.pooling!r}')
    if request.input_tensor is not None and not isinstance(request.input_tensor, KerasTensor):
        raise ValueError(
            f"input_tensor must be a symbolic tensor such as Input(...), got {request.input_tensor!r}"
        )
    allowed = (activations.get("softmax"), activations.get(None))
    activation = request.classifier_activation
    if weights is not None and request.include_top and activations.get(activation) not in allowed:
        raise ValueError(
            f'with weights, classifier_activation must be "softmax" or None (logits), got {activation!r}'
        )


def image_shape(request: Request, size: int, min_size: int, fixed: bool) -> tuple[int | None, ...]:
    """Return the shape of one image: the caller's, or the default. Raises ValueError for impossible ones."""
    channels_last = image_data_format() == "channels_last"
    shape = request.input_shape
    if shape is None:
        side: int | None = size if fixed else None
        return (side, side, 3) if channels_last else (3, side, side)
    shape = tuple(shape)
    if len(shape) != 3:
        raise ValueError(f"input_shape must be that of one image, such as ({size}, {size}, 3), got {shape}")
    (height, width), depth = image_size(shape), shape[-1 if channels_last else 0]
    if request.pretrained and depth != 3:
        raise ValueError(f"the published weights are for images of 3 channels, got input_shape={shape}")
    if fixed and request.pretrained and (height, width) != (size, size):
        raise ValueError(
            f"the published classifier is for images of {size} by {size}, got input_shape={shape}: set "
            "include_top=False for another size"
        )
    if any(side is not None and side < min_size for side in (height, width)):
        raise ValueError(f"images must be at least {min_size} by {min_size}, got input_shape={shape}")
    if fixed and None in shape:
        raise ValueError(f"with include_top=True the size must be known, got input_shape={shape}")
    return shape


def weights_file(request: Request, files: Files | None) -> str:
    """Return the path of the weights: the caller's, or the published ones, downloaded if missing."""
    if not request.pretrained:
        assert request.weights is not None
        return os.fspath(request.weights)
    if files is None:
        raise ValueError(
            f"no weights of {request.name!r} with these arguments are published: set weights=None or the "
            "path of a file"
        )
    name, checksum = files.top if request.include_top else files.no_top
    cache_name = name if files.cache_names is None else files.cache_names[0 if request.include_top else 1]
    if checksum is None and not cache_path(cache_name).is_file():
        print(f"{name} has no published checksum: its download cannot be verified", file=sys.stderr)
    return get_file(cache_name, files.address + name, cache_subdir="models", file_hash=checksum)


def published(folder: str, stem: str, top: str | None, no_top: str | None, sep: str = "_") -> Files:
    """Return the files of an architecture with the usual names: `<stem>.h5` and `<stem>_notop.h5`."""
    return Files(f"{STORE}{folder}/", (f"{stem}.h5", top), (f"{stem}{sep}notop.h5", no_top))


def kernel_files(folder: str, name: str, top: str, no_top: str) -> Files:
    """Return the files of the oldest architectures, whose names state the axis order of kernels."""
    return published(folder, f"{name}_weights_tf_dim_ordering_tf_kernels", top, no_top)


def architecture(
    class_name: str, summary: str, body: Body, *, name: str, size: int, **options: Any
) -> Architecture:
    """Return the function that builds a model of an architecture, with Keras's arguments.

    body: function from the image to the last features. options: see `build`.
    """

    def create(
        include_top: bool = True,
        weights: Weights = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: InputShape = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: ActivationLike = "softmax",
        name: str = name,
    ) -> Model:
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        return build(request, body, size, **options)

    return document(create, class_name, summary, size)


def document(
    function: ModelFunction,
    class_name: str,
    summary: str,
    size: int | None,
    arguments: Mapping[str, str] | None = None,
) -> ModelFunction:
    """Return `function` with the name and docstring of an architecture.

    size: default side of images, None if any size is possible. arguments: descriptions of further arguments.
    """
    default = f"{size} by {size} with 3 channels" if size is not None else "any size with 3 channels"
    descriptions = {**ARGUMENTS, **(arguments or {})}
    lines = [textwrap.fill(summary, 100), "", "Args:"]
    for name in inspect.signature(function).parameters:
        lines.append(_entry(name, descriptions[name].replace("{size}", default)))
    lines += ["", "Raises:", *(_entry(name, text) for name, text in _RAISES.items())]
    function.__name__ = function.__qualname__ = class_name
    function.__doc__ = textwrap.indent("\n".join(lines), "    ").lstrip() + "\n    "
    return function


def _entry(name: str, text: str) -> str:
    """Return an entry of a section, wrapped and indented."""
    return textwrap.fill(f"{name}: {text}", 100, initial_indent=" " * 4, subsequent_indent=" " * 8)


def cache_path(name: str) -> Path:
    """Return the path of a file about models in Keras's cache."""
    return keras_home() / "models" / name
