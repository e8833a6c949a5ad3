"""Frozen models: files that run without the code that built them.

`model.export(path, format="hornbeam")` writes one. Reading and running it needs NumPy and the native engine
alone, so that a program starts within milliseconds; programs in Rust and C use the same code
(crates/hornbeam-runtime).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hornbeam import _native
from hornbeam._internal.input_statistics import (
    INDICES,
    TRAINING_INPUTS,
    InputStatistics,
    difference,
    from_config,
    unknown_index,
)
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.errors import LikelyMistakeWarning, ModelFileError

__all__ = ["FrozenModel", "Signature", "TensorSpec"]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a frozen model.

    Args:
        name: Its name.
        dtype: Its dtype, such as "float32".
        shape: Its shape; None for sizes that depend on the inputs, such as the batch size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @classmethod
    def _from_dict(cls, spec: dict[str, Any]) -> TensorSpec:
        shape = tuple(None if isinstance(size, str) else size for size in spec["shape"])
        return cls(spec["name"], spec["dtype"], shape)


@dataclass(frozen=True)
class Signature:
    """A function of a frozen model.

    Args:
        inputs: Its inputs, in their order.
        outputs: Its outputs.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class FrozenModel:
    """A model that was exported with `format="hornbeam"`. Several threads may run it at once.

    The file is mapped into memory: replace it while the model lives if you must, but do not write into it.

    Args:
        path: The file.

    Attributes:
        signatures: Dict from names to `Signature`. A model has "predict".
        weights: A `TensorSpec` for each weight.
        metadata: Dict: the model's "name", "hornbeam_version", and "labels" and "preprocessing" if they were
            given to `export`.

    Raises:
        OSError: If the file cannot be read.
        ModelFileError: If it is not a frozen model, is damaged, or of a newer version.

    Example:
        >>> model = hornbeam.runtime.FrozenModel("digits.hornbeam")  # doctest: +SKIP
        >>> model.run({"input": images})["output"].shape  # doctest: +SKIP
        (32, 10)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fspath(path)
        if not isinstance(name, str):
            raise TypeError(f"the path of a frozen model must be text, got {name!r}")
        self._read(lambda: _native.FrozenModel.open(name))

    @classmethod
    def from_bytes(cls, data: bytes) -> FrozenModel:
        """Read the contents of a file.

        Args:
            data: The contents.

        Raises:
            ModelFileError: As for a file.
        """
        model = cls.__new__(cls)
        model._read(lambda: _native.FrozenModel.from_bytes(data))
        return model

    def _read(self, read: Any) -> None:
        self._compared = False
        try:
            self._model: _native.FrozenModel = read()
        except ValueError as error:
            raise ModelFileError(str(error)) from None

    @cached_property
    def _description(self) -> dict[str, Any]:
        return json.loads(self._model.description)

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        return {
            name: Signature(*(tuple(map(TensorSpec._from_dict, s[end])) for end in ("inputs", "outputs")))
            for name, s in self._description["signatures"].items()
        }

    @cached_property
    def training_inputs(self) -> dict[str, InputStatistics]:
        """Statistics of the inputs that the model was trained on, by name, if its file has them."""
        return from_config(self.metadata.get(TRAINING_INPUTS))

    @cached_property
    def weights(self) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in self._model.weights)

    @property
    def metadata(self) -> dict[str, Any]:
        return self._description.get("metadata", {})

    def run(self, inputs: Mapping[str, Any], signature: str = "predict") -> dict[str, np.ndarray]:
        """Compute the outputs of a signature.

        The first run on arrays of new sizes compiles the graph for them, in milliseconds. A few are kept.

        Args:
            inputs: Dict from names to arrays, or what NumPy makes one of. Numbers are converted to the dtypes
                of the inputs, but floats are not cut to integers.
            signature: The function to run.

        Returns:
            Dict from names to arrays, which are read-only.

        Raises:
            ValueError: For an unknown signature, missing or unknown inputs, shapes that do not fit, and
                indices that an Embedding has no vector for.
            TypeError: For an array that cannot be converted.
        """
        spec = self.signatures.get(signature)
        if spec is None:
            raise ValueError(f"the model has no signature {signature!r}, it has {', '.join(self.signatures)}")
        names = [x.name for x in spec.inputs]
        if inputs.keys() != set(names):
            raise ValueError(
                f"the inputs are {', '.join(names)}, got {', '.join(map(str, inputs)) or 'none'}"
            )
        arrays = {name: np.asarray(x) for name, x in inputs.items()}
        self._compare_once(arrays)
        error = unknown_index(self.metadata.get(INDICES), arrays)
        if error is not None:
            raise ValueError(error)
        buffers = [_buffer(arrays[x.name], x) for x in spec.inputs]
        outputs = self._model.run(signature, buffers)
        return {x.name: np.asarray(value.export()) for x, value in zip(spec.outputs, outputs, strict=True)}

    def _compare_once(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Warn if the first inputs differ in kind from those that the model was trained on."""
        if self._compared:
            return
        self._compared = True
        text = difference(self.training_inputs, inputs)
        if text is not None:
            from hornbeam._internal.warn import warn_user

            warn_user(f"the frozen model got {text}", LikelyMistakeWarning)


def _buffer(array: np.ndarray, spec: TensorSpec) -> _native.Buffer:
    if array.dtype != spec.dtype:
        if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            raise TypeError(f"the input {spec.name!r} takes {spec.dtype}, got {array.dtype}")
        array = array.astype(spec.dtype)
    return _native.Buffer.from_numpy(np.ascontiguousarray(array).reshape(array.shape), spec.dtype)


explain_missing(__name__)
