"""tf.saved_model: modules and models in a folder, as values and the names of their classes.

TensorFlow stores the graphs of all functions. Here a folder has data alone, never code: the values of
variables and attributes, and the names of classes. A program that loads it defines or imports these.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hornbeam import Tensor, Variable, tree
from hornbeam.data import Strings
from hornbeam.errors import MissingNameError
from hornbeam.extensions.files import parse_json
from hornbeam.extensions.tensors import as_tensor
from hornbeam.layers import Layer
from hornbeam.saving import load_arrays
from hornbeam_compat.messages import log_once
from hornbeam_compat.tensorflow.dtypes import TensorSpec
from hornbeam_compat.tensorflow.functions import ConcreteFunction, Function
from hornbeam_compat.tensorflow.random import Generator
from hornbeam_compat.tensorflow.saved_names import class_name, find_class, find_function, function_name
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.tensors import Module
from hornbeam_compat.tensorflow.tensors import Variable as TensorFlowVariable
from hornbeam_compat.tensorflow.typing import FilePath, Tree

__all__ = [
    "DEFAULT_SERVING_SIGNATURE_DEF_KEY", "LoadOptions", "SaveOptions", "contains_saved_model", "load", "save",
]  # fmt: skip

DEFAULT_SERVING_SIGNATURE_DEF_KEY = "serving_default"
_OBJECTS, _VALUES = "hornbeam_saved_model.json", "variables.npz"
_SIMPLE = (bool, int, float, str, type(None))

Signatures: TypeAlias = Function | ConcreteFunction | dict[str, Function | ConcreteFunction] | None


class SaveOptions:
    """Options of saving, which are ignored."""

    def __init__(self, **options: object) -> None:
        pass


class LoadOptions(SaveOptions):
    """Options of loading, which are ignored."""


def contains_saved_model(export_dir: FilePath) -> bool:
    """Return True if a folder has what `save` writes, or a SavedModel of TensorFlow."""
    return any((Path(export_dir) / name).exists() for name in (_OBJECTS, "saved_model.pb"))


# -- writing -------------------------------------------------------------------------------------------------


class _Writer:
    """Objects as JSON, with numbers for objects, and keys for the values of variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: list[dict[str, Any]] = []
        self.values: dict[str, np.ndarray] = {}
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def reference(self, part: object) -> int:
        """Return the number of an object, which is written once."""
        if id(part) not in self._numbers:
            number = self._numbers[id(part)] = len(self.objects)
            self._kept.append(part)
            self.objects.append({})
            self.objects[number] = self._object(part, number)
        return self._numbers[id(part)]

    def _object(self, part: object, number: int) -> dict[str, Any]:
        key = str(number)
        if isinstance(part, Variable):
            self.values[key] = np.asarray(part)
            return {
                "kind": "variable",
                "dtype": str(part.dtype),
                "trainable": part.trainable,
                "name": part.name,
            }
        if isinstance(part, Generator):
            self.values[key] = np.asarray(part.state)
            return {"kind": "generator"}
        if isinstance(part, Layer):
            return {"kind": "layer", **self._layer(part, key)}
        own = {
            k: v for k, v in vars(part).items() if not (isinstance(v, Function) and hasattr(type(part), k))
        }
        attributes = {name: self.encode(value, name) for name, value in own.items()}
        kept = {name: value for name, value in attributes.items() if value is not _SKIPPED}
        return {"kind": "module", "class": class_name(type(part)), "attributes": kept}

    def _layer(self, layer: Layer, key: str) -> dict[str, Any]:
        from hornbeam.saving import serialize_keras_object

        for index, variable in enumerate(layer.variables):
            self.values[f"{key}/{index}"] = np.asarray(variable)
        try:
            config = serialize_keras_object(layer)
        except (TypeError, NotImplementedError, ValueError):
            config = None  # a subclass without get_config, which is created without arguments
        build = layer.get_build_config() if layer.built else None
        return {"class": class_name(type(layer)), "config": config, "build": build}

    def encode(self, value: Tree, name: str) -> Tree:
        """Return a value as JSON: containers, objects by their numbers, arrays by their keys."""
        if isinstance(value, _SIMPLE):
            return value
        if isinstance(value, (Variable, Module, Layer, Generator)):
            return {"object": self.reference(value)}
        if isinstance(value, Strings):
            texts = [x.decode("latin-1") for x in StringTensor(value).array.reshape(-1).tolist()]
            return {"texts": texts, "shape": list(value.shape)}
        if isinstance(value, (Tensor, np.ndarray, np.generic)) and not getattr(value, "symbolic", False):
            array = np.asarray(value)
            if array.dtype != object:
                key = f"array{len(self.values)}"
                self.values[key] = array
                return {"array": key, "numpy": not isinstance(value, Tensor)}
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, name) for item in value]
            return {"tuple" if isinstance(value, tuple) else "list": [i for i in items if i is not _SKIPPED]}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            entries = {key: self.encode(item, name) for key, item in value.items()}
            return {"dict": {key: item for key, item in entries.items() if item is not _SKIPPED}}
        function = function_name(value)
        if function is None:
            log_once(
                f"tf.saved_model.save: the attribute {name!r} ({type(value).__name__}) is not saved: it is "
                "no value, no module, and no named function of the script"
            )
            return _SKIPPED
        return {"function": function}


_SKIPPED = object()


def save(
    obj: Module | Layer, export_dir: FilePath, signatures: Signatures = None, options: object = None
) -> None:
    """Write a `tf.Module`, a model or a layer to a folder, which `tf.saved_model.load` of Hornbeam reads.

    Args:
        obj: The module.
        export_dir: Path of the folder.
        signatures: Functions that callers find under `signatures`: a `tf.function` with an input signature or
            a concrete function, or a dict of them. They are methods of `obj`.
        options: Ignored.

    Raises:
        TypeError: For other objects.
        ValueError: For signatures that are not methods of `obj`.
    """
    if not isinstance(obj, (Module, Layer)):
        raise TypeError(
            f"tf.saved_model.save takes a tf.Module, a model or a layer, got {type(obj).__name__}. "
            "tf.train.Checkpoint saves variables alone."
        )
    folder = Path(export_dir)
    folder.mkdir(parents=True, exist_ok=True)
    writer = _Writer(folder)
    root = writer.reference(obj)
    content = {"root": root, "objects": writer.objects, "signatures": _signatures(obj, signatures)}
    with (folder / _VALUES).open("wb") as file:
        np.savez(file, **writer.values)  # type: ignore[arg-type]
    (folder / _OBJECTS).write_text(json.dumps(content))


def _signatures(obj: Module | Layer, signatures: Signatures) -> dict[str, Any]:
    if signatures is None:
        methods = [name for name in dir(type(obj)) if isinstance(getattr(type(obj), name, None), Function)]
        bound = [getattr(obj, name) for name in methods] if isinstance(obj, Module) else []
        typed = [f for f in bound if f.input_signature is not None and _has_results(f)]
        signatures = {DEFAULT_SERVING_SIGNATURE_DEF_KEY: typed[0]} if len(typed) == 1 else {}
    if not isinstance(signatures, dict):
        signatures = {DEFAULT_SERVING_SIGNATURE_DEF_KEY: signatures}
    return {key: _signature(obj, key, function) for key, function in signatures.items()}


def _has_results(function: Function) -> bool:
    try:
        outputs = function.get_concrete_function().structured_outputs
    except MissingNameError:  # they are not known without values
        return True
    return any(hasattr(x, "shape") for x in tree.flatten(outputs))


def _signature(obj: object, key: str, function: object) -> dict[str, Any]:
    """Return the name of a method, and the types of its arguments."""
    concrete = function.get_concrete_function() if isinstance(function, Function) else function
    if not isinstance(concrete, ConcreteFunction):
        raise TypeError(f"the signature {key!r} must be a tf.function, got {type(function).__name__}")
    python = concrete.function.python_function
    name = getattr(python, "__name__", "")
    if getattr(python, "__self__", None) is not obj or not hasattr(type(obj), name):
        raise ValueError(
            f"the signature {key!r} must be a method of the saved {type(obj).__name__}: files have no code, "
            "and the class is where the loading program finds it"
        )
    args, kwargs = concrete.structured_input_signature
    arguments = tree.map_structure(lambda x: _encode_spec(x, key), (list(args), kwargs))
    return {"method": name, "args": arguments[0], "kwargs": arguments[1]}


def _encode_spec(x: object, key: str) -> str:
    if isinstance(x, TensorSpec):
        return f"spec:{json.dumps([None if x.shape is None else list(x.shape), str(x.dtype), x.name])}"
    if isinstance(x, _SIMPLE):
        return f"value:{json.dumps(x)}"
    raise ValueError(f"the signature {key!r} has the argument {x!r}, which files do not hold")


def _decode_spec(text: str) -> Tree:
    kind, _, content = text.partition(":")
    value = json.loads(content)
    return TensorSpec(*value) if kind == "spec" else value


# -- reading -------------------------------------------------------------------------------------------------


class _Reader:
    """Objects of a folder, created on first use."""

    def __init__(self, folder: Path) -> None:
        content: Any = parse_json((folder / _OBJECTS).read_bytes(), _OBJECTS)
        self.root, self.signatures = content["root"], content["signatures"]
        self._objects = content["objects"]
        self._values = load_arrays(folder / _VALUES)
        self._created: dict[int, Any] = {}

    def object(self, number: int) -> Tree:
        """Return an object by its number."""
        if number not in self._created:
            entry, key = self._objects[number], str(number)
            if entry["kind"] == "module":
                cls = find_class(entry["class"], Module)
                part = self._created[number] = cls.__new__(cls)
                _check_attributes(cls, entry["attributes"])
                vars(part).update({k: self.decode(v) for k, v in entry["attributes"].items()})
            elif entry["kind"] == "variable":
                self._created[number] = TensorFlowVariable(
                    self._values[key], entry["trainable"], dtype=entry["dtype"], name=entry["name"]
                )
            elif entry["kind"] == "generator":
                self._created[number] = Generator.from_state(self._values[key])
            else:
                self._created[number] = self._layer(entry, key)
        return self._created[number]

    def _layer(self, entry: dict[str, Any], key: str) -> Layer:
        from hornbeam.saving import deserialize_keras_object

        cls = find_class(entry["class"], Layer)
        if entry["config"] is None:
            layer = cls()
        else:
            layer = deserialize_keras_object(entry["config"], custom_objects={cls.__name__: cls})
        if entry["build"] is not None and not layer.built:
            layer.build_from_config(entry["build"])
        values = [self._values[name] for name in self._values if name.startswith(f"{key}/")]
        if len(values) != len(layer.variables):
            raise ValueError(
                f"{layer.name}: the file has {len(values)} variables, the layer {len(layer.variables)}: "
                "create its sublayers in __init__, and save models as .keras files if their shapes vary"
            )
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
        return layer

    def decode(self, value: Tree) -> Tree:
        """Undo `_Writer.encode`."""
        if not isinstance(value, dict):
            return value
        (kind, content), *rest = value.items()
        if kind == "object":
            return self.object(content)
        if kind == "function":
            return find_function(content)
        if kind == "array":
            array = self._values[content]
            return array[()] if dict(rest)["numpy"] else as_tensor(array)
        if kind == "texts":
            texts = np.array([text.encode("latin-1") for text in content] or [b""], object)
            return StringTensor(texts[: len(content)].reshape(dict(rest)["shape"]))
        if kind == "dict":
            return {key: self.decode(item) for key, item in content.items()}
        items = [self.decode(item) for item in content]
        return tuple(items) if kind == "tuple" else items


def _check_attributes(cls: type, names: Iterable[str]) -> None:
    """Raise ValueError for attributes of a file that would replace methods of the program's class."""
    for name in names:
        if callable(getattr(cls, name, None)) or name.startswith("__"):
            raise ValueError(f"the saved folder has an attribute {name!r}, a method of {cls.__name__}")


class Signature:
    """A function of a loaded folder, with tensors by name: it returns a dict of tensors.

    Args:
        function: Concrete function.
        names: Names of its arguments.
    """

    def __init__(self, function: Any, names: list[str], specs: Callable[[], Any]) -> None:
        self._function, self._names, self._specs = function, names, specs

    def __call__(self, *args: object, **kwargs: object) -> dict[str, Any]:
        """Call the function.

        Args:
            *args: Tensors, in their order.
            **kwargs: Tensors by name. A single one may have any name.
        """
        if len(self._names) == 1 and len(kwargs) == 1 and not args:
            args, kwargs = tuple(kwargs.values()), {}
        return _named(self._function(*args, **kwargs))

    @property
    def structured_outputs(self) -> dict[str, Any]:
        """Names and types of the results."""
        return {
            name: TensorSpec(spec.shape, spec.dtype, name) for name, spec in _named(self._specs()).items()
        }

    @property
    def structured_input_signature(self) -> Tree:
        """Types of the arguments."""
        return self._function.structured_input_signature


def _named(results: Tree) -> dict[str, Any]:
    if isinstance(results, dict):
        return results
    return {f"output_{index}": result for index, result in enumerate(tree.flatten(results))}


class LoadedModel:
    """A loaded model or layer: a function with variables, `serve` and signatures.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self.variables, self.trainable_variables = layer.variables, layer.trainable_variables
        self.non_trainable_variables = layer.non_trainable_variables
        self.signatures: dict[str, Signature] = {}
        inputs = getattr(layer, "inputs", None)
        if inputs:
            names = [x.name for x in inputs]
            signature = Signature(self.serve, names, self._output_specs)
            self.signatures = {"serve": signature, DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature}

    def _output_specs(self) -> list[TensorSpec]:
        return [TensorSpec(x.shape, x.dtype) for x in self._layer.outputs]  # type: ignore[attr-defined]

    def __call__(self, *args: object, **kwargs: object) -> Tree:
        """Call the layer."""
        return self._layer(*args, **kwargs)

    def serve(self, *args: object) -> Tree:
        """Call the layer for inference."""
        inputs = args[0] if len(args) == 1 else list(args)
        return self._layer(inputs, training=False)


def load(export_dir: FilePath, tags: object = None, options: object = None) -> Tree:
    """Read what `tf.saved_model.save` of Hornbeam wrote.

    Args:
        export_dir: Path of the folder.
        tags: Ignored.
        options: Ignored.

    Returns:
        A module of the same class with the same values, which has `signatures`; a `LoadedModel` for a model.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: For a SavedModel of TensorFlow.
        MissingNameError: If the program does not define a class of the folder.
    """
    folder = Path(export_dir)
    if not (folder / _OBJECTS).exists():
        if (folder / "saved_model.pb").exists():
            raise ValueError(
                f"{folder} is a SavedModel of TensorFlow, with graphs that `hornbeam run` does not have. "
                "keras.layers.TFSMLayer runs one, where TensorFlow is installed."
            )
        raise FileNotFoundError(f"{folder} has no saved model: tf.saved_model.save writes one")
    reader = _Reader(folder)
    root = reader.object(reader.root)
    if isinstance(root, Layer):
        return LoadedModel(root)
    signatures = {}
    for key, entry in reader.signatures.items():
        args = tree.map_structure(_decode_spec, entry["args"])
        kwargs = tree.map_structure(_decode_spec, entry["kwargs"])
        concrete = getattr(root, entry["method"]).get_concrete_function(*args, **kwargs)
        names = [name for name, spec, _ in concrete.parameters if isinstance(spec, TensorSpec)]
        signatures[key] = Signature(
            concrete, names, functools.partial(getattr, concrete, "structured_outputs")
        )
    root.__dict__["signatures"] = signatures
    return root
