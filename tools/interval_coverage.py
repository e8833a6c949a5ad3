"""Measure the coverage of intervals on samples whose true value is known.

    python tools/interval_coverage.py --draws 10000

prints the tables of docs/evaluation.md. The tests run the same functions with fewer draws.

The counts of the bootstrap are drawn for every 100th data set only, which is ten times as fast: they do not
depend on the data, so the expected coverage is the same.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hornbeam._internal.intervals import f1_interval, wilson
from hornbeam.evaluation import resampling
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.statistics import Statistic, mean_of

Rng = np.random.Generator


@dataclass(frozen=True)
class Coverage:
    """Coverage of an interval, over draws of data.

    held: proportion of draws whose interval contains the true value. warned: proportion with a warning.
    trusted: coverage among the draws without a warning.
    """

    held: float
    warned: float
    trusted: float

    def __str__(self) -> str:
        trusted = f"{self.trusted:.1%}" if self.warned < 0.98 else "-"
        return f"{self.held:.1%} | {self.warned:.0%} | {trusted}"


def coverage_of(held: list[bool], warned: list[bool]) -> Coverage:
    good, marked = np.array(held), np.array(warned)
    rest = good[~marked]
    return Coverage(
        float(good.mean()), float(marked.mean()), float(rest.mean()) if len(rest) else float("nan")
    )


@contextmanager
def shared_counts(every: int = 100) -> Iterator[None]:
    """Draw the counts of the bootstrap once for `every` data sets."""
    original = resampling.resample_counts
    kept: list[np.ndarray] = []
    calls = itertools.count()

    def counted(samples: int, resamples: int, rng: Rng) -> Iterator[np.ndarray]:
        if next(calls) % every == 0:
            kept[:] = original(samples, resamples, rng)
        return iter(kept)

    resampling.resample_counts = counted
    try:
        yield
    finally:
        resampling.resample_counts = original


def bootstrap_coverage(
    draw: Callable[[], Statistic], true: float, draws: int, resamples: int, rng: Rng
) -> Coverage:
    """Coverage of the intervals that the library chooses for statistics."""
    held, warned = [], []
    with shared_counts():
        for _ in range(draws):
            statistic = draw()
            bounds = resampling.interval(statistic, resamples=resamples, rng=rng)
            held.append(bounds is not None and true in bounds)
            warned.append(bool(caveats("it", statistic, bounds)))
    return coverage_of(held, warned)


def proportion(rng: Rng, n: int, p: float, draws: int) -> Coverage:
    """Coverage of Wilson's interval of an accuracy p."""
    held, warned = [], []
    for right in rng.binomial(n, p, draws):
        statistic = Statistic(
            "accuracy", np.array([[right, n - right]], float), lambda s: s[:, 0], "proportion"
        )
        bounds = wilson(right, n)
        held.append(p in bounds)
        warned.append(bool(caveats("accuracy", statistic, bounds)))
    return coverage_of(held, warned)


def f1(rng: Rng, n: int, rates: tuple[float, float], draws: int) -> Coverage:
    """Coverage for the F1 of one class, n samples, by rates of true positives and of mistakes."""
    true = 2 * rates[0] / (2 * rates[0] + rates[1])
    counts = rng.multinomial(n, (*rates, 1 - sum(rates)), draws)
    held = [true in f1_interval(tp, wrong) for tp, wrong, _ in counts if tp + wrong]
    return coverage_of(held, [False] * len(held))


# -- means -----------------------------------------------------------------------------------------


def cross_entropy(margin: float, spread: float) -> Callable[[Rng, int], np.ndarray]:
    """Losses log(1 + exp(-m)) of margins m ~ N(margin, spread)."""
    return lambda rng, n: np.logaddexp(0, -rng.normal(margin, spread, n))


MEANS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "absolute error": lambda rng, n: np.abs(rng.normal(size=n)),
    "squared error": lambda rng, n: rng.normal(size=n) ** 2,
    "cross-entropy, 95% right": cross_entropy(4.0, 2.5),
    "cross-entropy, 99% right": cross_entropy(8.0, 3.5),
}


def mean(rng: Rng, n: int, name: str, draws: int, resamples: int = 1000) -> Coverage:
    """Coverage of the bootstrap-t interval of a mean of losses."""
    draw = MEANS[name]
    true = float(np.mean([draw(np.random.default_rng(99 + k), 1_000_000).mean() for k in range(10)]))
    return bootstrap_coverage(lambda: mean_of("loss", draw(rng, n)), true, draws, resamples, rng)


# -- anything else ---------------------------------------------------------------------------------

THRESHOLDS = 50


def auc_values(states: np.ndarray) -> np.ndarray:
    """The area under the curve of counts (b, 2 * THRESHOLDS) of positives and negatives by score."""
    yes, no = (np.cumsum(part[:, ::-1], 1) for part in (states[:, :THRESHOLDS], states[:, THRESHOLDS:]))
    hit, false = (part / np.maximum(part[:, -1:], 1) for part in (yes, no))
    before = np.concatenate([np.zeros((len(hit), 1)), hit[:, :-1]], 1)
    return ((hit + before) / 2 * np.diff(false, axis=1, prepend=0)).sum(1)


def auc_sample(separation: float, positives: float) -> Callable[[Rng, int], np.ndarray]:
    def draw(rng: Rng, n: int) -> np.ndarray:
        positive = rng.random(n) < positives
        score = 1 / (1 + np.exp(separation / 2 - rng.normal(size=n) - separation * positive))
        states = np.zeros((n, 2 * THRESHOLDS))
        states[np.arange(n), (score * THRESHOLDS).astype(int) + THRESHOLDS * ~positive] = 1
        return states

    return draw


def f1_values(states: np.ndarray) -> np.ndarray:
    """Mean F1 over classes of counts (b, 3 * classes): true positives, predicted, actual."""
    correct, predicted, actual = np.split(states, 3, axis=1)
    return (2 * correct / np.maximum(predicted + actual, 1e-9)).mean(1)


def f1_sample(separation: float) -> Callable[[Rng, int], np.ndarray]:
    def draw(rng: Rng, n: int) -> np.ndarray:
        true = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
        scores = rng.normal(size=(n, 4)) + separation * np.eye(4)[true]
        actual, predicted = np.eye(4)[true], np.eye(4)[scores.argmax(1)]
        return np.concatenate([actual * predicted, predicted, actual], 1)

    return draw


def r2_values(states: np.ndarray) -> np.ndarray:
    residual, squares, sums, count = states.T
    return 1 - residual / (squares - sums**2 / count)


def r2_sample(rng: Rng, n: int) -> np.ndarray:
    known = rng.normal(size=n)
    y = known + 0.5 * rng.normal(size=n)
    return np.stack([(y - known) ** 2, y * y, y, np.ones(n)], 1)


OTHERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Rng, int], np.ndarray]]] = {
    "AUC 0.76": (auc_values, auc_sample(1.0, 0.5)),
    "AUC 0.98": (auc_values, auc_sample(3.0, 0.5)),
    "AUC 0.98, 10% positive": (auc_values, auc_sample(3.0, 0.1)),
    "macro F1 0.81": (f1_values, f1_sample(2.0)),
    "R2 0.80": (r2_values, r2_sample),
}


def other(rng: Rng, n: int, name: str, draws: int, resamples: int = 1000) -> Coverage:
    """Coverage of the BCa interval of statistics that are no means."""
    values, draw = OTHERS[name]
    many = np.stack([draw(np.random.default_rng(99 + k), 50_000).sum(0) for k in range(20)]).sum(0)
    true = float(values(many[None])[0])
    return bootstrap_coverage(lambda: Statistic(name, draw(rng, n), values), true, draws, resamples, rng)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--only", default="proportion,f1,mean,other")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    parts = options.only.split(",")

    def line(statistic: str, n: int, coverage: Coverage) -> None:
        print(f"| {statistic} | {n:,} | {coverage} |", flush=True)

    print("| what | n | holds | warned | holds without a warning |\n|---|---|---|---|---|")
    if "proportion" in parts:
        for p in (0.5, 0.9, 0.95, 0.99, 0.996):
            for n in (20, 100, 1000, 10_000):
                line(f"accuracy {p:.1%}", n, proportion(rng, n, p, options.draws))
    if "f1" in parts:
        for rates in ((0.08, 0.02), (0.09, 0.04), (0.05, 0.1)):
            for n in (100, 1000, 10_000):
                line(
                    f"F1 {2 * rates[0] / (2 * rates[0] + rates[1]):.2f}", n, f1(rng, n, rates, options.draws)
                )
    for part, names, measure in (("mean", MEANS, mean), ("other", OTHERS, other)):
        if part in parts:
            for name in names:
                for n in (30, 100, 300, 1000):
                    line(name, n, measure(rng, n, name, options.draws))


if __name__ == "__main__":
    main()
