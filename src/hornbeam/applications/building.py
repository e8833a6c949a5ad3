"""What every architecture does around its body: checks, the input, the classifier, the weights' file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbeam import activations, layers
from hornbeam.config import image_data_format
from hornbeam.core.symbolic import KerasTensor
from hornbeam.datasets.files import get_file, keras_home
from hornbeam.models import Functional, Model
from hornbeam.utils.session import get_source_inputs

STORE = "https://storage.googleapis.com/tensorflow/keras-applications/"

Body = Callable[[Any], Any]


@dataclass(frozen=True)
class Request:
    """What the caller of an architecture wants; see `ARGUMENTS`."""

    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str

    @property
    def pretrained(self) -> bool:
        """Whether the published weights are wanted."""
        return isinstance(self.weights, str) and self.weights == "imagenet"


@dataclass(frozen=True)
class Files:
    """Where the published weights are: address, and for each file its name and checksum (None: not known).

    A file without a checksum is not downloaded: who has it puts it where Keras keeps it.
    """

    address: str
    top: tuple[str, str | None]
    bare: tuple[str, str | None]
    # Name in the cache where it is not the name at the address.
    kept_as: tuple[str, str] | None = None


ARGUMENTS = """include_top: end with a classifier of `classes` classes and `classifier_activation` (None for
    logits). weights: "imagenet" for the published weights (downloaded once to the folder `models` of Keras's
    cache), the path of a `.weights.h5` or `.h5` file, or None for random ones. input_tensor: the symbolic
    tensor to begin with, an Input by default. input_shape: of one image; with include_top the size is {size}
    by default, otherwise free. pooling: without include_top, "avg" or "max" over the image, or None.

    Raises ValueError for arguments that do not fit together, DownloadError without network."""


def channel_axis(last: int = 3) -> int:
    """The axis of channels. last: how the last one is written in configs, 3 or -1."""
    return last if image_data_format() == "channels_last" else 1


def channels(x: Any) -> int:
    """Number of channels of a symbolic tensor."""
    return int(x.shape[channel_axis()])


def normalized(x: Any, name: str | None = None, axis: int = 3, **options: Any) -> Any:
    """Batch normalization over channels."""
    return layers.BatchNormalization(axis=channel_axis(axis), name=name, **options)(x)


def rectified(x: Any, name: str | None = None) -> Any:
    """max(x, 0)."""
    return layers.Activation("relu", name=name)(x)


def sides_of(shape: Sequence[int | None]) -> tuple[int | None, int | None]:
    """Height and width of images of a shape."""
    height, width = shape[:2] if image_data_format() == "channels_last" else shape[1:]
    return height, width


def square_side(shape: Any) -> int | None:
    """The side of images of a shape, or None unless they are square."""
    height, width = sides_of(shape) if shape is not None and len(shape) == 3 else (None, None)
    return height if height == width else None


def halving_pad(x: Any, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding with which a valid convolution of stride 2 sees what TensorFlow's "same" would show it."""
    first = 2 if channel_axis() == 1 else 1
    sizes = x.shape[first : first + 2]
    spare = (1, 1) if sizes[0] is None else tuple(1 - size % 2 for size in sizes)
    half = kernel // 2
    return (half - spare[0], half), (half - spare[1], half)


def divisible(value: float, divisor: int = 8, smallest: int | None = None) -> int:
    """The multiple of `divisor` nearest to a scaled number of channels, not more than a tenth below it."""
    found = max(smallest or divisor, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * value else found


# -- heads ---------------------------------------------------------------------------------------------------


def dense_head(
    x: Any, request: Request, pool: str | None = "avg_pool", dropout: float = 0.0, **dense: Any
) -> Any:
    """Mean over the image, then a dense classifier."""
    x = layers.GlobalAveragePooling2D(name=pool)(x)
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    activation = request.classifier_activation
    return layers.Dense(request.classes, activation=activation, name="predictions", **dense)(x)


def pooled(x: Any, request: Request, named: bool) -> Any:
    """What a model without a classifier ends with."""
    if request.pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool" if named else None)(x)
    if request.pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool" if named else None)(x)
    return x


# -- the whole -----------------------------------------------------------------------------------------------


def build(
    request: Request,
    body: Body,
    size: int,
    smallest: int = 32,
    files: Files | None = None,
    head: Callable[[Any, Request], Any] = dense_head,
    named_pooling: bool = True,
    tail: Body | None = None,
    free_size: bool = False,
) -> Model:
    """The model: input, `body`, and `head` or pooling (and `tail` behind that), with its weights.

    free_size: a classifier takes images of any size, too.
    """
    check(request)
    shape = image_shape(request, size, smallest, request.include_top and not free_size)
    image = layers.Input(shape) if request.input_tensor is None else request.input_tensor
    x = body(image)
    if request.include_top:
        x = head(x, request)
    else:
        x = pooled(x, request, named_pooling)
        x = tail(x) if tail is not None else x
    inputs = image if request.input_tensor is None else get_source_inputs(image)
    model = Functional(
        inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs, x, request.name
    )
    if request.weights is not None:
        model.load_weights(weights_file(request, files))
    return model


def check(request: Request) -> None:
    """Raise ValueError for arguments that do not fit together."""
    weights = request.weights
    if weights is not None and not request.pretrained and not os.path.isfile(weights):
        raise ValueError(f'weights must be None, "imagenet" or the path of a file; there is no {weights!r}')
    if request.pretrained and request.include_top and request.classes != 1000:
        raise ValueError(
            f'weights="imagenet" know 1000 classes, got classes={request.classes}: take include_top=False '
            "and put a layer of your own on top, or weights=None"
        )
    if request.pooling not in (None, "avg", "max"):
        raise ValueError(f'pooling must be None, "avg" or "max", got {request.pooling!r}')
    if request.input_tensor is not None and not isinstance(request.input_tensor, KerasTensor):
        raise ValueError(
            f"input_tensor must be a symbolic tensor such as Input(...), got {request.input_tensor!r}"
        )
    kinds = (activations.get("softmax"), activations.get(None))
    given = request.classifier_activation
    if weights is not None and request.include_top and activations.get(given) not in kinds:
        raise ValueError(
            f'with weights, classifier_activation must be "softmax" or None (logits), got {given!r}'
        )


def image_shape(request: Request, size: int, smallest: int, fixed: bool) -> tuple[int | None, ...]:
    """The shape of one image: the caller's, or the default. ValueError for one that cannot work."""
    last = image_data_format() == "channels_last"
    shape = request.input_shape
    if shape is None:
        side: int | None = size if fixed else None
        return (side, side, 3) if last else (3, side, side)
    shape = tuple(shape)
    if len(shape) != 3:
        raise ValueError(f"input_shape must be that of one image, such as ({size}, {size}, 3), got {shape}")
    (height, width), depth = sides_of(shape), shape[-1 if last else 0]
    if request.pretrained and depth != 3:
        raise ValueError(f"the published weights are for images of 3 channels, got input_shape={shape}")
    if fixed and request.pretrained and (height, width) != (size, size):
        raise ValueError(
            f"the published classifier is for images of {size} by {size}, got input_shape={shape}: take "
            "include_top=False for another size"
        )
    if any(side is not None and side < smallest for side in (height, width)):
        raise ValueError(f"images must be at least {smallest} by {smallest}, got input_shape={shape}")
    if fixed and None in shape:
        raise ValueError(f"with include_top the size must be known, got input_shape={shape}")
    return shape


def weights_file(request: Request, files: Files | None) -> str:
    """The path of the weights: the caller's, or the published ones, downloaded if need be."""
    if not request.pretrained:
        return os.fspath(request.weights)
    if files is None:
        raise ValueError(
            f"there are no published weights for {request.name!r} with these arguments: take weights=None or "
            "the path of a file"
        )
    name, checksum = files.top if request.include_top else files.bare
    kept = name if files.kept_as is None else files.kept_as[0 if request.include_top else 1]
    if checksum is not None:
        return get_file(kept, files.address + name, cache_subdir="models", file_hash=checksum)
    place = keras_home() / "models" / kept
    if not place.is_file():
        raise ValueError(
            f"no checksum is known for {files.address}{name}, so it is not downloaded: save it as {place}, "
            "or pass the path of your copy as weights"
        )
    return str(place)


def published(folder: str, stem: str, top: str | None, bare: str | None, sep: str = "_") -> Files:
    """Files that are named as most are: `<stem>.h5` and `<stem>_notop.h5`."""
    return Files(f"{STORE}{folder}/", (f"{stem}.h5", top), (f"{stem}{sep}notop.h5", bare))


def kernels(folder: str, name: str, top: str, bare: str) -> Files:
    """Files of the oldest architectures, whose names say in which order the kernels' axes stand."""
    return published(folder, f"{name}_weights_tf_dim_ordering_tf_kernels", top, bare)


def architecture(
    class_name: str, about: str, body: Body, *, name: str, size: int, **options: Any
) -> Callable[..., Model]:
    """The function that makes a model of an architecture, with Keras's arguments.

    body: from the image to the last features. options: see `build`.
    """

    def make(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = name,
    ) -> Model:
        request = Request(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
        )
        return build(request, body, size, **options)

    return described(make, class_name, about, size)


def described(make: Callable[..., Model], class_name: str, about: str, size: int) -> Callable[..., Model]:
    """`make`, with the name and docstring of the architecture."""
    make.__name__ = make.__qualname__ = class_name
    make.__doc__ = f"{about}\n\n    {ARGUMENTS.format(size=size)}\n    "
    return make


def cached(name: str) -> Path:
    """Where Keras keeps a file about models."""
    return keras_home() / "models" / name
