"""Ensembles of decision trees: all trees at once, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements, count_steps
from hornbeam.onnx.operators.ml import results
from hornbeam.onnx.operators.ml.results import ml_operator
from hornbeam.onnx.operators.vocabulary import Call

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_TESTS = (ops.less_equal, ops.less, ops.greater_equal, ops.greater, ops.equal, ops.not_equal)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
POST_OF_5 = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass
class Forest:
    """Nodes of all trees as arrays. A leaf is its own child.

    roots: (trees,). feature, split, mode, yes, no, missing: (nodes,); missing is True where NaN is a yes.
    sets: (nodes, size), members of BRANCH_MEMBER, filled with NaN. scores: (nodes, targets), of leaves.
    """

    roots: np.ndarray
    feature: np.ndarray
    split: np.ndarray
    mode: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    missing: np.ndarray
    scores: np.ndarray
    sets: np.ndarray | None = None

    def leaves(self, x: Tensor) -> Tensor:
        """Return the leaf of each row in each tree."""
        dtype = "float64" if x.dtype == "float64" else "float32"
        rows = results.matrix(x, dtype)
        at = ops.zeros((rows.shape[0], 1), "int64") + self.roots
        kinds = np.unique(self.mode[self.yes != np.arange(len(self.yes))]).tolist()
        for _ in range(self._depth()):
            value = ops.take_along_axis(rows, ops.take(self.feature, at), axis=1)
            split = ops.take(self.split.astype(dtype), at)
            holds = ops.zeros_like(value, "bool")
            for kind in kinds:
                if kind == len(_TESTS):
                    members = ops.take(self.sets.astype(dtype), at, axis=0)  # type: ignore[union-attr]
                    test = ops.any(members == ops.expand_dims(value, -1), -1)
                else:
                    test = _TESTS[kind](value, split)
                holds = test if len(kinds) == 1 else ops.where(ops.take(self.mode, at) == kind, test, holds)
            if self.missing.any():
                holds = ops.logical_or(holds, ops.logical_and(ops.isnan(value), ops.take(self.missing, at)))
            at = ops.where(holds, ops.take(self.yes, at), ops.take(self.no, at))
        return at

    def _depth(self) -> int:
        level, depth, own = self.roots, 0, np.arange(len(self.yes))
        while ((self.yes[level] != level) | (self.no[level] != level)).any():
            level = np.unique(np.concatenate([self.yes[level], self.no[level]]))
            depth += 1
            count_steps(20 + level.size // 200)
            if depth > len(own):
                raise GraphError("a tree comes back to one of its nodes")
        return depth

    def total(self, x: Tensor, aggregate: str) -> Tensor:
        """Return the scores of rows: a sum over trees, their mean, or an extreme."""
        values = ops.take(self.scores, self.leaves(x), axis=0)  # (rows, trees, targets)
        if aggregate in ("MIN", "MAX"):
            result = (ops.min if aggregate == "MIN" else ops.max)(values, 1)
            return ops.where(ops.isinf(result), ops.zeros_like(result), result)
        if aggregate not in AGGREGATES:
            raise GraphError(f"aggregate_function={aggregate!r} is not supported")
        total = ops.sum(values, 1)
        return total / len(self.roots) if aggregate == "AVERAGE" else total


def _empty_scores(nodes: int, targets: int, aggregate: str, dtype: Any) -> np.ndarray:
    count_elements(nodes * targets)
    return np.full((nodes, targets), {"MIN": np.inf, "MAX": -np.inf}.get(aggregate, 0), dtype)


def _numbers(call: Call, name: str, dtype: str = "float32") -> np.ndarray:
    """Return numbers of an attribute, in a tensor for those that are of doubles."""
    doubles, values = call.get(f"{name}_as_tensor"), call.get(name)
    return doubles.reshape(-1) if doubles is not None else np.array([] if values is None else values, dtype)


def _read(call: Call, kind: str, targets: int, aggregate: str) -> Forest:
    """Read trees whose nodes have numbers in their trees."""
    tree, node, feature, yes, no = (
        _numbers(call, f"nodes_{key}", "int64")
        for key in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    )
    modes, own = call.get("nodes_modes", []), np.arange(len(tree))
    split, missing = _numbers(call, "nodes_values"), _numbers(call, "nodes_missing_value_tracks_true", "bool")
    call.get("nodes_hitrates")
    call.get("nodes_hitrates_as_tensor")
    if len({len(modes), *map(len, (tree, node, feature, yes, no, split))}) != 1:
        raise GraphError("the attributes of nodes have different lengths")
    row_of = {key: i for i, key in enumerate(zip(tree.tolist(), node.tolist(), strict=True))}
    leaf = np.array([mode == "LEAF" for mode in modes], bool)
    try:
        mode = np.array([0 if mode == "LEAF" else MODES.index(mode) for mode in modes], "int64")
        pairs = [zip(leaf, own, tree.tolist(), i.tolist(), strict=True) for i in (yes, no)]
        yes, no = (np.array([i if end else row_of[t, k] for end, i, t, k in each]) for each in pairs)
        roots = np.sort(np.unique(tree, return_index=True)[1])
        weights = _numbers(call, f"{kind}_weights")
        scores = _empty_scores(len(tree), targets, aggregate, weights.dtype)
        leaves = [
            row_of[key] for key in zip(call.get(f"{kind}_treeids"), call.get(f"{kind}_nodeids"), strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise GraphError(
            f"a tree refers to a node that it does not have, or of an unknown mode: {error}"
        ) from None
    ids = np.array(call.get(f"{kind}_ids"), "int64")
    start = np.where(np.isinf(scores), 0, scores)
    np.add.at(start, (np.array(leaves), ids), weights)
    scores[leaves, ids] = start[leaves, ids]
    missing = missing if len(missing) else np.zeros(len(tree), bool)
    return Forest(roots, feature, split, mode, yes, no, missing, scores)


@ml_operator("TreeEnsembleRegressor")
def regressor(call: Call, x: Tensor) -> Tensor:
    """Return the scores of trees for each target."""
    aggregate = call.get("aggregate_function", "SUM")
    forest = _read(call, "target", call.get("n_targets", 1), aggregate)
    base = _numbers(call, "base_values")
    return results.transformed(
        forest.total(x, aggregate) + (base if base.size else 0.0), call.get("post_transform", "NONE")
    )


@ml_operator("TreeEnsembleClassifier")
def classifier(call: Call, x: Tensor) -> tuple[Any, Tensor]:
    """Return labels and scores. Two classes may have scores for one alone, which is the second then."""
    labels, ids, name = (
        results.class_labels(call),
        set(call.get("class_ids")),
        call.get("post_transform", "NONE"),
    )
    forest = _read(call, "class", len(labels), "SUM")
    scores = forest.total(x, "SUM")
    base = _numbers(call, "base_values")
    if len(labels) != 2 or len(ids) != 1:
        scores = scores + (base if base.size else 0.0)
        return results.chosen(labels, ops.argmax(scores, -1)), results.transformed(scores, name)
    score = (scores[:, :1] if 0 in ids else scores[:, 1:]) + (base[-1] if base.size else 0.0)
    is_probability = bool((forest.scores >= 0).all())
    positive = ops.cast(score[:, 0] > (0.5 if is_probability else 0), "int64")
    both = (
        results.both_classes(score, name, is_probability) if 0 in ids else results.transformed(scores, name)
    )
    return results.chosen(labels, positive), both


@ml_operator("TreeEnsemble")
def ensemble(call: Call, x: Tensor) -> Tensor:
    """Return the scores of trees whose leaves are listed apart from their other nodes."""
    feature, yes, no, yes_leaf, no_leaf, roots, ids = (
        np.array(call.get(key, []), "int64")
        for key in (
            "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs",
            "nodes_falseleafs", "tree_roots", "leaf_targetids",
        )
    )  # fmt: skip
    aggregate = AGGREGATES[call.get("aggregate_function", 1)]
    split, mode, weights = (call.get(key) for key in ("nodes_splits", "nodes_modes", "leaf_weights"))
    missing = np.array(call.get("nodes_missing_value_tracks_true") or [0] * len(feature), bool)
    call.get("nodes_hitrates")
    count, leaves = len(feature), len(ids)
    own = np.arange(count, count + leaves)
    scores = _empty_scores(count + leaves, call.get("n_targets", 1), aggregate, weights.dtype)
    scores[:count] = 0
    scores[own, ids] = weights
    children = (np.where(leaf, count + at, at) for at, leaf in ((yes, yes_leaf), (no, no_leaf)))
    yes, no = (np.concatenate([child, own]) for child in children)
    if not (np.min([yes, no]) >= 0 and np.max([yes, no]) < count + leaves):
        raise GraphError("a tree refers to a node that it does not have")
    fill = [(0, leaves)]
    feature, split, kind, missing = (np.pad(x, fill) for x in (feature, split, mode.astype("int64"), missing))
    sets = _sets(call, mode, count + leaves)
    forest = Forest(roots, feature, split, kind, yes, no, missing, scores, sets)
    return results.transformed(forest.total(x, aggregate), POST_OF_5[call.get("post_transform", 0)])


def _sets(call: Call, mode: np.ndarray, nodes: int) -> np.ndarray | None:
    """Return the members of each node's set; in the file NaN ends each set."""
    members = call.get("membership_values")
    if members is None:
        return None
    parts = np.split(members, np.flatnonzero(np.isnan(members)) + 1)
    owners = np.flatnonzero(mode == MODES.index("BRANCH_MEMBER"))
    count_elements(nodes * max(map(len, parts)))
    sets = np.full((nodes, max(map(len, parts))), np.nan, members.dtype)
    for owner, part in zip(owners, parts, strict=False):
        sets[owner, : len(part)] = part
    return sets
