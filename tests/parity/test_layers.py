"""Every layer beside Keras's: weights, outputs, state, masks, gradients, configs, symbols, half precision.

The cases are those of tests/helpers/layer_cases.py, which every exported layer has to have, and more settings
here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.layer_cases import CASES, OURS, Case, inputs, make, names_of
from tests.helpers.parity.both import numpy_initial_values, run_keras, run_ours, set_random_weights, symbols
from tests.helpers.parity.cases_layers import MORE
from tests.helpers.parity.comparison import Comparison, dtype_of, fresh, leaves, names_of_weights, plain
from tests.helpers.parity.reasons import (
    ARGUMENTS_MISSING,
    KERAS_CANNOT,
    KERAS_CANNOT_RUN,
    WITHOUT_CASE,
    WITHOUT_HALF,
)

pytestmark = pytest.mark.sampled

ALL = [*CASES, *MORE]


def label(index: int) -> str:
    case = ALL[index]
    options = "".join(f" {name}" for name in case.call)
    return f"{case.make}{options} {case.inputs}".replace("/", "|").replace("[", "(").replace("]", ")")


@pytest.mark.parametrize("index", range(len(ALL)), ids=label)
def test_layers(compare: Comparison, index: int, tmp_path: Path) -> None:
    case = ALL[index]
    args = inputs(case, index)
    fresh()
    with numpy_initial_values():
        ours, theirs = make(case, hornbeam.layers), make(case, keras.layers)
        compare.same("config", plain(ours.get_config()), plain(theirs.get_config()))
        check_round_trips(compare, ours, theirs)
        compare.same("symbols", specs(hornbeam, ours, case, args), specs(keras, theirs, case, args))
        compare.same("weights", names_of_weights(ours), names_of_weights(theirs))
        compare.same(
            "files", *(places(side, layer, tmp_path) for side, layer in ((hornbeam, ours), (keras, theirs)))
        )
        set_random_weights(theirs, np.random.default_rng(index))
        values = theirs.get_weights()
        ours.set_weights(values)
        if not re.match(KERAS_CANNOT_RUN, label(index)):
            check_run(compare, run_ours(ours, args, case.call), run_keras(theirs, args, case.call))
        if not re.match(rf"{WITHOUT_HALF}|{KERAS_CANNOT_RUN}", label(index)):
            dtype = ("float16", "bfloat16")[index % 2]
            other = half(keras, case, args, values, dtype)
            if other is not None:
                compare.close(dtype, half(hornbeam, case, args, values, dtype), other, dtype)


def specs(side: ModuleType, layer: Any, case: Case, args: list[Any]) -> list[tuple[Any, str]]:
    """Shapes and dtypes of the symbolic outputs: for an unknown batch where that may be; builds the layer."""
    flags = {name: value for name, value in case.call.items() if isinstance(value, bool)}
    batch = args[0].shape[0] if "stateful" in case.make else None
    return [(tuple(y.shape), dtype_of(y)) for y in leaves(layer(*symbols(side, args, batch), **flags))]


def places(side: ModuleType, layer: Any, folder: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Return the locations of weights in a file, and their shapes. Random states may be absent."""
    results = []
    path = folder / f"{side.__name__}.weights.h5"
    side.saving.save_weights(layer, path)
    with h5py.File(path) as store:
        store.visititems(lambda name, item: results.append((name, item)))
        arrays = [(name, item) for name, item in results if isinstance(item, h5py.Dataset)]
        return sorted((name, item.shape) for name, item in arrays if item.dtype != "uint32")


def check_round_trips(compare: Comparison, ours: Any, theirs: Any) -> None:
    """Each side reads what the other one writes."""
    there = keras.layers.deserialize(json.loads(json.dumps(hornbeam.layers.serialize(ours))))
    compare.same("our config there", plain(there.get_config()), plain(theirs.get_config()))
    here = hornbeam.layers.deserialize(json.loads(json.dumps(keras.layers.serialize(theirs))))
    compare.same("their config here", plain(here.get_config()), plain(ours.get_config()))


def check_run(compare: Comparison, mine: Any, other: Any) -> None:
    compare.close("output", mine.outputs, other.outputs)
    compare.close("masks", mine.masks, other.masks)
    if other.losses:
        compare.close("losses", mine.losses, other.losses)
    if other.state:
        compare.close("state", without_seeds(mine.state), without_seeds(other.state))
    if other.by_weights:
        compare.close("gradients of weights", mine.by_weights, other.by_weights, "layers gradients")
    if other.by_inputs:
        compare.close("gradients of inputs", mine.by_inputs, other.by_inputs, "layers gradients")


def without_seeds(state: list[Any]) -> list[Any]:
    """State that is not a random number generator's."""
    return [value for value in state if "uint32" not in str(value.dtype)]


def half(side: ModuleType, case: Case, args: list[Any], values: list[np.ndarray], dtype: str) -> Any:
    """The outputs under a mixed policy; None where Keras on JAX cannot compute them."""
    previous = side.config.dtype_policy()
    side.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        layer = make(case, side.layers)
        specs(side, layer, case, args)
        layer.set_weights(values)
        run = run_ours if side is hornbeam else run_keras
        return run(layer, args, case.call, gradients=False).outputs
    except (TypeError, ValueError) as error:
        if side is keras and re.search(KERAS_CANNOT, str(error)):
            return None
        raise
    finally:
        side.config.set_dtype_policy(previous)


def test_every_public_layer_has_a_case() -> None:
    named = {name for case in [*ALL, *OURS] for name in re.findall(r"\b([A-Z]\w+)\(", case.make)}
    covered = {getattr(hornbeam.layers, name) for name in named}
    without = [
        name
        for name in hornbeam.layers.__all__
        if name not in WITHOUT_CASE["layers"] and getattr(hornbeam.layers, name) not in covered
    ]
    assert without == [], "they need a case in tests/helpers/layer_cases.py, in OURS if Keras lacks them"


@pytest.mark.parametrize("text", ARGUMENTS_MISSING)
def test_arguments_that_are_not_there_say_so(text: str) -> None:
    with pytest.raises(NotImplementedError, match=r"is not supported"):
        eval(text, names_of(hornbeam.layers))
