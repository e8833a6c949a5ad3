"""Cross-conformal prediction: every sample trains, and every sample calibrates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int
from hornbeam.data.splits.sealed import check_not_sealed
from hornbeam.evaluation.conformal.outputs import Outputs
from hornbeam.evaluation.conformal.quantiles import check_coverage, finite_array, rank_of, require_samples
from hornbeam.evaluation.conformal.sets import SetMethod, SetScore, true_classes
from hornbeam.models import Model
from hornbeam.random import host_permutation
from hornbeam.training.steps import training_state


@dataclass(frozen=True)
class CrossConformal:
    """Models of the folds, and the scores of the samples that each has not seen; see `cross_conformal`.

    Args:
        models: Model of each fold, trained on all others.
        fold: Fold of each sample, (n,).
        scores: Score of each sample by the model of its fold, (n,).
        coverage: Nominal coverage 1 - alpha.
        outputs: Kind of the models' outputs.
        score: Score of the classes, None for numbers.
    """

    models: Sequence[Model]
    fold: np.ndarray
    scores: np.ndarray
    coverage: float
    outputs: Outputs
    score: SetScore | None

    def predict_interval(self, x: ArrayLike) -> np.ndarray:
        """Return the prediction intervals of new samples.

        Args:
            x: Inputs as for `fit`, (n, ...).

        Returns:
            Array (n, 2) of lower and upper bounds.

        Raises:
            ValueError: If the models are classifiers.

        Example:
            >>> cross_conformal(build, x, y, epochs=50).predict_interval(x_new)  # doctest: +SKIP
        """
        if self.score is not None:
            raise ValueError("the models are classifiers: call predict_sets")
        centers = [finite_array("y_pred", model.predict(x, verbose=0), None) for model in self.models]
        return jackknife_plus(np.stack(centers, 1)[:, self.fold], self.scores, self.coverage)

    def predict_sets(self, x: ArrayLike) -> np.ndarray:
        """Return the prediction sets of new samples.

        A class k is in the set if fewer than (n + 1) coverage of the n samples have a smaller score than k
        has by the model of their fold (CV+ of Romano, Sesia and Candès 2020).

        Args:
            x: Inputs as for `fit`, (n, ...).

        Returns:
            Booleans (n, classes): True for the classes in the set.

        Raises:
            ValueError: If the models predict numbers.

        Example:
            >>> cross_conformal(build, x, y, epochs=50).predict_sets(x_new)  # doctest: +SKIP
        """
        if self.score is None:
            raise ValueError("the models predict numbers: call predict_interval")
        smaller: Any = 0
        for number, model in enumerate(self.models):
            scores = self.score(self.outputs.probabilities(model.predict(x, verbose=0)))
            ordered = np.sort(self.scores[self.fold == number])
            smaller = smaller + np.searchsorted(ordered, scores)
        return np.asarray(smaller < rank_of(len(self.scores), self.coverage))


def jackknife_plus(centers: np.ndarray, residuals: np.ndarray, coverage: float) -> np.ndarray:
    """Return intervals (n, 2) of predictions (n, m), by the models that have not seen sample i of m.

    low = the floor((m + 1) alpha)-th smallest of f_i(x) - R_i
    high = the ceil((m + 1) (1 - alpha))-th smallest of f_i(x) + R_i
    """
    rank = rank_of(len(residuals), coverage)
    high = np.partition(centers + residuals, rank - 1, 1)[:, rank - 1]
    low = -np.partition(residuals - centers, rank - 1, 1)[:, rank - 1]
    return np.stack([low, high], 1)


def cross_conformal(
    build: Callable[[], Model],
    x: ArrayLike,
    y: ArrayLike,
    coverage: float = 0.9,
    *,
    folds: int | None = 10,
    method: SetMethod = "lac",
    seed: int = 0,
    **fit: Any,
) -> CrossConformal:
    """Train a model without each fold, and predict sets or intervals from all samples: for small data.

    For numbers CV+, or with a fold for each sample the jackknife+, of residuals R_i = |y_i - f_i(x_i)|, f_i
    trained without the fold of i:

        from the floor((n + 1) alpha)-th smallest of f_i(x) - R_i
        to the ceil((n + 1) (1 - alpha))-th smallest of f_i(x) + R_i

    Guarantee: coverage >= 1 - 2 alpha for the jackknife+, and about so for CV+; in practice about 1 - alpha.
    It assumes that all samples are exchangeable, and that training treats them alike. Source: Barber, Candès,
    Ramdas and Tibshirani, "Predictive Inference with the Jackknife+" (2021). For classes the sets of CV+,
    with the same guarantee (Romano, Sesia and Candès 2020).

    Args:
        build: Function that returns a new compiled model with one output: a classifier, or one number.
            `set_random_seed(seed)` is called before it.
        x: Inputs, arrays (n, ...) or structures of them.
        y: Targets (n,).
        coverage: Nominal coverage 1 - alpha in (0, 1).
        folds: Number of folds, at least 2; None for a fold for each sample.
        method: Score of the classes, as for `calibrate_sets`.
        seed: Seed of each training and of the folds.
        **fit: Arguments of `fit`, such as epochs and batch_size.

    Returns:
        The models and scores, which predict.

    Raises:
        CalibrationError: For fewer samples than `required_samples(coverage)`.
        ValueError: For other numbers of folds, or a model with other outputs.
        SealedError: If the data are sealed.

    Example:
        >>> cross_conformal(build, x, y, 0.9, folds=10, epochs=50).predict_interval(x_new)  # doctest: +SKIP
    """
    from hornbeam.utils import set_random_seed

    check_not_sealed((x, y), "cross_conformal() trains on it")
    count = len(tree.flatten(x)[0])
    require_samples({"": count}, check_coverage(coverage))
    number = count if folds is None else check_int("folds", folds, 2)
    if number > count:
        raise ValueError(f"folds must be at most the number of samples, {count:,}, got {number:,}")
    fold = np.empty(count, np.int64)
    fold[host_permutation(seed, count)] = np.arange(count) % number
    models, scores = [], np.empty(count)
    score: SetScore | None = None
    outputs = Outputs("numbers")
    for k in range(number):
        set_random_seed(seed)
        model = build()
        training_state(model).require_compiled("fit")
        rows, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        model.fit(_rows(x, rest), _rows(y, rest), **{"verbose": 0, **fit})
        predicted, true = np.asarray(model.predict(_rows(x, rows), verbose=0)), _rows(y, rows)
        outputs = Outputs.of(model, predicted, true)
        if outputs.kind == "numbers":
            scores[rows] = np.abs(
                finite_array("y", true, len(rows)) - finite_array("y_pred", predicted, len(rows))
            )
        else:
            score = SetScore(method)
            probabilities = outputs.probabilities(predicted)
            scores[rows] = score(probabilities)[
                np.arange(len(rows)), true_classes(true, *probabilities.shape)
            ]
        models.append(model)
    return CrossConformal(models, fold, scores, coverage, outputs, score)


def _rows(structure: Any, rows: np.ndarray) -> Any:
    return tree.map_structure(lambda part: np.asarray(part)[rows], structure)
