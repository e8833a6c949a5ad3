"""Weights in Keras 3's HDF5 layout: `<path of attributes>/vars/<index>` for every layer and the optimizer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py
import numpy as np

from hornbeam.layers import Layer
from hornbeam.naming import to_snake_case
from hornbeam.optimizers import Optimizer
from hornbeam.saving.files import ModelFileError, replace_file


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the model's weights to a `.weights.h5` file.

    Raises ValueError for another ending or a model without weights yet, FileExistsError unless `overwrite`.
    """
    _check_name(filepath)
    if not model.built:
        raise ValueError("the model has no weights yet: build it or call it on data before saving weights")
    with replace_file(filepath, overwrite) as file:
        write_weights(model, file, optimizer=False)


def load_weights(model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Read a `.weights.h5` file into the model. All or nothing: the file is checked before a weight is
    changed.

    With `skip_mismatch`, weights that are missing or differ in shape keep their values. Raises
    ModelFileError.
    """
    _check_name(filepath)
    if not model.built:
        raise ValueError("the model has no weights yet: build it or call it on data before loading weights")
    with open(filepath, "rb") as file:
        read_weights(model, file, optimizer=False, skip_mismatch=skip_mismatch)


def _check_name(filepath: str | os.PathLike[str]) -> None:
    if not os.fspath(filepath).endswith(".weights.h5"):
        raise ValueError(f'the name of a weights file must end in ".weights.h5", got {os.fspath(filepath)!r}')


def write_weights(model: Any, file: BinaryIO, optimizer: bool = True) -> None:
    """Write all weights, and the optimizer's state if wanted, to an open binary file."""
    with h5py.File(file, "w") as store:
        for path, part in _walk(model, optimizer):
            group = store.require_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = part.name
            for index, variable in enumerate(_own_variables(part)):
                # NumPy has no bfloat16 of its own and HDF5 none at all; float32 holds it exactly.
                array = variable.numpy()
                group[str(index)] = array.astype("float32") if variable.dtype == "bfloat16" else array


def read_weights(model: Any, file: BinaryIO, optimizer: bool = True, skip_mismatch: bool = False) -> None:
    """Read what `write_weights` (or Keras 3) wrote. Nothing is assigned unless everything fits."""
    try:
        store = h5py.File(file, "r")
    except OSError as error:
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from None
    problems: list[str] = []
    found: list[tuple[Any, h5py.Dataset]] = []
    with store:
        for path, part in _walk(model, optimizer):
            variables = _own_variables(part)
            for index, variable in enumerate(variables):
                name = f"{path}/vars/{index}" if path else f"vars/{index}"
                dataset = _dataset(store, name)
                problem = _mismatch(name, dataset, variable)
                if problem:
                    problems.append(problem)
                elif dataset is not None:
                    found.append((variable, dataset))
        if problems and not skip_mismatch:
            raise ModelFileError(
                f"the weights do not fit the model ({len(problems)} problems):\n  "
                + "\n  ".join(problems[:20])
            )
        arrays = [(variable, np.asarray(dataset[()])) for variable, dataset in found]
    for variable, array in arrays:
        variable.assign(array)


def _dataset(store: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset at `name`, reached by hard links only and stored inside this file."""
    place: Any = store
    for step in name.split("/"):
        link = place.get(step, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(
                f"the weights hold a link at {name!r}: links to other places are not followed"
            )
        place = place[step]
    if not isinstance(place, h5py.Dataset):
        return None
    if place.external or place.is_virtual:
        raise ModelFileError(f"the weights at {name!r} are stored in another file: refused")
    return place


def _mismatch(name: str, dataset: h5py.Dataset | None, variable: Any) -> str:
    if dataset is None:
        return f"{name}: missing in the file (needed by {variable.path}, shape {variable.shape})"
    if dataset.shape != variable.shape:
        return f"{name}: the file has shape {dataset.shape}, {variable.path} has {variable.shape}"
    if dataset.dtype.kind not in "fiub":
        return f"{name}: the file has dtype {dataset.dtype}, which is not numeric"
    return ""


def _own_variables(part: Any) -> list[Any]:
    """The variables that belong to this object itself and not to its parts, in Keras's order."""
    return list(part.variables) if isinstance(part, Optimizer) else part._own_weights()


def _walk(model: Any, optimizer: bool) -> Iterator[tuple[str, Any]]:
    """Every part that holds weights with its path; a part that is reached twice counts once."""
    seen: set[int] = set()

    def visit(part: Any, path: str) -> Iterator[tuple[str, Any]]:
        if id(part) in seen:
            return
        seen.add(id(part))
        yield path, part
        if isinstance(part, Optimizer):
            return
        for name, child in _children(part):
            inner = f"{path}/{name}" if path else name
            if isinstance(child, Layer):
                yield from visit(child, inner)
            elif isinstance(child, Optimizer):
                if optimizer and part is model and child.built:
                    yield from visit(child, inner)
            else:
                yield from members(child, inner)

    def members(container: Any, path: str) -> Iterator[tuple[str, Any]]:
        counts: dict[str, int] = {}
        for child in container.values() if isinstance(container, dict) else container:
            if not isinstance(child, Layer):
                continue
            name = to_snake_case(type(child).__name__)
            count = counts.get(name, 0)
            counts[name] = count + 1
            yield from visit(child, f"{path}/{name}_{count}" if count else f"{path}/{name}")

    yield from visit(model, "")


def _children(part: Any) -> list[tuple[str, Any]]:
    """Attributes that hold layers or the optimizer, sorted by name with private ones last, as Keras sorts
    them.
    """
    found = dict(part._attributes)
    if hasattr(part, "layers"):
        found["layers"] = part.layers
    if getattr(part, "optimizer", None) is not None:
        found["optimizer"] = part.optimizer
    wanted = {n: v for n, v in found.items() if isinstance(v, (Layer, Optimizer)) or _holds_layers(v)}
    return sorted(wanted.items(), key=lambda item: "~" + item[0] if item[0].startswith("_") else item[0])


def _holds_layers(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, (list, tuple, dict)) and any(isinstance(item, Layer) for item in items)
