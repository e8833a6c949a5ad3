"""Pipelines over arrays in memory, taken in batches of rows: `fit` runs those without Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hornbeam._internal.typing import Tree
from hornbeam.data import elements as e
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.stages import Prefetch, Repeat, Stage
from hornbeam.data.pipeline.transforms import Batch


class InMemoryRows(NamedTuple):
    """Arrays, the batch size, the number of rows in a pass, and a function for the row numbers of a pass."""

    arrays: Tree
    batch_size: int
    rows: int
    order: Callable[[], Iterator[int]]
    endless: bool


def stage_of(dataset: Dataset) -> Stage:
    """Return the last stage of a dataset's pipeline, which runs the others."""
    return dataset._stage


def as_in_memory_rows(dataset: Dataset) -> InMemoryRows | None:
    """Return the arrays behind `from_tensor_slices(...).shuffle(...).batch(...)` and the like, else None."""
    stage, endless = stage_of(dataset), False
    while isinstance(stage, Prefetch) or (isinstance(stage, Repeat) and stage.times is None):
        endless = endless or isinstance(stage, Repeat)
        stage = stage.source
    if not isinstance(stage, Batch) or stage.stack is not e.stack_elements:
        return None
    table, count = stage.source.rows(), stage.source.count()
    if table is None or count <= 0:
        return None
    if stage.drop_remainder:
        count -= count % stage.size
    return InMemoryRows(table.arrays, stage.size, count, table.order, endless)
