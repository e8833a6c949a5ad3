"""Models that both sides can build, with their weights and inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

import hornbeam
from tests.helpers.layer_cases import make
from tests.helpers.parity.both import run_keras, run_ours, symbols
from tests.helpers.parity.cases_exchange import ALL
from tests.helpers.parity.comparison import dtype_of, leaves, to_array
from tests.helpers.parity.grammar import build, write

WHOLE_MODELS = 30


def build_model(side: Any, index: int, args: list[Any]) -> Any:
    """A model around the layer of a case."""
    case = ALL[index]
    inputs = symbols(side, args)
    outputs = [y for y in leaves(make(case, side.layers)(*inputs)) if y is not None]
    return side.Model(leaves(inputs), outputs if len(outputs) > 1 else outputs[0])


def random_model(side: Any, seed: int) -> tuple[Any, Any]:
    """A random model with random weights, and what it takes."""
    rng = np.random.default_rng(seed)
    model = build(write(seed), side)
    model.set_weights([draw(w, rng) for w in model.weights])
    args = [sample(x, rng) for x in model.inputs]
    return model, dict(zip(model.input, args, strict=True)) if isinstance(model.input, dict) else args


def outputs_of(model: Any, args: list[Any]) -> list[np.ndarray]:
    run = run_ours if isinstance(model, hornbeam.Model) else run_keras
    result = run(model, [args if len(args) > 1 else args[0]], {}, gradients=False).outputs
    return [to_array(y) for y in leaves(result)]


def draw(weight: Any, rng: np.random.Generator) -> np.ndarray:
    """A value of moderate size; above zero for a variance."""
    if "float" not in dtype_of(weight):
        return np.asarray(weight)
    value = 0.4 * rng.normal(size=tuple(weight.shape))
    return (np.abs(value) + 0.5 if "variance" in weight.path else value).astype("float32")


def sample(symbol: Any, rng: np.random.Generator) -> np.ndarray:
    shape = (2, *symbol.shape[1:])
    if "int" in symbol.dtype:
        return rng.integers(0, 6, shape).astype("int32")
    return rng.normal(size=shape).astype("float32")
