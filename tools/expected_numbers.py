"""Write the numbers of Keras for the cases of the loss, metric and optimizer tests.

Run it with a Python that has keras and a backend, from the root of the repository:

    python tools/expected_numbers.py

The tests read the JSON files it writes and need no Keras.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import loss_cases, metric_cases, optimizer_cases
from tests.helpers.paths import TESTS


def plain(x: Any) -> Any:
    """Nested lists with eight digits."""
    array = np.asarray(x, dtype="float64")
    return [plain(part) for part in array] if array.ndim else float(f"{array:.8g}")


def tensor(x: np.ndarray) -> Any:
    return keras.ops.convert_to_tensor(x)


def losses() -> list[Any]:
    module = loss_cases
    data = module.inputs()
    return [
        plain(
            getattr(keras.losses, name)(**options)(
                tensor(data[true]), tensor(data[pred]), sample_weight=data["weights"] if weighted else None
            )
        )
        for name, true, pred, options, weighted in module.CASES
    ]


def metrics() -> list[Any]:
    module = metric_cases
    data = module.inputs()

    def run(name: str, true: str, pred: str, options: dict[str, Any], weighted: bool) -> Any:
        metric = getattr(keras.metrics, name)(**options)
        for part in (slice(0, 3), slice(3, 6)):
            weights = data["weights"][part] if weighted else None
            metric.update_state(tensor(data[true][part]), tensor(data[pred][part]), sample_weight=weights)
        return plain(metric.result())

    return [
        [run(*case, weighted) for weighted in ((False, True) if module.weighted(case[0]) else (False,))]
        for case in module.CASES
    ]


def optimizers() -> dict[str, Any]:
    module = optimizer_cases

    def run(name: str, options: dict[str, Any]) -> dict[str, Any]:
        optimizer = getattr(keras.optimizers, name)(**options)
        variables = [
            keras.Variable(w, name=label)
            for w, label in zip(module.weights(), ("kernel", "bias"), strict=True)
        ]
        for gradients in module.gradients():
            optimizer.apply([tensor(g) for g in gradients], variables)
        return {
            "weights": [plain(v) for v in variables],
            "state": [[v.name, list(v.shape), plain(v)] for v in optimizer.variables],
        }

    def rates(name: str, args: tuple, options: dict[str, Any]) -> list[float]:
        schedule = getattr(keras.optimizers.schedules, name)(*args, **options)
        return [plain(schedule(step)) for step in range(16)]

    return {
        "optimizers": [run(*case) for case in module.CASES],
        "schedules": [rates(*case) for case in module.SCHEDULES],
    }


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")
    print(path)


if __name__ == "__main__":
    write(TESTS / "losses" / "loss_expected.json", losses())
    write(TESTS / "metrics" / "metric_expected.json", metrics())
    write(TESTS / "optimizers" / "optimizer_expected.json", optimizers())
