"""Tolerances by family: (relative, absolute in units of the largest value)."""

from __future__ import annotations

# Float32 has 24 bits: 1e-6 is about 17 units in the last place, 1e-5 what sums of products come to.
TOLERANCES: dict[str, tuple[float, float]] = {
    "activations": (1e-5, 5e-6),
    "constraints": (1e-5, 1e-6),
    "initializers": (1e-6, 3e-6),
    "layers": (1e-4, 1e-5),
    "layers gradients": (1e-3, 5e-5),
    "losses": (1e-5, 2e-6),
    "losses gradients": (1e-4, 1e-5),
    "metrics": (1e-5, 1e-6),
    "models": (1e-4, 1e-5),
    "ops": (1e-5, 5e-6),
    "ops gradients": (1e-4, 1e-5),
    # Ten steps: what one step rounds, the next one starts from.
    "optimizers": (2e-5, 2e-6),
    "random_models": (1e-3, 1e-4),
    "regularizers": (1e-5, 1e-6),
    "schedules": (1e-5, 1e-7),
    "training": (1e-4, 1e-5),
    # 11 bits and 8 bits, and both sides may hold what lies between in more.
    "float16": (1e-2, 5e-3),
    "bfloat16": (5e-2, 4e-2),
}
