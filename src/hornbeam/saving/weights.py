"""Weights in Keras 3's HDF5 layout: `<path of attributes>/vars/<index>` for every layer and the optimizer."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np

from hornbeam._internal.resume_point import ResumePoint
from hornbeam._internal.warn import warn_user
from hornbeam.errors import ModelFileError
from hornbeam.saving.arrays import ENDINGS, PYTORCH, Names, read_arrays, write_arrays
from hornbeam.saving.building import has_weights
from hornbeam.saving.files import SizeBudget, replace_file, to_storable
from hornbeam.saving.finite import warn_of_non_finite
from hornbeam.saving.formats import HDF5, check_exists, path_text
from hornbeam.saving.hdf5 import (
    H5Group,
    Store,
    check_sum,
    checked_dataset,
    create_hdf5,
    holds_numbers,
    names_at,
    open_shards,
    read_numbers,
    stored_bytes,
    values_of,
    write_groups,
)
from hornbeam.saving.legacy.h5 import read_legacy_weights
from hornbeam.saving.legacy.write import warn_of_legacy_format, write_legacy_weights
from hornbeam.saving.members import read_archive
from hornbeam.saving.mismatches import report_skipped
from hornbeam.saving.model_parts import (
    Part,
    complete_parts,
    join_path,
    other_paths,
    weight_names,
)
from hornbeam.saving.orbax import is_orbax, read_orbax_weights
from hornbeam.saving.resume_point import end_of_training, read_resume_point, trainer_of, write_resume_point
from hornbeam.saving.shards import ENDING as SHARDS
from hornbeam.saving.shards import shard_paths, write_shards

if TYPE_CHECKING:
    from hornbeam.layers.network import Network


def save_weights(
    model: Network,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    max_shard_size: float | None = None,
    *,
    names: Names | None = None,
    objects_to_skip: Sequence[Any] | None = None,
) -> None:
    """Save a model's weights.

    A `.weights.h5` file, in Keras 3's layout, has the optimizer's state too, if there is one. A
    `.safetensors` or `.npz` file has the weights alone, under names such as "dense/kernel". Another `.h5`
    file has them in the legacy layout of Keras 2, with a `LegacyFormatWarning`.

    Args:
        model: A built model.
        filepath: Path with one of these endings.
        overwrite: Whether an existing file is replaced.
        max_shard_size: Largest size of one file in GiB. The weights are divided over `NAME_00000.weights.h5`
            and so on, and `filepath`, which ends in `.weights.json`, lists these files. None writes one file.
        names: For `.safetensors` and `.npz`: dict or function from the names of weights to names in the file.
        objects_to_skip: Layers (with all inside of them), or the optimizer, that the file is not to have.

    Raises:
        ValueError: For another suffix, a model without weights, layers to skip in a legacy file, or a weight
            that is larger than `max_shard_size`.
        FileExistsError: If the file exists and `overwrite` is False.

    Example:
        >>> hornbeam.saving.save_weights(model, "model.weights.h5")  # doctest: +SKIP
    """
    path = path_text(filepath, "save_weights()")
    if max_shard_size is not None:
        _check_names(path, names)
        _check_built(model, "saving")
        groups = weight_groups(model, _checked_skip(path, objects_to_skip))
        write_shards(groups, end_of_training(model), path, max_shard_size, overwrite)
        return
    path = with_weights_suffix(path, False)
    _check_names(path, names)
    _check_built(model, "saving")
    ending = Path(path).suffix
    legacy, skip = _is_legacy(path), _checked_skip(path, objects_to_skip)
    with replace_file(path, overwrite) as file:
        if ending in ENDINGS:
            write_arrays(weight_names(model, skip), file, ending, names)
        elif legacy:
            write_legacy_weights(model, file)
        else:
            write_weights(complete_parts(model, skip), end_of_training(model), file)
    if legacy:
        advice = f"model.save_weights({os.path.splitext(path)[0] + '.weights.h5'!r})"
        warn_of_legacy_format(model, path, advice)


def _check_built(model: Network, doing: str) -> None:
    """Raise ValueError unless the model is built, or, if it is never called itself, its layers are."""
    if not has_weights(model):
        raise ValueError(f"the model has no weights yet: build it or call it on data before {doing} weights")


def load_weights(
    model: Network,
    filepath: str | os.PathLike[str],
    skip_mismatch: bool = False,
    names: Names | None = None,
    by_name: bool = False,
    *,
    objects_to_skip: Sequence[Any] | None = None,
) -> None:
    """Load weights into a model. The file is checked completely before a weight changes.

    An optimizer takes its state from a `.weights.h5` or `.keras` file, if that has one that fits.

    Args:
        model: A built model.
        filepath: A `.weights.h5`, `.safetensors`, `.npz` or `.keras` file, a `.weights.json` file that lists
            several, an `.h5` file of Keras 1 or 2, a PyTorch file (`.pth`, `.pt`, `.bin`), which needs
            `names`, or a folder of `callbacks.OrbaxCheckpoint`.
        skip_mismatch: Whether weights that are missing in the file, or differ in shape, keep their values
            instead of raising an error.
        names: For `.safetensors`, `.npz` and PyTorch files: dict or function from the name of a weight to
            its name in the file, or to a pair of that and a function of the array, as in
            `{"dense/kernel": ("fc.weight", np.transpose)}`.
        by_name: For an `.h5` file of Keras 1 or 2: load only the layers whose names are in the file.
        objects_to_skip: Layers (with all inside of them), or the optimizer, that keep their values.

    Raises:
        ModelFileError: If the file is damaged, unsafe, or does not fit.
        ValueError: For another suffix, or a model without weights.
        FileNotFoundError: If the file does not exist.

    Example:
        >>> hornbeam.saving.load_weights(model, "model.weights.h5")  # doctest: +SKIP
    """
    path = path_text(filepath, "load_weights()")
    if is_orbax(path):
        _check_built(model, "loading")
        read_orbax_weights(model, path)
        return
    path = with_weights_suffix(path, True)
    legacy = _is_legacy(path)
    if by_name and not legacy:
        raise ValueError(
            f"by_name=True is for .h5 files of Keras 1 and 2, got {path!r}. skip_mismatch=True keeps weights "
            "that do not fit"
        )
    if not path.endswith(".keras"):
        _check_names(path, names, (*ENDINGS, *PYTORCH))
    _check_built(model, "loading")
    check_exists(path)
    ending, skip = Path(path).suffix, _checked_skip(path, objects_to_skip)
    if legacy:
        with open(path, "rb") as file:
            check_sum(file)
            read_legacy_weights(model, file, skip_mismatch=skip_mismatch, by_name=by_name)
        return
    if ending in (*ENDINGS, *PYTORCH):
        named = weight_names(model, skip)
        kept = {id(variable) for _, variable in named}
        skipped = [entry for entry in weight_names(model) if id(entry[1]) not in kept]
        with open(path, "rb") as file:
            read_arrays(named, file, ending, names, skip_mismatch, skipped)
        return
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    if ending == ".keras":
        read_weights(model, io.BytesIO(read_archive(path).weights), skip_mismatch=skip_mismatch, skip=skip)
        return
    paths = shard_paths(path) if path.endswith(SHARDS) else [path]
    with ExitStack() as stack:
        files = [stack.enter_context(open(each, "rb")) for each in paths]
        read_weights(model, files, skip_mismatch=skip_mismatch, skip=skip)


def _checked_skip(path: str, objects: Sequence[Any] | None) -> Sequence[Any]:
    """Return the objects to skip. Raises ValueError for a legacy file, TypeError unless they are objects."""
    if objects is None:
        return ()
    if not isinstance(objects, (list, tuple)) or not all(hasattr(x, "variables") for x in objects):
        raise TypeError(f"objects_to_skip must be a list of layers or optimizers, got {objects!r:.80}")
    if objects and _is_legacy(path):
        raise ValueError(f"objects_to_skip is for .weights.h5, .safetensors, .npz and .keras, got {path!r}")
    return objects


def reject_weights_suffix(path: str, exists: bool) -> str:
    """Raise ValueError for the name of a file of weights with an unknown suffix, or with none."""
    known = '".weights.h5", ".safetensors" or ".npz"'
    if exists:
        advice = ""
    elif path.endswith((".keras", ".onnx", ".tflite")):
        advice = f". A whole model is written by model.{'save' if path.endswith('.keras') else 'export'}()"
    else:
        advice = f". Use {path + '.weights.h5'!r}"
    raise ValueError(f"the name of a weights file must end in {known}, got {path!r}{advice}")


# `hornbeam run` replaces it by a function that returns a name with a suffix.
without_suffix = reject_weights_suffix


def with_weights_suffix(path: str, exists: bool) -> str:
    """Return the path of a file of weights whose suffix is known.

    Args:
        path: Path.
        exists: Whether the file is read.

    Raises:
        ValueError: For an unknown suffix.
    """
    known = (*HDF5, *ENDINGS, *PYTORCH, ".keras", SHARDS) if exists else (*HDF5, *ENDINGS)
    return path if path.endswith(known) else without_suffix(path, exists)


def _is_legacy(path: str) -> bool:
    return path.endswith(HDF5) and not path.endswith(".weights.h5")


def _check_names(path: str, names: Names | None, endings: tuple[str, ...] = ENDINGS) -> None:
    if names is not None and not path.endswith(endings):
        raise ValueError(f"names= is for .safetensors and .npz files, got {path!r}")


def weight_groups(model: Network, skip: Sequence[Any] = (), merged: bool = True) -> list[H5Group]:
    """Copy all weights, and the optimizer's state if there is one.

    Args:
        model: The model.
        skip: Objects that the file does not have.
        merged: Whether low-rank factors are added to their weights, as in files of Keras. A training that
            is resumed needs them.
    """
    return [_group(part) for part in complete_parts(model, skip, merged)]


def _group(part: Part) -> H5Group:
    return H5Group(join_path(part.path, "vars"), part.name, _present_values(part))


def _present_values(part: Part) -> dict[str, np.ndarray]:
    if part.custom_store is not None:
        values: dict[str, Any] = {}
        part.custom_store.save_own_variables(values)
        return {key: np.array(value) for key, value in values.items()}
    arrays = (np.array(x.numpy()) for x in (part.variables if part.values is None else part.values))
    return {str(index): to_storable(array) for index, array in enumerate(arrays)}


def write_weights(parts: Sequence[Part], point: ResumePoint | None, file: BinaryIO) -> None:
    """Write the values of parts, and the point at which a training ended, to an open binary file."""
    with create_hdf5(file) as store:
        write_groups(map(_group, parts), store)
        write_resume_point(point, store)


def read_weights(
    model: Network,
    files: BinaryIO | Sequence[BinaryIO],
    skip_mismatch: bool = False,
    state_required: bool = False,
    before: Callable[[], None] | None = None,
    skip: Sequence[Any] = (),
) -> None:
    """Read a file of `write_weights` or Keras 3, or several that make one.

    Nothing is assigned unless everything fits.

    Args:
        model: The model.
        files: Open binary file, or several.
        skip_mismatch: Whether weights that do not fit keep their values.
        state_required: Whether the states of the optimizer and of random generators must exist and fit too,
            and low-rank factors be apart from their weights, as in a checkpoint.
        before: Called when everything fits, before anything is assigned.
        skip: Objects that keep their values.
    """
    parts = complete_parts(model, skip, merged=not state_required)
    with open_shards(files if isinstance(files, Sequence) else [files]) as store:
        parts = _located(model, parts, store)
        arrays, skipped = _arrays(parts, store, skip_mismatch, state_required)
        stores = [(part.custom_store, _values(part, store)) for part in parts if part.custom_store]
        point = read_resume_point(store)
    report_skipped(skipped, len(arrays))
    if before is not None:
        before()
    for layer, values in stores:
        try:
            layer.load_own_variables(values)
        except Exception as error:  # a layer's own code
            raise ModelFileError(f"the weights do not fit {layer.describe()}: {error}") from error
    trainer = trainer_of(model)
    if trainer is not None:
        trainer.resume_point = point
    warn_of_non_finite((variable.path, array) for variable, array in arrays)
    loaded = {variable for variable, _ in arrays}
    while arrays:
        variable, array = arrays.pop()
        variable.assign(array)
    if not state_required:
        for part in parts:
            if part.layer is not None and not loaded.isdisjoint(part.variables):
                part.layer._on_weights_loaded()


def _located(model: Network, parts: list[Part], store: Store) -> list[Part]:
    """Return the parts with the paths that the file has them under.

    A layer that is missing at its own path may be at another that leads to it: files of Keras before 3.14
    have layers in nested containers among the `layers` alone.
    """
    absent = [part for part in parts if part.layer is not None and _is_absent(part, store)]
    if not absent:
        return parts
    used, paths = {part.path for part in parts}, other_paths(model)
    moved = {
        part.path: replace(part, path=path)
        for part in absent
        for path in paths.get(id(part.layer), ())
        if path not in used and not _is_absent(replace(part, path=path), store)
    }
    return [moved.get(part.path, part) for part in parts]


def _is_absent(part: Part, store: Store) -> bool:
    """Return whether the file lacks the first variable of a part."""
    return bool(part.variables) and checked_dataset(store, part.dataset_path(0)) is None


def _arrays(
    parts: Sequence[Part], store: Store, skip_mismatch: bool, state_required: bool
) -> tuple[list[tuple[Any, np.ndarray]], list[str]]:
    """Return the variables with their values in the file, and what does not fit."""
    problems: list[str] = []
    pairs: list[tuple[Any, h5py.Dataset]] = []
    for part in parts:
        if not part.required and not state_required:
            pairs.extend(_optional(part, store))
            continue
        if part.custom_store is not None:
            continue
        for index, variable in enumerate(part.variables):
            dataset = checked_dataset(store, part.dataset_path(index))
            problem = _mismatch(part.dataset_path(index), dataset, variable)
            if problem:
                problems.append(problem)
            else:
                pairs.append((variable, dataset))
    if problems and not skip_mismatch:
        raise ModelFileError(
            f"the weights do not fit the model ({len(problems)} problems):\n  " + "\n  ".join(problems[:20])
        )
    return [(variable, read_numbers(dataset)) for variable, dataset in pairs], problems


def _values(part: Part, store: Store) -> dict[str, np.ndarray]:
    """Return all values of a layer that loads them itself, by name."""
    names = names_at(store, join_path(part.path, "vars"))
    datasets = {name: checked_dataset(store, join_path(part.path, "vars", name)) for name in names}
    numbers = {name: x for name, x in datasets.items() if x is not None and holds_numbers(x)}
    budget = SizeBudget(stored_bytes(store))
    return {name: values_of(dataset, budget) for name, dataset in numbers.items()}


def _optional(part: Part, store: Store) -> list[tuple[Any, h5py.Dataset]]:
    """Return the values of an optimizer or a random generator, if the file has all of them."""
    stored = len(names_at(store, join_path(part.path, "vars")))
    datasets = [checked_dataset(store, part.dataset_path(index)) for index in range(len(part.variables))]
    pairs = list(zip(part.variables, datasets, strict=True))
    if stored == len(pairs) and not any(_mismatch("", dataset, variable) for variable, dataset in pairs):
        return pairs
    # An optimizer before its first step may have been saved without slots.
    if stored and (stored > 2 or datasets[0] is None or int(datasets[0][()]) > 0):
        warn_user(
            f"the state of {part.name!r} in the file does not fit ({len(pairs)} variables here, {stored} in "
            "the file): it starts from its initial state"
        )
    return []


def _mismatch(name: str, dataset: h5py.Dataset | None, variable: Any) -> str:
    if dataset is None:
        return f"{name}: missing in the file (needed by {variable.path}, shape {variable.shape})"
    if dataset.shape != variable.shape:
        return f"{name}: the file has shape {dataset.shape}, {variable.path} has {variable.shape}"
    if not holds_numbers(dataset):
        return f"{name}: the file has dtype {dataset.dtype}, which is not read"
    return ""
