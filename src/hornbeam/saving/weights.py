"""Weights in Keras 3's HDF5 layout: `<path of attributes>/vars/<index>` for every layer and the optimizer."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam._internal.naming import to_snake_case
from hornbeam.layers import Layer
from hornbeam.optimizers import Optimizer
from hornbeam.random import SeedGenerator
from hornbeam.saving.arrays import ENDINGS, Names, read_arrays, write_arrays
from hornbeam.saving.files import ModelFileError, Room, raised, replace_file, storable

# HDF5 filters that values may have gone through: gzip, shuffle, Fletcher's checksum. Others are code that
# HDF5 would look for on this machine.
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
# A chunk is unpacked as a whole: it may be larger than the array that it belongs to, but not by much.
_CHUNK_SLACK = 1 << 20


def save_weights(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, names: Names | None = None
) -> None:
    """Write the model's weights, and the optimizer's state if it has one, to a `.weights.h5` file; or the
    weights alone to a `.safetensors` or `.npz` file, under their names ("dense/kernel", see `weight_names`)
    or what `names` (a dict or function) makes of those.

    Raises ValueError for another ending or a model without weights yet, FileExistsError unless `overwrite`,
    ImportError where safetensors is not installed.
    """
    _check_name(filepath, names)
    _check_built(model, "saving")
    ending = Path(filepath).suffix
    with replace_file(filepath, overwrite) as file:
        if ending in ENDINGS:
            write_arrays(weight_names(model), file, ending, names)
        else:
            write_weights(model, file)


def _check_built(model: Any, doing: str) -> None:
    """A model with a `train_step` of its own may never be called itself; then its layers have to be built."""
    if model.built:
        return
    layers = model._flatten_layers(include_self=False)
    if not layers or not all(layer.built for layer in layers):
        raise ValueError(f"the model has no weights yet: build it or call it on data before {doing} weights")


def load_weights(
    model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False, names: Names | None = None
) -> None:
    """Read a `.weights.h5`, `.safetensors` or `.npz` file, or an `.h5` file of Keras 2's weights, into the
    model. All or nothing: the file is checked before a weight is changed.

    With `skip_mismatch`, weights that are missing or differ in shape keep their values. An optimizer takes
    its state from a `.weights.h5` file that has one that fits.
    names: for `.safetensors` and `.npz`, what the file calls a weight: a dict or function from its name here
    to one there, or to a pair of a name and a function that makes the value of the array, such as
    {"dense/kernel": ("fc.weight", np.transpose)}. Raises ModelFileError.
    """
    name = os.fspath(filepath)
    legacy = name.endswith((".h5", ".hdf5")) and not name.endswith(".weights.h5")
    if not legacy:
        _check_name(filepath, names)
    _check_built(model, "loading")
    if legacy:
        from hornbeam.saving.legacy.h5 import read_legacy_weights

        with open(filepath, "rb") as file:
            read_legacy_weights(model, file, skip_mismatch=skip_mismatch)
        return
    ending = Path(filepath).suffix
    if ending in ENDINGS:
        with open(filepath, "rb") as file:
            read_arrays(weight_names(model), file, ending, names, skip_mismatch)
        return
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    with open(filepath, "rb") as file:
        read_weights(model, file, skip_mismatch=skip_mismatch)


def _check_name(filepath: str | os.PathLike[str], names: Names | None) -> None:
    name = os.fspath(filepath)
    if not name.endswith((".weights.h5", *ENDINGS)):
        raise ValueError(
            f'the name of a weights file must end in ".weights.h5", ".safetensors" or ".npz", got {name!r}'
        )
    if names is not None and not name.endswith(ENDINGS):
        raise ValueError(f"names= is for .safetensors and .npz files, got {name!r}")


class Group(NamedTuple):
    """The values of one part of a model: its place in a file, its name, and arrays by theirs."""

    path: str
    name: str
    values: dict[str, np.ndarray]


def weight_groups(model: Any) -> list[Group]:
    """All weights, and the optimizer's state if there is one, as they are now: copies, which later steps do
    not change."""
    parts = list(saved_parts(model))
    _check_complete(model, parts)
    return [Group(_join(part.path, "vars"), part.name, _present_values(part)) for part in parts]


def _present_values(part: _Part) -> dict[str, np.ndarray]:
    if part.own_store is not None:
        own: dict[str, Any] = {}
        part.own_store.save_own_variables(own)
        return {key: np.array(value) for key, value in own.items()}
    arrays = (np.array(variable.numpy()) for variable in part.variables)
    return {str(index): storable(array) for index, array in enumerate(arrays)}


def write_groups(groups: Iterable[Group], store: h5py.File) -> None:
    """Write values to an open HDF5 file."""
    for group in groups:
        place = store.require_group(group.path)
        place.attrs["name"] = group.name
        for key, value in group.values.items():
            place[key] = value


def write_weights(model: Any, file: BinaryIO) -> None:
    """Write all weights, and the optimizer's state if there is one, to an open binary file."""
    groups = weight_groups(model)
    with created(file) as store:
        write_groups(groups, store)


@contextmanager
def created(file: BinaryIO) -> Iterator[h5py.File]:
    """A new HDF5 file, written to an open binary file when the block ends.

    It is made in memory: HDF5 can neither go on nor close a file that a full disk has refused.
    """
    image = file if isinstance(file, io.BytesIO) else io.BytesIO()
    with h5py.File(image, "w") as store:
        yield store
    if image is not file:
        file.write(image.getbuffer())


@contextmanager
def opened(file: BinaryIO) -> Iterator[h5py.File]:
    """The HDF5 file in an open binary file. Raises ModelFileError for a damaged one, inside too."""
    try:
        with h5py.File(file, "r") as store:
            yield store
    except ModelFileError:
        raise
    except Exception as error:  # whatever h5py makes of a damaged file
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from error


def read_weights(
    model: Any,
    file: BinaryIO,
    skip_mismatch: bool = False,
    state_required: bool = False,
    before: Callable[[], None] | None = None,
) -> None:
    """Read what `write_weights` (or Keras 3) wrote. Nothing is assigned unless everything fits.

    state_required: the states of the optimizer and of random generators must be there and fit as well.
    before: called when everything fits and nothing is assigned yet.
    """
    _check_complete(model, list(saved_parts(model)))
    with opened(file) as store:
        arrays = _arrays(model, store, skip_mismatch, state_required)
        stores = [(part.own_store, _values(part, store)) for part in saved_parts(model) if part.own_store]
    if before is not None:
        before()
    for layer, values in stores:
        try:
            layer.load_own_variables(values)
        except Exception as error:  # a layer's own code
            raise ModelFileError(f"the weights do not fit {layer.describe()}: {error}") from error
    while arrays:
        variable, array = arrays.pop()
        variable.assign(array)


@dataclass
class _Part:
    """A layer, or what else holds values in a model: its place in the file, and the variables of its own.

    Only the values of layers must be in a file.
    """

    path: str
    name: str
    variables: Sequence[Any]
    required: bool = True
    layer: Layer | None = None

    @property
    def own_store(self) -> Layer | None:
        """The layer, if it has values in a form of its own: it saves and loads them itself."""
        custom = self.layer is not None and any(
            getattr(type(self.layer), name) is not getattr(Layer, name)
            for name in ("save_own_variables", "load_own_variables")
        )
        return self.layer if custom else None

    def place(self, index: int) -> str:
        return _join(self.path, "vars", str(index))


# -- reading -------------------------------------------------------------------------------------------------


def _arrays(
    model: Any, store: h5py.File, skip_mismatch: bool, state_required: bool
) -> list[tuple[Any, np.ndarray]]:
    """Every variable with its value in the file."""
    problems: list[str] = []
    found: list[tuple[Any, h5py.Dataset]] = []
    for part in saved_parts(model):
        if not part.required and not state_required:
            found.extend(_optional(part, store))
            continue
        if part.own_store is not None:
            continue
        for index, variable in enumerate(part.variables):
            dataset = checked_dataset(store, part.place(index))
            problem = _mismatch(part.place(index), dataset, variable)
            if problem:
                problems.append(problem)
            else:
                found.append((variable, dataset))
    if problems and not skip_mismatch:
        raise ModelFileError(
            f"the weights do not fit the model ({len(problems)} problems):\n  " + "\n  ".join(problems[:20])
        )
    return [(variable, np.asarray(dataset[()])) for variable, dataset in found]


def _values(part: _Part, store: h5py.File) -> dict[str, np.ndarray]:
    """All values of a layer that loads them itself, by name."""
    group = checked_object(store, _join(part.path, "vars"))
    names = list(group) if isinstance(group, h5py.Group) else []
    found = {name: checked_dataset(store, _join(part.path, "vars", name)) for name in names}
    numbers = {name: x for name, x in found.items() if x is not None and x.dtype.kind in "fiub"}
    room = Room(store.id.get_filesize())
    return {name: values_of(dataset, room) for name, dataset in numbers.items()}


def _optional(part: _Part, store: h5py.File) -> list[tuple[Any, h5py.Dataset]]:
    """The values of an optimizer or a random state, if the file has all of them."""
    group = checked_object(store, _join(part.path, "vars"))
    stored = len(group) if isinstance(group, h5py.Group) else 0
    datasets = [checked_dataset(store, part.place(index)) for index in range(len(part.variables))]
    pairs = list(zip(part.variables, datasets, strict=True))
    if stored == len(pairs) and not any(_mismatch("", dataset, variable) for variable, dataset in pairs):
        return pairs
    # An optimizer that has made no step yet may have been saved without its slots.
    if stored and (stored > 2 or datasets[0] is None or int(datasets[0][()]) > 0):
        warnings.warn(
            f"the state of {part.name!r} in the file does not fit ({len(pairs)} variables here, {stored} "
            "there): "
            "it starts afresh",
            stacklevel=2,
        )
    return []


def checked_object(store: h5py.File, name: str) -> Any:
    """The object at `name`, reached by hard links only, or None."""
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
    return place


def checked_dataset(store: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset at `name`, stored in this file without anything that would take more room or run code."""
    dataset = checked_object(store, name)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.external or dataset.is_virtual:
        raise ModelFileError(f"the weights at {name!r} are stored in another file: refused")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if not filters.issubset(_FILTERS):
        raise ModelFileError(f"the weights at {name!r} went through filters that are not read: {filters}")
    if dataset.chunks is None:
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ModelFileError(f"the weights at {name!r} are declared larger than what is stored")
    elif int(np.prod(dataset.chunks)) * dataset.dtype.itemsize > dataset.nbytes + _CHUNK_SLACK:
        raise ModelFileError(f"the weights at {name!r} are packed in chunks larger than themselves: refused")
    return dataset


def values_of(dataset: h5py.Dataset, room: Room | None = None) -> np.ndarray:
    """The values of a checked dataset that nothing else says the size of. Raises ModelFileError if they would
    take far more room than what is stored.

    room: of the whole file, where values of several datasets are kept.
    """
    room = Room(dataset.id.get_storage_size()) if room is None else room
    room.take(str(dataset.name), dataset.size, dataset.nbytes)
    if dataset.dtype.kind not in "fiub":
        raise ModelFileError(f"{dataset.name} has dtype {dataset.dtype}, which is not read")
    return np.asarray(dataset[()])


def stored_arrays(store: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Arrays stored in the file itself; links are left alone."""
    places: list[tuple[str, Any]] = [("", store)]
    most = 100 * current_budget().members
    looked_at: set[int] = set()  # two names of one group may make a circle
    while places:
        path, group = places.pop()
        for name in sorted(group):
            place = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            entry = group[name]
            address = h5py.h5o.get_info(entry.id).addr
            if address in looked_at:
                continue
            looked_at.add(address)
            if len(looked_at) > most:
                raise ModelFileError(
                    f"the file holds more than {most:,} entries, which no model does. {raised('members')}"
                )
            if isinstance(entry, h5py.Group):
                places.append((place, entry))
            elif (dataset := checked_dataset(store, place)) is not None:
                yield place, dataset


def _mismatch(name: str, dataset: h5py.Dataset | None, variable: Any) -> str:
    if dataset is None:
        return f"{name}: missing in the file (needed by {variable.path}, shape {variable.shape})"
    if dataset.shape != variable.shape:
        return f"{name}: the file has shape {dataset.shape}, {variable.path} has {variable.shape}"
    if dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8:
        return f"{name}: the file has dtype {dataset.dtype}, which is not read"
    return ""


def weight_names(model: Any) -> list[tuple[str, Any]]:
    """The weights of a model under names that say where they are: the layers on the way and the weight, as
    "block/dense_1/kernel".

    A layer has the name that it was given, else its class's, numbered inside its model: a model that is made
    again has the same names.
    """
    found = []
    for place, part in named_parts(model):
        if part.layer is None:
            continue
        counts: dict[str, int] = {}
        for variable in part.variables:
            count = counts[variable.name] = counts.get(variable.name, -1) + 1
            name = f"{variable.name}_{count}" if count else variable.name
            found.append((_join(place, name), variable))
    return found


def named_parts(model: Any) -> Iterator[tuple[str, _Part]]:
    """Everything that holds values, under a name that says where it is (see `weight_names`)."""
    shown = {"": ""}
    for part in saved_parts(model):
        steps = part.path.split("/") if part.path else []
        above = next(
            (p for p in ("/".join(steps[:n]) for n in range(len(steps) - 1, -1, -1)) if p in shown), ""
        )
        rest = [step for step in steps[len(above.split("/")) if above else 0 :] if step != "layers"]
        if part.layer is None:
            yield _join(shown[above], *rest), part
            continue
        kind = to_snake_case(type(part.layer).__name__)
        if rest and _is_numbered(rest[-1], kind) and not _is_numbered(part.layer.name, kind):
            rest[-1] = part.layer.name
        shown[part.path] = _join(shown[above], *rest)
        yield shown[part.path], part


def _is_numbered(name: str, kind: str) -> bool:
    return re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name) is not None


# -- assets --------------------------------------------------------------------------------------------------


def assets_of(model: Any) -> dict[str, str]:
    """Texts that layers keep besides weights, such as vocabularies, by their place in the file."""
    return {
        _join(part.path, name): text
        for part in saved_parts(model)
        if hasattr(part.layer, "asset_texts")
        for name, text in part.layer.asset_texts().items()  # type: ignore[union-attr]
    }


def take_assets(model: Any, assets: Mapping[str, str]) -> None:
    """Hand the texts of a file to the layers that they belong to. Raises ModelFileError where one is missing
    or does not fit.
    """
    for part in saved_parts(model):
        if hasattr(part.layer, "take_asset_texts"):
            start = f"{part.path}/" if part.path else ""
            texts = {name[len(start) :]: text for name, text in assets.items() if name.startswith(start)}
            try:
                part.layer.take_asset_texts(texts)  # type: ignore[union-attr]
            except Exception as error:  # whatever a damaged vocabulary leads to
                raise ModelFileError(f"a vocabulary does not fit the model: {error}") from error


# -- the parts of a model ------------------------------------------------------------------------------------


def saved_parts(model: Any) -> Iterator[_Part]:
    """Everything that holds values; what is reached twice counts once."""
    seen: dict[int, Any] = {}  # kept alive: another object may get the place of one that is gone

    def visit(part: Any, path: str) -> Iterator[_Part]:
        if id(part) in seen:
            return
        seen[id(part)] = part
        if isinstance(part, Optimizer):
            yield _Part(path, part.name, part.variables, required=False)
        elif isinstance(part, SeedGenerator):
            yield _Part(path, part.name, [part.state], required=False)
        elif isinstance(part, Layer):
            yield _Part(path, part.name, part._own_weights(), layer=part)
            for name, child in _children(part):
                yield from visit(child, _join(path, name))
        elif isinstance(part, (list, tuple, dict)):
            for name, child in _named(part):
                yield from visit(child, _join(path, name))

    yield from visit(model, "")


def _join(*names: str) -> str:
    return "/".join(name for name in names if name)


def _children(part: Layer) -> Iterator[tuple[str, Any]]:
    """What a layer holds, in the order in which Keras goes through it: attributes by name, `layers` of models
    among them, those that begin with an underscore last. Sequential and functional models begin with
    `layers`.
    """
    from hornbeam.models import Functional, Model, Sequential

    found = {name: value for name, value in part._attributes.items() if name not in _LAYER_LISTS}
    if isinstance(part, (Sequential, Functional)):
        yield "layers", part.layers
    elif isinstance(part, Model):
        found["layers"] = part.layers
    optimizer = getattr(part, "optimizer", None)
    if optimizer is not None and optimizer.built:
        found["optimizer"] = optimizer
    for name in sorted(found, key=lambda name: (name.startswith("_"), name)):
        yield name, found[name]


# Where our models keep their layers, besides `layers`.
_LAYER_LISTS = ("_stack", "_graph_layers")


def _named(container: Any) -> Iterator[tuple[str, Any]]:
    """The items of a list or dict under the names that Keras gives them: their class, numbered."""
    counts: dict[str, int] = {}
    for item in container.values() if isinstance(container, dict) else container:
        kind = "list" if isinstance(item, (list, tuple, dict)) else to_snake_case(type(item).__name__)
        count = counts.get(kind, 0)
        counts[kind] = count + 1
        yield (f"{kind}_{count}" if count else kind), item


def _check_complete(model: Any, parts: Sequence[_Part]) -> None:
    """No weight may be lost because it hangs where nobody looks."""
    known = {id(variable) for part in parts for variable in part.variables}
    lost = [variable.path for variable in model.weights if id(variable) not in known]
    if lost:
        raise ValueError(
            f"the weights {', '.join(lost[:5])} have no place in a file: hold their layers in attributes of "
            "the model, or in lists and dicts of layers"
        )
