"""Boosted trees: made by LightGBM, then copied into a layer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import _native, layers
from hornbeam._internal.extras import required
from hornbeam.auto.table_layers import TreeEnsemble
from hornbeam.auto.task import Fitted, Problem, Task
from hornbeam.models import Model

# Numbers of a matrix from which more than one thread is used.
_PARALLEL = 100_000


@dataclass(frozen=True)
class Trees:
    """Gradient boosting over decision trees (Friedman 2001; Ke et al. 2017, "LightGBM").

    Args:
        leaves: Most leaves of a tree.
        learning_rate: Factor of each tree.
        min_samples: Fewest samples of a leaf.
        features: Share of the columns that a tree may use.
        samples: Share of the rows that a tree is made of.
        l2: Penalty on the squares of the leaves' scores.
        rounds: Most rounds. Training ends earlier when the held-out rows have not improved for `patience`.
        patience: Rounds without an improvement.
    """

    leaves: int = 31
    learning_rate: float = 0.05
    min_samples: int = 20
    features: float = 1.0
    samples: float = 1.0
    l2: float = 0.0
    rounds: int = 2_000
    patience: int = 50

    def fit(
        self,
        problem: Problem,
        train: tuple[np.ndarray, np.ndarray],
        held_out: tuple[np.ndarray, np.ndarray],
        *,
        seed: int,
        deadline: float | None = None,
        stop_after: int | None = None,
    ) -> Fitted:
        """Train.

        Args:
            problem: The task, and the columns of the matrix.
            train: Matrix and targets, as numbers or numbers of classes.
            held_out: Likewise, to stop by.
            seed: Seed of the columns and rows that are drawn.
            deadline: Time of `time.monotonic` at which training ends, or None.
            stop_after: Number of rounds after which it ends, or None: what an earlier one reached in time.

        Returns:
            The model, which predicts from the matrix, and what it predicts for the held-out rows.
        """
        with required("boosted trees need LightGBM", "auto"):
            import lightgbm
        settings: dict[str, Any] = {
            "objective": problem.task.objective,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_samples,
            "feature_fraction": self.features,
            "bagging_fraction": self.samples,
            "bagging_freq": int(self.samples < 1),
            "lambda_l2": self.l2,
            "max_depth": 64,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            # Threads that wait for each other take longer than one, for few numbers.
            "num_threads": 1 if train[0].size < _PARALLEL else _native.threads(),
            "verbose": -1,
        }
        classes = problem.task.classes
        if classes > 2:
            settings["num_class"] = classes
        categories = list(range(problem.numbers, train[0].shape[1]))
        options: dict[str, Any] = {
            "categorical_feature": categories,
            "free_raw_data": False,
            "params": {"verbose": -1},
        }
        first = lightgbm.Dataset(train[0], train[1], **options)
        second = lightgbm.Dataset(*held_out, reference=first, **options)
        done = 0

        def keep_time(state: Any) -> None:
            nonlocal done
            done = state.iteration + 1
            if deadline is not None and time.monotonic() > deadline:
                raise lightgbm.callback.EarlyStopException(state.iteration, state.evaluation_result_list)

        calls: list[Any] = [lightgbm.early_stopping(self.patience, verbose=False), keep_time]
        rounds = min(self.rounds, stop_after or self.rounds)
        booster = lightgbm.train(settings, first, rounds, [second], callbacks=calls)
        best = booster.best_iteration or done
        model = as_model(booster.dump_model(num_iteration=best), problem.task, train[0].shape[1])
        predicted = np.asarray(booster.predict(held_out[0], num_iteration=best))
        if classes == 2:
            predicted = np.stack([1 - predicted, predicted], 1)
        return Fitted(model, predicted.reshape(len(predicted), -1), done)


def as_model(dump: dict[str, Any], task: Task, width: int) -> Model:
    """Return a model that predicts what LightGBM's does, up to the rounding of float32.

    Args:
        dump: What `Booster.dump_model()` returns.
        task: The prediction task.
        width: Number of columns of the matrix.
    """
    units = 1 if task.classes <= 2 else task.classes
    nodes = _Nodes(units)
    for number, tree in enumerate(dump["tree_info"]):
        nodes.add_tree(tree["tree_structure"], number % units)
    inputs = layers.Input((width,))
    outputs = nodes.layer()(inputs)
    if task.classes > 2:
        outputs = layers.Activation("softmax")(outputs)
    elif task.classes == 2:
        positive = layers.Activation("sigmoid")(outputs)
        outputs = layers.Concatenate()([1 - positive, positive])
    model = Model(inputs, outputs)
    nodes.fill(next(layer for layer in model.layers if isinstance(layer, TreeEnsemble)))
    return model


class _Nodes:
    """Nodes of trees, as the weights of a `TreeEnsemble`."""

    def __init__(self, units: int) -> None:
        self.units, self.depth = units, 0
        self.roots: list[int] = []
        # feature, threshold, left, right, set
        self.nodes: list[list[Any]] = []
        self.scores: list[tuple[int, int, float]] = []
        self.sets: list[list[int]] = []

    def add_tree(self, structure: dict[str, Any], unit: int) -> None:
        self.roots.append(self._add(structure, unit, 0))

    def _add(self, node: dict[str, Any], unit: int, level: int) -> int:
        here = len(self.nodes)
        self.nodes.append([0, 0.0, here, here, -1])
        if "split_feature" not in node:
            self.depth = max(self.depth, level)
            self.scores.append((here, unit, node["leaf_value"]))
            return here
        threshold, number = node["threshold"], -1
        if node["decision_type"] == "==":
            number, threshold = len(self.sets), 0.0
            self.sets.append([int(code) for code in node["threshold"].split("||")])
        left, right = (self._add(node[key], unit, level + 1) for key in ("left_child", "right_child"))
        self.nodes[here] = [node["split_feature"], _rounded_down(threshold), left, right, number]
        return here

    def layer(self) -> TreeEnsemble:
        categories = max((max(codes) + 1 for codes in self.sets), default=0)
        return TreeEnsemble(
            len(self.roots), len(self.nodes), self.units, self.depth, len(self.sets), categories
        )

    def fill(self, layer: TreeEnsemble) -> None:
        feature, threshold, left, right, number = (
            np.array(column) for column in zip(*self.nodes, strict=True)
        )
        scores = np.zeros((len(self.nodes), self.units), "float32")
        for node, unit, score in self.scores:
            scores[node, unit] = score
        members = np.zeros((max(layer.sets, 1), max(layer.categories, 1)), "int32")
        for row, codes in enumerate(self.sets):
            members[row, codes] = 1
        values = {
            "roots": self.roots, "feature": feature, "threshold": threshold, "left": left, "right": right,
            "category_set": number, "scores": scores, "members": members,
        }  # fmt: skip
        for name, value in values.items():
            getattr(layer, name).assign(value)


def _rounded_down(threshold: float) -> np.float32:
    """Return the largest float32 up to a threshold: the same float32 are on either side of it."""
    near = np.float32(np.clip(threshold, -3e38, 3e38))
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))
