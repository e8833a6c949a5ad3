"""Write docs/interchange.md: models of each layer, and complete ones, exchanged with Keras and ONNX.

python tools/interchange.py --write
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

import keras
import numpy as np
import onnxruntime

import hornbeam

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.layer_cases import inputs
from tests.helpers.parity.both import numpy_initial_values, set_random_weights
from tests.helpers.parity.cases_exchange import ALL, EXCHANGED, NOT_SERVED, SERVED, layer_of
from tests.helpers.parity.comparison import fresh, leaves
from tests.helpers.parity.exchange import WHOLE_MODELS, build_model, outputs_of, random_model
from tests.helpers.parity.served import ROWS, difference, served
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "interchange.md"
HEAD = """# Exchanging models

```py
import hornbeam as hb

model = hb.models.load_model("from_keras.keras")    # or .h5 of Keras 1 and 2, or .onnx
model.save("for_keras.keras")
model.export("for_onnxruntime.onnx", format="onnx")
```

[Saving, resuming, exchanging](saving.md) has all formats. This page lists, for each layer, how far
outputs differ after an exchange:

- **Keras to us**, **us to Keras**: a model with the layer, saved as `.keras` by one side and loaded
  by the other.
- **onnxruntime**: our model, written by `model.export("m.onnx", format="onnx")` for batches of any
  size and run by onnxruntime. **imported**: the same file, read by `load_model`.

## ONNX files

```py
model.export("m.onnx", format="onnx")
model.export("m.onnx", format="onnx", opset_version=23, data_format="channels_first")
```

A file has ONNX's own operators under the names of the layers (`conv2d/Conv`, weights
`conv2d/kernel`), so that it can be read in a viewer:

- Activations, pools, attention, `LSTM`, `GRU`, normalizations, `UpSampling2D` and more are one node
  each where ONNX has an operator for them; what depends on weights alone is computed.
- Batch normalizations after convolutions and dense layers are part of their weights, called
  `conv2d/kernel_folded`. With `fold_batch_normalization=False` they are nodes with their own four
  weights, for fine-tuning.
- Convolutions follow each other in ONNX's layout, channels first: there is one Transpose in front
  of a net of images, and one behind it if its outputs are images too. With
  `data_format="channels_first"` inputs and outputs of rank 4 and 5 are (batch, channels, ...), and
  there is none.
- `opset_version` is the version of the operators: 20 by default, 17 to 28. Choose what the
  reader's runtime has. From 18 on `Resize` names its axes, from 20 on `Gelu` is a node, from 23
  on `Attention` and `RMSNormalization` are. An operator that the version lacks is an error that
  names the layer. Models in float8 need 26.
- Layers of `model.quantize("int8")` keep weights of int8 between `QuantizeLinear` and
  `DequantizeLinear`. Those of other modes (int4, float8, GPTQ, AWQ) are floats in the file.
- Masked recurrent layers, and those that start from other cells than `LSTM` and `GRU`, are loops
  (`Scan`). Tensors of 16 bits are computed in float32.

Reading takes operator sets 1 to 28. Of ONNX's own tests of backends that ONNX Runtime 1.32 passes,
1,635 of 1,666 give the same numbers; the rest is refused by name: text, operators of scikit-learn
(`ai.onnx.ml`), inputs and outputs that are sequences. Where a shape depends on values of the data,
such as an axis that is an input, or the boxes that NonMaxSuppression keeps, call the model:
`model(x)` reads the values. `predict` and `fit` compile a model for all data, and refuse that.

A model with inputs that have no axis of samples, such as states and sampling rates, is called on
arrays as they are: `model.run(None, {"input": x, "state": state, "sr": 16000})` takes inputs by
name, as sessions of ONNX Runtime do, and returns a list of arrays. The names are those of the file,
with `_` for `/`. If shapes follow from values of small integers, a version of the model is compiled
for each value, 16 at most.

Nodes and times beside PyTorch's exporter: [onnx_export.md](../benchmarks/onnx_export.md).

## SavedModel and StableHLO

```py
model.export("served", format="tf_saved_model")
model.export("compiled", format="stablehlo")
```

A SavedModel has TensorFlow's own operators under the names of the layers (`conv2d/Conv2D`,
`conv2d/BiasAdd`, `conv2d/kernel/ReadVariableOp`):

- Images stay channels last. Convolutions, depthwise and transposed ones, pools, activations,
  normalizations of images (`FusedBatchNormV3`), products (`MatMul`, `Einsum`) and resized images
  are one node each. `LSTM` and `GRU` are loops, after one product for all steps.
- Weights are `tf.Variable`s, as Keras has them: `loaded.variables` lists them, assigning one has an
  effect, and gradients pass. So batch normalizations are not folded.
- Unknown sizes cost nothing where no result depends on them: a reshape has -1 for the batch.
- The endpoint `serve`, the signatures `serve` and `serving_default`, and the names of inputs are
  Keras's. An index that is outside of an `Embedding` is an error of TensorFlow's.
- TensorFlow's converter reads the folder: `format="litert"` uses it, and convolutional nets,
  transposed and dilated convolutions, resized images and a transformer give the numbers of
  `predict` in its interpreter (`tests/export/test_saved_model_graphs.py`).

In a StableHLO file weights are constants: batch normalizations are folded, and what depends on
weights alone is computed. With an unknown batch size, JAX writes the arithmetic of shapes that
every broadcast needs, in our files as in Keras's.

Operations and times beside Keras's own files: [savedmodel.md](../benchmarks/savedmodel.md).

## Layers

| layer | cases | Keras to us | us to Keras | onnxruntime | imported |
|---|---|---|---|---|---|
"""
WHOLE = """
## Complete models

Models of the grammar of random models (`tests/helpers/parity/grammar.py`), by seed: branches,
shared layers, several inputs and outputs.

| model | layers | Keras to us | us to Keras | onnxruntime | imported |
|---|---|---|---|---|---|
"""
GUARANTEES = """
## Guarantees

The tables show the largest differences of an output, relative to the larger of 1 and the output, on
random weights and inputs. Keras {version}, ONNX Runtime {onnxruntime}; generated by
`python tools/interchange.py --write`. Where a layer has several cases, the largest difference
counts.

- `tests/parity/test_exchange.py` checks the exchange with Keras on every run.
- `tests/parity/test_served.py` compares onnxruntime, on {rows} rows, and the imported file with
  `predict`, where onnxruntime is installed.
- For a layer that is random in training, a file contains its behavior in `predict`: the identity,
  or the same operation for every image. Keras's layers are random there too until they are saved
  and loaded, so that the columns of Keras are empty.
- Lookups, which Keras does not compile, are tested in both directions in
  `tests/saving/test_vocabularies.py`.
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
    differences: list[float | None] = [None, None]
    with numpy_initial_values():
        if index in EXCHANGED:
            theirs = build_model(keras, index, inputs(ALL[index], index))
            set_random_weights(theirs, np.random.default_rng(index))
            ours, differences = by_keras(theirs, args, folder)
        else:
            ours = build_model(hornbeam, index, inputs(ALL[index], index))
            set_random_weights(ours, np.random.default_rng(index))
    return [*differences, *served(ours, args if len(args) > 1 else args[0], folder)]


def exchanged_whole(seed: int, folder: Path) -> tuple[int, list[float | None]]:
    """Layers and differences of a random model."""
    fresh()
    with numpy_initial_values():
        theirs, args = random_model(keras, seed)
        ours, differences = by_keras(theirs, [args], folder)
    return len(ours.layers), [*differences, *served(ours, args, folder)]


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
            count, differences = exchanged_whole(seed, folder)
            rows.append(row(seed, count, *(shown([x]) for x in differences)))
            print(seed, differences, flush=True)
    for layer, differences in cases.items():
        lines[layer] = row(
            layer, len(differences), *(shown(column) for column in zip(*differences, strict=True))
        )
    guarantees = GUARANTEES.format(
        version=keras.__version__, onnxruntime=onnxruntime.__version__, rows=" and ".join(map(str, ROWS))
    )
    table = "\n".join(lines[name] for name in sorted(lines))
    page = "\n".join([HEAD + table, WHOLE + "\n".join(rows), guarantees])
    if write:
        PAGE.write_text(page)
    else:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
