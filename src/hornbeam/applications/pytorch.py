"""Weights that PyTorch trained: names of modules, layouts of arrays, and how its architectures differ.

A body asks `pytorch_version()` where PyTorch's version of the architecture computes something else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.context import context_variable, override
from hornbeam.errors import ModelFileError
from hornbeam.models import Model
from hornbeam.saving.arrays import PYTORCH, assign_arrays, load_arrays
from hornbeam.saving.model_parts import weight_names

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

Arrays = dict[str, np.ndarray]

# Names of variables here and in PyTorch. Those of a LayerScale are parameters of their blocks.
_LEAVES = {
    "kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var", "depthwise_kernel": "conv1.weight",
    "pointwise_kernel": "pointwise.weight",
}  # fmt: skip
# Names of DenseNet's normalizations and convolutions in files before PyTorch 0.4.
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


@dataclass(frozen=True)
class PyTorchVersion:
    """The version of an architecture that PyTorch has, and its differences.

    Attributes:
        names: From names of layers here to names of modules there, those of the classifier included.
        source: The library and function that has this version.
        epsilon: Of batch normalizations.
        mean: Means of channels, for images of 0 to 1.
        deviation: Standard deviations of channels.
        unused: Start of names that inference does not use.
        unnamed: Modules of the convolutions without names, in the order of `model.layers`, and those of their
            normalizations.
        changes: By layer, how an array of the file becomes its kernel, if not by transposition.
    """

    names: Mapping[str, str]
    source: str
    epsilon: float = 1e-5
    mean: Sequence[float] = MEAN
    deviation: Sequence[float] = DEVIATION
    unused: tuple[str, ...] = ()
    unnamed: Sequence[tuple[str, str]] = ()
    changes: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None


_KERAS: PyTorchVersion | None = None
_version = context_variable("version of an architecture", _KERAS)


def pytorch_version() -> PyTorchVersion | None:
    """Return the version of PyTorch that is built, or None for that of Keras."""
    return _version.get()


@contextmanager
def building(version: PyTorchVersion | None) -> Iterator[None]:
    """Build PyTorch's version inside a `with` block; None for that of Keras."""
    with override(_version, version):
        yield


def pytorch_arrays(path: Any) -> Arrays | None:
    """Return the arrays of a file with PyTorch's names ("conv1.weight"), or None for any other file.

    Raises:
        ModelFileError: If the file cannot be read.
    """
    name = os.fspath(path) if path is not None else ""
    if not name.endswith((*PYTORCH, ".safetensors")):
        return None
    arrays = load_arrays(name)
    if name.endswith(".safetensors") and any("/" in key for key in arrays):
        return None
    prefix = "module."  # of DataParallel
    if arrays and all(key.startswith(prefix) for key in arrays):
        arrays = {key.removeprefix(prefix): array for key, array in arrays.items()}
    return {_OLD_NAME.sub(r"\1\2.", key): array for key, array in arrays.items()}


def best_version(arrays: Arrays, versions: Sequence[PyTorchVersion]) -> PyTorchVersion:
    """Return the version of which a file has the most modules; the first one if it has none."""
    modules = {name.rpartition(".")[0] for name in arrays}
    return max(versions, key=lambda version: len(modules.intersection(version.names.values())))


def farthest_first(prefix: str, paths: Sequence[Sequence[str]]) -> list[str]:
    """Return the modules of a block of parallel paths in the order of `model.layers`.

    Those farthest from the end of the block are first, and paths in order.
    """
    longest = max(len(path) for path in paths)
    return [
        prefix + path[-distance]
        for distance in range(longest, 0, -1)
        for path in paths
        if len(path) >= distance
    ]


def load_pytorch(model: Model, arrays: Arrays, version: PyTorchVersion, path: Any) -> None:
    """Load arrays with PyTorch's names into a model that was built as its version.

    Raises:
        ModelFileError: If the file is of another architecture, or does not fit.
    """
    weights = weight_names(model)
    modules = modules_of([weight for weight, _ in weights], version)
    present = sum(name in arrays for name in modules.values())
    if present < len(modules) / 2:
        needed, names_there = ", ".join(list(modules.values())[:2]), ", ".join(list(arrays)[:3])
        raise ModelFileError(
            f"{os.fspath(path)!r} is not of {version.source}: it has {present} of the {len(modules)} arrays, "
            f"such as {needed}. Its first ones are {names_there}"
        )
    used = set(modules.values())
    absent = [
        f"{name}." for name in version.names.values() if not any(x.startswith(f"{name}.") for x in used)
    ]
    ignored = (*version.unused, *absent)  # a classifier that the model does not have
    stored = {
        name: array
        for name, array in arrays.items()
        if not name.startswith(ignored) and not name.endswith(".num_batches_tracked")
    }
    changes = version.changes or {}
    names = {
        weight: (modules[weight], _change(tuple(variable.shape), changes.get(weight.rpartition("/")[0])))
        for weight, variable in weights
    }
    try:
        assign_arrays(weights, stored, names)
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)!r}, read as {version.source}: {error}") from None


def modules_of(weights: Sequence[str], version: PyTorchVersion) -> dict[str, str]:
    """Return the names in PyTorch of a model's weights (see `weight_names`), by their names here."""
    layers = dict.fromkeys(weight.split("/")[-2] for weight in weights)
    names = dict(version.names)
    for part, kind in enumerate(("conv2d", "batch_normalization")):
        unnamed = [layer for layer in layers if layer not in version.names and layer.startswith(kind)]
        names |= zip(unnamed, (modules[part] for modules in version.unnamed), strict=False)
    return {weight: _module(weight, names) for weight in weights}


def _module(weight: str, names: Mapping[str, str]) -> str:
    layer, leaf = weight.split("/")[-2:]
    module = names.get(layer, layer)
    return module if module.endswith((".layer_scale", ".gamma")) else f"{module}.{_LEAVES.get(leaf, leaf)}"


def _change(
    shape: tuple[int, ...], change: Callable[[np.ndarray], np.ndarray] | None
) -> Callable[[np.ndarray], np.ndarray]:
    def changed(array: np.ndarray) -> np.ndarray:
        return to_layout(array if change is None else change(array), shape)

    return changed


def to_layout(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a weight of PyTorch in the layout of Keras, or as it is if it does not fit.

    Kernels (outputs, inputs, height, width) become (height, width, inputs, outputs), depthwise ones (outputs,
    1, height, width) become (height, width, outputs, 1), and dense ones (outputs, inputs) are transposed.
    """
    if array.shape == shape and array.ndim == 1:
        return array
    for axes in {4: ((2, 3, 1, 0), (2, 3, 0, 1)), 2: ((1, 0),)}.get(array.ndim, ()):
        turned = array.transpose(axes)
        if turned.shape == shape:
            return turned
    # A convolution of 1x1 is a dense layer, and the other way round; a LayerScale has axes of size 1.
    if array.ndim == 2 and shape == (1, 1, *array.shape[::-1]):
        return array.T.reshape(shape)
    if array.ndim == 4 and shape == array.shape[1::-1] and array.shape[2:] == (1, 1):
        return array.reshape(shape[::-1]).T
    if array.ndim == 3 and array.size == shape[0] and len(shape) == 1:
        return array.reshape(shape)
    return array
