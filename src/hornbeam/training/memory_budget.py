"""`fit(memory_budget="2GB")`: a training step that computes values again instead of keeping them."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hornbeam._internal.formatting import with_unit
from hornbeam.training.array_data import ArrayData
from hornbeam.training.compile_config import describe
from hornbeam.training.packing import Signature
from hornbeam.training.sources import Data
from hornbeam.training.steps import Steps, training_state

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b\s*", re.IGNORECASE)


@dataclass(frozen=True)
class MemoryPlan:
    """Memory and operations of a training step, with a memory budget and without.

    Args:
        bytes: Bytes of weights, optimizer states, the batch, the results, and of all values that are in
            memory at once in between.
        flops: Operations of a step (FLOPs).
        unlimited_bytes: Bytes without a budget.
        unlimited_flops: Operations without a budget.

    Example:
        >>> MemoryPlan(1_900_000_000, 5.6e9, 3_400_000_000, 5e9).sentence()
        'memory_budget: 1.9 GB planned (3.4 GB without), 12% more operations'
    """

    bytes: int
    flops: float
    unlimited_bytes: int
    unlimited_flops: float

    @property
    def more_operations(self) -> float:
        """Operations that are done again, as a fraction of those without a budget."""
        return self.flops / self.unlimited_flops - 1 if self.unlimited_flops else 0.0

    def sentence(self) -> str:
        """Return the line that `fit` prints."""
        planned, without = with_unit(self.bytes), with_unit(self.unlimited_bytes)
        if self.bytes == self.unlimited_bytes:
            return f"memory_budget: {planned}B planned, nothing is computed again"
        more = self.more_operations
        percent = f"{more:.0%}" if more >= 0.01 else f"{more:.1%}"
        return f"memory_budget: {planned}B planned ({without}B without), {percent} more operations"


def check_memory_budget(value: object) -> int | None:
    """Return a memory budget in bytes, None for none. Raises ValueError unless it is a size."""
    if value is None:
        return None
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        number, prefix, binary = match.groups()
        size = round(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " "))
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        size = int(value)
    else:
        raise ValueError(
            "memory_budget must be a number of bytes or a text such as '2GB', '512MB' or '1.5GiB', got "
            f"{value!r}"
        )
    if size <= 0:
        raise ValueError(f"memory_budget must be positive, got {value!r}")
    return size


F = TypeVar("F", bound=Callable[..., Any])


def within_budget(method: F) -> F:
    """Decorate a method of a model so that its training steps respect its argument `memory_budget`."""

    @functools.wraps(method)
    def call(self: Steps, *args: Any, memory_budget: int | str | None = None, **kwargs: Any) -> Any:
        with _budget(self, check_memory_budget(memory_budget)):
            return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


@contextmanager
def _budget(model: Steps, budget: int | None) -> Iterator[None]:
    state = training_state(model)
    if budget is not None and state.run_eagerly:
        raise ValueError(
            "memory_budget plans compiled steps, and run_eagerly=True runs them line by line: compile the "
            "model without it"
        )
    previous, state.memory_budget = state.memory_budget, budget
    try:
        yield
    finally:
        state.memory_budget = previous


def _elements(signature: Signature) -> int:
    return sum(math.prod(type.shape) for type in signature.types)


def plan_memory(model: Steps, data: Data, steps: int | None, one_by_one: bool) -> MemoryPlan | None:
    """Compile the training steps of a fit for its memory budget. Returns the plan that takes most memory.

    Args:
        model: The model, with the budget of the fit.
        data: The data, whose batches may have several shapes.
        steps: Batches of an epoch, None for one pass.
        one_by_one: Steps run in a call each, although the data are arrays.

    Raises:
        MemoryError: If a step does not fit into the budget.
    """
    if training_state(model).memory_budget is None:
        return None
    plans: list[MemoryPlan] = []
    # Of several errors, that of the largest batch has the budget that will do for all.
    for signature in sorted(data.signatures(steps), key=_elements, reverse=True):
        step = training_state(model).compiled_step("train", signature)
        if not hasattr(step, "traced"):
            raise NotImplementedError(
                f"memory_budget plans steps of hornbeam's own operations, and {describe(model)} has a "
                "train_step of another library"
            )
        try:
            executable: Any = step.compiled(isinstance(data, ArrayData) and not one_by_one)
        except MemoryError as error:
            raise MemoryError(f"{describe(model)}: {error}. A smaller batch_size needs less") from None
        plans.append(MemoryPlan(**executable.memory_plan))
    return max(plans, key=lambda plan: plan.bytes, default=None)
