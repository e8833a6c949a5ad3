"""Measure the type I error and the power of paired tests of two models.

    python tools/paired_rates.py --draws 10000

prints the tables of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hornbeam.evaluation.comparison import CANNOT_TELL, difference
from hornbeam.evaluation.statistics import Statistic, mean_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.interval_coverage import THRESHOLDS, auc_values

Pair = tuple[Statistic, Statistic]
Rng = np.random.Generator


def accuracies(n: int, only_a: float, only_b: float) -> Callable[[Rng], Pair]:
    """Two classifiers, by the proportions of samples that only one of them classifies correctly."""

    def draw(rng: Rng) -> Pair:
        kind = rng.choice(3, n, p=[only_a, only_b, 1 - only_a - only_b])
        both = rng.random(n) < 0.9
        right_a = np.where(kind == 2, both, kind == 0)
        right_b = np.where(kind == 2, both, kind == 1)
        return mean_of("accuracy", right_a, sign=1), mean_of("accuracy", right_b, sign=1)

    return draw


def losses(n: int, shift: float) -> Callable[[Rng], Pair]:
    """Cross-entropies of two models, from margins with a common and an individual part.

    Margins of the first model are larger by `shift`.
    """

    def draw(rng: Rng) -> Pair:
        common = rng.normal(4, 2, n)
        a, b = (np.logaddexp(0, -(common + rng.normal(size=n) + by)) for by in (shift, 0.0))
        return mean_of("loss", a, np.ones(n), -1), mean_of("loss", b, np.ones(n), -1)

    return draw


def aucs(n: int, gain: float) -> Callable[[Rng], Pair]:
    """Two scores of the same samples; the first one separates positives better by `gain`."""

    def draw(rng: Rng) -> Pair:
        positive = np.arange(n) % 2 == 0
        common = rng.normal(size=n)
        statistics = []
        for separation in (1.5 + gain, 1.5):
            margin = common + rng.normal(size=n) + separation * np.where(positive, 1, -1)
            score = np.minimum((THRESHOLDS / (1 + np.exp(-margin))).astype(int), THRESHOLDS - 1)
            states = np.zeros((n, 2 * THRESHOLDS))
            states[np.arange(n), score + THRESHOLDS * ~positive] = 1
            statistics.append(Statistic("auc", states, auc_values, sign=1))
        return statistics[0], statistics[1]

    return draw


def verdicts(
    draw: Callable[[Rng], Pair], draws: int, seed: int = 0, resamples: int = 300
) -> dict[str, float]:
    """Rates of "better", "worse" and "cannot tell"."""
    rng = np.random.default_rng(seed)
    outcomes = [difference(*draw(rng), resamples=resamples, rng=rng).verdict for _ in range(draws)]
    return {verdict: outcomes.count(verdict) / draws for verdict in ("better", "worse", CANNOT_TELL)}


# Equal models: name -> draw.
NULL: dict[str, Callable[[Rng], Pair]] = {
    **{
        f"accuracy, n = {n:,}, {2 * rate:.0%} judged otherwise": accuracies(n, rate, rate)
        for n in (50, 200, 1000, 10_000)
        for rate in (0.01, 0.05)
    },
    **{f"loss, n = {n:,}": losses(n, 0.0) for n in (50, 200, 1000)},
    **{f"AUC, n = {n:,}": aucs(n, 0.0) for n in (50, 200)},
}
# The first model is better.
POWER: dict[str, Callable[[Rng], Pair]] = {
    **{
        f"accuracy higher by {gain:.1%} (4% judged otherwise), n = {n:,}": accuracies(
            n, 0.02 + gain / 2, 0.02 - gain / 2
        )
        for gain in (0.005, 0.01, 0.02)
        for n in (200, 1000, 10_000)
    },
    **{f"loss lower by about a tenth, n = {n:,}": losses(n, 0.3) for n in (50, 200, 1000)},
    **{f"AUC higher by about 0.02, n = {n:,}": aucs(n, 0.4) for n in (50, 200)},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=10_000)
    draws = parser.parse_args().draws
    for title, cases in (("equal models", NULL), ("the first is better", POWER)):
        print(f"| {title} | better | worse | cannot tell |\n|---|---|---|---|")
        for name, draw in cases.items():
            few = draws if name.startswith("accuracy") else max(draws // 5, 1)
            rates = verdicts(draw, few)
            print(f"| {name} | {' | '.join(f'{rate:.1%}' for rate in rates.values())} |", flush=True)


if __name__ == "__main__":
    main()
