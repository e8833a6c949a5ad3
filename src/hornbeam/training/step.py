"""Compiled steps of training, testing and predicting, one for each signature of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.jit import Compiled, Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate, retain_graph
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import borrow_buffers, set_buffers
from hornbeam.engines.base import Engine, Executable
from hornbeam.ir.complex_pairs import unpack_array
from hornbeam.ir.types import is_float
from hornbeam.layers.host_checks import StepChecks, noted_indices
from hornbeam.training.batches import local_rows, putter
from hornbeam.training.inference_plan import InferencePlan, WeightCache
from hornbeam.training.packing import Batch, Signature

# Duration of a chunk of steps: about as long as the eye needs to see the bar move.
CHUNK_SECONDS = 0.12


def with_floatx(data: Tree) -> Tree:
    """Cast the floats of a batch to the default float dtype; integers stay."""

    def convert(x: Tree) -> Tree:
        if isinstance(x, Tensor) and is_float(x.dtype) and x.dtype != floatx():
            return cast(x, floatx())
        return x

    return tree.map_structure(convert, data)


def _traced(fn: Callable[[Any], Any], signature: Signature, engine: Engine) -> tuple[Traced, StepChecks]:
    """Trace a step. Also returns the checks of values before its runs."""
    with noted_indices(are_checked=True) as notes:
        traced = trace_for(engine, lambda data: fn(with_floatx(data)), [signature.packed])
    assert notes is not None
    return traced, StepChecks(notes, traced.graph.inputs[len(traced.variables) + len(traced.captured) :])


class Step:
    """`fn(data)` for batches of one signature, compiled for `engine`. Variables stay on the engine.

    memory_budget: bytes that a step may take, None for any number.
    """

    def __init__(
        self,
        fn: Callable[[Any], Any],
        signature: Signature,
        engine: Engine,
        memory_budget: int | None = None,
    ) -> None:
        self.engine = engine
        self.traced, self.check_values = _traced(fn, signature, engine)
        self.traced.graph.memory_budget = self.traced.step_graph.memory_budget = memory_budget
        self._one: Compiled | None = None
        self._many: Executable | None = None
        self._captured: list[Any] = []
        # Steps of a call of `run_many`, as the loop measured their time.
        self.chunk_size = 1

    def compiled(self, many: bool) -> Executable:
        """Return the executable of `run_many`, or of `run`."""
        return self.engine.executable(self.traced.step_graph if many else self.traced.graph)

    def run(self, batch: Batch) -> Tree:
        """Run one step. Returns the result of `fn`."""
        self.check_values(batch.leaves)
        if self._one is None:
            self._one = Compiled(self.traced, self.engine, putter(self.engine))
        return self._one(batch.leaves)

    def run_many(self, buffers: Sequence[Any], indices: np.ndarray) -> Tree:
        """Run a step for every row of `indices`, on those rows of the arrays in `buffers`.

        Returns the result of `fn`, every value with the steps as its first axis.
        """
        traced, engine = self.traced, self.engine
        if self._many is None:
            self._many = self.compiled(many=True)
            evaluate(traced.captured)
            self._captured = [engine.copy(buffer_of(node, engine)) for node in traced.captured]
        owned = zip(*borrow_buffers(traced.variables, engine), strict=True)
        state = [buffer if sole_owner else engine.copy(buffer) for buffer, sole_owner in owned]
        state.extend(self._captured)  # they keep their values if Ctrl-C ends the call
        state, logs = self._many.run_steps(state, buffers, indices)
        count = len(traced.variables)
        set_buffers(traced.variables, engine, state)
        self._captured = list(state[count:])
        return traced.pack(
            [unpack_array(engine.get(v), n.dtype) for v, n in zip(logs, traced.outputs, strict=True)]
        )

    @staticmethod
    def next_chunk(size: int, seconds: float) -> int:
        """Return the number of steps of the next chunk, after one of `size` steps took `seconds`."""
        if seconds < CHUNK_SECONDS / 2:
            return min(size * 2, 4096) if seconds < CHUNK_SECONDS / 4 else size + max(size // 2, 1)
        if seconds > CHUNK_SECONDS * 2:
            return max(size // 2, 1)
        return size


class EagerStep:
    """`fn(data)`, run line by line (`run_eagerly=True`): slow, with every value at hand."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn

    def run(self, batch: Batch) -> Tree:
        """Run one step. Returns the result of `fn`."""
        with retain_graph():
            tensors = tree.map_structure(lambda x: None if x is None else as_tensor(x), batch.packed)
            return self.fn(with_floatx(tensors))


class Predictor:
    """`fn(data)` for one signature, with as little Python around the engine as possible. Thread-safe.

    Values that depend on the weights alone (batch normalizations folded into weights, casts) are computed
    once, until a weight is assigned. A function that assigns variables itself (random states, states of
    recurrent layers) runs as it was traced.
    """

    def __init__(
        self, fn: Callable[[Any], Any], signature: Signature, engine: Engine, cache: WeightCache
    ) -> None:
        traced, self._check_values = _traced(fn, signature, engine)
        self.traced = traced
        evaluate(traced.captured)
        weights = len(traced.variables) + len(traced.captured)
        self._put, self._get, self._engine = putter(engine), engine.get, engine
        self.plan = None if traced.updated else InferencePlan(traced.graph, weights, engine, cache)
        self._stateful = Compiled(traced, engine, self._put) if traced.updated else None
        self._variables, self._captured = traced.variables, traced.captured
        self._single_output = isinstance(traced.result, Tensor)

    def __call__(self, arrays: Sequence[np.ndarray]) -> Tree:
        """Return the outputs as NumPy arrays."""
        self._check_values(arrays)
        if self.plan is None:
            assert self._stateful is not None
            return tree.map_structure(lambda x: local_rows(np.array(x), self._engine), self._stateful(arrays))
        if self._engine.mesh is not None:
            for variable in self._variables:
                variable.place(self._engine)
        weights = [variable._node for variable in self._variables] + self._captured
        outputs = self.plan.run(weights, [self._put(array) for array in arrays])
        arrays = [
            local_rows(np.array(unpack_array(self._get(value), node.dtype)), self._engine)
            for value, node in zip(outputs, self.traced.outputs, strict=True)
        ]
        return arrays[0] if self._single_output else self.traced.pack(arrays)
