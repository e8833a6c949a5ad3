"""Writes docs/interchange.md: models with each layer, and whole ones, that change hands with Keras and ONNX.

python tests/parity/exchange.py --write
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path += [str(Path(__file__).parents[1] / part) for part in ("parity", "structure", "layers", "compat")]

import keras
import numpy as np
import onnxruntime
from both import numpy_initial_values, set_random_weights
from cases_exchange import ALL, EXCHANGED, NOT_SERVED, SERVED, layer_of
from comparison import fresh, leaves
from layer_cases import inputs
from served import ROWS, difference, served
from test_exchange import WHOLE_MODELS, drawn, outputs_of, whole

import hornbeam

PAGE = Path(__file__).parents[2] / "docs" / "interchange.md"
HEAD = """# Models that change hands

Largest differences of an output, as a share of 1 or of the output itself if that is larger, on
random weights and inputs. Keras {version}, ONNX Runtime {onnxruntime}; written by
`python tests/parity/exchange.py --write`.

- **Keras to us**, **us to Keras**: a model with the layer, saved as `.keras` by one side and loaded
  by the other. `tests/parity/test_exchange.py` holds it on every run.
- **onnxruntime**: our model, written by `model.export("m.onnx", format="onnx")` for batches of any
  size and run by onnxruntime on {rows} rows. **imported**: the same file, read by `load_model`.
  Both are compared with `predict`; `tests/parity/test_served.py` holds it where onnxruntime is
  installed.

Where a layer has several cases the largest counts. Of a layer that is random in training a file
holds what it does in `predict`: nothing, or the same for every image. Keras's are random there too
until they are saved and loaded, so they have no figure of Keras's. Lookups, of which Keras compiles
none, go both ways in `tests/saving/test_vocabularies.py`.

| layer | cases | Keras to us | us to Keras | onnxruntime | imported |
|---|---|---|---|---|---|
"""
WHOLE = """
## Whole models

Those of the grammar of random models (`tests/parity/grammar.py`), by their seeds: branches, shared
layers, several inputs and outputs.

| model | layers | Keras to us | us to Keras | onnxruntime | imported |
|---|---|---|---|---|---|
"""


def by_keras(theirs: Any, args: list[Any], folder: Path) -> tuple[Any, list[float | None]]:
    """The model as we load it, and the differences: theirs to ours, ours to theirs."""
    expected = outputs_of(theirs, args)
    theirs.save(folder / "theirs.keras")
    ours = hornbeam.saving.load_model(folder / "theirs.keras")
    here = difference(outputs_of(ours, args), expected)
    ours.save(folder / "ours.keras")
    return ours, [
        here,
        difference(outputs_of(keras.saving.load_model(folder / "ours.keras"), args), expected),
    ]


def exchanged(index: int, folder: Path) -> list[float | None]:
    """Differences of one case: theirs to ours, ours to theirs, by onnxruntime, imported."""
    args = leaves(inputs(ALL[index], index))
    fresh()
    found: list[float | None] = [None, None]
    with numpy_initial_values():
        if index in EXCHANGED:
            theirs = whole(keras, index, inputs(ALL[index], index))
            set_random_weights(theirs, np.random.default_rng(index))
            ours, found = by_keras(theirs, args, folder)
        else:
            ours = whole(hornbeam, index, inputs(ALL[index], index))
            set_random_weights(ours, np.random.default_rng(index))
    return [*found, *served(ours, args if len(args) > 1 else args[0], folder)]


def exchanged_whole(seed: int, folder: Path) -> tuple[int, list[float | None]]:
    """Layers and differences of a random model."""
    fresh()
    with numpy_initial_values():
        theirs, args = drawn(keras, seed)
        ours, found = by_keras(theirs, [args], folder)
    return len(ours.layers), [*found, *served(ours, args, folder)]


def row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def shown(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return "–" if not known else "0" if max(known) == 0 else f"{max(known):.0e}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page instead of printing it")
    write = parser.parse_args().write
    cases: dict[str, list[list[float | None]]] = {}
    lines = {name: row(name, "–", "–", "–", f"no: {why}", "–") for name, (why, *_) in NOT_SERVED.items()}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in SERVED:
            layer = layer_of(ALL[index])
            cases.setdefault(layer, []).append(exchanged(index, folder))
            print(layer, cases[layer][-1], flush=True)
        for seed in range(WHOLE_MODELS):
            count, found = exchanged_whole(seed, folder)
            rows.append(row(seed, count, *(shown([x]) for x in found)))
            print(seed, found, flush=True)
    for layer, found in cases.items():
        lines[layer] = row(layer, len(found), *(shown(column) for column in zip(*found, strict=True)))
    head = HEAD.format(
        version=keras.__version__, onnxruntime=onnxruntime.__version__, rows=" and ".join(map(str, ROWS))
    )
    page = "\n".join([head + "\n".join(lines[name] for name in sorted(lines)), WHOLE + "\n".join(rows), ""])
    if write:
        PAGE.write_text(page)
    else:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
