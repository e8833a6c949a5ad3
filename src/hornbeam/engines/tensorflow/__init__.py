"""The TensorFlow engine: XLA compiles graphs, but for what oneDNN computes on CPUs (convolutions, pools).

`set_engine("tensorflow")` takes a GPU if TensorFlow sees one, else the CPU; `"tensorflow:cpu"` and
`"tensorflow:gpu:1"` say which. Buffers are `tf.Tensor`s.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hornbeam.engines.base import BindingExecutable, Buffer, Executable
from hornbeam.engines.table import STRUCTURE, Table, TableEngine, missing_package, require_version
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import use_counts
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import known_or_none
from hornbeam.ir.types import numpy_dtype

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what TensorFlow tells about the machine
try:
    import tensorflow as tf
except ImportError as error:
    raise missing_package("tensorflow", "TensorFlow", error) from error
require_version("tensorflow", "TensorFlow", tf.__version__, "2.16")

from hornbeam.engines.tensorflow.arrays import INDEX, REDUCE, SHAPE  # noqa: E402
from hornbeam.engines.tensorflow.elementwise import BINARY, UNARY, Tensor  # noqa: E402
from hornbeam.engines.tensorflow.linalg import DECOMPOSITIONS, LINALG  # noqa: E402
from hornbeam.engines.tensorflow.windows import CONTRACT, HOST, is_plain  # noqa: E402


class TensorFlowExecutable(BindingExecutable):
    """A graph as one `tf.function`, traced for the types that the graph says."""

    def __init__(self, engine: TensorFlowEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph

        self._step: Callable[..., list[Tensor]] | None = None

    # Traced by hand: TensorFlow warns of a function that is traced often, and takes all of these for one.
    @cached_property
    def _program(self) -> Callable[[list[Tensor]], list[Tensor]]:
        specs = [tf.TensorSpec(x.shape, numpy_dtype(x.dtype)) for x in self._graph.inputs]
        return tf.function(self._compute, autograph=False).get_concrete_function(specs)

    def _traced_step(self, count: int) -> Callable[..., list[Tensor]]:
        """A step on `count` inputs and batches of the others, gathered from any number of rows."""
        inputs = self._graph.inputs
        state = [tf.TensorSpec(x.shape, numpy_dtype(x.dtype)) for x in inputs[:count]]
        data = [tf.TensorSpec((None, *x.shape[1:]), numpy_dtype(x.dtype)) for x in inputs[count:]]
        rows = tf.TensorSpec(inputs[count].shape[:1], tf.int64)
        step = tf.function(self._gathered, autograph=False)
        return step.get_concrete_function(state, data, rows)

    def _compute(self, inputs: list[Tensor]) -> list[Tensor]:
        return [tf.identity(x) for x in self._engine.parts(self._graph, inputs)]

    def _gathered(self, state: list[Tensor], data: list[Tensor], rows: Tensor) -> list[Tensor]:
        return self._compute([*state, *(tf.gather(x, rows) for x in data)])

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """See `Executable.run`. Nothing is written in place, so donated buffers stay as they are."""
        with tf.device(self._engine.device):
            return list(self._program(list(inputs)))

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `Executable.run_steps`. Batches are gathered on the device."""
        current, logs, arrays = list(state), [], list(data)
        with tf.device(self._engine.device):
            if self._step is None:
                self._step = self._traced_step(len(current))
            for rows in tf.constant(indices, tf.int64):
                outputs = list(self._step(current, arrays, rows))
                current = outputs[: len(current)]
                logs.append(outputs[len(current) :])
            return current, [tf.stack(column) for column in zip(*logs, strict=True)]


class TensorFlowEngine(TableEngine):
    """Runs graphs with TensorFlow on one device. Raises RuntimeError for an unknown device."""

    # The library itself: under `hornbeam run`, `import tensorflow` means ours.
    tf = tf

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.name = f"tensorflow:{device}" if device else "tensorflow"
        kind, _, index = (device or ("gpu" if tf.config.list_physical_devices("GPU") else "cpu")).partition(
            ":"
        )
        seen = tf.config.list_logical_devices({"cuda": "GPU"}.get(kind, kind.upper()))
        if int(index or 0) >= len(seen):
            raise RuntimeError(f"TensorFlow sees {len(seen)} devices of {kind}, there is no {device}")
        self.device = seen[int(index or 0)].name
        self._on_cpu = seen[0].device_type == "CPU"
        self.table = {**TABLE, **control(self.evaluate)}

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return TensorFlowExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        with tf.device(self.device):
            return tf.constant(np.ascontiguousarray(array).reshape(array.shape))

    def get(self, buffer: Buffer) -> np.ndarray:
        # `numpy()` copies; a tensor's memory can be seen where Python has a code for its dtype.
        seen = self._on_cpu and buffer.dtype.as_numpy_dtype is not numpy_dtype("bfloat16").type
        array = np.asarray(memoryview(buffer) if seen else buffer.numpy()).view()
        array.flags.writeable = False
        return array

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`: XLA computes 16-bit floats in float32 on CPUs."""
        return dtype in ("float32", "float64") or not self._on_cpu

    def own_kernel(self, node: Node) -> Callable[..., Any] | None:
        """The function of a node that TensorFlow's own kernels compute rather than XLA, else None."""
        if node.name in DECOMPOSITIONS:
            return DECOMPOSITIONS[node.name]
        return HOST[node.name] if self._on_cpu and node.name in HOST and is_plain(node) else None

    def _has_host(self, graph: Graph) -> bool:
        return any(
            self.own_kernel(node) is not None
            or (_is_walked(self, node) and self._has_host(node.params["body"]))
            for node in graph.nodes
        )

    def parts(self, graph: Graph, args: Sequence[Tensor]) -> list[Tensor]:
        """The graph's outputs, compiled by XLA in parts between the nodes that it does not compile."""
        values: dict[Node, Tensor] = dict(zip(graph.inputs, args, strict=True))
        uses = use_counts(graph)
        waiting: list[Node] = []

        def compile_waiting() -> None:
            inside = set(waiting)
            operands = list(dict.fromkeys(x for n in waiting for x in n.inputs if x not in inside))
            times: dict[Node, int] = {}
            for x in itertools.chain.from_iterable(n.inputs for n in waiting):
                times[x] = times.get(x, 0) + 1
            # Tuples are not tensors: their elements are returned.
            kept = [n for n in waiting if uses[n] > times.get(n, 0)]

            def compute(tensors: list[Any]) -> list[Any]:
                results = self.evaluate(Graph([*operands], kept), tensors)
                return [tf.nest.map_structure(tf.identity, x) for x in results]

            compiled = tf.function(compute, autograph=False, jit_compile=True)
            if kept:
                values.update(zip(kept, compiled([values[x] for x in operands]), strict=True))
            waiting.clear()

        for node in graph.nodes:
            fn = self.own_kernel(node)
            walked = fn is None and _is_walked(self, node) and self._has_host(node.params["body"])
            if fn is None and not walked:
                waiting.append(node)
                continue
            if waiting:
                compile_waiting()
            operands = [values[x] for x in node.inputs]
            if fn is not None:
                values[node] = fn(*operands, **node.params)
            else:
                outputs = self.parts(node.params["body"], operands)
                values[node] = tuple(outputs) if isinstance(node.type, tuple) else outputs[0]
        if waiting:
            compile_waiting()
        return [values[x] for x in graph.outputs]


def _is_walked(engine: TensorFlowEngine, node: Node) -> bool:
    return node.primitive is not None and node.primitive.composite and engine.lower(node) is None


# -- random bits, control flow -------------------------------------------------------------------------------


def _random_bits(key: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    block = tf.range((size + 1) // 2, dtype=tf.int64)
    xor, left, right = tf.bitwise.bitwise_xor, tf.bitwise.left_shift, tf.bitwise.right_shift

    def word(value: int) -> Tensor:
        return tf.constant(value, tf.uint32)

    keys = (key[0], key[1], xor(xor(key[0], key[1]), word(0x1BD11BDA)))
    x = tf.cast(right(block, tf.constant(32, tf.int64)), tf.uint32) + keys[0]
    y = tf.cast(block, tf.uint32) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            y = xor(tf.bitwise.bitwise_or(left(y, word(distance)), right(y, word(32 - distance))), x)
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + word(injection)
    return tf.reshape(tf.reshape(tf.stack([x, y], -1), [-1])[:size], shape)


def control(walk: Callable[[Graph, Sequence[Tensor]], list[Tensor]]) -> Table:
    """Control flow by TensorFlow's own; `walk` evaluates a body."""

    def cond(pred: Tensor, *operands: Tensor, true_graph: Graph, false_graph: Graph) -> tuple[Tensor, ...]:
        def branch(graph: Graph) -> Callable[[], tuple[Tensor, ...]]:
            return lambda: tuple(map(tf.identity, walk(graph, operands)))

        return tuple(tf.cond(pred, branch(true_graph), branch(false_graph)))

    def while_loop(*values: Tensor, cond_graph: Graph, body_graph: Graph) -> tuple[Tensor, ...]:
        count = len(body_graph.outputs)
        fixed = values[count:]
        return tuple(
            tf.while_loop(
                lambda *carry: walk(cond_graph, (*carry, *fixed))[0],
                lambda *carry: tuple(walk(body_graph, (*carry, *fixed))),
                values[:count],
            )
        )

    def scan(
        *values: Tensor, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Tensor, ...]:
        steps, fixed = values[carries : carries + sequences], values[carries + sequences :]
        rows = (*body.outputs[carries:], *body.outputs[:carries])
        kept = [
            tf.TensorArray(numpy_dtype(row.dtype), length, element_shape=known_or_none(row.shape))
            for row in rows
        ]

        def step(count: Tensor, carry: Sequence[Tensor], kept: Sequence[Any]) -> tuple[Any, Any, Any]:
            at = length - 1 - count if reverse else count
            results = walk(body, (*carry, *(tf.gather(x, at) for x in steps), *fixed))
            rows = (*results[carries:], *carry)
            written = [array.write(at, row) for array, row in zip(kept, rows, strict=True)]
            return count + 1, list(results[:carries]), written

        start = (tf.constant(0), list(values[:carries]), kept)
        _, carry, stacked = tf.while_loop(
            lambda count, *_: count < length, step, start, maximum_iterations=length
        )
        return (*carry, *(array.stack() for array in stacked))

    return {"cond": cond, "while_loop": while_loop, "scan": scan}


TABLE: Table = {
    **UNARY, **BINARY, **SHAPE, **REDUCE, **INDEX, **CONTRACT, **LINALG, **STRUCTURE,
    "random_bits": _random_bits,
}  # fmt: skip
