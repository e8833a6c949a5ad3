"""`KerasFileEditor`: look into a file of weights, change it, and save it, without a model."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.saving.archive import parsed_config, read_archive
from hornbeam.saving.files import ModelFileError, Room, parsed_json, replace_file
from hornbeam.saving.hdf5_attributes import texts
from hornbeam.saving.weights import checked_dataset, checked_object, created, saved_parts, values_of

Tree = dict[str, Any]  # names -> arrays (the weights of an object) and further trees (the objects inside it)


class KerasFileEditor:
    """The weights in a `.keras` or `.weights.h5` file: listed, renamed, deleted, added to, compared, saved.

    An object (a layer, a model, an optimizer) is named by its path, such as "layers/dense_2", or by its last
    part where that is clear. The file itself is never changed; `save` writes a new `.weights.h5` file.
    `weights_dict` holds the arrays, nested by path; `config` and `metadata` are those of a `.keras` file.

    Files are read by the rules of `load_model`: nothing in them is run, links are not followed. Raises
    ModelFileError for a file that breaks them, ValueError for another ending or a name that is not there.

    >>> editor = hornbeam.saving.KerasFileEditor("model.weights.h5")  # doctest: +SKIP
    >>> editor.rename_object("layers/dense", "head"); editor.save("new.weights.h5")  # doctest: +SKIP
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.config: dict[str, Any] | None = None
        self.metadata: dict[str, Any] | None = None
        if self.filepath.endswith(".keras"):
            config, weights, metadata, _ = read_archive(self.filepath)
            self.config = parsed_config(config)
            self.metadata = parsed_json(metadata, "metadata.json") if metadata else None
            source: Any = io.BytesIO(weights)
        elif self.filepath.endswith(".weights.h5"):
            source = open(self.filepath, "rb")  # noqa: SIM115 - closed below
        else:
            raise ValueError(f'the file must end in ".keras" or ".weights.h5", got {self.filepath!r}')
        # {path: {"name": ...}} of objects whose names the file tells.
        self.object_metadata: dict[str, dict[str, Any]] = {}
        with source:
            try:
                self._raw = source.read()
                self._room = Room(len(self._raw))
                with h5py.File(io.BytesIO(self._raw), "r") as store:
                    self.weights_dict = self._read(store, "")
                del self._raw, self._room
            except ModelFileError:
                raise
            except Exception as error:  # whatever h5py makes of a damaged file
                raise ModelFileError(f"{self.filepath!r} is not a readable HDF5 file: {error}") from error

    def _read(self, group: h5py.Group, path: str) -> Tree:
        found: Tree = {}
        own = checked_object(group, "vars") if "vars" in group else None
        if isinstance(own, h5py.Group):
            name = texts(own, "name", self._raw)
            if name:
                self.object_metadata[path] = {"name": name[0]}
            for index in sorted(own, key=lambda name: (len(name), name)):
                dataset = checked_dataset(own, index)
                if dataset is not None:
                    found[index] = values_of(dataset, self._room)
        for name in group:
            inner = checked_object(group, name) if name != "vars" else None
            if isinstance(inner, h5py.Group):
                part = self._read(inner, f"{path}/{name}".lstrip("/"))
                if part:
                    found[name] = part
        return found

    # -- looking -----------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print objects and the shapes of their weights."""
        print(f"Weights in {self.filepath!r}")
        for path, name, value in _walk(self.weights_dict):
            indent = "  " * (path.count("/") + 1 + bool(path))
            if isinstance(value, dict):
                inner = f"{path}/{name}".lstrip("/")
                known = self.object_metadata.get(inner, {}).get("name", "")
                print(f"{indent}{name}{f' ({known!r})' if known and known != name else ''}")
            else:
                print(f"{indent}{name}: shape={value.shape}, dtype={value.dtype}")

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Hold the file against a model, print what differs, and return the counts.

        Returns {"status": "success" or "error", "error_count": ..., "match_count": ...}: objects and weights
        that one of the two lacks or whose shapes differ, and weights that agree.
        """
        wanted = _as_tree(reference_model)
        problems, matches = _differences(self.weights_dict, wanted, "")
        for problem in problems:
            print(problem)
        print(f"{len(problems)} differences, {matches} matching weights")
        status = "error" if problems else "success"
        return {"status": status, "error_count": len(problems), "match_count": matches}

    # -- changing ----------------------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name, in the same place. ValueError if that is taken, or has a slash."""
        if not new_name or "/" in new_name:
            raise ValueError(f"new_name must be a name without '/', got {new_name!r}")

        def rename(parent: Tree, name: str) -> None:
            if new_name in parent:
                raise ValueError(f"there is an object {new_name!r} in that place already")
            items = [(new_name if key == name else key, value) for key, value in parent.items()]
            parent.clear()
            parent.update(items)

        self._edit(object_name, rename)

    def delete_object(self, object_name: str) -> None:
        """Take an object, with all that it holds, out."""
        self._edit(object_name, lambda parent, name: parent.pop(name))

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Put a new object at a full path. weights: {"0": array, "1": array, ...}."""
        made = _arrays(weights)
        *outer, name = object_path.split("/")
        place = self.weights_dict
        for step in outer:
            if not isinstance(place.get(step), dict):
                raise ValueError(f"there is no object {'/'.join(outer)!r} to put {name!r} into")
            place = place[step]
        if name in place:
            raise ValueError(f"there is an object {object_path!r} already: delete it first")
        place[name] = made

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Take one weight, such as "0", out of an object."""

        def delete(parent: Tree, name: str) -> None:
            if not isinstance(parent[name].get(weight_name), np.ndarray):
                raise ValueError(f"{object_name!r} has no weight {weight_name!r}: {', '.join(parent[name])}")
            del parent[name][weight_name]

        self._edit(object_name, delete)

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Put weights into an object, in place of those of the same names. weights: {"0": array, ...}."""
        made = _arrays(weights)
        self._edit(object_name, lambda parent, name: parent[name].update(made))

    def _edit(self, object_name: str, edit: Callable[[Tree, str], Any]) -> None:
        """Call `edit(parent, name)` on the object that is meant."""
        objects = {
            f"{path}/{name}".lstrip("/"): name
            for path, name, value in _walk(self.weights_dict)
            if isinstance(value, dict)
        }
        whole = "/" in object_name
        found = [p for p, name in objects.items() if (p if whole else name) == object_name]
        if len(found) != 1:
            known = objects if whole else objects.values()
            why = f"several objects have it: {', '.join(found)}. Give the path" if found else "there is none."
            raise ValueError(f"object {object_name!r}: {why}{'' if found else nearest(object_name, known)}")
        *outer, name = found[0].split("/")
        parent = self.weights_dict
        for step in outer:
            parent = parent[step]
        edit(parent, name)

    # -- saving ------------------------------------------------------------------------------------

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights, as they are now, to a `.weights.h5` file. ValueError for another ending."""
        if not os.fspath(filepath).endswith(".weights.h5"):
            raise ValueError(f'the file must end in ".weights.h5", got {os.fspath(filepath)!r}')
        with replace_file(filepath) as file, created(file) as store:
            store.require_group("vars")
            for path, name, value in _walk(self.weights_dict):
                if isinstance(value, dict):
                    inner = f"{path}/{name}".lstrip("/")
                    own = store.require_group(f"{inner}/vars")
                    own.attrs["name"] = self.object_metadata.get(inner, {}).get("name", name)
                else:
                    store.require_group(f"{path}/vars".lstrip("/"))[name] = value

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """The same as `save`."""
        self.save(filepath)


def _walk(tree: Tree, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Path of the parent, name and value of everything, outer things first."""
    for name, value in list(tree.items()):
        yield path, name, value
        if isinstance(value, dict):
            yield from _walk(value, f"{path}/{name}".lstrip("/"))


def _arrays(weights: Any) -> Tree:
    if not isinstance(weights, Mapping):
        raise ValueError(f'weights must be a dict such as {{"0": array}}, got {type(weights).__name__}')
    return {str(name): np.asarray(value) for name, value in weights.items()}


def _as_tree(model: Any) -> Tree:
    """What a file of the model's weights would hold."""
    found: Tree = {}
    for part in saved_parts(model):
        place = found
        for step in filter(None, part.path.split("/")):
            place = place.setdefault(step, {})
        place.update({str(index): variable for index, variable in enumerate(part.variables)})
    return _without_empty(found)


def _without_empty(tree: Tree) -> Tree:
    parts = {name: _without_empty(x) if isinstance(x, dict) else x for name, x in tree.items()}
    return {name: x for name, x in parts.items() if not (isinstance(x, dict) and not x)}


def _differences(ours: Tree, wanted: Tree, path: str) -> tuple[list[str], int]:
    problems: list[str] = []
    matches = 0
    for name in dict.fromkeys([*wanted, *ours]):
        inner = f"{path}/{name}".lstrip("/")
        if name not in ours or name not in wanted:
            where = "the model, but not in the file" if name in wanted else "the file, but not in the model"
            problems.append(f"{inner} is in {where}")
        elif isinstance(wanted[name], dict) and isinstance(ours[name], dict):
            below, matching = _differences(ours[name], wanted[name], inner)
            problems, matches = problems + below, matches + matching
        elif isinstance(wanted[name], dict) or isinstance(ours[name], dict):
            problems.append(f"{inner} is an object in one of the two and a weight in the other")
        elif tuple(ours[name].shape) != tuple(wanted[name].shape):
            problems.append(
                f"{inner}: shape {ours[name].shape} in the file, {wanted[name].shape} in the model"
            )
        else:
            matches += 1
    return problems, matches
