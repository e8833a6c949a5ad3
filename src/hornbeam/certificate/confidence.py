"""Statements that follow from segments of a training that were drawn at random and made again."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

# Probability that the statement about forged segments may be wrong.
ERROR = 0.01


def miss_probability(segments: int, forged: int, drawn: int) -> float:
    """Return the probability that a draw without replacement has none of the forged segments.

    It is C(N - m, n) / C(N, n) for n drawn of N segments of which m were forged (hypergeometric).
    """
    probability = 1.0
    for number in range(min(forged, segments)):
        probability *= max(segments - drawn - number, 0) / (segments - number)
    return probability


def fewest_found(segments: int, drawn: int) -> int:
    """Return the least number of forged segments that a draw misses with at most 1% probability."""
    probability, forged = 1.0, 0
    while probability > ERROR:
        probability *= max(segments - drawn - forged, 0) / (segments - forged)
        forged += 1
    return forged


@dataclass(frozen=True)
class Draw:
    """Segments of a training that are made again.

    Attributes:
        chosen: Numbers of the segments, sorted. The last one is always among them.
        total: Number of all segments.
    """

    chosen: tuple[int, ...]
    total: int

    def conclusion(self) -> str:
        """Return the sentence that follows if all chosen segments were equal."""
        if len(self.chosen) == self.total:
            return "every step was made again to the same bits: no step was forged"
        if len(self.chosen) < 2:
            return "too few segments were made again for a statement about the others"
        # The last one was not drawn, so that a forger would spare it.
        forged = fewest_found(self.total - 1, len(self.chosen) - 1)
        return (
            f"with at least 99% certainty fewer than 1 in {self.total // forged:,} segments was forged "
            f"({forged:,} forged ones of {self.total:,} would have been found)"
            if self.total // forged > 1
            else "a statement about the other segments needs more of them: --steps 20%"
        )


def draw_segments(total: int, fraction: float, generator: random.Random) -> Draw:
    """Draw a fraction of the segments, at least one, the last one among them."""
    count = min(max(math.ceil(fraction * total), 1), total)
    others = generator.sample(range(total - 1), count - 1)
    return Draw(tuple(sorted([*others, total - 1])), total)
