"""Training in a page: the data that go into it, and what it must know to train the model."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.config import floatx
from hornbeam.export.frozen_training import FrozenTraining
from hornbeam.export.training_step import check_trainable
from hornbeam.ir.types import is_float
from hornbeam.layers.input_spec import InputSpec
from hornbeam.training.packing import Batch, make_batch
from hornbeam.training.steps import Steps, training_state

if TYPE_CHECKING:
    from hornbeam.export.frozen import FrozenArchive
    from hornbeam.models import Model

# Compressed bytes of the data. A browser holds the page, its text and the arrays in memory at once.
_MAX_BYTES = 16 * 2**20


class PageTraining:
    """The training of a model in its page.

    Args:
        model: A compiled model.
        training_data: `(x, y)` or `(x, y, sample_weight)`, as `fit` takes them.
        validation_data: Likewise, of the same structure, or None.
        batch_size: Rows of a batch, which the page's reader may change.
        epochs: Number of epochs, likewise.

    Raises:
        ValueError: For a model without a step that is a graph, and for data that do not fit.
    """

    def __init__(
        self, model: Model, training_data: Tree, validation_data: Tree, batch_size: int, epochs: int
    ) -> None:
        check_trainable(model)
        if getattr(model, "_symbolic_inputs", None) is None:
            raise ValueError(
                f"{model.describe()} is no graph of layers: a page trains Sequential and functional models"
            )
        if type(model).train_step is not Steps.train_step or type(model).test_step is not Steps.test_step:
            raise ValueError(
                f"{model.describe()} overrides train_step or test_step: a page trains by the compiled loss. "
                'export(format="hornbeam", training=True) writes other steps, too.'
            )
        self._parts = [_batch(model, "training_data", training_data)]
        if validation_data is not None:
            self._parts.append(_batch(model, "validation_data", validation_data))
        first, last = self._parts[0], self._parts[-1]
        if first.signature(1).types != last.signature(1).types or first.treedef != last.treedef:
            raise ValueError(
                "validation_data must have the structure, shapes and dtypes of training_data, got "
                f"{_described(last)} and {_described(first)}"
            )
        specs = [InputSpec(shape=(None, *a.shape[1:]), dtype=a.dtype.name) for a in first.leaves]
        batch = Batch(specs, first.treedef).unpacked()  # type: ignore[arg-type]
        self.frozen = FrozenTraining(model, tuple(part for part in batch if part is not None))
        losses = training_state(model).losses
        if losses is not None and losses.spec is not None:
            for part in self._parts:
                losses.check_values(part.y, model, None)
        self._settings = {
            "batch_size": check_int("batch_size", batch_size, minimum=1),
            "epochs": check_int("epochs", epochs, minimum=1),
        }

    def add_to(self, archive: FrozenArchive) -> dict[str, Any]:
        """Add the signatures. Return what the page must know."""
        about = self.frozen.add_to(archive)
        rate = "optimizer/learning_rate"
        return {
            **about,
            **self._settings,
            "rows": [len(part) for part in self._parts],
            "arrays": [
                {"name": name, "dtype": a.dtype.name, "shape": list(a.shape[1:])}
                for name, a in zip(about["batch"], self._parts[0].leaves, strict=True)
            ],
            "learning_rate": rate if rate in self.frozen.state else None,
        }

    def data(self) -> bytes:
        """Return the arrays of training, then those of validation, compressed."""
        packed = gzip.compress(b"".join(a.tobytes() for part in self._parts for a in part.leaves), mtime=0)
        if len(packed) > _MAX_BYTES:
            rows = len(self._parts[0]) * _MAX_BYTES // len(packed)
            raise ValueError(
                f"the data have {len(packed) / 2**20:.1f} MiB in the page, at most {_MAX_BYTES >> 20} are "
                f"possible: pass about {rows} rows, or smaller dtypes, such as pixels in uint8 to a model "
                "that begins with Rescaling(1 / 255)"
            )
        return packed


def _batch(model: Model, name: str, data: Tree) -> Batch:
    if not isinstance(data, (tuple, list)) or not 2 <= len(data) <= 3:
        raise ValueError(f"{name} must be (x, y) or (x, y, sample_weight), got {type(data).__name__}")
    x, y, sample_weight = (*data, None)[:3]
    batch = make_batch(x, y, sample_weight, finite=True)
    training_state(model).check_x_and_y(batch.x, batch.y)
    leaves = [np.ascontiguousarray(a, floatx() if is_float(a.dtype.name) else a.dtype) for a in batch.leaves]
    return Batch(leaves, batch.treedef)


def _described(batch: Batch) -> Sequence[str]:
    return [f"{a.dtype}{list(a.shape)}" for a in tree.flatten(batch.leaves)]
