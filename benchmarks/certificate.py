"""Forge certificates, and count the forgeries that `verify` finds; time what a certificate costs.

    python benchmarks/certificate.py attack [--each 36] > attack.md
    python benchmarks/certificate.py cost [--pairs 9]

The kinds of forgeries are in tests/helpers/forgeries.py. Figures: benchmarks/certificate.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import hornbeam as hb
from hornbeam import layers
from hornbeam.certificate.confidence import draw_segments, miss_probability
from tests.helpers.forgeries import KINDS, SEGMENTS, Forgery, outcome, train

SHARES = (0.01, 0.02, 0.1, 1.0)


def attack(each: int, seed: int) -> None:
    """Print a row for each kind of forgery: how many are found, and how many the formula lets expect."""
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:

        def pool(seed: int) -> Path:
            folder = Path(root) / f"honest {seed}"
            if not folder.exists():
                folder.mkdir()
                train(folder, seed)
            return folder

        print("| kind | shown by | 1% | 2% | 10% | all |\n|---|---|---|---|---|---|")
        total, false_alarms = 0, 0
        for title, kind in KINDS.items():
            counts = dict.fromkeys(SHARES, 0)
            expected = dict.fromkeys(SHARES, 0.0)
            said = dict.fromkeys(SHARES, 0)
            for number in range(each):
                forgery = Forgery(Path(root) / "forged", generator, pool, number % 9)
                shutil.copytree(pool(forgery.seed), forgery.folder)
                kind.forge(forgery)
                for share in SHARES:
                    drawn = len(draw_segments(SEGMENTS, share, generator).chosen) - 1
                    seen = outcome(forgery, share, generator)
                    counts[share] += seen == "found"
                    said[share] += seen == "said"
                    expected[share] += 1 - miss_probability(SEGMENTS - 1, forgery.segments, drawn)
                shutil.rmtree(forgery.folder)
            total += each
            cells = []
            for share in SHARES:
                text = f"{counts[share]}"
                if kind.shown_by == "draw":
                    text += f" ({expected[share]:.1f})"
                elif kind.shown_by == "said":
                    text += f", said {said[share]}"
                cells.append(text)
            print(f"| {title} | {kind.shown_by} | {' | '.join(cells)} |", flush=True)
        for number in range(each):
            honest = Forgery(pool(number % 9), generator, pool, number % 9)
            false_alarms += any(outcome(honest, share, generator) != "held" for share in SHARES)
        print(
            f"\n{total:,} forgeries, {each} of each kind; {false_alarms} of {each} honest ones called forged."
        )


def cost(pairs: int) -> None:
    """Print the time of `fit` without and with a certificate, in alternation, and the size of the file."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30_000, 28, 28, 1)).astype("float32")
    y = rng.integers(0, 10, len(x))
    times: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "run.cert"
        for number in range(pairs + 1):
            for certified in (False, True) if number % 2 else (True, False):
                hb.utils.set_random_seed(1)
                model = hb.Sequential([
                    hb.Input((28, 28, 1)),
                    layers.Conv2D(16, 3, activation="relu"),
                    layers.MaxPooling2D(2),
                    layers.Conv2D(32, 3, activation="relu"),
                    layers.MaxPooling2D(2),
                    layers.Flatten(),
                    layers.Dense(10),
                ])  # fmt: skip
                loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile("adam", loss, metrics=["accuracy"])
                begin = time.perf_counter()
                model.fit(x, y, 64, epochs=4, certificate=path if certified else None, verbose=0)
                times[certified].append(time.perf_counter() - begin)
        size = path.stat().st_size
    without, with_it = (
        times[certified][1:] for certified in (False, True)
    )  # without the first, which warms up
    ratios = [b / a for a, b in zip(without, with_it, strict=True)]
    print(
        f"without {statistics.median(without):.3f} s, with {statistics.median(with_it):.3f} s, median ratio "
        f"{statistics.median(ratios):.4f} of {pairs} pairs ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"{size:,} bytes"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["attack", "cost"])
    parser.add_argument("--each", type=int, default=34)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "attack":
        attack(arguments.each, arguments.seed)
    else:
        cost(arguments.pairs)
