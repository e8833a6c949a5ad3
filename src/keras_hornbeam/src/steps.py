"""Steps of a model of Keras, compiled by Hornbeam: one batch at a time, or many in one call of the engine."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.src import tree
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.utils import io_utils

import hornbeam
from hornbeam.engines import current_engine
from hornbeam.errors import ConcretizationError
from hornbeam.extensions.tracing import retain_graph
from hornbeam.extensions.training import (
    ArrayData,
    Batch,
    Predictor,
    Signature,
    Step,
    uninterrupted,
)
from keras_hornbeam.src.ops.core import Tree, convert_to_tensor


def as_batch(data: object) -> Batch:
    """Flatten a batch of Keras; what is not a tensor becomes a NumPy array."""
    return Batch.of(tree.map_structure(_as_array, data, none_is_leaf=False))


def _as_array(x: npt.ArrayLike | hornbeam.Tensor) -> np.ndarray | hornbeam.Tensor:
    return x if isinstance(x, hornbeam.Tensor) else np.ascontiguousarray(x)


class CompiledFunction:
    """A step of a model, compiled unless its code needs values.

    Args:
        fn: Function of a batch.
        eager: True to run its code line by line.
    """

    def __init__(self, fn: Callable[[Any], Any], eager: bool) -> None:
        self.fn = fn
        self.eager = eager

    def compiles(self, signature: Signature) -> bool:
        """Compile the function for a signature, or find that its code runs line by line."""
        if self.eager:
            return False
        try:
            self.compiled(signature)
        except ConcretizationError as error:
            io_utils.print_msg(f"{self.fn.__name__} runs line by line, for it cannot be compiled: {error}")
            self.eager = True
        return not self.eager

    def compiled(self, signature: Signature) -> Step | Predictor:
        """Return the function, traced and compiled for a signature of its batches."""
        raise NotImplementedError

    def by_line(self, data: object) -> Tree:
        """Run the code of the function on a batch."""
        return self.fn(tree.map_structure(convert_to_tensor, data, none_is_leaf=False))


class CompiledSteps(CompiledFunction):
    """`train_step` or `test_step` of a model, traced and compiled once for each signature of its batches."""

    def __init__(self, fn: Callable[[Any], Any], eager: bool) -> None:
        check_step(fn)
        super().__init__(fn, eager)
        self._steps: dict[Any, Step] = {}

    def __call__(self, batches: Iterable[object]) -> Tree:
        """Run a step for each batch of a list. Returns the logs of the last one."""
        for data in batches:
            logs = self._run(data)
        return logs

    def _run(self, data: object) -> Tree:
        batch = None if self.eager else as_batch(data)
        if batch is not None and self.compiles(batch.signature()):
            with uninterrupted():
                return self.compiled(batch.signature()).run(batch)
        with retain_graph():
            return self.by_line(data)

    def compiled(self, signature: Signature) -> Step:
        key = current_engine(), signature
        if key not in self._steps:
            self._steps[key] = Step(self.fn, signature, current_engine())
        return self._steps[key]

    def run_epoch(self, data: ArrayData, size: int | None = None) -> Iterator[tuple[int, Any]]:
        """Run the steps of an epoch on arrays in memory, many in each call of the engine.

        Args:
            data: The arrays, and the order of their rows.
            size: Steps of a call, or None for as many as take about an eighth of a second.

        Yields:
            Number of steps that were run, and the logs of the last one.
        """
        engine = current_engine()
        for rows in data.epoch():
            step = self.compiled(data.signature(rows.shape[1]))
            while len(rows):
                count = size or step.chunk_size
                started = time.perf_counter()
                with uninterrupted():
                    logs = step.run_many(data.buffers(engine), rows[:count])
                if size is None and len(rows) >= count:
                    step.chunk_size = Step.next_chunk(count, time.perf_counter() - started)
                yield min(count, len(rows)), tree.map_structure(_last, logs)
                rows = rows[count:]


class CompiledPredict(CompiledFunction):
    """`predict_step` of a model: values that depend on the weights alone are computed once."""

    def __init__(self, fn: Callable[[Any], Any], eager: bool) -> None:
        super().__init__(fn, eager)
        self._predictors: dict[Any, Predictor] = {}
        # Values that depend on the weights alone, for predictors of all batch sizes.
        self._weights: dict[Any, Any] = {}

    def __call__(self, batches: Iterable[object]) -> Tree:
        """Return the outputs for a list of batches, as NumPy arrays."""
        return concatenated([self._run(data) for data in batches])

    def _run(self, data: object) -> Tree:
        batch = None if self.eager else as_batch(data)
        if batch is not None and self.compiles(batch.signature()):
            return self.compiled(batch.signature())([np.asarray(leaf) for leaf in batch.leaves])
        return tree.map_structure(np.asarray, self.by_line(data))

    def compiled(self, signature: Signature) -> Predictor:
        key = current_engine(), signature
        if key not in self._predictors:
            self._predictors[key] = Predictor(self.fn, signature, current_engine(), self._weights)
        return self._predictors[key]


def check_step(fn: Callable[..., Any]) -> None:
    """Raise TypeError for a `train_step` or `test_step` that was written for Keras's JAX backend."""
    if list(inspect.signature(fn).parameters)[:1] == ["state"]:
        raise TypeError(
            f"{fn.__name__}(state, data) is for Keras's JAX backend. With KERAS_BACKEND=hornbeam write "
            f"{fn.__name__}(data): `gradients = hornbeam.gradients(loss, self.trainable_variables)`, then "
            "`self.optimizer.apply(gradients, self.trainable_variables)`"
        )


def concatenated(outputs: list[Tree]) -> Tree:
    """Join the outputs of batches along the first axis."""
    if len(outputs) == 1:
        return outputs[0]
    return tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)


def arrays_of(adapter: DataAdapter) -> ArrayData | None:
    """Return the data of an adapter of Keras if they are arrays in memory, with the order it would draw."""
    if type(adapter) is not ArrayDataAdapter or adapter._shuffle == "batch":
        return None
    inputs = convert_to_sliceable(adapter._inputs, target_backend="numpy")
    table = tree.map_structure(lambda x: x.convert_to_numpy(x[slice(None)]), inputs, none_is_leaf=False)
    order = np.random.permutation if adapter._shuffle else None
    return ArrayData(as_batch(table), adapter.batch_size, order=order)


def _last(values: object) -> object:
    return values[-1] if isinstance(values, np.ndarray) else values
