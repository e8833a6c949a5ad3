"""Trees and encodings of numbers as layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import auto
from hornbeam.auto.nets import quantile_edges
from hornbeam.auto.task import Problem
from hornbeam.auto.trees import as_model

RANDOM = np.random.default_rng(3)
X = np.concatenate([RANDOM.normal(size=(400, 3)), RANDOM.integers(0, 9, (400, 2))], 1).astype("float32")
SCORE = X[:, 0] * 2 + np.sin(3 * X[:, 1]) + (X[:, 3] % 3)
NUMBER = auto.Column("y", "number")
TARGETS: dict[str, tuple[auto.Task, np.ndarray]] = {
    "number": (auto.Task(NUMBER), SCORE.astype("float32")),
    "two": (auto.Task(NUMBER, ("a", "b")), (SCORE > 1).astype("int32")),
    "three": (auto.Task(NUMBER, ("a", "b", "c")), np.digitize(SCORE, [0, 2]).astype("int32")),
}


@pytest.mark.parametrize("case", list(TARGETS))
def test_trees_predict_what_lightgbm_does(case: str, tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="an optional dependency")
    task, y = TARGETS[case]
    problem = Problem(task, 3, (9, 9))
    trees = auto.Trees(rounds=30, min_samples=5)
    fitted = trees.fit(problem, (X[:300], y[:300]), (X[300:], y[300:]), seed=1)
    assert task.loss_of(y[300:], fitted.predictions) < task.loss_of(
        y[300:], np.full((100, task.units), 1 / task.units if task.classes else SCORE.mean())
    )
    predicted = fitted.model.predict(X[300:], verbose=0)
    np.testing.assert_allclose(predicted, fitted.predictions, rtol=1e-4, atol=1e-5)
    fitted.model.save(tmp_path / "trees.keras")
    loaded = hb.models.load_model(tmp_path / "trees.keras")
    np.testing.assert_array_equal(loaded.predict(X[300:], verbose=0), predicted)


def leaf(value: float) -> dict[str, Any]:
    return {"leaf_value": value}


def test_thresholds_and_sets() -> None:
    """Doubles next to a float32, and categories that no set has."""
    threshold = float(np.nextafter(np.float32(0.1), np.float32(1))) - 1e-12
    tree = {
        "split_feature": 0, "threshold": threshold, "decision_type": "<=", "left_child": leaf(1.0),
        "right_child": {
            "split_feature": 1, "threshold": "0||3", "decision_type": "==", "left_child": leaf(2.0),
            "right_child": leaf(4.0),
        },
    }  # fmt: skip
    model = as_model({"tree_info": [{"tree_structure": tree}]}, auto.Task(NUMBER), 2)
    above = np.nextafter(np.float32(0.1), np.float32(1))
    rows = np.array([[0.1, 0], [above, 0], [above, 3], [above, 1], [1, 77], [1, -1]], "float32")
    assert model.predict(rows, verbose=0)[:, 0].tolist() == [1, 2, 2, 4, 4, 2]


def test_a_tree_of_one_leaf() -> None:
    model = as_model({"tree_info": [{"tree_structure": leaf(3.5)}]}, auto.Task(NUMBER), 2)
    assert model.predict(np.zeros((2, 2), "float32"), verbose=0).tolist() == [[3.5], [3.5]]


def test_arguments_of_trees() -> None:
    with pytest.raises(ValueError, match="depth must be at most 256"):
        auto.TreeEnsemble(1, 1, 1, 257)
    with pytest.raises(ValueError, match="trees"):
        auto.TreeEnsemble(0, 1, 1, 1)


def test_piecewise_linear_encoding() -> None:
    edges = quantile_edges(np.array([[0.0, 5], [1, 5], [3, 5]]), 2)
    np.testing.assert_array_equal(edges, [[0, 1, 3], [5, 5, 5]])
    layer = auto.PiecewiseLinearEncoding(2)
    layer.build((None, 2))
    layer.set_edges(edges)
    places = layer(np.array([[-9, 5], [0.5, 4], [2, 6], [9, 5]], "float32")).numpy()
    np.testing.assert_allclose(places[:, 0], np.array([[-1, 0], [0.5, 0], [1, 0.5], [1, 2]]))
    assert np.isfinite(places).all()
    same = auto.PiecewiseLinearEncoding.from_config(layer.get_config())
    assert same.get_config() == layer.get_config()


@pytest.mark.parametrize("case", list(TARGETS))
@pytest.mark.parametrize(
    "net", [auto.Net((), learning_rate=2e-2), auto.Net((16,)), auto.Net((16, 16), members=3)]
)
def test_nets_learn_and_repeat(case: str, net: auto.Net) -> None:
    task, y = TARGETS[case]
    problem = Problem(task, 3, (9, 9))
    fits = [net.fit(problem, (X[:300], y[:300]), (X[300:], y[300:]), seed=5) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].predictions, fits[1].predictions)
    trivial = np.full((100, task.units), 1 / task.units if task.classes else SCORE.mean())
    assert task.loss_of(y[300:], fits[0].predictions) < 0.8 * task.loss_of(y[300:], trivial)
    short = net.fit(problem, (X[:300], y[:300]), (X[300:], y[300:]), seed=5, stop_after=2)
    assert short.length == 2 < fits[0].length
