"""Frozen models: the inference plan of a model in one file, for `hornbeam.runtime` and other programs."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import _native, ops, tree
from hornbeam._internal.input_statistics import INDICES, TRAINING_INPUTS, to_config
from hornbeam._internal.typing import Tree
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.variable import Variable
from hornbeam.engines import get_engine
from hornbeam.engines.native import encode
from hornbeam.export.signature import check_graph, names_of, outside_dtype, signature_of
from hornbeam.export.text_inputs import TEXT, split_text
from hornbeam.export.unknown_sizes import ExportTrace, input_types, refuse_updates, trace_for_export
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.sizes import SymbolicSize
from hornbeam.ir.types import TensorType, is_complex
from hornbeam.layers.host_checks import noted_indices
from hornbeam.saving.files import replace_file
from hornbeam.saving.model_parts import weight_names
from hornbeam.training.inference_plan import plan_inference
from hornbeam.training.outputs import unique_names
from hornbeam.training.steps import training_state

if TYPE_CHECKING:
    from hornbeam.models import Model

VERSION = 1
# The first tensor begins on a cache line, so that each is aligned for its dtype.
ALIGNMENT = 64
_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
    "bfloat16": "BF16", "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64",
    "float64": "F64",
}  # fmt: skip


def export_frozen(
    model: Model,
    filepath: str | os.PathLike[str],
    input_signature: Tree = None,
    labels: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> Path:
    """Write the inference of a model as a frozen model.

    Args:
        model: A built model.
        filepath: The file, by custom one that ends in ".hornbeam".
        input_signature: Structure of InputSpecs; by default the model's inputs.
        labels: Names of the classes of an output of class scores.
        preprocessing: Dict from names of inputs to dicts that say how a page or a server makes the input of
            an image, a text or numbers: `{"pixels": {"kind": "image", "range": [0, 1]}}`; see docs/frozen.md.

    Returns:
        The file.

    Raises:
        ValueError: As for ONNX files, and for labels whose number is not that of the classes.
        TypeError: For Python code that needs an unknown size as a number.
        NotImplementedError: For operations that the native engine does not have.
    """
    target = Path(filepath)
    data = freeze(model, input_signature, labels, preprocessing)
    with replace_file(target) as file:
        file.write(data)
    return target


def freeze(
    model: Model,
    input_signature: Tree = None,
    labels: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the contents of the file that `export_frozen` writes."""
    archive = FrozenArchive(model)
    archive.add_predict(input_signature)
    return archive.to_bytes(archive.metadata(labels, preprocessing))


def _checked_labels(labels: Sequence[str], outputs: Sequence[TensorType]) -> list[str]:
    names = list(map(str, labels))
    sizes = [t.shape[-1] for t in outputs if t.shape]
    # A sigmoid's one score tells two classes apart.
    if isinstance(labels, str) or not any(
        size == len(names) or (size, len(names)) == (1, 2) for size in sizes
    ):
        raise ValueError(f"labels must be the names of the {sizes} classes of the outputs, got {labels!r}")
    return names


class FrozenArchive:
    """Signatures of a model that share their weights, to be written as one file.

    The format is described in crates/hornbeam-runtime/src/file.rs.
    """

    def __init__(self, model: Model) -> None:
        self.model, self._text = split_text(model)
        check_graph(self.model)
        self._engine = get_engine("native")
        self._file_names = {id(variable): name for name, variable in weight_names(self.model)}
        self._tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
        # Names in the file, by name and contents: signatures share weights.
        self._names: dict[tuple[Any, ...], str] = {}
        self.signatures: dict[str, dict[str, Any]] = {}
        self._outputs: dict[str, list[TensorType]] = {}
        # Inputs that are indices, with the number below which they must be.
        self._indices: dict[str, int] = {}

    def outputs(self, signature: str) -> list[TensorType]:
        """Return the types of the outputs of a signature."""
        return self._outputs[signature]

    def metadata(
        self, labels: Sequence[str] | None, preprocessing: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return what the file says of the model, after `add_predict`."""
        metadata: dict[str, Any] = {"name": self.model.name, "hornbeam_version": _native.__version__}
        if labels is not None:
            metadata["labels"] = _checked_labels(labels, self.outputs("predict"))
        inputs = [spec["name"] for spec in self.signatures["predict"]["inputs"]]
        if preprocessing is not None:
            unknown = [name for name in preprocessing if name not in inputs]
            if unknown or not all(isinstance(about, Mapping) for about in preprocessing.values()):
                raise ValueError(
                    f"preprocessing must be a dict from names of inputs ({', '.join(inputs)}) to dicts, got "
                    f"{preprocessing!r}"
                )
            metadata["preprocessing"] = dict(preprocessing)
        if self._text is not None:
            metadata["preprocessing"] = {TEXT: self._text, **metadata.get("preprocessing", {})}
        if self._indices:
            metadata[INDICES] = self._indices
        trained = training_state(self.model).training_inputs.statistics
        if set(trained) != set(inputs) and len(trained) == len(inputs):  # they came as a list
            trained = dict(zip(inputs, trained.values(), strict=True))
        if trained and set(trained) <= set(inputs):
            metadata[TRAINING_INPUTS] = to_config(trained)
        return metadata

    def add_predict(self, input_signature: Tree = None) -> None:
        """Add the signature "predict": what `model.predict` computes."""
        model = self.model
        structure = signature_of(model) if input_signature is None else list(input_signature)

        def predict(*xs: Any) -> Any:
            return model(*tree.pack_sequence_as(structure, list(xs)), training=False)

        argument = structure[0] if len(structure) == 1 else structure
        model_names = getattr(model, "input_names", None) if self._text is None else [TEXT]
        names = names_of(model_names, "input", argument)
        self.add("predict", predict, tree.flatten(structure), names, getattr(model, "output_names", None))

    def add(
        self,
        signature: str,
        function: Callable[..., Any],
        specs: Sequence[Any],
        names: Sequence[str],
        result_names: Sequence[str] | None = None,
    ) -> None:
        """Add a function of tensors that reads the model's variables.

        Args:
            signature: Its name.
            function: The function. Its result is a structure of tensors.
            specs: Shape and dtype of each argument, as of InputSpec.
            names: Names of the arguments.
            result_names: Names of the results; None to name them after keys and numbers.
        """
        model, where = self.model, f"{self.model.describe()}, {signature}"
        dtypes = [str(spec.dtype or "float32") for spec in specs]
        types = input_types([(spec.shape, outside_dtype(d)) for spec, d in zip(specs, dtypes, strict=True)])

        def outside(*xs: Any) -> Any:
            results = function(*(ops.cast(x, dtype) for x, dtype in zip(xs, dtypes, strict=True)))
            return tree.map_structure(lambda y: ops.cast(y, outside_dtype(y.dtype)), results)

        with noted_indices(are_checked=False) as notes:
            trace = trace_for_export(outside, types, where)
        refuse_updates(model, trace.traced, "a frozen model")
        results = names_of(result_names, "output", trace.traced.result)
        every = unique_names([*names, *results])
        self._outputs[signature] = [node.tensor_type() for node in trace.graph.outputs]
        assert notes is not None
        for position, layer in notes.by_position(trace.graph.inputs[-len(names) :]):
            limit = self._indices.get(names[position], layer.input_dim)
            self._indices[names[position]] = min(layer.input_dim, limit)
        _refuse_complex(where, [*types, *self._outputs[signature]])
        weights, constants, text = self._planned(trace)
        self._tensors[f"graph/{signature}"] = ("uint8", (len(text),), text)
        self.signatures[signature] = {
            "inputs": _specs(every[: len(names)], types),
            "outputs": _specs(every[len(names) :], self._outputs[signature]),
            "weights": weights,
            "constants": constants,
        }

    def add_step(
        self,
        signature: str,
        trace: ExportTrace,
        names: Sequence[str],
        results: Sequence[str],
        state: Mapping[str, Variable],
    ) -> None:
        """Add a function that takes the values of variables and returns the new ones.

        Args:
            signature: Its name.
            trace: The function.
            names: Names of its arguments.
            results: Names of its results.
            state: Variables by name, among them all that it reads. Each is an input; the new value of one
                that it assigns is the output "<name>.next".
        """
        traced, inputs = trace.traced, trace.graph.inputs
        read = dict(zip(traced.variables, inputs, strict=False))
        changed = dict(zip(traced.updated, trace.graph.outputs, strict=False))
        arguments = inputs[len(inputs) - len(names) :]
        values = [read.get(v) or placeholder(v.type, 0) for v in state.values()]
        updated = {f"{name}.next": changed[v] for name, v in state.items() if v in changed}
        graph = Graph((*trace.constants, *arguments, *values), (*traced.outputs, *updated.values()))
        graph = lower(graph)
        self._engine.check(graph)
        ends = [[n.tensor_type() for n in nodes] for nodes in ((*arguments, *values), graph.outputs)]
        _refuse_complex(f"{self.model.describe()}, {signature}", [*ends[0], *ends[1]])
        evaluate(trace.constants)
        known = [self._engine.get(buffer_of(node, self._engine)) for node in trace.constants]
        constants: list[_native.Buffer] = []
        text = encode(graph, constants).encode()
        self._tensors[f"graph/{signature}"] = ("uint8", (len(text),), text)
        self.signatures[signature] = {
            "inputs": _specs([*names, *state], ends[0]),
            "outputs": _specs([*results, *updated], ends[1]),
            "weights": [self._tensor("constant", array) for array in known],
            "constants": [self._tensor("constant", self._engine.get(c)) for c in constants],
        }

    def add_values(self, signature: str, values: Mapping[str, np.ndarray]) -> None:
        """Add a function without arguments that returns arrays, by name."""
        nodes = [placeholder(TensorType(x.shape, x.dtype.name), 0) for x in values.values()]
        text = encode(Graph(nodes, nodes), []).encode()
        self._tensors[f"graph/{signature}"] = ("uint8", (len(text),), text)
        self.signatures[signature] = {
            "inputs": [],
            "outputs": _specs(list(values), [node.tensor_type() for node in nodes]),
            "weights": [self._tensor(name, array) for name, array in values.items()],
            "constants": [],
        }

    def _planned(self, trace: ExportTrace) -> tuple[list[str], list[str], bytes]:
        """Fold and split a graph. Return names of its weights and constants, and its text."""
        engine, traced = self._engine, trace.traced
        nodes = [variable.value.node for variable in traced.variables] + trace.constants
        evaluate(nodes)
        names = [self._file_names.get(id(v), v.path) for v in traced.variables]
        names += ["constant"] * len(trace.constants)
        graph = lower(trace.graph)
        first, rest, direct = plan_inference(graph, len(nodes), engine)
        buffers = [buffer_of(node, engine) for node in nodes]
        weights = [self._tensor(names[i], engine.get(buffers[i])) for i in direct]
        if first.outputs:
            values = engine.executable(first).run(buffers)
            weights += [
                self._tensor(node.scope or "constant", engine.get(value))
                for node, value in zip(first.outputs, values, strict=True)
            ]
        constants: list[_native.Buffer] = []
        text = encode(rest.copy(), constants).encode()
        return weights, [self._tensor("constant", engine.get(c)) for c in constants], text

    def _tensor(self, name: str, array: np.ndarray) -> str:
        """Store an array; return its name in the file."""
        entry = (array.dtype.name, array.shape, array.tobytes())
        key = (name, entry)
        if key not in self._names:
            unique = self._names[key] = unique_names([*self._tensors, name])[-1]
            self._tensors[unique] = entry
        return self._names[key]

    def to_bytes(self, metadata: Mapping[str, Any]) -> bytes:
        """Return the file."""
        description = {"signatures": self.signatures, "metadata": dict(metadata)}
        text = json.dumps(description, separators=(",", ":")).encode()
        tensors = {**self._tensors, "model": ("uint8", (len(text),), text)}
        # Each begins where its dtype needs it to: larger items first.
        names = sorted(tensors, key=lambda name: -_itemsize(tensors[name]))
        table: dict[str, Any] = {}
        begin = 0
        for name in names:
            dtype, shape, data = tensors[name]
            table[name] = {
                "dtype": _DTYPES[dtype],
                "shape": shape,
                "data_offsets": [begin, begin + len(data)],
            }
            begin += len(data)
        body = b"".join(tensors[name][2] for name in names)
        about = {"format": "hornbeam", "version": str(VERSION), "crc32": f"{zlib.crc32(body):08x}"}
        header = json.dumps({"__metadata__": about, **table}, separators=(",", ":")).encode()
        header += b" " * (-(len(header) + 8) % ALIGNMENT)
        return len(header).to_bytes(8, "little") + header + body


def _itemsize(tensor: tuple[str, tuple[int, ...], bytes]) -> int:
    dtype, _, _ = tensor
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _specs(names: Sequence[str], types: Sequence[TensorType]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "dtype": t.dtype,
            "shape": [f"={n.expression}" if isinstance(n, SymbolicSize) else n for n in t.shape],
        }
        for name, t in zip(names, types, strict=True)
    ]


def _refuse_complex(where: str, types: Sequence[TensorType]) -> None:
    if any(is_complex(t.dtype) for t in types):
        raise ValueError(f"{where} has complex inputs or outputs, which a frozen model cannot have")


__all__ = ["FrozenArchive", "export_frozen", "freeze"]
