"""Check for a list of samples where one array is expected: a list of arrays means several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.errors import LikelyMistakeWarning, ShapeError
from hornbeam.layers.weights import flatten_layers

_SHOWN = 4


def check_no_list_of_samples(
    x: object, inputs: Sequence[tuple[str, np.ndarray]], targets: Sequence[tuple[str, np.ndarray]]
) -> None:
    """Raise ShapeError for an `x` that is a list with one array for each sample.

    It is recognised by the length of the targets, without targets by images of different sizes.
    """
    if not isinstance(x, (list, tuple)) or len(inputs) < 2 or len(inputs) != len(x):
        return
    arrays = [array for _, array in inputs]
    lengths = {len(array) for array in arrays if array.ndim}
    if targets:
        if {len(array) for _, array in targets if array.ndim} != {len(arrays)} or lengths == {len(arrays)}:
            return
    elif len(lengths) < 2 or not all(_is_image(array) for array in arrays):
        return
    raise ShapeError(describe_samples("x", arrays))


def check_count(model: Any, samples: int, outputs: Tree) -> None:
    """Warn of predictions that are more or fewer than the samples: nothing tells which belongs to which.

    Graphs of ONNX files may mean it: boxes that were found, for example.
    """
    counts = {len(array) for array in tree.flatten(outputs) if getattr(array, "ndim", 0)} - {samples}
    if not counts or not all(getattr(layer, "keeps_samples", True) for layer in flatten_layers(model)):
        return
    for count in sorted(counts):
        warn_user(
            f"{model.describe()}: {samples:,} samples give {count:,} predictions: a layer joins or splits "
            "samples, such as a reshape to (-1, n), where (batch, n), or layers.Reshape((n,)), was meant",
            LikelyMistakeWarning,
        )


def describe_samples(name: str, arrays: Sequence[np.ndarray], kind: str = "a list") -> str:
    """Return the message for a list, or an array of objects, of samples: how they become one array."""
    shapes = list(dict.fromkeys(array.shape for array in arrays))
    count = len(arrays)
    if len(shapes) == 1:
        return (
            f"{name} is {kind} of {count} arrays of shape {shapes[0]}, which means {count} inputs. For "
            f"{count} samples make one array: np.stack({name})"
        )
    shown = [("x".join(map(str, shape[:2])) if _is_image(arrays[0]) else str(shape)) for shape in shapes]
    listed = " and ".join(shown) if len(shown) <= 2 else f"{', '.join(shown[:_SHOWN])} and others"
    if all(_is_image(array) for array in arrays):
        return (
            f"{name} is {kind} of {count} images of the sizes {listed}, but the images of a batch have one "
            "size: resize each of them (layers.Resizing, or target_size of utils.load_img), then "
            f"np.stack({name}). data.images_from_folder does both"
        )
    return (
        f"{name} is {kind} of {count} arrays of the shapes {listed}, but the samples of a batch have one "
        f"shape: pad them (utils.pad_sequences), then np.stack({name})"
    )


def _is_image(array: np.ndarray) -> bool:
    """True for an array (height, width) or (height, width, channels)."""
    return array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 2, 3, 4))
