"""Optimizers and schedules on fixed inputs.

`optimizer_expected.json` holds what Keras 3.15 gives for them (see tools/expected_numbers.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS = 5
Arrays = tuple[np.ndarray, np.ndarray]


def weights() -> Arrays:
    """A matrix and a vector to start from."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=4).astype("float32")


def gradients() -> list[Arrays]:
    """One pair of gradients per step."""
    rng = np.random.default_rng(4)
    return [
        (rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=4).astype("float32"))
        for _ in range(STEPS)
    ]


# ScheduleFreeAdamW is not among them: with TensorFlow Keras reads its slot after writing it (an alias), and
# so departs from the
# paper; test_optimizers.py has a NumPy version of the paper's algorithm instead.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("RMSprop", {"momentum": 0.5}),
    ("Adagrad", {}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "learning_rate": 0.1}),
    ("AdamW", {}),
    ("Adamax", {}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.1,
        },
    ),
    ("Lion", {}),
    ("Lamb", {"learning_rate": 0.01}),
    ("Adafactor", {"learning_rate": 0.1}),
    ("Muon", {"learning_rate": 0.01}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 0.5}),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.5}),
    ("SGD", {"learning_rate": 0.1, "global_clipnorm": 0.5}),
    ("SGD", {"learning_rate": 0.1, "loss_scale_factor": 8.0}),
    ("Adam", {"weight_decay": 0.1, "learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 2}),
    ("Adam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("Adam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2, "use_ema": True}),
]

# (class, positional arguments, options), evaluated at steps 0 ... 15
SCHEDULES: list[tuple[str, tuple, dict[str, Any]]] = [
    ("ExponentialDecay", (0.1, 10, 0.5), {}),
    ("ExponentialDecay", (0.1, 10, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 7], [0.1, 0.2, 0.3]), {}),
    ("PolynomialDecay", (0.1, 10), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 4), {"cycle": True}),
    ("InverseTimeDecay", (0.1, 3, 0.5), {}),
    ("InverseTimeDecay", (0.1, 3, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 10), {"alpha": 0.1}),
    ("CosineDecay", (0.01, 10), {"warmup_target": 0.3, "warmup_steps": 5}),
    ("CosineDecayRestarts", (0.1, 4), {"m_mul": 0.9}),
    ("CosineDecayRestarts", (0.1, 4), {"t_mul": 1.0, "alpha": 0.1}),
]
