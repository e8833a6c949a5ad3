"""Every metric beside scikit-learn's, or beside its definition: probabilities, logits, ties, one class only,
weights with zeros, one sample, targets far from zero, several batches.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeam import metrics, ops

reference = pytest.importorskip("sklearn.metrics")

# Probabilities that the thresholds of AUC, k / 199, separate, none of them close to 1/2.
GRID = (np.delete(np.arange(199), 99) + 0.5) / 199
INNER = [k / 199 for k in range(200)]


class Draw(NamedTuple):
    """Settings from which the arrays of an example are made."""

    seed: int
    samples: int
    ties: bool
    weighted: bool
    one_class: bool
    offset: float

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def weights(self) -> np.ndarray | None:
        """Integers with zeros, not all of them 0."""
        rng = np.random.default_rng(self.seed + 1)
        w = rng.integers(0, 4, self.samples).astype(float)
        w[rng.integers(self.samples)] = 1.0
        return w if self.weighted else None

    def labels(self, rng: np.random.Generator, classes: int, shape: tuple[int, ...]) -> np.ndarray:
        y = rng.integers(0, classes, shape)
        return np.full_like(y, y.flat[0]) if self.one_class else y

    def scores(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.choice(rng.choice(GRID, 3) if self.ties else GRID, shape)


DRAWS = st.builds(
    Draw,
    seed=st.integers(0, 1 << 30),
    samples=st.sampled_from([1, 2, 7, 24]),
    ties=st.booleans(),
    weighted=st.booleans(),
    one_class=st.integers(0, 3).map(lambda k: k == 0),
    offset=st.sampled_from([0.0, 100.0, 1e4]),
)

Arrays = tuple[np.ndarray, np.ndarray]


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def binary(d: Draw) -> Arrays:
    rng = d.rng()
    return d.labels(rng, 2, (d.samples, 1)), d.scores(rng, (d.samples, 1))


def columns(d: Draw) -> Arrays:
    rng = d.rng()
    return d.labels(rng, 2, (d.samples, 3)), d.scores(rng, (d.samples, 3))


def classes(d: Draw) -> Arrays:
    """Class indices, and rows that sum to 1; with ties some of a row are equal, the highest is not."""
    rng = d.rng()
    scores = np.round(rng.normal(size=(d.samples, 4)), 1 if d.ties else 12)
    scores[np.arange(d.samples), rng.integers(0, 4, d.samples)] += 5.0
    return d.labels(rng, 4, (d.samples,)), np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def one_hot(d: Draw) -> Arrays:
    y, p = classes(d)
    return np.eye(4)[y], p


def guesses(d: Draw) -> Arrays:
    y, p = classes(d)
    return y, p.argmax(1)


def values(d: Draw) -> Arrays:
    """Numbers that float32 holds, such as a data set has."""
    rng = d.rng()
    y = (
        d.offset
        + rng.integers(0, 5, (d.samples, 2))
        + (0.0 if d.ties else rng.uniform(0, 0.5, (d.samples, 2)))
    )
    return single(y), single(y + rng.normal(size=y.shape))


def positive(d: Draw) -> Arrays:
    rng = d.rng()
    y, p = rng.uniform(0.1, 3.0, (2, d.samples, 2))
    return single(y + d.offset), single(p + d.offset)


def signs(d: Draw) -> Arrays:
    rng = d.rng()
    return 2 * d.labels(rng, 2, (d.samples, 1)) - 1, rng.normal(size=(d.samples, 1))


def rows(d: Draw) -> Arrays:
    y, p = d.rng().normal(size=(2, d.samples, 6))
    return single(y + d.offset), single(p + d.offset)


def distributions(d: Draw) -> Arrays:
    y, p = d.rng().uniform(0.1, 1.0, (2, d.samples, 4))
    return y / y.sum(1, keepdims=True), p / p.sum(1, keepdims=True)


def numbers(d: Draw) -> Arrays:
    y, _ = values(d)
    return y[:, 0], y[:, 0]


def single(x: np.ndarray) -> np.ndarray:
    return x.astype("float32").astype("float64")


Weights = np.ndarray | None


def mean(rows: np.ndarray, w: Weights) -> Any:
    return np.average(np.asarray(rows, float).reshape(len(rows), -1).mean(1), weights=w)


def flat(score: Callable[..., Any], at: float | None = 0.5, **more: Any) -> Callable[..., Any]:
    """Give a score of scikit-learn one column, as decisions at a threshold or as it is."""

    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        return score(y[:, 0], p[:, 0] if at is None else p[:, 0] > at, sample_weight=w, **more)

    return expected


def whole(score: Callable[..., Any], at: float | None = None, **more: Any) -> Callable[..., Any]:
    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        return score(y, p if at is None else p > at, sample_weight=w, **more)

    return expected


def of_rows(rows: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """Return the weighted mean of what a definition says of each row."""
    return lambda y, p, w: mean(rows(y, p), w)


def count(row: int, column: int, at: float = 0.5) -> Callable[..., Any]:
    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        return reference.confusion_matrix(y[:, 0], p[:, 0] > at, sample_weight=w, labels=[0, 1])[row, column]

    return expected


def roc_auc(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    """Area of the ROC curve; 0 where one class has no weight, as in Keras."""
    present = y[:, 0] if w is None else y[w > 0, 0]
    if len(set(present)) < 2:
        return 0.0
    return reference.roc_auc_score(y[:, 0], p[:, 0], sample_weight=w)


def mean_roc_auc(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    return float(np.mean([roc_auc(y[:, k : k + 1], p[:, k : k + 1], w) for k in range(y.shape[1])]))


def best_on_roc(of: int, where: int) -> Callable[..., Any]:
    """Highest of recall (0) or specificity (1) where the other is at least 0.6."""

    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        curve = reference.roc_curve(y[:, 0], p[:, 0], sample_weight=w, drop_intermediate=False)
        rates = np.nan_to_num([curve[1], 1 - curve[0]])  # of a class that is missing: 0
        return np.where(rates[where] >= 0.6, rates[of], 0.0).max()

    return expected


def best_on_pr(of: int, where: int) -> Callable[..., Any]:
    """Highest of precision (0) or recall (1) where the other is at least 0.55."""

    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        rates = reference.precision_recall_curve(y[:, 0], p[:, 0], sample_weight=w)[:2]
        positives = y[:, 0].any() if w is None else w @ y[:, 0] > 0
        return np.where(rates[where] >= 0.55, rates[of], 0.0).max() if positives else 0.0

    return expected


def davis_goadrich(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    """Area of the PR curve: between thresholds FP grows linearly with TP. The integral is a sum here."""
    w = np.ones(len(y)) if w is None else w
    y, p = y[:, 0], p[:, 0]
    tp, fp = (np.array([w[(p > t) & (y == k)].sum() for t in (2.0, *INNER[::-1])]) for k in (1, 0))
    area = 0.0
    for k in range(len(tp) - 1):
        x = np.linspace(tp[k], tp[k + 1], 401)
        x = (x[1:] + x[:-1]) / 2
        if tp[k + 1] > tp[k]:
            false = fp[k] + (x - tp[k]) * (fp[k + 1] - fp[k]) / (tp[k + 1] - tp[k])
            if tp[k] + fp[k] == 0:  # there is no precision yet: that of the next threshold
                false = x * fp[k + 1] / tp[k + 1]
            area += (x / (x + false)).mean() * (tp[k + 1] - tp[k])
    return area / max(w[y == 1].sum(), 1e-9)


def f_score(average: str | None, beta: float = 1.0, at: float | None = 0.5) -> Callable[..., Any]:
    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        decisions = p > at if at is not None else np.eye(p.shape[1])[p.argmax(1)]
        more = {"beta": beta, "average": average, "sample_weight": w, "zero_division": 0}
        return reference.fbeta_score(y, decisions, **more)

    return expected


def top_k(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    """Fewer than two classes score higher: equal ones count as in, which scikit-learn decides by order."""
    label = y.argmax(1) if y.ndim == 2 else y
    above = (p > p[np.arange(len(p)), label][:, None]).sum(1)
    if len(np.unique(p)) == p.size:
        value = reference.top_k_accuracy_score(label, p, k=2, sample_weight=w, labels=range(4))
        assert value == pytest.approx(mean(above < 2, w))
    return mean(above < 2, w)


def iou(of: Callable[[np.ndarray, np.ndarray], Arrays], ids: list[int] | None) -> Callable[..., Any]:
    """Mean of the classes that occur among targets or predictions."""

    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        y, p = of(y, p)
        present = {*y[w > 0], *p[w > 0]} if w is not None else {*y, *p}
        labels = sorted(present if ids is None else present & set(ids))
        scores = reference.jaccard_score(
            y, p, labels=labels or [0], average=None, sample_weight=w, zero_division=0
        )
        return scores.mean() if labels else 0.0

    return expected


def sparse(y: np.ndarray, p: np.ndarray) -> Arrays:
    return (y.argmax(1) if y.ndim == 2 else y), (p.argmax(1) if p.ndim == 2 else p)


def r2(aggregation: str | None, regressors: int = 0) -> Callable[..., Any]:
    """0 where the targets do not vary, NaN where the predictions are right besides: as in Keras."""

    def expected(y: np.ndarray, p: np.ndarray, w: Weights) -> Any:
        used = y if w is None else y[w > 0]
        if np.ptp(used, axis=0).min() == 0:
            return None
        names = {None: "raw_values", "variance_weighted_average": "variance_weighted"}
        value = reference.r2_score(
            y, p, sample_weight=w, multioutput=names.get(aggregation, aggregation or "raw_values")
        )
        left = y.size - regressors - 1  # Keras counts the outputs
        return 1 - (1 - value) * (y.size - 1) / left if regressors and left > 0 else value

    return expected


def poisson(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    """Half the Poisson deviance of scikit-learn, and what it has besides of the targets."""
    deviance = np.mean(
        [reference.mean_poisson_deviance(y[:, k], p[:, k], sample_weight=w) for k in range(y.shape[1])]
    )
    return deviance / 2 + mean(y - y * np.log(y), w)


def hinge(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    if len(set(y[:, 0])) < 2:  # which scikit-learn refuses
        return mean(np.maximum(1 - y * p, 0), w)
    return reference.hinge_loss(y[:, 0], p[:, 0], sample_weight=w)


def categorical_hinge(y: np.ndarray, p: np.ndarray, w: Weights) -> float:
    """The hinge of Crammer and Singer, as long as scores are positive (Keras compares with 0 too)."""
    return reference.hinge_loss(y.argmax(1), p, sample_weight=w, labels=range(4))


def correlation(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(y, p, strict=True)])


def concordance(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    covariance = ((y - y.mean(1, keepdims=True)) * (p - p.mean(1, keepdims=True))).mean(1)
    return 2 * covariance / (y.var(1) + p.var(1) + (y.mean(1) - p.mean(1)) ** 2)


def as_logits(arrays: Callable[[Draw], Arrays]) -> Callable[[Draw], Arrays]:
    return lambda d: (arrays(d)[0], logit(arrays(d)[1]))


def of_logits(expected: Callable[..., Any]) -> Callable[..., Any]:
    return lambda y, p, w: expected(y, 1 / (1 + np.exp(-p)), w)


def as_log(d: Draw) -> Arrays:
    y, p = classes(d)
    return y, np.log(p)


class Case(NamedTuple):
    """A metric of ours, what it is given, and the number that it must give."""

    make: Callable[[], metrics.Metric]
    arrays: Callable[[Draw], Arrays]
    expected: Callable[[np.ndarray, np.ndarray, Weights], Any]
    tolerance: float = 2e-5


M = metrics
ZERO = {"zero_division": 0}
CASES: dict[str, Case] = {
    "AUC": Case(M.AUC, binary, roc_auc),
    "AUC of logits": Case(lambda: M.AUC(from_logits=True), as_logits(binary), of_logits(roc_auc)),
    "AUC of columns": Case(lambda: M.AUC(multi_label=True), columns, mean_roc_auc),
    "AUC, PR": Case(lambda: M.AUC(curve="PR"), binary, davis_goadrich, 1e-3),
    "Accuracy": Case(M.Accuracy, guesses, whole(reference.accuracy_score)),
    "BinaryAccuracy": Case(M.BinaryAccuracy, binary, flat(reference.accuracy_score)),
    "BinaryAccuracy at 0.3": Case(
        lambda: M.BinaryAccuracy(threshold=0.3), binary, flat(reference.accuracy_score, 0.3)
    ),
    "BinaryAccuracy of logits": Case(
        lambda: M.BinaryAccuracy(threshold=0), as_logits(binary), flat(reference.accuracy_score, 0.0)
    ),
    "CategoricalAccuracy": Case(
        M.CategoricalAccuracy, one_hot, lambda y, p, w: mean(y.argmax(1) == p.argmax(1), w)
    ),
    "SparseCategoricalAccuracy": Case(
        M.SparseCategoricalAccuracy,
        classes,
        lambda y, p, w: reference.accuracy_score(y, p.argmax(1), sample_weight=w),
    ),
    "TopKCategoricalAccuracy": Case(lambda: M.TopKCategoricalAccuracy(2), one_hot, top_k),
    "SparseTopKCategoricalAccuracy": Case(lambda: M.SparseTopKCategoricalAccuracy(2), classes, top_k),
    "TruePositives": Case(M.TruePositives, binary, count(1, 1)),
    "FalsePositives": Case(M.FalsePositives, binary, count(0, 1)),
    "TrueNegatives": Case(lambda: M.TrueNegatives(0.3), binary, count(0, 0, 0.3)),
    "FalseNegatives": Case(lambda: M.FalseNegatives(0.3), binary, count(1, 0, 0.3)),
    "Precision": Case(M.Precision, binary, flat(reference.precision_score, **ZERO)),
    "Precision at 0.2 and 0.7": Case(
        lambda: M.Precision([0.2, 0.7]),
        binary,
        lambda *a: [flat(reference.precision_score, at, **ZERO)(*a) for at in (0.2, 0.7)],
    ),
    "Precision of logits": Case(
        lambda: M.Precision(0), as_logits(binary), flat(reference.precision_score, 0.0, **ZERO)
    ),
    "Precision of a class": Case(
        lambda: M.Precision(class_id=1),
        columns,
        lambda y, p, w: flat(reference.precision_score, **ZERO)(y[:, 1:], p[:, 1:], w),
    ),
    "Recall": Case(M.Recall, binary, flat(reference.recall_score, **ZERO)),
    "Recall of logits": Case(
        lambda: M.Recall(0), as_logits(binary), flat(reference.recall_score, 0.0, **ZERO)
    ),
    "Recall of columns": Case(M.Recall, columns, whole(reference.recall_score, 0.5, average="micro", **ZERO)),
    "SensitivityAtSpecificity": Case(lambda: M.SensitivityAtSpecificity(0.6), binary, best_on_roc(0, 1)),
    "SpecificityAtSensitivity": Case(lambda: M.SpecificityAtSensitivity(0.6), binary, best_on_roc(1, 0)),
    "PrecisionAtRecall": Case(lambda: M.PrecisionAtRecall(0.55), binary, best_on_pr(0, 1)),
    "RecallAtPrecision": Case(lambda: M.RecallAtPrecision(0.55), binary, best_on_pr(1, 0)),
    "F1Score": Case(lambda: M.F1Score(threshold=0.5), columns, f_score(None)),
    "F1Score, micro": Case(lambda: M.F1Score("micro", 0.5), columns, f_score("micro")),
    "F1Score, macro": Case(lambda: M.F1Score("macro", 0.5), columns, f_score("macro")),
    "F1Score, weighted": Case(lambda: M.F1Score("weighted", 0.5), columns, f_score("weighted")),
    "F1Score of the highest": Case(lambda: M.F1Score("macro"), one_hot, f_score("macro", at=None)),
    "FBetaScore": Case(lambda: M.FBetaScore("macro", 2.0, 0.3), columns, f_score("macro", 2.0, 0.3)),
    "FBetaScore, weighted": Case(
        lambda: M.FBetaScore("weighted", 0.5), one_hot, f_score("weighted", 0.5, None)
    ),
    "MeanIoU": Case(lambda: M.MeanIoU(4, dtype="float32"), guesses, iou(sparse, None)),
    "IoU": Case(lambda: M.IoU(4, [1, 2], dtype="float32"), guesses, iou(sparse, [1, 2])),
    "BinaryIoU": Case(
        lambda: M.BinaryIoU([0, 1], dtype="float32"),
        binary,
        iou(lambda y, p: (y[:, 0], (p[:, 0] >= 0.5).astype(int)), None),
    ),
    "OneHotIoU": Case(lambda: M.OneHotIoU(4, [0, 3], dtype="float32"), one_hot, iou(sparse, [0, 3])),
    "OneHotMeanIoU": Case(lambda: M.OneHotMeanIoU(4, dtype="float32"), one_hot, iou(sparse, None)),
    "MeanSquaredError": Case(M.MeanSquaredError, values, whole(reference.mean_squared_error)),
    "RootMeanSquaredError": Case(
        M.RootMeanSquaredError,
        values,
        lambda y, p, w: reference.mean_squared_error(y, p, sample_weight=w) ** 0.5,
    ),
    "MeanAbsoluteError": Case(M.MeanAbsoluteError, values, whole(reference.mean_absolute_error)),
    "MeanAbsolutePercentageError": Case(
        M.MeanAbsolutePercentageError,
        positive,
        lambda *a: 100 * whole(reference.mean_absolute_percentage_error)(*a),
    ),
    "MeanSquaredLogarithmicError": Case(
        M.MeanSquaredLogarithmicError, positive, whole(reference.mean_squared_log_error)
    ),
    "R2Score": Case(M.R2Score, values, r2("uniform_average"), 5e-3),
    "R2Score, weighted": Case(
        lambda: M.R2Score("variance_weighted_average"), values, r2("variance_weighted_average"), 5e-3
    ),
    "R2Score of outputs": Case(lambda: M.R2Score(None, 2), values, r2(None, 2), 5e-3),
    "LogCoshError": Case(
        M.LogCoshError, values, of_rows(lambda y, p: np.logaddexp(p - y, y - p) - np.log(2))
    ),
    "CosineSimilarity": Case(
        M.CosineSimilarity,
        values,
        of_rows(lambda y, p: reference.pairwise.cosine_similarity(y, p).diagonal()),
    ),
    "PearsonCorrelation": Case(M.PearsonCorrelation, rows, of_rows(correlation), 1e-3),
    "ConcordanceCorrelation": Case(M.ConcordanceCorrelation, rows, of_rows(concordance), 1e-3),
    "KLDivergence": Case(M.KLDivergence, distributions, of_rows(lambda y, p: (y * np.log(y / p)).sum(1))),
    "Poisson": Case(M.Poisson, positive, poisson),
    "Hinge": Case(M.Hinge, signs, hinge),
    "SquaredHinge": Case(M.SquaredHinge, signs, of_rows(lambda y, p: np.maximum(1 - y * p, 0) ** 2)),
    "CategoricalHinge": Case(M.CategoricalHinge, one_hot, categorical_hinge),
    "BinaryCrossentropy": Case(M.BinaryCrossentropy, binary, flat(reference.log_loss, None, labels=[0, 1])),
    "BinaryCrossentropy of logits": Case(
        lambda: M.BinaryCrossentropy(from_logits=True),
        as_logits(binary),
        of_logits(flat(reference.log_loss, None, labels=[0, 1])),
    ),
    "CategoricalCrossentropy": Case(
        M.CategoricalCrossentropy,
        one_hot,
        lambda y, p, w: reference.log_loss(y.argmax(1), p, sample_weight=w, labels=range(4)),
    ),
    "SparseCategoricalCrossentropy": Case(
        M.SparseCategoricalCrossentropy, classes, whole(reference.log_loss, labels=range(4))
    ),
    "SparseCategoricalCrossentropy of logits": Case(
        lambda: M.SparseCategoricalCrossentropy(from_logits=True),
        as_log,
        lambda y, p, w: reference.log_loss(y, np.exp(p), sample_weight=w, labels=range(4)),
    ),
    "Mean": Case(M.Mean, numbers, lambda y, p, w: np.average(y, weights=w)),
    "Sum": Case(M.Sum, numbers, lambda y, p, w: (y * (1 if w is None else w)).sum()),
}


def result(case: Case, d: Draw, y: np.ndarray, p: np.ndarray, parts: int) -> np.ndarray:
    metric, w = case.make(), d.weights()
    for rows in np.array_split(np.arange(d.samples), parts):
        weights = None if w is None else w[rows]
        arrays = (y[rows],) if case.arrays is numbers else (y[rows], p[rows])
        metric.update_state(*arrays, sample_weight=weights)
    return np.asarray(metric.result(), "float64")


def check(case: Case, d: Draw, parts: int) -> None:
    y, p = case.arrays(d)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of one class
        expected = case.expected(y, p, d.weights())
    if expected is not None:
        actual = result(case, d, y, p, parts)
        assert actual == pytest.approx(np.asarray(expected), rel=case.tolerance, abs=case.tolerance)


@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_gives_the_same_number(name: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(DRAWS, st.integers(1, 2))
    def run(d: Draw, parts: int) -> None:
        check(CASES[name], d, parts)

    run()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_half_precision(name: str, dtype: str) -> None:
    """Errors of predictions in half precision are not themselves rounded to it."""
    case = CASES[name]
    d = Draw(seed=5, samples=24, ties=False, weighted=True, one_class=False, offset=0.0)
    y, p = (
        x if x.dtype.kind == "i" else ops.convert_to_numpy(ops.cast(x, dtype)).astype("float64")
        for x in case.arrays(d)
    )
    given_y, given_p = (x if x.dtype.kind == "i" else ops.cast(x, dtype) for x in (y, p))
    metric, w = case.make(), d.weights()
    arrays = (given_y,) if case.arrays is numbers else (given_y, given_p)
    metric.update_state(*arrays, sample_weight=w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of rows that do not sum to 1
        expected = np.asarray(case.expected(y, p, w))
    tolerance = max(case.tolerance, 1e-4)
    assert np.asarray(metric.result()) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_what_half_precision_and_float32_do_not_hold() -> None:
    far = metrics.MeanSquaredError()
    far.update_state(np.full((2, 1), 400, "float16"), np.zeros((2, 1), "float16"))
    assert float(far.result()) == 160000.0
    ids = metrics.Accuracy()
    ids.update_state([2**24 + 1, 7], [2**24, 7])
    assert float(ids.result()) == 0.5


@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=pytest.mark.slow)])
def test_the_average_precision_lies_between_the_sums_of_the_pr_curve(examples: int) -> None:
    """It is a sum of steps, neither the lower nor the upper one, and not the interpolation either."""

    @settings(max_examples=examples)
    @given(DRAWS)
    def run(d: Draw) -> None:
        y, p = binary(d)
        w = d.weights()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = reference.average_precision_score(y[:, 0], p[:, 0], sample_weight=w)
        areas = []
        for method in ("minoring", "interpolation", "majoring"):
            metric = metrics.AUC(curve="PR", summation_method=method)
            metric.update_state(y, p, w)
            areas.append(float(metric.result()))
        assert areas[0] - 1e-5 <= areas[1] <= areas[2] + 1e-5
        assert areas[0] - 1e-5 <= steps <= areas[2] + 1e-5

    run()


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("R2")])
def test_samples_that_all_weigh_nothing_give_0(name: str) -> None:
    """R2, alone, has no value then: 1 - 0 / 0."""
    case = CASES[name]
    d = Draw(seed=5, samples=7, ties=False, weighted=False, one_class=False, offset=0.0)
    metric, (y, p) = case.make(), case.arrays(d)
    metric.update_state(*((y,) if case.arrays is numbers else (y, p)), sample_weight=np.zeros(7))
    assert not np.asarray(metric.result()).any()


@pytest.mark.parametrize("name", CASES)
def test_no_update_and_no_sample(name: str) -> None:
    case = CASES[name]
    d = Draw(seed=5, samples=7, ties=False, weighted=False, one_class=False, offset=0.0)
    metric, (y, p) = case.make(), case.arrays(d)
    assert not np.asarray(metric.result()).any()
    arrays = (y,) if case.arrays is numbers else (y, p)
    metric.update_state(*arrays)
    expected = np.asarray(metric.result())
    metric.update_state(*(x[:0] for x in arrays))
    np.testing.assert_array_equal(np.asarray(metric.result()), expected)


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("weigh", [False, True])
def test_r2_of_targets_far_from_zero(offset: float, sort: bool, weigh: bool) -> None:
    """Sums of squares about zero gave 1.01 around 1e4, where it is 0.91."""
    rng = np.random.default_rng(0)
    y = (offset + rng.normal(size=(300, 2))).astype("float32")
    y = np.sort(y, axis=0) if sort else y
    p = (y + 0.3 * rng.normal(size=y.shape)).astype("float32")
    w = rng.integers(0, 3, 300).astype("float32") if weigh else None
    metric = metrics.R2Score()
    for rows in np.split(np.arange(300), [1, 33, 150]):
        metric.update_state(y[rows], p[rows], None if w is None else w[rows])
    expected = reference.r2_score(y.astype("float64"), p.astype("float64"), sample_weight=w)
    assert float(metric.result()) == pytest.approx(expected, abs=1e-4)  # means of 1e4 have steps of 1e-3


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 1e4])
def test_r2_of_equal_targets(value: float) -> None:
    """They have no variance to explain: 0, not a quotient of two roundings."""
    y = np.full((100, 1), value)
    metric = metrics.R2Score()
    for rows in np.split(np.arange(100), [1, 8, 50]):
        metric.update_state(y[rows], y[rows] + 0.1)
    assert float(metric.result()) == 0.0


def test_the_state_of_r2_tells_which_of_its_two_forms_it_has() -> None:
    """Targets that start near zero and go on far from it, or the other way."""
    rng = np.random.default_rng(0)
    far = np.concatenate([rng.normal(size=(40, 1)), 1e4 + rng.normal(size=(60, 1))])
    for y in (far, far[::-1], far[40:], far[:40]):
        metric = metrics.R2Score()
        metric.update_state(y[:1], y[:1])
        state = [np.zeros(variable.shape) for variable in metric.variables]
        for part in (y[:0], *np.array_split(y, 5)):
            state = metric.stateless_update_state(state, part, part + 0.3)
        expected = reference.r2_score(y, y + 0.3)
        assert float(metric.stateless_result(state)) == pytest.approx(expected, abs=1e-4)
