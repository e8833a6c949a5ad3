"""Regularizers and constraints: values, configs, names."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam import constraints, regularizers
from hornbeam.core import registry
from hornbeam.errors import ArgumentTypeError
from hornbeam.ir.types import ShapeError

W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) * 2


def test_penalties() -> None:
    assert float(regularizers.L1(0.1)(W)) == pytest.approx(0.1 * np.abs(W).sum(), rel=1e-5)
    assert float(regularizers.L2(0.1)(W)) == pytest.approx(0.1 * (W**2).sum(), rel=1e-5)
    both = regularizers.L1L2(0.1, 0.2)(W)
    assert float(both) == pytest.approx(0.1 * np.abs(W).sum() + 0.2 * (W**2).sum(), rel=1e-5)
    assert float(regularizers.L1L2()(W)) == 0.0
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    cosines = np.abs(rows @ rows.T)[np.triu_indices(4, 1)]
    assert float(regularizers.OrthogonalRegularizer(0.5)(W)) == pytest.approx(0.5 * cosines.mean(), rel=1e-4)
    columns = W / np.linalg.norm(W, axis=0)
    cosines = np.abs(columns.T @ columns)[np.triu_indices(3, 1)]
    got = regularizers.OrthogonalRegularizer(0.5, "columns")(W)
    assert float(got) == pytest.approx(0.5 * cosines.mean(), rel=1e-4)
    with pytest.raises(ShapeError, match="matrix"):
        regularizers.OrthogonalRegularizer()(W[0])
    for wrong in (-0.1, "x", float("inf")):
        with pytest.raises(ValueError, match="l2 must be"):
            regularizers.L2(wrong)


def test_constraints() -> None:
    norms = np.linalg.norm(W, axis=0)
    got = np.linalg.norm(np.asarray(constraints.MaxNorm(2.0)(W)), axis=0)
    np.testing.assert_allclose(got, np.minimum(norms, 2.0), rtol=1e-5)
    np.testing.assert_array_equal(constraints.NonNeg()(W), np.maximum(W, 0))
    np.testing.assert_allclose(np.linalg.norm(np.asarray(constraints.UnitNorm(1)(W)), axis=1), 1, rtol=1e-5)
    got = np.linalg.norm(np.asarray(constraints.MinMaxNorm(2.5, 3.0, 0.5)(W)), axis=0)
    np.testing.assert_allclose(got, (np.clip(norms, 2.5, 3.0) + norms) / 2, rtol=1e-5)


@pytest.mark.parametrize("name", ["MaxNorm", "UnitNorm", "MinMaxNorm"])
def test_constraints_check_their_axis(name: str) -> None:
    constraint = getattr(constraints, name)
    with pytest.raises(ArgumentTypeError, match=f"{name}: axis must be an integer axis"):
        constraint(axis="rows")
    for wrong in (2, -3, [0, 2]):
        with pytest.raises(ShapeError, match=rf"{name}: axis -?\d is out of range for a tensor with 2 axes"):
            constraint(axis=wrong)(W)
    for valid in (None, -2, [0, 1]):
        assert constraint(axis=valid)(W).shape == (4, 3)


def test_a_plain_constraint_allows_all() -> None:
    w = np.array([[-3.0, 4.0]])
    assert constraints.Constraint()(w) is w


@pytest.mark.parametrize("module", [regularizers, constraints], ids=["regularizers", "constraints"])
def test_names_and_configs(module: object) -> None:
    keras_module = module.__name__.replace("hornbeam", "keras")
    names = set(registry.names_in(keras_module)) - {"Regularizer", "Constraint"}
    assert len(names) >= 8
    for name in names:
        result = module.get(name)
        again = module.deserialize(module.serialize(result))
        assert type(again) is type(result)
        assert again.get_config() == result.get_config()
        assert getattr(module, name) is type(result)
    assert module.get(None) is None
    with pytest.raises(ValueError, match="unknown"):
        module.get("nonsense")
