"""Models with each layer, and whole ones, as ONNX files: onnxruntime and our import agree with predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from tests.helpers.layer_cases import inputs, names_of
from tests.helpers.parity.both import set_random_weights
from tests.helpers.parity.cases_exchange import ALL, NOT_SERVED, SERVED, layer_of
from tests.helpers.parity.comparison import fresh, leaves
from tests.helpers.parity.exchange import WHOLE_MODELS, build_model, random_model

pytest.importorskip("onnxruntime")

from tests.helpers.parity.served import served

pytestmark = pytest.mark.sampled

NEAR = 5e-6
# Classes that layers are made of, or that hold what the caller gives: no layers to be exported by themselves.
FRAMES = {
    "Layer", "Wrapper", "InputLayer", "Lambda", "OnnxGraph", "JaxLayer", "FlaxLayer", "TFSMLayer",
    "TorchModuleWrapper",
}  # fmt: skip


@pytest.mark.parametrize("index", SERVED, ids=lambda i: f"{i} {ALL[i].make}".replace("/", "|"))
def test_each_layer(index: int, tmp_path: Path) -> None:
    fresh()
    args = inputs(ALL[index], index)
    model = build_model(hornbeam, index, args)
    set_random_weights(model, np.random.default_rng(index))
    flat = leaves(args)
    gaps = served(model, flat if len(flat) > 1 else flat[0], tmp_path)
    assert max(gaps) < NEAR, gaps


@pytest.mark.parametrize("seed", range(WHOLE_MODELS))
def test_whole_models(seed: int, tmp_path: Path) -> None:
    fresh()
    gaps = served(*random_model(hornbeam, seed), tmp_path)
    assert max(gaps) < NEAR, gaps


@pytest.mark.parametrize("name", NOT_SERVED)
def test_what_no_file_holds(name: str, tmp_path: Path) -> None:
    _, make, dtype = NOT_SERVED[name]
    layer = eval(make, names_of(layers))
    width = {"HashedCrossing": [(1,), (1,)], "TextVectorization": [(1,)]}.get(name, [(2,)])
    inputs = [layers.Input(shape, dtype=dtype) for shape in width]
    model = hornbeam.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    with pytest.raises(ValueError, match=rf"not part of a graph: layer '{layer.name}' \({name}\)"):
        model.export(tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_every_layer_has_a_case() -> None:
    known = {
        getattr(layers, name) for name in (*map(layer_of, (ALL[i] for i in SERVED)), *NOT_SERVED, *FRAMES)
    }
    classes = {x for x in (getattr(layers, name) for name in layers.__all__) if isinstance(x, type)}
    assert {x for x in classes if issubclass(x, layers.Layer)} <= known
