"""Batches on several devices: where their rows go, and how large they are over all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.engines.base import Buffer, Engine, MeshEngine
from hornbeam.ir.types import TensorType


def has_local_data(engine: Engine) -> bool:
    """Whether each process gives rows of its own (`auto_shard_dataset=False`), not the same as the others."""
    return engine.mesh is not None and engine.mesh.own


def putter(engine: Engine) -> Callable[[np.ndarray], Buffer]:
    """What makes a buffer of an array of a batch."""
    if not isinstance(engine, MeshEngine):
        return engine.put
    mesh, own = engine.mesh, has_local_data(engine)

    def put(array: np.ndarray) -> Buffer:
        return engine.put(array, mesh.batch_layout(_whole(array.shape, engine, own)), own)

    return put


def rows_for(engine: Engine, array: np.ndarray) -> Buffer:
    """Data in memory, of which steps take rows."""
    array = np.ascontiguousarray(array)
    return engine.rows(array, has_local_data(engine)) if isinstance(engine, MeshEngine) else engine.put(array)


def global_types(types: Any, engine: Engine) -> Any:
    """The types of a batch over all processes, given those of the part that this one has."""
    if not has_local_data(engine):
        return types
    assert isinstance(engine, MeshEngine)

    def whole(type: Any) -> Any:
        return None if type is None else TensorType(_whole(type.shape, engine, True), type.dtype)

    return tree.map_structure(whole, types)


def check_local_data(engine: Engine, samples: int, rows: int, eagerly: bool) -> None:
    """Raises ValueError where processes that give data of their own give unequal ones: `samples` in all (0 if
    that is not known) and `rows` in a batch; or where steps run eagerly, on which their rows do not meet.
    """
    if not has_local_data(engine):
        return
    if eagerly:
        raise ValueError("run_eagerly=True computes on whole batches: it needs auto_shard_dataset=True")
    found = engine.exchange(np.array([samples, rows]))
    for what, numbers in zip(("samples", "samples in a batch"), found.T.tolist(), strict=True):
        if len(set(numbers)) > 1:
            raise ValueError(
                "with auto_shard_dataset=False all processes must give equally much, but they have "
                f"{', '.join(f'{number:,}' for number in numbers)} {what}: leave some out, or let every "
                "process give all data (auto_shard_dataset=True)"
            )


def local_rows(array: np.ndarray, engine: Engine) -> np.ndarray:
    """Of outputs for a batch, those for the rows that this process gave."""
    if not has_local_data(engine) or not array.ndim:
        return array
    assert isinstance(engine, MeshEngine)
    part, parts = engine.part
    count = len(array) // parts
    return array[part * count : (part + 1) * count]


def _whole(shape: tuple[int, ...], engine: MeshEngine, own: bool) -> tuple[int, ...]:
    return (shape[0] * engine.part[1], *shape[1:]) if own and shape else shape
