"""Program of each process of a job in test_torch_mesh.py: train models and write the results.

    python mesh_job.py FOLDER SCENARIO...

FOLDER/SCENARIO-RANK.npz gets the losses, the weights, and how many bytes of state the process held.
"""

from __future__ import annotations

import sys
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
    """Shard large variables along the axis of the batch, where it divides them."""
    layout = distribution.LayoutMap(mesh)
    layout[".*second/kernel"] = (None, None, "batch", None)
    layout[".*wide/.*kernel"] = ("batch", None)
    layout[".*(wide|second)/bias"] = ("batch",)
    layout[".*last/kernel"] = ("batch", None)
    layout[".*table/embeddings"] = ("batch", None)
    return layout


def by_columns(mesh: Any) -> Any:
    """Channels and columns along the axis of the model, and rows of what follows."""
    layout = distribution.LayoutMap(mesh)
    layout[".*first/kernel"] = (None, None, None, "model")
    layout[".*first/bias"] = ("model",)
    layout[".*wide/kernel"] = (None, "model")
    layout[".*wide/bias"] = ("model",)
    layout[".*last/kernel"] = ("model", None)
    return layout


def distributed(scenario: str) -> Any:
    count = len(distribution.list_devices())
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
    if scenario == "backwards":  # the first device of the mesh is that of the last process
        devices = distribution.list_devices()[::-1]
        mesh = distribution.DeviceMesh((count,), ("batch",), devices)
        return distribution.ModelParallel(layout_map=by_rows(mesh), batch_dim_name="batch")
    raise ValueError(scenario)


def bytes_here(values: list[Any]) -> int:
    """Count the bytes of variables in this process."""
    total = 0
    for variable in values:
        buffer = variable._node.value[1]
        shard = getattr(buffer, "shard", buffer)
        total += shard.untyped_storage().nbytes() if hasattr(shard, "untyped_storage") else buffer.nbytes
    return total


def tokens() -> tuple[hb.Model, np.ndarray, np.ndarray]:
    """Build a model with embedding, recurrence and attention, and its data."""
    inputs = hb.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, mask_zero=True, name="table")(inputs)
    x = layers.LSTM(8, return_sequences=True, dropout=0.1, name="wide")(x)
    x = x + layers.MultiHeadAttention(2, 4, name="second")(x, x)
    x = layers.GRU(8)(layers.LayerNormalization()(x))
    rng = np.random.default_rng(0)
    x_train = rng.integers(0, 20, (SAMPLES, 6)).astype("int32")
    return hb.Model(inputs, layers.Dense(4, activation="softmax", name="last")(x)), x_train, x_train[:, 0] % 4


def run(scenario: str) -> dict[str, np.ndarray]:
    name, _, net = scenario.partition("_")
    distribution.set_distribution(None if name in ("alone", "ordered") else distributed(name))
    hb.utils.set_random_seed(3)
    model, x, y = tokens() if net == "tokens" else convnet()
    model.compile(hb.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if name in ("own", "ordered"):
        index, count = (0, 1) if name == "ordered" else current_engine().process
        rows = np.arange(36).reshape(3, count, -1)[:, index].reshape(-1)
        x, y = x[rows], y[rows]
        history = model.fit(x, y, batch_size=12 // count, epochs=3, shuffle=False, verbose=0)
    else:
        history = model.fit(x, y, batch_size=12, epochs=3, verbose=0)
    state = [*model.variables, *model.optimizer.variables]
    held = bytes_here(state)
    results = {f"history {key}": np.array(values) for key, values in history.history.items()}
    results |= {f"variable {i}": np.asarray(v.numpy()) for i, v in enumerate(state)}
    if name not in ("own", "ordered"):
        results["predictions"] = model.predict(x[:12], verbose=0)
        results["evaluation"] = np.array(model.evaluate(x, y, batch_size=12, verbose=0))
    return {**results, "held": np.array(held)}


if __name__ == "__main__":
    for scenario in sys.argv[2:]:
        results = run(scenario)
        np.savez(f"{sys.argv[1]}/{scenario}-{current_engine().process[0]}.npz", **results)
