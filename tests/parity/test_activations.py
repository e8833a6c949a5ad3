"""Activations, regularizers, constraints and schedules beside Keras's: values, gradients, configs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.optimizer_cases import SCHEDULES
from tests.helpers.parity.comparison import Comparison
from tests.helpers.parity.configs import SIDES, check_configs
from tests.helpers.parity.reasons import WITHOUT_CASE

RNG = np.random.default_rng(11)
X = (3 * RNG.normal(size=(4, 6))).astype("float32")
KERNEL = RNG.normal(size=(3, 3, 2, 4)).astype("float32")
FACTORS = np.cos(np.arange(X.size, dtype="float32")).reshape(X.shape)

_PLAIN = (
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear "
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign "
    "sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink"
)
ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in _PLAIN.split()),
    ("celu", {"alpha": 0.3}),
    ("elu", {"alpha": 0.3}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 0}),
    ("hard_shrink", {"threshold": 1.0}),
    ("leaky_relu", {"negative_slope": 0.1}),
    ("log_softmax", {"axis": 0}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
    ("relu", {"max_value": 1.0}),
    ("soft_shrink", {"threshold": 1.0}),
    ("softmax", {"axis": 0}),
    ("squareplus", {"b": 1.0}),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
]


@pytest.mark.parametrize(
    "case", range(len(ACTIVATIONS)), ids=lambda i: f"{ACTIVATIONS[i][0]} {ACTIVATIONS[i][1]}"
)
def test_activations(compare: Comparison, case: int) -> None:
    name, options = ACTIVATIONS[case]

    def scalar(side: ModuleType, sums: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            y = getattr(side.activations, name)(x, **options)
            return sums(y * (FACTORS if y.shape == FACTORS.shape else 1.0)), y

        return run

    (_, value), gradient = hornbeam.value_and_grad(scalar(hornbeam, hornbeam.ops.sum), has_aux=True)(X)
    (_, other), there = jax.jit(jax.value_and_grad(scalar(keras, jnp.sum), has_aux=True))(X)
    compare.close("value", value, other)
    compare.close("gradient", gradient, there)
    if not options:
        written = [side.activations.serialize(getattr(side.activations, name)) for side in SIDES]
        compare.same("config", *written)
        compare.same(
            "by name", *(side.activations.get(name) is getattr(side.activations, name) for side in SIDES)
        )


REGULARIZERS = [
    "L1()", "L1(0.2)", "L2()", "L2(l2=0.3)", "L1L2(0.1, 0.2)", "L1L2()", "OrthogonalRegularizer()",
    "OrthogonalRegularizer(factor=0.1, mode='columns')",
]  # fmt: skip


@pytest.mark.parametrize("text", REGULARIZERS)
def test_regularizers(compare: Comparison, text: str) -> None:
    ours, theirs = (eval(f"regularizers.{text}", {"regularizers": side.regularizers}) for side in SIDES)
    x = X if "Orthogonal" in text else KERNEL
    mine = hornbeam.value_and_grad(ours)(x)
    other = jax.jit(jax.value_and_grad(theirs))(x)
    compare.close("value and gradient", list(mine), list(other))
    check_configs(compare, "regularizers", ours, theirs)


CONSTRAINTS = [
    "MaxNorm()", "MaxNorm(0.5, axis=1)", "MaxNorm(max_value=1.0, axis=[0, 1, 2])", "MinMaxNorm()",
    "MinMaxNorm(0.5, 1.5, rate=0.7, axis=1)", "NonNeg()", "UnitNorm()", "UnitNorm(axis=[0, 1])",
]  # fmt: skip


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_constraints(compare: Comparison, text: str) -> None:
    ours, theirs = (eval(f"constraints.{text}", {"constraints": side.constraints}) for side in SIDES)
    compare.close("value", ours(hornbeam.ops.convert_to_tensor(KERNEL)), jax.jit(theirs)(KERNEL))
    check_configs(compare, "constraints", ours, theirs)


@pytest.mark.parametrize("case", range(len(SCHEDULES)), ids=lambda i: f"{SCHEDULES[i][0]} {SCHEDULES[i][2]}")
def test_schedules(compare: Comparison, case: int) -> None:
    name, args, options = SCHEDULES[case]
    ours, theirs = (getattr(side.optimizers.schedules, name)(*args, **options) for side in SIDES)
    steps = np.arange(25)
    compare.close(
        "rates",
        np.array([float(ours(int(step))) for step in steps], "float32"),
        np.asarray(jax.jit(jax.vmap(theirs))(steps)),
        "schedules",
    )
    check_configs(compare, "optimizers.schedules", ours, theirs)


def test_every_public_name_has_a_case() -> None:
    tables = {
        "activations": {name for name, _ in ACTIVATIONS},
        "regularizers": {text.partition("(")[0] for text in REGULARIZERS},
        "constraints": {text.partition("(")[0] for text in CONSTRAINTS},
        "optimizers.schedules": {name for name, _, _ in SCHEDULES},
    }
    for module, named in tables.items():
        target: Any = hornbeam
        for part in module.split("."):
            target = getattr(target, part)
        covered = {getattr(target, name) for name in named}
        assert [
            name
            for name in target.__all__
            if getattr(target, name) not in covered and name not in WITHOUT_CASE[module]
        ] == []
