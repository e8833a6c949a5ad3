"""The native engine: our own compiler and kernels, in Rust.

A graph is written out as compact text once (see crates/hornbeam-engine/src/decode.rs for the format),
compiled in a few milliseconds, and run as a flat list of instructions without the GIL. HORNBEAM_THREADS
bounds its threads, and HORNBEAM_PROFILE=1 shows where the time of a graph goes.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import _native
from hornbeam.engines.base import Bound, Buffer, Engine, Executable
from hornbeam.engines.host import refuse_foreign
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType, ValueType, dtype_name, numpy_dtype

# Constants up to this size stand in the text itself.
INLINE_BYTES = 256

_BFLOAT16 = numpy_dtype("bfloat16")
# Whether profiles are printed, which then name the layers.
_PRINTED = os.environ.get("HORNBEAM_PROFILE", "0") not in ("", "0")
_WRITE = json.JSONEncoder(separators=(",", ":")).encode
# Parameters that the types already say, or that only the front end needs.
_IMPLIED = frozenset({"shape", "dtype", "sizes", "stop", "input_shape", "kernel_shape"})


class NativeExecutable:
    """A graph compiled by the native engine."""

    def __init__(self, compiled: _native.Executable) -> None:
        self.compiled = compiled
        self.run = compiled.run

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """See `Executable.bind`. Kernels of convolutions are transformed, and weights looked through for
        infinities, here rather than in every run."""
        return self.compiled.bind(list(weights)).run

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. After Ctrl-C the given buffers hold the state reached."""
        rows = _native.Buffer.from_numpy(np.ascontiguousarray(indices, np.int64), "int64")
        return self.compiled.run_steps(list(state), list(data), rows)

    def profile(self) -> dict[str, Any]:
        """What the runs of a profiled executable took so far; see `Profile::json` in the engine."""
        return json.loads(self.compiled.profile() or "{}")

    def clear_profile(self) -> None:
        """Begin the profile anew."""
        self.compiled.clear_profile()

    @property
    def text(self) -> str:
        """The compiled instructions, one a line."""
        return self.compiled.text


class NativeEngine(Engine):
    """Runs graphs with Hornbeam's own kernels, on all cores, with the same bits for any number of threads."""

    name = "native"

    def compile(self, graph: Graph) -> Executable:
        """Compile a closed graph. Raises NotImplementedError for what has no kernel, naming the layer."""
        try:
            return NativeExecutable(_compiled(graph, profile=False))
        except NotImplementedError:
            # Once more, to hear in which layer.
            return NativeExecutable(_compiled(graph, profile=True))

    def compile_profiled(self, graph: Graph) -> Executable:
        """As `compile`; the executable's `profile()` says where its time went, layer by layer."""
        return NativeExecutable(_compiled(graph, profile=True))

    @functools.cache  # noqa: B019 - there is one engine
    def roof(self) -> dict[str, Any]:
        """Peaks of the machine with all threads, measured once: FLOPs and bytes a second."""
        return _native.roof()

    def put(self, array: np.ndarray) -> Buffer:
        """A buffer with the array's values. A large array is borrowed: do not write to it again."""
        name = dtype_name(array.dtype)
        try:
            return _native.Buffer.from_numpy(array, name)
        except ValueError:  # strided, or of the other byte order
            return _native.Buffer.from_numpy(
                np.require(array, array.dtype.newbyteorder("="), ["C", "A"]), name
            )

    def get(self, buffer: Buffer) -> np.ndarray:
        """The buffer's values as a read-only array on the same memory."""
        array = np.asarray(buffer.export())
        return array.view(_BFLOAT16) if buffer.dtype == "bfloat16" else array

    @property
    def threads(self) -> int:
        """How many threads work on one run."""
        return _native.threads()

    def set_threads(self, threads: int) -> None:
        """Use this many threads; results do not depend on it. Raises ValueError below 1."""
        _native.set_threads(threads)

    def cpu_features(self) -> dict[str, Any]:
        """See `_native.cpu_features`."""
        return _native.cpu_features()

    def multiplies(self, dtype: str) -> bool:
        """See `Engine.multiplies`: bfloat16 where the CPU has the instruction, and never float16."""
        return dtype != "float16" and (dtype != "bfloat16" or bool(_native.cpu_features()["bfloat16"]))

    def instructions(self) -> list[str]:
        """Names of the primitives and composites that have kernels."""
        return _native.instructions()


def _compiled(graph: Graph, profile: bool) -> _native.Executable:
    constants: list[_native.Buffer] = []
    scopes: dict[str, int] | None = {} if profile or _PRINTED else None
    return _native.compile(encode(graph, constants, scopes), constants, profile)


def encode(graph: Graph, constants: list[_native.Buffer], scopes: dict[str, int] | None = None) -> str:
    """The graph in the engine's wire format; large constants are appended to `constants`.

    With `scopes`, nodes say where they were made, by numbers that `scopes` collects. Compiled code is
    remembered by the text of its graph without them.
    """
    text = _text(graph, constants, scopes)
    return f'{text[:-1]},"scopes":{json.dumps(list(scopes))}}}' if scopes else text


def _text(graph: Graph, constants: list[_native.Buffer], scopes: dict[str, int] | None) -> str:
    # Written piece by piece: a step of a deep model has tens of thousands of nodes.
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
            refuse_foreign("native", "", node)
        elif node.params:
            assert node.primitive is not None
            # A composite's body may have been traced for somebody else: what it holds is where the composite
            # is.
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
    return ",".join([f'["{t.dtype}",{list(t.shape)}]' for t in types])


def _params(node: Node, constants: list[_native.Buffer], scopes: dict[str, int] | None) -> str:
    parts = []
    for key, value in node.params.items():
        if key not in _IMPLIED:
            text = _text(value, constants, scopes) if isinstance(value, Graph) else _WRITE(value)
            parts.append(f'"{key}":{text}')
    return f"{{{','.join(parts)}}}"


def _constant(node: Node, constants: list[_native.Buffer]) -> dict[str, Any]:
    data: bytes = node.params["data"]
    if len(data) <= INLINE_BYTES:
        return {"data": data.hex()}
    array = np.frombuffer(data, numpy_dtype(node.dtype)).reshape(node.shape)
    constants.append(_native.Buffer.from_numpy(array, node.dtype))
    return {"buffer": len(constants) - 1}
