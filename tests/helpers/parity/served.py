"""Models as ONNX files: run by onnxruntime on batches of several sizes, and imported again by us."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

import hornbeam
from hornbeam import tree

# Sizes of batches; files are written once, for any.
ROWS = (1, 3)


class Gaps(NamedTuple):
    """The largest differences from `predict`: of onnxruntime, and of the imported model."""

    run: float
    imported: float


def difference(actual: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference, as a share of 1 or of the value itself if that is larger."""
    worst = 0.0
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        if other.size:
            wide = other.astype("float64")
            gap = np.abs(one.astype("float64") - wide) / np.maximum(1.0, np.abs(wide))
            gap = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, gap)
            worst = max(worst, float(gap.max()))
    return worst


def session_of(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def predicted(model: Any, args: Any) -> list[np.ndarray]:
    return tree.flatten(model.predict(args, verbose=0))


def served(model: Any, args: Any, folder: Path) -> Gaps:
    """Export `model`, which takes `args`, an array or a structure of them."""
    path = folder / "served.onnx"
    model.export(path, format="onnx", verbose=False)
    session, again = session_of(path), hornbeam.saving.load_onnx(path)
    names = [x.name for x in session.get_inputs()]
    run = imported = 0.0
    for rows in ROWS:
        batch = tree.map_structure(lambda x, rows=rows: np.concatenate([x] * rows)[:rows], args)
        expected, flat = predicted(model, batch), tree.flatten(batch)
        run = max(run, difference(session.run(None, dict(zip(names, flat, strict=True))), expected))
        imported = max(imported, difference(predicted(again, flat if len(flat) > 1 else flat[0]), expected))
    return Gaps(run, imported)
