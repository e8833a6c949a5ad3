"""Writes docs/interchange.md: models with each layer, and whole ones, that change hands with Keras.

python tests/parity/exchange.py --write
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path += [str(Path(__file__).parents[1] / part) for part in ("parity", "structure", "layers", "compat")]

import keras
import numpy as np
from both import numpy_initial_values, set_random_weights
from comparison import fresh, leaves
from layer_cases import CASES, inputs
from test_exchange import EXCHANGED, outputs_of, whole

import hornbeam

PAGE = Path(__file__).parents[2] / "docs" / "interchange.md"
HEAD = """# Models that change hands

A model with each layer, saved as `.keras` by one side and loaded by the other, on the same random weights
and inputs: the largest difference of an output, as a share of 1 or of the output itself if that is larger.
Where a layer has several cases the largest counts. Keras {version}; written by
`python tests/parity/exchange.py --write`. `tests/parity/test_exchange.py` holds it, and 30 whole models
besides, on every run.

| layer | cases | Keras saves, we load | we save, Keras loads |
|---|---|---|---|
"""


def difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        if other.size:
            wide = other.astype("float64")
            gap = np.abs(one.astype("float64") - wide) / np.maximum(1.0, np.abs(wide))
            gap = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, gap)
            worst = max(worst, float(gap.max()))
    return worst


def exchanged(index: int, folder: Path) -> tuple[float, float]:
    """Differences of one case: theirs to ours, ours to theirs."""
    args = leaves(inputs(CASES[index], index))
    fresh()
    with numpy_initial_values():
        theirs = whole(keras, index, inputs(CASES[index], index))
        set_random_weights(theirs, np.random.default_rng(index))
        expected = outputs_of(theirs, args)
        theirs.save(folder / "theirs.keras")
        ours = hornbeam.saving.load_model(folder / "theirs.keras")
        here = difference(outputs_of(ours, args), expected)
        ours.save(folder / "ours.keras")
        there = difference(outputs_of(keras.saving.load_model(folder / "ours.keras"), args), expected)
    return here, there


def shown(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page instead of printing it")
    args = parser.parse_args()
    rows: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for index in EXCHANGED:
            name = re.split(r"\W", CASES[index].make)[0]
            rows.setdefault(name, []).append(exchanged(index, Path(folder)))
            print(name, rows[name][-1], flush=True)
    lines = []
    for name, found in sorted(rows.items()):
        here, there = (shown(max(row[i] for row in found)) for i in (0, 1))
        lines.append(f"| {name} | {len(found)} | {here} | {there} |")
    page = HEAD.format(version=keras.__version__) + "\n".join(lines) + "\n"
    if args.write:
        PAGE.write_text(page)
    else:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
