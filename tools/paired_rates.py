"""How often do paired tests say that equal models differ, and how often do they see that unequal ones do?

    python tools/paired_rates.py --draws 10000

prints the tables of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from hornbeam.evaluation.comparison import CANNOT_TELL, difference
from hornbeam.evaluation.statistics import Statistic, mean_of

Pair = tuple[Statistic, Statistic]
Rng = np.random.Generator


def accuracies(n: int, only_a: float, only_b: float) -> Callable[[Rng], Pair]:
    """Two classifiers; shares of samples that only one of them gets right."""

    def draw(rng: Rng) -> Pair:
        kind = rng.choice(3, n, p=[only_a, only_b, 1 - only_a - only_b])
        both = rng.random(n) < 0.9
        right_a = np.where(kind == 2, both, kind == 0)
        right_b = np.where(kind == 2, both, kind == 1)
        return mean_of("accuracy", right_a, sign=1), mean_of("accuracy", right_b, sign=1)

    return draw


def losses(n: int, shift: float) -> Callable[[Rng], Pair]:
    """Cross-entropies of two models with the same doubts and doubts of their own; margins of a are larger by
    shift.
    """

    def draw(rng: Rng) -> Pair:
        common = rng.normal(4, 2, n)
        a, b = (np.logaddexp(0, -(common + rng.normal(size=n) + by)) for by in (shift, 0.0))
        return mean_of("loss", a, np.ones(n), -1), mean_of("loss", b, np.ones(n), -1)

    return draw


BINS = 50


def auc_values(states: np.ndarray) -> np.ndarray:
    """Area under the curve of counts (b, 2 * BINS) of positives and negatives by score."""
    yes, no = (np.cumsum(part[:, ::-1], 1) for part in (states[:, :BINS], states[:, BINS:]))
    hit, false = (part / np.maximum(part[:, -1:], 1) for part in (yes, no))
    before = np.concatenate([np.zeros((len(hit), 1)), hit[:, :-1]], 1)
    return ((hit + before) / 2 * np.diff(false, axis=1, prepend=0)).sum(1)


def aucs(n: int, gain: float) -> Callable[[Rng], Pair]:
    """Two scores of the same samples; a separates positives better by gain."""

    def draw(rng: Rng) -> Pair:
        positive = np.arange(n) % 2 == 0
        common = rng.normal(size=n)
        made = []
        for separation in (1.5 + gain, 1.5):
            margin = common + rng.normal(size=n) + separation * np.where(positive, 1, -1)
            score = np.minimum((BINS / (1 + np.exp(-margin))).astype(int), BINS - 1)
            states = np.zeros((n, 2 * BINS))
            states[np.arange(n), score + BINS * ~positive] = 1
            made.append(Statistic("auc", states, auc_values, sign=1))
        return made[0], made[1]

    return draw


def verdicts(
    draw: Callable[[Rng], Pair], draws: int, seed: int = 0, resamples: int = 300
) -> dict[str, float]:
    """Shares of "better", "worse" and "cannot tell"."""
    rng = np.random.default_rng(seed)
    found = [difference(*draw(rng), resamples=resamples, rng=rng).verdict for _ in range(draws)]
    return {verdict: found.count(verdict) / draws for verdict in ("better", "worse", CANNOT_TELL)}


# Equal models: name, how to draw.
NULL: dict[str, Callable[[Rng], Pair]] = {
    **{
        f"accuracy, n = {n:,}, {2 * share:.0%} judged otherwise": accuracies(n, share, share)
        for n in (50, 200, 1000, 10_000)
        for share in (0.01, 0.05)
    },
    **{f"loss, n = {n:,}": losses(n, 0.0) for n in (50, 200, 1000)},
    **{f"AUC, n = {n:,}": aucs(n, 0.0) for n in (50, 200)},
}
# a is better.
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=10_000)
    draws = parser.parse_args().draws
    for title, cases in (("equal models", NULL), ("the first is better", POWER)):
        print(f"| {title} | better | worse | cannot tell |\n|---|---|---|---|")
        for name, draw in cases.items():
            few = draws if name.startswith("accuracy") else max(draws // 5, 1)
            found = verdicts(draw, few)
            print(f"| {name} | {' | '.join(f'{share:.1%}' for share in found.values())} |", flush=True)


if __name__ == "__main__":
    main()
