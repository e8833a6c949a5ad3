"""`KerasFileEditor`: view, change and save a file of weights, without a model."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.errors import ModelFileError
from hornbeam.saving.building import parse_config
from hornbeam.saving.files import SizeBudget, parse_json, replace_file, to_storable
from hornbeam.saving.hdf5 import check_sum, checked_dataset, checked_object, create_hdf5, values_of
from hornbeam.saving.hdf5_attributes import texts
from hornbeam.saving.members import read_archive
from hornbeam.saving.model_parts import saved_parts

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

Tree = dict[str, Any]  # names -> arrays (the weights of an object) and further trees (the objects inside it)


class KerasFileEditor:
    """Editor of the weights in a `.keras` or `.weights.h5` file.

    An object (a layer, a model, an optimizer) is named by its path, such as "layers/dense_2", or by its last
    part if that is unique. The file itself is never changed; `save` writes a new `.weights.h5` file.
    `weights_dict` has the arrays, nested by path; `config` and `metadata` are those of a `.keras` file. Files
    are read by the rules of `load_model`: no code in them is run, links are not followed.

    Args:
        filepath: Path of the file.

    Raises:
        ModelFileError: If the file is damaged or breaks a safety rule.
        ValueError: For another suffix.

    Example:
        >>> editor = hornbeam.saving.KerasFileEditor("model.weights.h5")  # doctest: +SKIP
        >>> editor.rename_object("layers/dense", "head"); editor.save("new.weights.h5")  # doctest: +SKIP
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.config: dict[str, Any] | None = None
        self.metadata: dict[str, Any] | None = None
        if self.filepath.endswith(".keras"):
            config, weights, metadata, _ = read_archive(self.filepath)
            self.config = parse_config(config)
            self.metadata = parse_json(metadata, "metadata.json") if metadata else None
            source: Any = io.BytesIO(weights)
        elif self.filepath.endswith(".weights.h5"):
            source = open(self.filepath, "rb")  # noqa: SIM115 - closed below
        else:
            raise ValueError(f'the file must end in ".keras" or ".weights.h5", got {self.filepath!r}')
        # {path: {"name": ...}} of objects whose names are in the file.
        self.object_metadata: dict[str, dict[str, Any]] = {}
        with source:
            try:
                check_sum(source)
                self._raw = source.read()
                self._budget = SizeBudget(len(self._raw))
                with h5py.File(io.BytesIO(self._raw), "r") as store:
                    self.weights_dict = self._read(store, "")
                del self._raw, self._budget
            except ModelFileError:
                raise
            except Exception as error:  # h5py raises many types for damaged files
                raise ModelFileError(f"{self.filepath!r} is not a readable HDF5 file: {error}") from error

    def _read(self, group: h5py.Group, path: str) -> Tree:
        tree: Tree = {}
        variables = checked_object(group, "vars") if "vars" in group else None
        if isinstance(variables, h5py.Group):
            name = texts(variables, "name", self._raw)
            if name:
                self.object_metadata[path] = {"name": name[0]}
            for index in sorted(variables, key=lambda name: (len(name), name)):
                dataset = checked_dataset(variables, index)
                if dataset is not None:
                    tree[index] = values_of(dataset, self._budget)
        for name in group:
            inner = checked_object(group, name) if name != "vars" else None
            if isinstance(inner, h5py.Group):
                subtree = self._read(inner, f"{path}/{name}".lstrip("/"))
                if subtree:
                    tree[name] = subtree
        return tree

    # -- viewing -----------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print all objects and the shapes of their weights."""
        print(f"Weights in {self.filepath!r}")
        for path, name, value in _walk(self.weights_dict):
            indent = "  " * (path.count("/") + 1 + bool(path))
            if isinstance(value, dict):
                inner = f"{path}/{name}".lstrip("/")
                known = self.object_metadata.get(inner, {}).get("name", "")
                print(f"{indent}{name}{f' ({known!r})' if known and known != name else ''}")
            else:
                print(f"{indent}{name}: shape={value.shape}, dtype={value.dtype}")

    def compare(self, reference_model: Network) -> dict[str, Any]:
        """Compare the file with a model, and print the differences.

        Args:
            reference_model: A built model.

        Returns:
            `{"status": "success" or "error", "error_count": ..., "match_count": ...}`: objects and weights
            that are missing in one of the two or differ in shape, and weights that agree.
        """
        expected = _as_tree(reference_model)
        problems, matches = _differences(self.weights_dict, expected, "")
        for problem in problems:
            print(problem)
        print(f"{len(problems)} differences, {matches} matching weights")
        status = "error" if problems else "success"
        return {"status": status, "error_count": len(problems), "match_count": matches}

    # -- changing ----------------------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Rename an object.

        Args:
            object_name: Path or unique name of the object.
            new_name: New name, without slashes.

        Raises:
            ValueError: If the new name exists there or has a slash, or the object does not exist.
        """
        if not new_name or "/" in new_name:
            raise ValueError(f"new_name must be a name without '/', got {new_name!r}")

        def rename(parent: Tree, name: str) -> None:
            if new_name in parent:
                raise ValueError(f"an object {new_name!r} already exists there")
            items = [(new_name if key == name else key, value) for key, value in parent.items()]
            parent.clear()
            parent.update(items)

        self._edit(object_name, rename)

    def delete_object(self, object_name: str) -> None:
        """Delete an object with its contents.

        Args:
            object_name: Path or unique name of the object.
        """
        self._edit(object_name, lambda parent, name: parent.pop(name))

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add a new object.

        Args:
            object_path: Full path of the object.
            weights: Its weights, `{"0": array, "1": array, ...}`.

        Raises:
            ValueError: If the parent does not exist, or the object does.
        """
        arrays = _arrays(weights)
        *outer, name = object_path.split("/")
        parent = self.weights_dict
        for step in outer:
            if not isinstance(parent.get(step), dict):
                raise ValueError(f"{name!r} cannot be added: its parent {'/'.join(outer)!r} does not exist")
            parent = parent[step]
        if name in parent:
            raise ValueError(f"the object {object_path!r} already exists: delete it first")
        parent[name] = arrays

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Delete one weight of an object.

        Args:
            object_name: Path or unique name of the object.
            weight_name: Name of the weight, such as "0".
        """

        def delete(parent: Tree, name: str) -> None:
            if not isinstance(parent[name].get(weight_name), np.ndarray):
                raise ValueError(f"{object_name!r} has no weight {weight_name!r}: {', '.join(parent[name])}")
            del parent[name][weight_name]

        self._edit(object_name, delete)

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add weights to an object, replacing those of the same names.

        Args:
            object_name: Path or unique name of the object.
            weights: `{"0": array, ...}`.
        """
        arrays = _arrays(weights)
        self._edit(object_name, lambda parent, name: parent[name].update(arrays))

    def _edit(self, object_name: str, edit: Callable[[Tree, str], Any]) -> None:
        """Call `edit(parent, name)` for the object of a path or unique name."""
        objects = {
            f"{path}/{name}".lstrip("/"): name
            for path, name, value in _walk(self.weights_dict)
            if isinstance(value, dict)
        }
        by_path = "/" in object_name
        matches = [p for p, name in objects.items() if (p if by_path else name) == object_name]
        if not matches:
            known = objects if by_path else objects.values()
            raise ValueError(f"object {object_name!r} does not exist.{nearest(object_name, known)}")
        if len(matches) > 1:
            raise ValueError(f"several objects are named {object_name!r}: {', '.join(matches)}. Use the path")
        *outer, name = matches[0].split("/")
        parent = self.weights_dict
        for step in outer:
            parent = parent[step]
        edit(parent, name)

    # -- saving ------------------------------------------------------------------------------------

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the current weights to a new file.

        Args:
            filepath: Path that ends in ".weights.h5".

        Raises:
            ValueError: For another suffix.
        """
        if not os.fspath(filepath).endswith(".weights.h5"):
            raise ValueError(f'the file must end in ".weights.h5", got {os.fspath(filepath)!r}')
        with replace_file(filepath) as file, create_hdf5(file) as store:
            store.require_group("vars")
            for path, name, value in _walk(self.weights_dict):
                if isinstance(value, dict):
                    inner = f"{path}/{name}".lstrip("/")
                    variables = store.require_group(f"{inner}/vars")
                    variables.attrs["name"] = self.object_metadata.get(inner, {}).get("name", name)
                else:
                    store.require_group(f"{path}/vars".lstrip("/"))[name] = to_storable(np.asarray(value))

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Do the same as `save`.

        Args:
            filepath: Path that ends in ".weights.h5".
        """
        self.save(filepath)


def _walk(tree: Tree, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the parent's path, the name and the value of everything, parents first."""
    for name, value in list(tree.items()):
        yield path, name, value
        if isinstance(value, dict):
            yield from _walk(value, f"{path}/{name}".lstrip("/"))


def _arrays(weights: Any) -> Tree:
    if not isinstance(weights, Mapping):
        raise ValueError(f'weights must be a dict such as {{"0": array}}, got {type(weights).__name__}')
    return {str(name): np.asarray(value) for name, value in weights.items()}


def _as_tree(model: Network) -> Tree:
    """Return the contents that a file of the model's weights would have."""
    tree: Tree = {}
    for part in saved_parts(model):
        node = tree
        for step in filter(None, part.path.split("/")):
            node = node.setdefault(step, {})
        node.update({str(index): variable for index, variable in enumerate(part.variables)})
    return _without_empty(tree)


def _without_empty(tree: Tree) -> Tree:
    parts = {name: _without_empty(x) if isinstance(x, dict) else x for name, x in tree.items()}
    return {name: x for name, x in parts.items() if not (isinstance(x, dict) and not x)}


def _differences(ours: Tree, expected: Tree, path: str) -> tuple[list[str], int]:
    problems: list[str] = []
    matches = 0
    for name in dict.fromkeys([*expected, *ours]):
        inner = f"{path}/{name}".lstrip("/")
        if name not in ours or name not in expected:
            where = "the model, but not in the file" if name in expected else "the file, but not in the model"
            problems.append(f"{inner} is in {where}")
        elif isinstance(expected[name], dict) and isinstance(ours[name], dict):
            below, matching = _differences(ours[name], expected[name], inner)
            problems, matches = problems + below, matches + matching
        elif isinstance(expected[name], dict) or isinstance(ours[name], dict):
            problems.append(f"{inner} is an object in one of the two and a weight in the other")
        elif tuple(ours[name].shape) != tuple(expected[name].shape):
            problems.append(
                f"{inner}: shape {ours[name].shape} in the file, {expected[name].shape} in the model"
            )
        else:
            matches += 1
    return problems, matches
