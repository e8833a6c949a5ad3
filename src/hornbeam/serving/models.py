"""The parts of a frozen model that the server uses, as types.

`hornbeam.runtime.FrozenModel` has them; tests have models of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class TensorSpec(Protocol):
    """Name, dtype and shape of an input or an output; None is a size that the caller chooses."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int | None, ...]: ...


class Signature(Protocol):
    """Inputs and outputs of one function of a model."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...


class RunnableModel(Protocol):
    """A model that several threads may run at once."""

    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def signatures(self) -> Mapping[str, Signature]: ...
    def run(self, inputs: dict[str, np.ndarray], signature: str = "predict") -> dict[str, np.ndarray]: ...


DEFAULT_SIGNATURE = "predict"


def has_batch_axis(signature: Signature) -> bool:
    """Return whether the first axis of all inputs and outputs counts samples, any number of them."""
    for specs in (signature.inputs, signature.outputs):
        for spec in specs:
            if not spec.shape or spec.shape[0] is not None:
                return False
    return True


def input_metadata(model: RunnableModel, name: str) -> dict[str, Any]:
    """Return what a model's file says about one of its inputs, such as `{"kind": "image"}`."""
    about = (model.metadata.get("preprocessing") or {}).get(name)
    return dict(about) if isinstance(about, Mapping) else {}


def labels(model: RunnableModel) -> list[str] | None:
    """Return the names of a classifier's classes, if its file has them."""
    names = model.metadata.get("labels")
    return [str(name) for name in names] if names else None
