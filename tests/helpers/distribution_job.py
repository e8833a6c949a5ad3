"""Program of each process of the jobs in test_jobs.py: `distribution_job.py FOLDER SCENARIO...`.

A scenario is a function below; what it returns goes into FOLDER as SCENARIO-RANK.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam
from hornbeam import distribution as dist
from hornbeam import layers

SAMPLES, BATCH = 76, 16  # the last batch of an epoch has 12 rows, which 8 devices do not divide


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images of noise whose class is where they are brightest."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(SAMPLES, 4, 6)).astype("float32")
    return x, x.mean(axis=2).argmax(axis=1)


def build_model() -> Any:
    """A net with everything that looks at a whole batch or draws random numbers."""
    hornbeam.utils.set_random_seed(7)
    model = hornbeam.Sequential(
        [
            layers.Input((4, 6)),
            layers.Flatten(),
            # A bias before a normalization has no gradient but rounding, which Adam makes large.
            layers.Dense(16, use_bias=False, name="hidden"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.25),
            layers.Dense(4, kernel_regularizer="l2", name="top"),
        ]
    )
    loss = hornbeam.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(hornbeam.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


def outcome(result: Any, history: Any) -> dict[str, Any]:
    """Numbers that have to be the same however a model was trained."""
    x, y = data()
    return {
        **{name: list(map(float, values)) for name, values in history.history.items()},
        "evaluated": result.evaluate(x, y, verbose=0),
        "predicted": result.predict(x[:20], verbose=0).tolist(),
        "on_batch": result.train_on_batch(x[:BATCH], y[:BATCH]),
        "weights": [float(np.abs(weight).sum()) for weight in result.get_weights()],
    }


def arrays() -> dict[str, Any]:
    """Arrays in memory, shuffled, with a validation of 10 rows."""
    x, y = data()
    model = build_model()
    return outcome(model, model.fit(x, y, BATCH, epochs=3, verbose=0, validation_data=(x[:10], y[:10])))


def stream() -> dict[str, Any]:
    """A stream of batches with a function that draws random numbers while it is read."""
    x, y = data()
    model = build_model()
    dataset = hornbeam.data.Dataset.from_tensor_slices((x, y)).shuffle(SAMPLES, seed=3).batch(BATCH)
    noisy = dataset.map(lambda x, y: (x + 0.1 * hornbeam.random.normal(x.shape, seed=5), y))
    return outcome(model, model.fit(noisy, epochs=2, verbose=0))


def in_order(own: bool = False) -> dict[str, Any]:
    """Batches in order. own: of the rows of each batch every process has its part only."""
    x, y = (part[: 4 * BATCH] for part in data())
    model = build_model()
    part, parts = hornbeam.engines.current_engine().data_shard if own else (0, 1)
    size = BATCH // parts
    rows = np.arange(4 * BATCH).reshape(4, parts, size)[:, part].reshape(-1)
    model.fit(x[rows], y[rows], size, epochs=1, shuffle=False, verbose=0)

    def batches() -> Any:
        for start in range(0, len(rows), size):
            yield x[rows[start : start + size]], y[rows[start : start + size]]

    history = model.fit(batches(), verbose=0)
    predicted = model.predict(x[rows], batch_size=size, verbose=0)
    return {
        "loss": history.history["loss"],
        "evaluated": model.evaluate(x[rows], y[rows], batch_size=size, verbose=0),
        "own": predicted.tolist(),
        "rows": rows.tolist(),
    }


def own_data() -> dict[str, Any]:
    """`in_order`, each process with its part of the data."""
    dist.set_distribution(dist.DataParallel(auto_shard_dataset=False))
    x, y = data()
    rank = hornbeam.engines.current_engine().process[0]
    refused = []
    for rows, eagerly in [(20 + rank, False), (20, True)]:
        model = build_model()
        model.run_eagerly = eagerly
        try:
            model.fit(x[:rows], y[:rows], BATCH, verbose=0)
        except ValueError as error:
            refused.append(str(error))
    return {"refused": refused, **in_order(own=True)}


def data_parallel() -> dict[str, Any]:
    """All devices have all weights."""
    dist.set_distribution(dist.DataParallel())
    return arrays()


def data_parallel_stream() -> dict[str, Any]:
    """All devices have all weights; a stream."""
    dist.set_distribution(dist.DataParallel())
    return stream()


def _model_parallel(groups: int, layouts: dict[str, tuple[str | None, ...]]) -> Any:
    count = dist.get_device_count()
    mesh = dist.DeviceMesh((groups, count // groups), ["batch", "model"])
    table = dist.LayoutMap(mesh)
    for path, layout in layouts.items():
        table[path] = layout
    dist.set_distribution(dist.ModelParallel(layout_map=table))
    values = np.arange(16.0).reshape(2, 8)
    moved = dist.distribute_tensor(values, dist.TensorLayout((None, "model"), mesh))
    assert (np.asarray(moved + 1) == values + 1).all()
    model = build_model()
    x, y = data()
    history = model.fit(x, y, BATCH, epochs=3, verbose=0, validation_data=(x[:10], y[:10]))
    return outcome(model, history)


def model_parallel() -> dict[str, Any]:
    """Columns of one layer's weights and rows of the next one's on different devices."""
    layouts: dict[str, tuple[str | None, ...]] = {".*hidden/kernel": (None, "model")}
    layouts |= {".*top/kernel": ("model", None), ".*gamma": ("model",), ".*hidden/output": (None, "model")}
    return _model_parallel(1 if dist.get_device_count() < 8 else 2, layouts)


def sharded_state() -> dict[str, Any]:
    """Weights and optimizer cut along the axis that cuts batches."""
    return _model_parallel(dist.get_device_count(), {".*(hidden|top)/kernel": ("batch", None)})


def backed_up() -> dict[str, Any]:
    """Two epochs with a backup, as far as they come; `STOP_AFTER` epochs at first."""
    folder = Path(os.environ["BACKUP"])
    dist.set_distribution(dist.DataParallel())
    x, y = data()
    model = build_model()
    stop = int(os.environ.get("STOP_AFTER", "0"))

    class Stop(hornbeam.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 == stop:
                sys.stdout.flush()
                os._exit(0)

    backup = hornbeam.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    checkpoint = hornbeam.callbacks.ModelCheckpoint(folder / "{epoch}.keras")
    log = hornbeam.callbacks.CSVLogger(folder / "log.csv", append=True)
    callbacks = [backup, checkpoint, log, *([Stop()] if stop else [])]
    history = model.fit(x, y, BATCH, epochs=4, verbose=2, callbacks=callbacks)
    return {"epochs": history.epoch, **outcome(model, history)}


def endless() -> dict[str, Any]:
    """Trains until it is stopped, and says where it is."""
    folder = Path(os.environ["BACKUP"])
    dist.set_distribution(dist.DataParallel())
    x, y = data()
    model = build_model()
    Path(folder, f"pid-{hornbeam.engines.current_engine().process[0]}").write_text(str(os.getpid()))

    class Slow(hornbeam.callbacks.Callback):
        left = int(os.environ.get("EPOCHS", "1000000"))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            time.sleep(0.2)
            self.left -= 1
            self.model.stop_training = not self.left

    backup = hornbeam.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False)
    history = model.fit(x, y, BATCH, epochs=1_000_000, verbose=0, callbacks=[backup, Slow()])
    return {"epochs": history.epoch}


def failing() -> dict[str, Any]:
    """One process has an error of its own."""
    dist.set_distribution(dist.DataParallel())
    if hornbeam.engines.current_engine().process[0] == 1:
        raise KeyError("only here")
    time.sleep(60)
    return {}


def main(folder: str, *scenarios: str) -> None:
    """Run the scenarios one after another, each on whatever it sets up."""
    for name in scenarios:
        dist.set_distribution(None)
        result = globals()[name]()
        rank = hornbeam.engines.current_engine().process[0]
        Path(folder, f"{name}-{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
