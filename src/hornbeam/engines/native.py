"""The native engine: our own compiler and kernels, in Rust.

A graph is serialized to compact text once (format: crates/hornbeam-engine/src/decode), compiled
in a few milliseconds, and run as a flat list of instructions without the GIL. HORNBEAM_THREADS limits the
number of threads; HORNBEAM_PROFILE=1 prints a profile of each graph.
"""

from __future__ import annotations

import functools
import json
import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import _native
from hornbeam.engines.base import Bound, Buffer, Engine, Executable
from hornbeam.engines.host import check_library
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import SymbolicSize
from hornbeam.ir.types import TensorType, ValueType, dtype_name, numpy_dtype

# Constants up to this size are part of the text.
INLINE_BYTES = 256

_BFLOAT16 = numpy_dtype("bfloat16")
# Whether profiles are printed; their graphs need scopes.
_PRINTS_PROFILES = os.environ.get("HORNBEAM_PROFILE", "0") not in ("", "0")


def _write_size(size: Any) -> Any:
    return f"={size.expression}" if isinstance(size, SymbolicSize) else operator.index(size)


_WRITE = json.JSONEncoder(separators=(",", ":"), default=_write_size).encode
# Parameters that follow from types, or that only the front end needs.
_IMPLIED = frozenset({"shape", "dtype", "sizes", "stop", "input_shape", "kernel_shape"})


class NativeExecutable:
    """A graph compiled by the native engine."""

    def __init__(self, compiled: _native.Executable) -> None:
        self.compiled = compiled
        self.run = compiled.run

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """Fix the first inputs; see `Executable.bind`.

        Convolution kernels are transformed, and weights searched for infinities, once instead of in every
        run.
        """
        return self.compiled.bind(list(weights)).run

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `Executable.run_steps`. After Ctrl-C the buffers of `state` hold the state
        reached."""
        rows = _native.Buffer.from_numpy(np.ascontiguousarray(indices, np.int64), "int64")
        return self.compiled.run_steps(list(state), list(data), rows)

    def call_of(self, tensor_class: type, engine: Engine, types: Sequence[ValueType]) -> _native.Call:
        """Return the call on tensors of these types that have values on the engine."""
        return _native.Call(self.compiled, tensor_class, engine, list(types))

    def profile(self) -> dict[str, Any]:
        """Return the times of all runs so far; see `Profile::json` in the engine."""
        return json.loads(self.compiled.profile() or "{}")

    def clear_profile(self) -> None:
        """Reset the profile."""
        self.compiled.clear_profile()

    @property
    def text(self) -> str:
        """The compiled instructions, one per line."""
        return self.compiled.text

    @property
    def memory_plan(self) -> dict[str, Any]:
        """Bytes and FLOPs with the graph's memory budget and without (`MemoryPlan::json` in the engine)."""
        return json.loads(self.text.split("\n", 1)[0])


class NativeEngine(Engine):
    """Engine of Hornbeam's own kernels, on all cores, with equal bits for any number of threads."""

    name = "native"
    plans_memory = True
    multiplies_int8 = True

    def compile(self, graph: Graph) -> Executable:
        """Compile a closed graph.

        Raises:
            NotImplementedError: If an operation has no kernel; the message names the layer.
            MemoryError: If the graph has a memory budget that is too small; the message has the least one.
        """
        try:
            return NativeExecutable(_compiled(graph, profile=False))
        except (NotImplementedError, MemoryError):
            # Compile with scopes, so that the error names the layer.
            return NativeExecutable(_compiled(graph, profile=True))

    def compile_profiled(self, graph: Graph) -> Executable:
        """Compile to an executable whose `profile()` returns times by layer and instruction."""
        return NativeExecutable(_compiled(graph, profile=True))

    @functools.cache  # noqa: B019 - there is one engine
    def peak(self) -> dict[str, Any]:
        """Return the machine's peaks with all threads, measured once: FLOPs and bytes per second."""
        return _native.machine_peaks()

    def put(self, array: np.ndarray) -> Buffer:
        """Create a buffer with the values of an array. Large arrays are borrowed: do not write to them
        again."""
        name = dtype_name(array.dtype)
        try:
            return _native.Buffer.from_numpy(array, name)
        except ValueError:  # strided, or of the other byte order
            return _native.Buffer.from_numpy(
                np.require(array, array.dtype.newbyteorder("="), ["C", "A"]), name
            )

    def get(self, buffer: Buffer) -> np.ndarray:
        """Return a buffer's values as a read-only array on the same memory."""
        array = np.asarray(buffer.export())
        return array.view(_BFLOAT16) if buffer.dtype == "bfloat16" else array

    @property
    def threads(self) -> int:
        """Number of threads of one run."""
        return _native.threads()

    def set_threads(self, threads: int) -> None:
        """Set the number of threads. Results do not depend on it.

        Raises:
            ValueError: If `threads` is below 1.
        """
        _native.set_threads(threads)

    def cpu_features(self) -> dict[str, Any]:
        """Return the CPU's features; see `_native.cpu_features`."""
        return _native.cpu_features()

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`: bfloat16 where the CPU has the instruction, and never
        float16."""
        return dtype != "float16" and (dtype != "bfloat16" or bool(_native.cpu_features()["bfloat16"]))

    def instructions(self) -> list[str]:
        """List the primitives and composites that have kernels."""
        return _native.instructions()


def _compiled(graph: Graph, profile: bool) -> _native.Executable:
    constants: list[_native.Buffer] = []
    scopes: dict[str, int] | None = {} if profile or _PRINTS_PROFILES else None
    text = encode(graph, constants, scopes)
    if '"=' in text:
        raise TypeError(
            "the native engine runs graphs of known sizes, and this one has a size that is unknown"
        )
    return _native.compile(text, constants, profile)


def encode(graph: Graph, constants: list[_native.Buffer], scopes: dict[str, int] | None = None) -> str:
    """Serialize a graph in the engine's text format.

    Sizes that are not known are strings, as in "=4*batch + 1": a frozen model puts numbers in their place
    before it compiles the text.

    Args:
        graph: Graph to serialize.
        constants: List to which large constants are appended.
        scopes: Scopes seen so far with their numbers, by which nodes refer to their scope. None omits scopes:
            compiled code is cached by the text without them.
    """
    text = _text(graph, constants, scopes)
    if graph.memory_budget is not None:
        text = f'{text[:-1]},"memory_budget":{graph.memory_budget}}}'
    return f'{text[:-1]},"scopes":{json.dumps(list(scopes))}}}' if scopes else text


def _text(graph: Graph, constants: list[_native.Buffer], scopes: dict[str, int] | None) -> str:
    # Built from strings, without an object per node: a step of a deep model has tens of thousands of nodes.
    numbers: dict[Node, int] = {}
    for index, node in enumerate(graph.inputs):
        numbers.setdefault(node, index)
    nodes = []
    for number, node in enumerate(graph.nodes, start=len(graph.inputs)):
        numbers[node] = number
        operands = ",".join([str(numbers[operand]) for operand in node.inputs])
        text = f'{{"op":"{node.name}","in":[{operands}],"out":[{_types(node.type)}]'
        if node.name == "constant":
            text += f',"params":{json.dumps(_constant(node, constants))}'
        elif node.name == "host_call":
            check_library("native", "", node)
        elif node.params:
            assert node.primitive is not None
            # The body of a composite may have been traced elsewhere: its nodes have the scope of the
            # composite.
            text += f',"params":{_params(node, constants, None if node.primitive.composite else scopes)}'
        if scopes is not None and node.scope:
            text += f',"scope":{scopes.setdefault(node.scope, len(scopes) + 1)}'
        nodes.append(text + "}")
    inputs = ",".join([_types(node.type) for node in graph.inputs])
    outputs = ",".join([str(numbers[node]) for node in graph.outputs])
    return f'{{"inputs":[{inputs}],"nodes":[{",".join(nodes)}],"outputs":[{outputs}]}}'


@functools.lru_cache(maxsize=4096)
def _types(value: ValueType) -> str:
    types = (value,) if isinstance(value, TensorType) else value
    return ",".join([f'["{t.dtype}",{_WRITE(t.shape)}]' for t in types])


def _params(node: Node, constants: list[_native.Buffer], scopes: dict[str, int] | None) -> str:
    entries = []
    for key, value in node.params.items():
        if key not in _IMPLIED:
            text = _text(value, constants, scopes) if isinstance(value, Graph) else _WRITE(value)
            entries.append(f'"{key}":{text}')
    return f"{{{','.join(entries)}}}"


def _constant(node: Node, constants: list[_native.Buffer]) -> dict[str, Any]:
    data: bytes = node.params["data"]
    if len(data) <= INLINE_BYTES:
        return {"data": data.hex()}
    array = np.frombuffer(data, numpy_dtype(node.dtype)).reshape(node.shape)
    constants.append(_native.Buffer.from_numpy(array, node.dtype))
    return {"buffer": len(constants) - 1}
