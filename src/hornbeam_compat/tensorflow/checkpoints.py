"""tf.train: checkpoints, the variables of objects by their names. Arguments are TensorFlow's.

A file is a .npz archive of the values by key, and of the graph of objects as JSON: each object has its key,
or the numbers of its children by name. Restoring follows the graphs of the file and of the program from the
root, by equal names. Values of variables that do not exist yet wait: the patches of `patches` try again
whenever a layer, an optimizer or a module creates variables.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import Variable
from hornbeam.errors import ModelFileError
from hornbeam.extensions.files import parse_json, replace_file
from hornbeam.extensions.tracing import eager_scope
from hornbeam.layers import Layer
from hornbeam.optimizers import Optimizer
from hornbeam.saving import load_arrays
from hornbeam_compat.messages import log_once
from hornbeam_compat.patch import Patch
from hornbeam_compat.tensorflow.data import DatasetIterator
from hornbeam_compat.tensorflow.dtypes import as_dtype
from hornbeam_compat.tensorflow.object_graph import ObjectGraph, Parts, children_of, is_tracked
from hornbeam_compat.tensorflow.tensors import Module
from hornbeam_compat.tensorflow.typing import FilePath

# Namespace -> its names.
NAMESPACES = {
    "train": (
        "Checkpoint CheckpointManager CheckpointOptions latest_checkpoint list_variables load_checkpoint "
        "load_variable"
    )
}

_SUFFIX = ".npz"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


# -- restoring -----------------------------------------------------------------------------------------------


class TrackedList(list[Any]):
    """List of a Checkpoint: objects that are added get the values that wait for them."""

    is_tracked = True

    def append(self, value: object) -> None:
        super().append(value)
        _resume()

    def extend(self, values: Iterable[object]) -> None:
        super().extend(values)
        _resume()


# Restorations whose values wait for variables that are not created yet.
_waiting: list[Restored] = []


class Restored:
    """Result of `restore`: values are assigned now, or as soon as their variables exist.

    Args:
        root: The Checkpoint.
        nodes: Graph of the file.
        values: Values of the file by key.
    """

    def __init__(self, root: object, nodes: list[dict[str, Any]], values: dict[str, np.ndarray]) -> None:
        self._root, self._nodes, self._values = weakref.ref(root), nodes, values
        self._matched: dict[int, Any] = {}
        self.resume()

    def resume(self) -> None:
        """Assign values to the variables that exist by now."""
        root = self._root()
        seen: set[int] = set()
        # Pairs of an object, and the number of its node in the file.
        queue: list[tuple[Any, int]] = [] if root is None else [(root, 0)]
        while queue:
            owner, number = queue.pop()
            if id(owner) in seen:
                continue
            seen.add(id(owner))
            node = self._nodes[number]
            if "key" in node:
                if self._matched.get(number) is not owner:
                    self._matched[number] = owner
                    _assign(owner, self._values[node["key"]])
                continue
            children = children_of(owner)
            queue += [(children[name], child) for name, child in node["children"].items() if name in children]

    def missing(self) -> list[str]:
        """Return the keys of the file that no variable has."""
        return [n["key"] for i, n in enumerate(self._nodes) if "key" in n and i not in self._matched]

    def unmatched(self) -> list[str]:
        """Return the names of the variables that are not in the file."""
        restored = {id(part) for part in self._matched.values()}
        root = self._root()
        graph = ObjectGraph(root)
        return [
            node["key"]
            for part, node in zip(graph.parts, graph.nodes, strict=True)
            if "key" in node and id(part) not in restored
        ]

    def assert_consumed(self) -> Restored:
        """Raise AssertionError unless all values were assigned, and all variables restored."""
        if self.missing():
            raise AssertionError(f"no variable has the value {self.missing()[0]!r} of the checkpoint")
        return self.assert_existing_objects_matched()

    def assert_existing_objects_matched(self) -> Restored:
        """Raise AssertionError unless all variables that exist were restored."""
        if self.unmatched():
            raise AssertionError(f"the checkpoint has no value of {self.unmatched()[0]!r}")
        return self

    def assert_nontrivial_match(self) -> Restored:
        """Raise AssertionError if no value was assigned, except the number of the checkpoint."""
        if not any(getattr(part, "name", "") != "save_counter" for part in self._matched.values()):
            raise AssertionError("nothing in the checkpoint matches a variable")
        return self

    def expect_partial(self) -> Restored:
        """Return the object itself. TensorFlow's method silences warnings, of which there are none here."""
        return self


class _NothingRestored(Restored):
    """Result of `restore(None)`."""

    def __init__(self) -> None:
        self._matched, self._nodes = {}, []

    def unmatched(self) -> list[str]:
        return []


def _assign(part: Any, value: np.ndarray) -> None:
    if isinstance(part, DatasetIterator):
        part.restore(value)
        return
    with eager_scope():
        part.assign(value)


def _resume() -> None:
    """Assign waiting values, after variables were created."""
    for restored in list(_waiting):
        restored.resume()
        if restored._root() is None or not restored.missing():
            _waiting.remove(restored)


def _then_resume(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method that creates variables: afterwards they get the values that wait for them."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if _waiting:
            _resume()
        return result

    return call


def patches() -> list[Patch]:
    """List the patches by which new variables get the values that wait for them."""
    return [
        Patch(Layer, "_mark_built", _then_resume(Layer._mark_built)),
        Patch(Optimizer, "build", _then_resume(Optimizer.build)),
        Patch(Module, "__setattr__", _then_resume(object.__setattr__)),
    ]


# -- tf.train ------------------------------------------------------------------------------------------------


class CheckpointOptions:
    """Options of files, which are ignored."""

    def __init__(self, **options: object) -> None:
        pass


class Checkpoint(Parts):
    """Variables of several objects in one file: `Checkpoint(model=model, optimizer=optimizer)`.

    Values have the names of their variables in these objects, such as `model/dense/bias`. Files are .npz
    archives, which TensorFlow does not read; those of TensorFlow are not read here.

    Args:
        root: Object whose parts are saved by their own names.
        **kwargs: Names, and objects with variables.
    """

    def __init__(self, root: object = None, **kwargs: object) -> None:
        self._root = root
        for name, value in kwargs.items():
            if not is_tracked(value) and not isinstance(value, (list, dict)):
                log_once(f"tf.train.Checkpoint: {name!r} has no variables, and is not saved")
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        vars(self)[name] = TrackedList(value) if type(value) is list else value
        if _waiting:
            _resume()

    def __getattr__(self, name: str) -> Variable:
        """Create `save_counter`, the number of checkpoints so far, on first use.

        A Checkpoint that is only a part of another one never has it, so that files do not either.
        """
        if name != "save_counter":
            raise AttributeError(
                f"the Checkpoint has no {name!r}: it has {', '.join(vars(self)) or 'nothing'}"
            )
        vars(self)[name] = Variable(0, dtype="int64", trainable=False, name=name)
        return vars(self)[name]

    def write(self, file_prefix: FilePath, options: object = None) -> str:
        """Write all variables to `file_prefix` with the suffix .npz, and return `file_prefix`."""
        graph = ObjectGraph(self)
        nodes = np.frombuffer(json.dumps(graph.nodes).encode(), np.uint8)
        with replace_file(f"{file_prefix}{_SUFFIX}") as file:
            values = {key: _storable(value) for key, value in graph.values.items()}
            np.savez(file, **{**values, _GRAPH: nodes})  # type: ignore[arg-type]
        return str(file_prefix)

    def save(self, file_prefix: FilePath, options: object = None) -> str:
        """Write all variables to `file_prefix-N`, where N increases by 1 at each call."""
        Path(file_prefix).parent.mkdir(parents=True, exist_ok=True)
        self.save_counter.assign_add(1)
        return self.write(f"{file_prefix}-{int(self.save_counter)}")

    def read(self, save_path: FilePath, options: object = None) -> Restored:
        """Assign the values of a file by name; those of variables that do not exist yet when they do.

        Args:
            save_path: Path without suffix.
            options: Ignored.

        Returns:
            Status with the methods of TensorFlow, such as `assert_consumed()`.

        Raises:
            FileNotFoundError: If there is no such file.
            ModelFileError: If the file is damaged, or beyond the limits for files (`saving.budget`).
            ShapeError: If a value has another shape than its variable.
        """
        reader = CheckpointReader(save_path)
        _ = self.save_counter  # creates it, so that its value is restored
        restored = Restored(self, reader.nodes, reader.values)
        missing = restored.missing()
        if missing:
            _waiting.append(restored)
            log_once(
                f"{save_path}: {len(missing)} values wait for variables that do not exist yet, among them "
                f"{missing[0].partition('/.ATTRIBUTES')[0]!r}: they are assigned when these are created"
            )
        return restored

    def restore(self, save_path: FilePath | None, options: object = None) -> Restored:
        """Assign the values of a file; None changes nothing."""
        return _NothingRestored() if save_path is None else self.read(save_path)


class CheckpointReader:
    """Values in a checkpoint.

    Args:
        path: Path without suffix, or a folder whose newest checkpoint is read.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ModelFileError: If the file is damaged, or beyond the limits for files (`saving.budget`).
    """

    def __init__(self, path: FilePath) -> None:
        prefix = latest_checkpoint(path) if Path(path).is_dir() else str(path)
        file = Path(f"{prefix}{_SUFFIX}")
        if prefix is None or not file.exists():
            also = f" ({path}.index is a file of TensorFlow's)" if Path(f"{path}.index").exists() else ""
            raise FileNotFoundError(f"there is no checkpoint {path} of Hornbeam, a .npz file{also}")
        self.values = load_arrays(file)
        if _GRAPH not in self.values:
            raise ModelFileError(f"{file} is not a checkpoint: it has no names of objects")
        self.nodes = _parsed(self.values[_GRAPH], self.values, f"the graph of objects in {file}")

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Return the shape of each value."""
        return {name: [] if name == _GRAPH else list(v.shape) for name, v in self.values.items()}

    def get_variable_to_dtype_map(self) -> dict[str, Any]:
        """Return the dtype of each value."""
        return {
            name: as_dtype("string") if name == _GRAPH else as_dtype(v.dtype)
            for name, v in self.values.items()
        }

    def has_tensor(self, tensor_str: str) -> bool:
        """Return True if there is a value of this name."""
        return tensor_str in self.values

    def get_tensor(self, tensor_str: str) -> np.ndarray:
        """Return a value."""
        return self.values[tensor_str]


def _storable(array: np.ndarray) -> np.ndarray:
    """Return bfloat16, which NumPy's files lack, as float32, which holds its values exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _parsed(text: np.ndarray, values: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    """Return the graph of objects that a file has as JSON.

    Raises:
        ModelFileError: If the text is too long or no such graph, or names a value that is not in the file.
    """
    nodes = parse_json(text.tobytes(), source)
    if not isinstance(nodes, list) or not nodes or not all(isinstance(node, dict) for node in nodes):
        raise ModelFileError(f"{source} is not a list of objects")
    for node in nodes:
        children = node.get("children", {}) if isinstance(node.get("children", {}), dict) else None
        if children is None or not all(
            type(child) is int and 0 <= child < len(nodes) for child in children.values()
        ):
            raise ModelFileError(f"{source} names objects that are not in the file")
        if "key" in node and not (isinstance(node["key"], str) and node["key"] in values):
            raise ModelFileError(f"{source} names the value {node['key']!r:.80}, which is not in the file")
        node.setdefault("children", {})
    return nodes


def load_checkpoint(ckpt_dir_or_file: FilePath) -> CheckpointReader:
    """Read a checkpoint, or the newest one of a folder."""
    return CheckpointReader(ckpt_dir_or_file)


def list_variables(ckpt_dir_or_file: FilePath) -> list[tuple[str, list[int]]]:
    """Return the sorted names and the shapes of the values in a checkpoint."""
    return sorted(CheckpointReader(ckpt_dir_or_file).get_variable_to_shape_map().items())


def load_variable(ckpt_dir_or_file: FilePath, name: str) -> np.ndarray:
    """Return a value of a checkpoint."""
    return CheckpointReader(ckpt_dir_or_file).get_tensor(name)


def _list_checkpoints(folder: Path, name: str | None = None) -> list[str]:
    """Return the checkpoints in a folder without their suffixes, the oldest first."""
    numbered = []
    for path in folder.glob(f"*-*{_SUFFIX}"):
        match = re.fullmatch(r"(.+)-(\d+)", path.stem)
        if match and (name is None or match[1] == name):
            numbered.append((int(match[2]), str(path.with_suffix(""))))
    return [path for _, path in sorted(numbered)]


def latest_checkpoint(checkpoint_dir: FilePath, latest_filename: str | None = None) -> str | None:
    """Return the newest checkpoint in a folder, or the newest file of `Model.save_weights`, or None."""
    folder = Path(checkpoint_dir)
    checkpoints = _list_checkpoints(folder)
    if checkpoints:
        return checkpoints[-1]
    weights = sorted(folder.glob("*.weights.h5"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return str(weights[-1]).removesuffix(".weights.h5") if weights else None


class CheckpointManager:
    """Numbered checkpoints in a folder, of which only the newest are kept.

    Args:
        checkpoint: The Checkpoint to save and restore.
        directory: Path of the folder.
        max_to_keep: Number of checkpoints to keep. All if None.
        checkpoint_name: Prefix of the file names.
    """

    def __init__(
        self, checkpoint: Checkpoint, directory: FilePath, max_to_keep: int | None,
        checkpoint_name: str = "ckpt",
    ) -> None:  # fmt: skip
        self.checkpoint, self.directory = checkpoint, str(directory)
        self._max_to_keep, self._name = max_to_keep, checkpoint_name

    @property
    def checkpoints(self) -> list[str]:
        return _list_checkpoints(Path(self.directory), self._name)

    @property
    def latest_checkpoint(self) -> str | None:
        checkpoints = self.checkpoints
        return checkpoints[-1] if checkpoints else None

    def save(self, checkpoint_number: int | None = None) -> str:
        """Write a checkpoint, and delete the oldest beyond `max_to_keep`."""
        prefix = Path(self.directory) / self._name
        if checkpoint_number is None:
            path = self.checkpoint.save(prefix)
        else:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            path = self.checkpoint.write(f"{prefix}-{int(checkpoint_number)}")
        for old in self.checkpoints[: -self._max_to_keep] if self._max_to_keep else []:
            Path(old + _SUFFIX).unlink()
        return path

    def restore_or_initialize(self) -> str | None:
        """Restore the newest checkpoint, if any, and return its path."""
        self.checkpoint.restore(self.latest_checkpoint)
        return self.latest_checkpoint
