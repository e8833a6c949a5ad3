"""Batches on several devices: how rows are sharded, and the size of a batch over all processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hornbeam.engines.base import Buffer, Engine, MeshEngine
from hornbeam.ir.complex_pairs import pack_array
from hornbeam.ir.types import TensorType
from hornbeam.training.packing import Signature


def has_local_data(engine: Engine) -> bool:
    """Return whether each process brings its own rows (`auto_shard_dataset=False`), not all the same ones."""
    return engine.mesh is not None and engine.mesh.per_process


def putter(engine: Engine) -> Callable[[np.ndarray], Buffer]:
    """Return the function that copies an array of a batch to the engine."""
    if not isinstance(engine, MeshEngine):
        return lambda array: engine.put(pack_array(array))
    mesh, local = engine.mesh, has_local_data(engine)

    def put(array: np.ndarray) -> Buffer:
        array = pack_array(array)
        return engine.put(array, mesh.batch_layout(_global_shape(array.shape, engine, local)), local)

    return put


def rows_for(engine: Engine, array: np.ndarray) -> Buffer:
    """Copy data in memory to the engine, where steps gather rows of them."""
    array = np.ascontiguousarray(pack_array(array))
    return engine.rows(array, has_local_data(engine)) if isinstance(engine, MeshEngine) else engine.put(array)


def global_signature(signature: Signature, engine: Engine) -> Signature:
    """Return the types of a batch over all processes, from those of this process's part."""
    if not has_local_data(engine):
        return signature
    assert isinstance(engine, MeshEngine)
    types = [TensorType(_global_shape(type.shape, engine, True), type.dtype) for type in signature.types]
    return Signature(signature.treedef, tuple(types))


def check_local_data(engine: Engine, samples: int, rows: int, eagerly: bool) -> None:
    """Raise ValueError if processes with their own data have different amounts, or run steps eagerly.

    samples: in all, 0 if unknown. rows: in a batch.
    """
    if not has_local_data(engine):
        return
    if eagerly:
        raise ValueError("run_eagerly=True computes on complete batches: it needs auto_shard_dataset=True")
    counts = engine.exchange(np.array([samples, rows]))
    for unit, numbers in zip(("samples", "samples in a batch"), counts.T.tolist(), strict=True):
        if len(set(numbers)) > 1:
            raise ValueError(
                "with auto_shard_dataset=False all processes must give equally much, but they have "
                f"{', '.join(f'{number:,}' for number in numbers)} {unit}: omit some, or let every process "
                "give all data (auto_shard_dataset=True)"
            )


def local_rows(array: np.ndarray, engine: Engine) -> np.ndarray:
    """Return those rows of an output that belong to this process's part of the batch."""
    if not has_local_data(engine) or not array.ndim:
        return array
    assert isinstance(engine, MeshEngine)
    part, parts = engine.data_shard
    count = len(array) // parts
    return array[part * count : (part + 1) * count]


def _global_shape(shape: tuple[int, ...], engine: MeshEngine, local: bool) -> tuple[int, ...]:
    return (shape[0] * engine.data_shard[1], *shape[1:]) if local and shape else shape
