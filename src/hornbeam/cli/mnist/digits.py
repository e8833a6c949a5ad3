"""The split of the digits, the learning rate, and the age of the process, for all programs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from hornbeam.optimizers.schedules import CosineDecay
from hornbeam.random import host_permutation

VALIDATION = 5000


def split(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled rows for training, and `size` rows for validation, stratified by digit."""
    order = host_permutation(seed, len(labels))
    exact = np.bincount(labels, minlength=10) * (size / len(labels))
    counts = exact.astype(int)
    # What rounding down leaves goes to the digits with the largest remainders.
    counts[np.argsort(counts - exact, kind="stable")[: size - counts.sum()]] += 1
    validation = np.concatenate([order[labels[order] == digit][: counts[digit]] for digit in range(10)])
    keep = np.ones(len(labels), bool)
    keep[validation] = False
    return order[keep[order]], validation


def one_cycle(peak: float, warmup: float, updates: int) -> CosineDecay:
    """Return a learning rate that rises to `peak` and then falls to a hundredth of it.

    Five epochs of it are worth twenty of a rate that only falls (Smith & Topin 2018,
    https://arxiv.org/abs/1708.07120).
    """
    rising = max(int(warmup * updates), 1)
    return CosineDecay(peak / 10, updates - rising, alpha=0.01, warmup_target=peak, warmup_steps=rising)


# Where the system does not report the start of a process, its age counts from here.
_IMPORTED = time.perf_counter()


def process_age() -> float:
    """Return the seconds since the process was started (Linux), or since this module was imported."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError):
        return time.perf_counter() - _IMPORTED
