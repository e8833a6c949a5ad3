"""The PyTensor engine: a graph becomes one PyTensor function, a training step one with updates.

`set_engine("pytensor")` runs on the CPU, as `"pytensor:cpu"` does. Buffers are NumPy arrays. Operations run
one by one on NumPy's kernels, which needs no compiler; PyTensor's own settings choose another linker
(`PYTENSOR_FLAGS=linker=cvm` for C, `linker=numba`), which takes minutes for a training step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines.base import BindingExecutable, Buffer, Executable
from hornbeam.engines.random import random_bits
from hornbeam.engines.table import STRUCTURE, Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType, ValueType, is_integer, numpy_dtype

try:
    import pytensor
except ImportError as error:
    raise missing_package("pytensor", "PyTensor", error) from error
require_version("pytensor", "PyTensor", pytensor.__version__, "3.0")

import pytensor.tensor as pt  # noqa: E402
from pytensor.compile.mode import Mode  # noqa: E402
from pytensor.link.vm import VMLinker  # noqa: E402

from hornbeam.engines.pytensor import arrays, elementwise, linalg, windows  # noqa: E402
from hornbeam.engines.pytensor.control import control  # noqa: E402
from hornbeam.engines.pytensor.ops import (  # noqa: E402
    HALVES,
    Array,
    Variable,
    by_numpy,
    compute_dtype,
    kind,
    rounded,
)

Function = Callable[..., list[Array]]

# What PyTensor has, as functions of its variables, and what it lacks, as functions of arrays.
EXPRESSIONS: Table = {**elementwise.EXPRESSIONS, **arrays.EXPRESSIONS, **windows.EXPRESSIONS}
FUNCTIONS: Table = {
    **elementwise.FUNCTIONS, **elementwise.TYPED, **arrays.FUNCTIONS, **windows.FUNCTIONS, **linalg.FUNCTIONS,
    "random_bits": random_bits,
}  # fmt: skip
# Primitives whose results are exact in the dtype of their operands, or that round by themselves.
_EXACT = {
    "abs", "bitcast", "broadcast", "ceil", "concatenate", "constant", "convert", "cummax", "cummin",
    "dynamic_slice", "dynamic_update_slice", "floor", "gather", "max", "max_pool", "max_pool_gather", "min",
    "neg", "pad", "reduce_max", "reduce_min", "reshape", "reverse", "round", "select", "sign", "slice",
    "transpose",
}  # fmt: skip


def _mode() -> Mode:
    """The mode of PyTensor functions: one operation after the other, or the user's settings.

    Rewrites are omitted: graphs are simplified already, and fused loops would run element by element.
    """
    if pytensor.config.linker == "auto":
        return Mode(VMLinker(use_cloop=False, c_thunks=False), None)
    return Mode(pytensor.config.linker, pytensor.config.optimizer)


class PyTensorExecutable(BindingExecutable):
    """A graph as a PyTensor function, and as one with updates for many steps; compiled on first use."""

    def __init__(self, engine: PyTensorEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._dtypes = [x.dtype for x in graph.outputs]
        self._function: Function | None = None
        # By number of state inputs: their shared variables, and the function of a step.
        self._steps: dict[int, tuple[list[Any], Function]] = {}
        self._lock = threading.Lock()  # a function has one place for each value

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """See `Executable.run`. Nothing is written in place, so donated buffers stay as they are."""
        with self._lock:
            if self._function is None:
                self._function = self._engine.function(self._graph)
            return self._buffers(self._function(*map(_carried, inputs)))

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. The state is in shared variables; batches are gathered inside."""
        arrays, logs, count = [_carried(x) for x in data], [], len(state)
        with self._lock:
            if count not in self._steps:
                self._steps[count] = self._stepping(count)
            shared, step = self._steps[count]
            for variable, value in zip(shared, state, strict=True):
                variable.set_value(np.array(_carried(value)), borrow=True)
            for rows in np.ascontiguousarray(indices, np.int64):
                logs.append(step(rows, *arrays))
            last = [variable.get_value(borrow=True) for variable in shared]
        buffers = self._buffers([*last, *(np.stack(column) for column in zip(*logs, strict=True))])
        return buffers[:count], buffers[count:]

    def _stepping(self, count: int) -> tuple[list[Any], Function]:
        types = self._graph.in_types
        state = [_shared(type) for type in types[:count]]
        rows = pt.lvector()
        data = [pt.tensor(dtype=kind(t).dtype, shape=(None, *kind(t).shape[1:])) for t in types[count:]]
        batch = [pt.specify_shape(x[rows], kind(t).shape) for x, t in zip(data, types[count:], strict=True)]
        outputs = self._engine.evaluate(self._graph, [*state, *batch])
        updates = list(zip(state, outputs, strict=False))
        return state, self._engine.compiled_function([rows, *data], outputs[count:], updates)

    def _buffers(self, values: Sequence[Array]) -> list[Buffer]:
        with np.errstate(invalid="ignore"):  # signaling NaN
            return [
                np.ascontiguousarray(x, numpy_dtype(dtype)).reshape(x.shape)
                for x, dtype in zip(values, self._dtypes, strict=True)
            ]


class PyTensorEngine(TableEngine):
    """Runs graphs by PyTensor on the CPU. Raises RuntimeError for another device."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.name = f"pytensor:{device}" if device else "pytensor"
        if device not in (None, "cpu"):
            raise RuntimeError(f"the pytensor engine runs on the CPU only, got the device {device}")
        self._mode = _mode()
        self._untyped = {**STRUCTURE, **control(self.evaluate, self.function, self._mode)}
        self.table = {**EXPRESSIONS, **FUNCTIONS, **self._untyped}

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """See `TableEngine.lower`. Results are rounded to 16-bit floats if they are to be such."""
        name, type = node.name, node.type
        if name not in self.table or name in self._untyped:
            return self.table.get(name)
        if name in elementwise.TYPED:
            fn = by_numpy(elementwise.TYPED[name](node.inputs[0].dtype), type)
        elif name in elementwise.INTEGERS and is_integer(node.dtype):
            fn = by_numpy(elementwise.INTEGERS[name], type)
        else:
            fn = by_numpy(FUNCTIONS[name], type) if name in FUNCTIONS else EXPRESSIONS[name]
        return _finished(fn, type, name not in _EXACT) if isinstance(type, TensorType) else fn

    def function(self, graph: Graph) -> Function:
        """A graph as a PyTensor function."""
        inputs = [kind(type)() for type in graph.in_types]
        return self.compiled_function(inputs, self.evaluate(graph, inputs))

    def compiled_function(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], updates: Sequence[Any] = ()
    ) -> Function:
        """The function from inputs to outputs that also assigns the updates, pairs of variable and value."""
        return pytensor.function(
            list(inputs), list(outputs), updates=list(updates), mode=self._mode, trust_input=True,
            on_unused_input="ignore",
        )  # fmt: skip

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return PyTensorExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        return np.ascontiguousarray(array).reshape(array.shape)

    def get(self, buffer: Buffer) -> np.ndarray:
        array = buffer.view()
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`: 16-bit floats are computed in float32."""
        return dtype in ("float32", "float64")


def _finished(fn: Callable[..., Variable], type: TensorType, rounds: bool) -> Callable[..., Variable]:
    """`fn` with a result of the node's static shape, which PyTensor does not always infer, rounded if
    `rounds`."""

    def finished(*operands: Variable, **params: Any) -> Variable:
        result = pt.specify_shape(fn(*operands, **params), type.shape)
        return rounded(result, type.dtype) if rounds and type.dtype in HALVES else result

    return finished


def _shared(type: ValueType) -> Any:
    """A shared variable for state of a type."""
    return pytensor.shared(np.zeros(kind(type).shape, kind(type).dtype), shape=kind(type).shape)


def _carried(x: Buffer) -> Array:
    """A buffer in the dtype that its values have inside of a graph."""
    with np.errstate(invalid="ignore"):
        return x.astype(compute_dtype(x.dtype.name), copy=False)
