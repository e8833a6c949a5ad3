"""Losses and metrics beside Keras's: reductions, weights, gradients, state over batches, configs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers import loss_cases, metric_cases
from tests.helpers.parity.comparison import Comparison, dtype_of, fresh
from tests.helpers.parity.configs import SIDES, check_configs
from tests.helpers.parity.reasons import WITHOUT_CASE

pytestmark = pytest.mark.sampled

LOSSES = loss_cases.inputs()
METRICS = metric_cases.inputs()


def loss_label(index: int) -> str:
    name, true, pred, options, weighted = loss_cases.CASES[index]
    return f"{name} {true} {pred} {options}{' weighted' if weighted else ''}"


@pytest.mark.parametrize("index", range(len(loss_cases.CASES)), ids=loss_label)
def test_losses(compare: Comparison, index: int) -> None:
    name, true, pred, options, weighted = loss_cases.CASES[index]
    fresh()
    weights = LOSSES["weights"] if weighted else None

    def scalar(side: ModuleType, sums: Any) -> Any:
        loss = getattr(side.losses, name)(**options)

        def run(y: Any) -> Any:
            value = loss(LOSSES[true], y, sample_weight=weights)
            return sums(value), value

        return run

    (_, value), gradient = hornbeam.value_and_grad(scalar(hornbeam, hornbeam.ops.sum), has_aux=True)(
        LOSSES[pred]
    )
    (_, other), there = jax.jit(jax.value_and_grad(scalar(keras, jnp.sum), has_aux=True))(LOSSES[pred])
    compare.close("value", value, other)
    compare.close("gradient", gradient, there, "losses gradients")
    check_configs(compare, "losses", *(getattr(side.losses, name)(**options) for side in SIDES))


FUNCTIONS = [
    ("binary_crossentropy", "binary", "chances"), ("binary_focal_crossentropy", "binary", "chances"),
    ("categorical_crossentropy", "one_hot", "probabilities"),
    ("categorical_focal_crossentropy", "one_hot", "probabilities"),
    ("categorical_generalized_cross_entropy", "labels", "probabilities"),
    ("categorical_hinge", "one_hot", "b"),
    ("circle", "labels", "unit"), ("cosine_similarity", "a", "b"), ("dice", "binary", "chances"),
    ("hinge", "binary", "b"), ("huber", "a", "b"), ("kl_divergence", "probabilities", "chances"),
    ("log_cosh", "a", "b"), ("mean_absolute_error", "a", "b"), ("mean_absolute_percentage_error", "a", "b"),
    ("mean_squared_error", "a", "b"), ("mean_squared_logarithmic_error", "positive_a", "positive_b"),
    ("poisson", "positive_a", "positive_b"), ("sparse_categorical_crossentropy", "labels", "probabilities"),
    ("squared_hinge", "binary", "b"), ("tversky", "binary", "chances"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "true", "pred"), FUNCTIONS)
def test_loss_functions(compare: Comparison, name: str, true: str, pred: str) -> None:
    more = [0.7] if "generalized" in name else []
    ours = getattr(hornbeam.losses, name)(LOSSES[true], LOSSES[pred], *more)
    compare.close("value", ours, jax.jit(getattr(keras.losses, name))(LOSSES[true], LOSSES[pred], *more))
    written = keras.losses.serialize(getattr(keras.losses, name))
    compare.same("their config here", hornbeam.losses.get(written), getattr(hornbeam.losses, name))


def metric_label(index: int) -> str:
    name, true, pred, options = metric_cases.CASES[index]
    return f"{name} {true} {pred} {options}"


@pytest.mark.parametrize("index", range(len(metric_cases.CASES)), ids=metric_label)
def test_metrics(compare: Comparison, index: int) -> None:
    name, true, pred, options = metric_cases.CASES[index]
    for weighted in (False, True)[: 1 + metric_cases.weighted(name)]:
        fresh()
        ours, theirs = (getattr(side.metrics, name)(**options) for side in SIDES)
        for half in (slice(0, 3), slice(3, 6)):
            weights = METRICS["weights"][half] if weighted else None
            for metric in (ours, theirs):
                metric.update_state(METRICS[true][half], METRICS[pred][half], sample_weight=weights)
        aspect = " weighted" if weighted else ""
        compare.close(f"result{aspect}", ours.result(), theirs.result(), "metrics")
        compare.same(f"state's names{aspect}", *(names_of(metric) for metric in (ours, theirs)))
        compare.close(f"state{aspect}", ours.variables, theirs.variables, "metrics")
        for metric in (ours, theirs):
            metric.reset_state()
        compare.close(f"state after reset{aspect}", ours.variables, theirs.variables, "metrics")
    check_configs(compare, "metrics", ours, theirs)


def names_of(metric: Any) -> list[tuple[str, tuple[int, ...], str]]:
    return [(v.path.split("/")[-1], tuple(v.shape), dtype_of(v)) for v in metric.variables]


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_metrics_of_values(compare: Comparison, name: str) -> None:
    ours, theirs = (getattr(side.metrics, name)() for side in SIDES)
    for metric in (ours, theirs):
        metric.update_state(METRICS["a"])
        metric.update_state(METRICS["b"], sample_weight=METRICS["weights"][:, None])
    compare.close("result", ours.result(), theirs.result(), "metrics")
    check_configs(compare, "metrics", ours, theirs)


def test_every_public_name_has_a_case() -> None:
    for module, named in (
        ("losses", {c[0] for c in loss_cases.CASES} | {f[0] for f in FUNCTIONS}),
        ("metrics", {c[0] for c in metric_cases.CASES} | {"Mean", "Sum"}),
    ):
        target = getattr(hornbeam, module)
        covered = {getattr(target, name) for name in named}
        public = [n for n in target.__all__ if getattr(target, n) not in covered]
        if module == "metrics":  # its functions are those of losses, or are what the classes wrap
            public = [n for n in public if n[0].isupper()]
        assert [n for n in public if n not in WITHOUT_CASE[module]] == [], module


def test_labels_of_ctc_that_are_the_blank(compare: Comparison) -> None:
    scores = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    labels = np.array([[1, 2, 1, 0], [1, 2, 0, 2], [0, 1, 0, 1], [0, 0, 2, 1]])
    compare.close("value", hornbeam.losses.CTC()(labels, scores), keras.losses.CTC()(labels, scores))


@pytest.mark.parametrize("reduction", ["none", "sum_over_batch_size"])
def test_circle_in_bfloat16(compare: Comparison, reduction: str) -> None:
    options = {"dtype": "bfloat16", "reduction": reduction}
    ours, theirs = (side.losses.Circle(**options)(LOSSES["labels"], LOSSES["unit"]) for side in SIDES)
    compare.close("value", ours, theirs, "bfloat16")


@pytest.mark.parametrize("floatx", ["float16", "float32"])
@pytest.mark.parametrize("passed", [None, "bfloat16", "float16"])
def test_dtypes_of_losses(compare: Comparison, floatx: str, passed: str | None) -> None:
    values = []
    for side in SIDES:
        before = side.config.floatx()
        side.config.set_floatx(floatx)
        try:
            loss = side.losses.MeanSquaredError(dtype=passed, reduction="sum")
            numbers = np.array([[1.0, 0.5]])
            values.append([loss(numbers, numbers.astype(d) + 1) for d in ("float16", "float32", "float64")])
        finally:
            side.config.set_floatx(before)
    compare.close("values", *values, "bfloat16")


def test_counters_and_thresholds_are_attributes(compare: Comparison) -> None:
    data = METRICS["binary"], METRICS["chances"]
    for name, options, attributes in (
        ("TruePositives", {"thresholds": [0.2, 0.7]}, ["accumulator"]),
        ("Precision", {"class_id": 1}, ["true_positives", "false_positives"]),
        ("Recall", {"thresholds": 0.7}, ["true_positives", "false_negatives"]),
        ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 3}, ["true_negatives"]),
        ("AUC", {"multi_label": True, "num_thresholds": 5}, ["true_positives", "false_negatives"]),
    ):
        ours, theirs = (getattr(side.metrics, name)(**options) for side in SIDES)
        for metric in (ours, theirs):
            metric.update_state(*data)
        compare.close(f"thresholds of {name}", np.array(ours.thresholds), np.array(theirs.thresholds))
        for attribute in attributes:
            compare.close(f"{name}.{attribute}", *(getattr(metric, attribute) for metric in (ours, theirs)))


def test_variables_of_metrics_in_attributes(compare: Comparison) -> None:
    counts = []
    for side in SIDES:
        metric = side.metrics.Mean(name="outer")
        metric.inner = [side.metrics.Sum(name="a"), {"b": side.metrics.Mean(name="b")}]
        metric.more = {"one": side.Variable(0.0), "several": (side.Variable(1.0), side.Variable(2.0))}
        metric.again = metric.total
        metric.inner[0].nested = side.metrics.Sum(name="nested")
        counts.append(len(metric.variables))
    compare.same("number", *counts)
