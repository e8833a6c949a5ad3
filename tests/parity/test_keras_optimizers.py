"""Optimizers beside Keras's: variables and state after ten updates, names, configs."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.optimizer_cases import CASES, weights
from tests.helpers.parity.comparison import Comparison, dtype_of, fresh
from tests.helpers.parity.configs import SIDES, check_configs
from tests.helpers.parity.reasons import WITHOUT_CASE

STEPS = 10
ALL = [
    *CASES,
    *(
        (name, {"learning_rate": 0.05, **more})
        for name in ("SGD", "Adam", "RMSprop")
        for more in (
            {"weight_decay": 0.02, "clipnorm": 0.5},
            {"global_clipnorm": 0.7, "gradient_accumulation_steps": 3},
            {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
            {"clipvalue": 0.3, "use_ema": True, "ema_momentum": 0.8},
        )
    ),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.01}),
    (
        "Adafactor",
        {"learning_rate": 0.1, "beta_2_decay": -0.6, "clip_threshold": 0.5, "relative_step": False},
    ),
    ("Lamb", {"learning_rate": 0.05, "weight_decay": 0.01}),
    ("Lion", {"learning_rate": 0.05, "beta_1": 0.8, "weight_decay": 0.01}),
    ("Nadam", {"learning_rate": 0.05, "beta_1": 0.8}),
    ("Muon", {"learning_rate": 0.05, "exclude_embeddings": False, "weight_decay": 0.01}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.05}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.05, "warmup_steps": 3, "weight_decay": 0.01}),
    ("SGD", {"learning_rate": "CosineDecay(0.1, 8)", "momentum": 0.9}),
    ("Adam", {"learning_rate": "ExponentialDecay(0.1, 3, 0.5)"}),
    ("LossScaleOptimizer", {"inner_optimizer": "SGD(0.1)", "initial_scale": 4.0, "dynamic_growth_steps": 3}),
    ("LossScaleOptimizer", {"inner_optimizer": "Adam(0.1)"}),
]


def label(index: int) -> str:
    name, options = ALL[index]
    return f"{name} {options}"


def build_optimizer(side: Any, name: str, options: dict[str, Any]) -> Any:
    """The optimizer; schedules and inner optimizers are written as text."""
    names = {**vars(side.optimizers), **vars(side.optimizers.schedules)}
    names |= {n: getattr(side.optimizers, n) for n in ("SGD", "Adam")}
    names |= {n: getattr(side.optimizers.schedules, n) for n in ("CosineDecay", "ExponentialDecay")}
    results = {key: eval(v, names) if isinstance(v, str) and "(" in v else v for key, v in options.items()}
    return getattr(side.optimizers, name)(**results)


@pytest.mark.parametrize("index", range(len(ALL)), ids=label)
def test_optimizers(compare: Comparison, index: int) -> None:
    name, options = ALL[index]
    rng = np.random.default_rng(index)
    gradients = [[rng.normal(size=w.shape).astype("float32") for w in weights()] for _ in range(STEPS)]
    fresh()
    states = []
    for side in SIDES:
        optimizer = build_optimizer(side, name, options)
        variables = [side.Variable(w, name=n) for w, n in zip(weights(), ("kernel", "bias"), strict=True)]
        optimizer.build(variables)
        if side is keras:
            run_keras(optimizer, variables, gradients)
        else:
            for step in gradients:
                optimizer.apply([hornbeam.ops.convert_to_tensor(g) for g in step], variables)
        names = [(v.path, tuple(v.shape), dtype_of(v)) for v in optimizer.variables]
        before = [np.asarray(v) for v in variables]
        optimizer.finalize_variable_values(variables)
        states.append((before, names, list(optimizer.variables), variables))
    mine, other = states
    compare.close("variables", mine[0], other[0])
    compare.same("state's names", [n for n, _, _ in mine[1]], [n for n, _, _ in other[1]])
    compare.close("state", mine[2], other[2])
    compare.close("variables in the end", mine[3], other[3])
    check_configs(
        compare, "optimizers", build_optimizer(hornbeam, name, options), build_optimizer(keras, name, options)
    )


def run_keras(optimizer: Any, variables: list[Any], gradients: list[list[np.ndarray]]) -> None:
    """Ten updates with one compiled function."""
    step = jax.jit(optimizer.stateless_apply)
    values, state = [v.value for v in variables], [v.value for v in optimizer.variables]
    for inputs in gradients:
        values, state = step(state, inputs, values)
    for variable, value in zip([*variables, *optimizer.variables], [*values, *state], strict=True):
        variable.assign(value)


def test_every_public_optimizer_has_a_case() -> None:
    covered = {getattr(hornbeam.optimizers, name) for name, _ in ALL}
    public = [n for n in hornbeam.optimizers.__all__ if getattr(hornbeam.optimizers, n) not in covered]
    assert [n for n in public if n not in WITHOUT_CASE["optimizers"]] == []
