"""What each process of a job runs in test_torch_mesh.py: trains a model and keeps what it saw.

    python mesh_job.py SCENARIO FILE

FILE-RANK.npz gets the losses, the weights, and how many bytes of state the process held.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import distribution, layers
from hornbeam.engines import current_engine

SAMPLES = 40  # of batches of 12 the last is 4: two processes cut it, three would not


def convnet() -> tuple[hb.Model, np.ndarray, np.ndarray]:
    model = hb.Sequential(
        [
            hb.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu", name="first"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 3, activation="relu", name="second"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="wide"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax", name="last"),
        ]
    )
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(SAMPLES, 8, 8, 1)).astype("float32"), rng.integers(0, 4, SAMPLES)


def by_rows(mesh: Any) -> Any:
    """Everything that divides is cut along its first dimension."""
    found = distribution.LayoutMap(mesh)
    for name in ("second", "wide"):
        rest = (None, None, None) if name == "second" else (None,)
        axes = (None, None, "batch", None) if name == "second" else ("batch", *rest)
        found[f".*{name}/kernel"] = axes
        found[f".*{name}/bias"] = ("batch",)
    found[".*last/kernel"] = ("batch", None)
    return found


def by_columns(mesh: Any) -> Any:
    """Channels and columns along the axis of the model, and rows of what follows."""
    found = distribution.LayoutMap(mesh)
    found[".*first/kernel"] = (None, None, None, "model")
    found[".*first/bias"] = ("model",)
    found[".*wide/kernel"] = (None, "model")
    found[".*wide/bias"] = ("model",)
    found[".*last/kernel"] = ("model", None)
    return found


def distributed(scenario: str) -> Any:
    count = current_engine().process[1] if scenario == "none" else len(distribution.list_devices())
    if scenario == "data":
        return distribution.DataParallel()
    if scenario == "own":
        return distribution.DataParallel(auto_shard_dataset=False)
    if scenario == "rows":
        mesh = distribution.DeviceMesh((count,), ("batch",))
        return distribution.ModelParallel(layout_map=by_rows(mesh), batch_dim_name="batch")
    if scenario == "columns":
        shape = (count // 2, 2) if count > 2 else (1, count)
        mesh = distribution.DeviceMesh(shape, ("batch", "model"))
        return distribution.ModelParallel(layout_map=by_columns(mesh), batch_dim_name="batch")
    raise ValueError(scenario)


def bytes_here(values: list[Any]) -> int:
    """Of variables, what this process holds."""
    found = 0
    for variable in values:
        buffer = variable._node.value[1]
        piece = getattr(buffer, "piece", buffer)
        found += piece.untyped_storage().nbytes() if hasattr(piece, "untyped_storage") else buffer.nbytes
    return found


def run(scenario: str, make: Callable[[], Any] = convnet) -> dict[str, np.ndarray]:
    if scenario != "none":
        distribution.set_distribution(distributed(scenario))
    hb.utils.set_random_seed(3)
    model, x, y = make()
    model.compile(hb.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    index, count = current_engine().process
    if scenario == "own":  # each has every n-th of 12 rows of a batch, one piece after the other
        rows = np.concatenate([np.arange(36)[b : b + 12] for b in range(0, 36, 12)]).reshape(3, count, -1)
        x, y = x[rows[:, index].reshape(-1)], y[rows[:, index].reshape(-1)]
        history = model.fit(x, y, batch_size=12 // count, epochs=3, shuffle=False, verbose=0)
    elif scenario == "none" and len(sys.argv) > 3:
        history = model.fit(x[:36], y[:36], batch_size=12, epochs=3, shuffle=False, verbose=0)
    else:
        history = model.fit(x, y, batch_size=12, epochs=3, verbose=0)
    state = [*model.variables, *model.optimizer.variables]
    held = bytes_here(state)
    found = {f"history {name}": np.array(values) for name, values in history.history.items()}
    found |= {f"variable {i}": np.asarray(v.numpy()) for i, v in enumerate(state)}
    if scenario != "own":
        found["predictions"] = model.predict(x[:12], verbose=0)
        found["evaluation"] = np.array(model.evaluate(x, y, batch_size=12, verbose=0))
    return {**found, "held": np.array(held)}


if __name__ == "__main__":
    results = run(sys.argv[1])
    np.savez(f"{sys.argv[2]}-{current_engine().process[0]}.npz", **results)
