"""Intervals against published values, SciPy, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam import evaluation
from hornbeam._internal.intervals import student_quantile
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import mean_of
from tools import interval_coverage as coverage


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, Table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    np.testing.assert_allclose(tuple(evaluation.wilson(successes, trials)), (low, high), atol=5e-5)


def test_wilson_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for right, n, level in [(989, 1000, 0.95), (7, 9, 0.9), (20, 20, 0.99)]:
        theirs = stats.binomtest(right, n).proportion_ci(level, method="wilson")
        np.testing.assert_allclose(tuple(evaluation.wilson(right, n, level)), tuple(theirs), atol=1e-9)


def test_a_share_needs_trials() -> None:
    for successes, trials in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="0 <= successes <= trials"):
            evaluation.wilson(successes, trials)
    with pytest.raises(ValueError, match=r"such as 0\.95"):
        evaluation.wilson(1, 2, level=95)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 101])
def test_student_is_that_of_scipy(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for level in (0.6, 0.95, 0.999):
        assert student_quantile(level, freedom) == pytest.approx(
            stats.t.ppf((1 + level) / 2, freedom), rel=1e-9
        )


def test_interval_of_a_mean() -> None:
    result = evaluation.mean_interval([1.0, 2.0, 3.0])
    np.testing.assert_allclose(tuple(result), (2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rtol=1e-6)
    with pytest.raises(ValueError, match="at least two"):
        evaluation.mean_interval([1.0])


def test_f1_interval_ends() -> None:
    assert evaluation.f1_interval(0, 10).low == 0
    assert evaluation.f1_interval(10, 0).high == 1


def test_weights_count_as_copies() -> None:
    """A weight of 2 moves the mean as a second copy does; the interval is wider, since it is one sample."""
    rng = np.random.default_rng(0)
    values = rng.exponential(size=200)
    weighted = mean_of("loss", values, np.repeat([1.0, 2.0], 100))
    copied = mean_of("loss", np.concatenate([values, values[100:]]))
    assert weighted.value == pytest.approx(copied.value)
    first, second = interval(weighted), interval(copied)
    assert first is not None
    assert second is not None
    assert first.high - first.low > second.high - second.low


def test_large_means_with_small_spread() -> None:
    """Centred before it is squared: 1e8 beside 1e-3 leaves nothing otherwise."""
    values = 1e8 + np.random.default_rng(0).normal(size=500) * 1e-3
    result = interval(mean_of("loss", values))
    assert result is not None
    assert 1e-4 / 2 < result.high - result.low < 1e-3


def test_no_spread_is_no_interval() -> None:
    constant = mean_of("loss", np.full(50, 0.25), np.ones(50))
    assert interval(constant) is None
    assert "too few or too similar" in caveats("loss", constant, None)[0]
    values, _ = coverage.OTHERS["AUC 0.98"]
    perfect = np.zeros((20, 2 * coverage.THRESHOLDS))
    perfect[:10, coverage.THRESHOLDS - 1] = 1
    perfect[10:, coverage.THRESHOLDS] = 1
    assert interval(coverage.Statistic("auc", perfect, values)) is None


def test_few_samples_are_doubted() -> None:
    few = mean_of("accuracy", np.repeat([0.0, 1.0], [2, 98]))
    assert caveats("accuracy", few, interval(few)) == [
        "accuracy rests on 2 of 100 cases: its interval is approximate"
    ]
    enough = mean_of("accuracy", np.repeat([0.0, 1.0], [20, 80]))
    assert caveats("accuracy", enough, interval(enough)) == []
    lopsided = mean_of("loss", np.concatenate([np.full(96, 1e-3), [5.0, 1.0, 0.5, 0.2]]))
    assert "dominated by few of the 100 samples" in caveats("loss", lopsided, interval(lopsided))[0]


# 1,000 draws: two standard errors are 1.4%, hence 92 to 98.
SAMPLED = [("proportion", 0.9, 1000, 10_000), ("proportion", 0.99, 10_000, 10_000),
           ("mean", "squared error", 300, 1000), ("mean", "cross-entropy, 95% right", 300, 500),
           ("other", "AUC 0.76", 100, 400), ("other", "macro F1 0.81", 100, 500)]  # fmt: skip


@pytest.mark.parametrize(("part", "name", "n", "draws"), SAMPLED)
def test_intervals_hold(part: str, name: object, n: int, draws: int) -> None:
    result = getattr(coverage, part)(np.random.default_rng(0), n, name, draws)
    assert 0.92 < result.held < 0.98, result
    assert result.warned < 0.1, result


FULL = [("proportion", p, n) for p in (0.5, 0.9, 0.95, 0.99, 0.996) for n in (100, 1000, 10_000)]
FULL += [("f1", rates, n) for rates in ((0.08, 0.02), (0.05, 0.1)) for n in (1000, 10_000)]  # type: ignore[misc]
FULL += [("mean", name, n) for name in coverage.MEANS for n in (100, 1000)]  # type: ignore[misc]
FULL += [("other", name, n) for name in coverage.OTHERS for n in (100, 1000)]  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize(("part", "name", "n"), FULL)
def test_intervals_hold_or_warn(part: str, name: object, n: int) -> None:
    """10,000 draws: 95% intervals hold in 93 to 97% wherever less than a tenth of the draws is warned of."""
    result = getattr(coverage, part)(np.random.default_rng(1), n, name, 10_000)
    assert result.warned >= 0.1 or 0.93 <= result.held <= 0.97, result


def test_where_intervals_fail_users_are_warned() -> None:
    rng = np.random.default_rng(2)
    for result in (
        coverage.proportion(rng, 100, 0.996, 1000),
        coverage.mean(rng, 30, "cross-entropy, 99% right", 300),
        coverage.other(rng, 30, "AUC 0.98", 100),
    ):
        assert result.warned > 0.5, result
