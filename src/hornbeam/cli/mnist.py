"""`hornbeam mnist`: the main job. Train a good small net on the bundled digits and report on it honestly.

The digits are split into training, validation and test sets. Everything is chosen on the validation set (when
to stop, which weights to keep); the test set is looked at once, at the end.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import layers
from hornbeam._internal.intervals import wilson
from hornbeam.data.splits.sealed import seal
from hornbeam.datasets import mnist
from hornbeam.evaluation.confusion_matrix import confused_pairs, confusion_matrix
from hornbeam.evaluation.top_errors import contact_sheet, most_confident_errors
from hornbeam.random import host_permutation
from hornbeam.utils import PyDataset, set_random_seed

VALIDATION = 5000
# How far a training digit is moved: radians, logarithm of the scale, share of the height, pixels.
MAX_TURN, MAX_SCALE, MAX_SLANT, MAX_SHIFT = 0.2, 0.12, 0.15, 2.0
PATIENCE = 5
# Of what validation accuracy the report says when it was reached.
MARK = 0.9925


class MovedDigits(PyDataset):
    """Batches of training digits, each turned, scaled, slanted and shifted a little, in a new order an epoch.

    A digit that leans a little is the same digit: telling the net so is worth more than a bigger net.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int) -> None:
        super().__init__()
        self.images, self.labels = images, labels
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.order = host_permutation(self.seed + self.epoch, len(self.labels))

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return moved(self.images[rows], *random_moves(rng, len(rows))), self.labels[rows]

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._start_epoch()


def random_moves(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` maps (count, 2, 2) and shifts (count, 2): where each pixel of the result is taken from."""
    angle = rng.uniform(-MAX_TURN, MAX_TURN, count)
    slant = rng.uniform(-MAX_SLANT, MAX_SLANT, count)
    height, width = np.exp(rng.uniform(-MAX_SCALE, MAX_SCALE, (2, count)))
    cos, sin = np.cos(angle), np.sin(angle)
    maps = np.stack(
        [height * cos, -width * sin, height * (sin + slant * cos), width * (cos - slant * sin)], -1
    )
    return maps.reshape(-1, 2, 2).astype("float32"), rng.uniform(-MAX_SHIFT, MAX_SHIFT, (count, 2)).astype(
        "float32"
    )


def moved(images: np.ndarray, maps: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 1) sampled linearly at `maps @ (row, column) + shifts` from the centre; 0 outside."""
    count, height, width, _ = images.shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2], "float32")
    grid = np.indices((height, width)).reshape(2, -1).T.astype("float32") - centre
    # A margin of zeros all around: what lies outside is clipped into it.
    places = grid @ maps.transpose(0, 2, 1) + shifts[:, None] + centre + 1
    places = np.clip(places, 0, np.array([height + 1, width + 1], "float32"))
    whole = places.astype("int32")
    rest = (places - whole).astype("float32")
    padded = np.pad(images[..., 0], ((0, 0), (1, 2), (1, 2)))
    start = whole[..., 0] * padded.shape[2] + whole[..., 1] + np.arange(count)[:, None] * padded[0].size
    flat, down, right = padded.ravel(), rest[..., 0], rest[..., 1]
    upper = flat[start] * (1 - right) + flat[start + 1] * right
    start += padded.shape[2]
    lower = flat[start] * (1 - right) + flat[start + 1] * right
    return (upper * (1 - down) + lower * down).reshape(images.shape)


def build() -> Any:
    """The net: two pairs of 3x3 convolutions, each pair followed by pooling, then a small dense head."""
    from hornbeam.models import Sequential

    def convolution(filters: int, **kwargs: Any) -> list[Any]:
        return [
            layers.Conv2D(filters, 3, use_bias=False, **kwargs),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
        ]

    return Sequential(
        [
            layers.Input((28, 28, 1)),
            *convolution(32),
            *convolution(32),
            layers.MaxPooling2D(2),
            *convolution(64),
            *convolution(64),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist",
    )


def split(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation, shuffled, with the same share of each digit in both."""
    order = host_permutation(seed, len(labels))
    held_out: list[np.ndarray] = []
    for digit in range(10):
        rows = order[labels[order] == digit]
        held_out.append(rows[: round(size * len(rows) / len(labels))])
    validation = np.concatenate(held_out)
    keep = np.ones(len(labels), bool)
    keep[validation] = False
    return order[keep[order]], validation


def run(
    *, epochs: int, batch_size: int, seed: int, train_samples: int | None, output: str, runs: str | None
) -> int:
    """Train, evaluate and report; returns the exit status of the command. runs: where the run is recorded."""
    from hornbeam.callbacks import Callback, Doctor, EarlyStopping, RunRecorder
    from hornbeam.data import look
    from hornbeam.diagnostics.predictions import Predictions
    from hornbeam.optimizers import Adam
    from hornbeam.optimizers.schedules import CosineDecay

    start = time.perf_counter()
    set_random_seed(seed)
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))
    folder = Path(output)
    test = seal(x_test, y_test, name="the official test digits", path=folder / "test_looks.jsonl")
    del x_test, y_test
    rows, held_out = split(y_train, VALIDATION, seed)
    rows = rows[:train_samples]
    print(
        f"{len(x_train):,} training digits: {len(rows):,} to learn from, {len(held_out):,} held out for "
        "validation "
        f"(shuffled, the same share of each digit). {len(test):,} test digits are under seal, looked at "
        "once, at the end."
    )
    batches = MovedDigits(x_train[rows], y_train[rows], batch_size, seed)
    model = build()
    model.summary()
    steps = CosineDecay(2e-3, decay_steps=epochs * len(batches), alpha=0.01)
    model.compile(Adam(steps), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reached: list[float] = []

    class Watch(Callback):
        """Notes when the validation accuracy first was that of `MARK`."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            if not reached and (logs or {}).get("val_accuracy", 0.0) >= MARK:
                reached.append(age())

    stopping = EarlyStopping(monitor="val_loss", patience=PATIENCE, restore_best_weights=True)
    recorders = [] if runs is None else [RunRecorder("mnist", runs, explain=False)]
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=(x_train[held_out], y_train[held_out]),
        callbacks=[stopping, Watch(), Doctor(), *recorders],
    ).history
    trained = time.perf_counter() - start

    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "mnist.keras")

    def report(images: np.ndarray, labels: np.ndarray) -> str:
        probabilities = model.predict(images, batch_size=500, verbose=0)
        print(_report(probabilities, labels))
        for recorder in recorders:
            recorder.record_predictions(Predictions(images, labels, probabilities, None, adds_losses=False))
        return _picture(images, labels, probabilities, folder / "worst_digits.png")

    picture = test.look(report)
    best = int(np.argmin(history["val_loss"]))
    print(
        f"trained for {len(history['loss'])} epochs in {trained:.0f} s; kept the weights of epoch {best + 1} "
        f"(validation accuracy {history['val_accuracy'][best]:.2%})"
    )
    if reached:
        print(f"validation accuracy first was {MARK:.2%} {reached[0]:.0f} s after the start of the process")
    print(f"model: {folder / 'mnist.keras'}")
    for recorder in recorders:
        recorder.add(model.explain())
        recorder.add(look(x_train[rows], y_train[rows]))
        recorder.add(model.profile(*batches[0], batch_size=batch_size))
        print(f"run: {recorder.path} (hornbeam report {recorder.path} writes a page about it)")
    print(picture)
    return 0


# Where the system does not say when a process was started, time counts from here.
_IMPORTED = time.perf_counter()


def age() -> float:
    """Seconds since the process was started (on Linux; elsewhere since this module was imported)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError):
        return time.perf_counter() - _IMPORTED


# -- the report ----------------------------------------------------------------------------------------------


def _report(probabilities: np.ndarray, labels: np.ndarray) -> str:
    predicted = probabilities.argmax(-1)
    right = int((predicted == labels).sum())
    bounds = wilson(right, len(labels))
    lines = [
        "",
        f"test accuracy {right / len(labels):.2%}   95% interval {bounds.low:.2%} to {bounds.high:.2%}   "
        f"({len(labels) - right} of {len(labels):,} wrong)",
        "most frequent confusions: "
        + ", ".join(
            f"{m.true} taken for {m.predicted} ({m.count}x)"
            for m in confused_pairs(confusion_matrix(labels.astype(int), predicted, 10))
        ),
    ]
    return "\n".join(lines)


def _picture(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, path: Path) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        return 'picture of the worst digits: not drawn, it needs matplotlib: pip install "hornbeam[plot]"'
    found, _ = most_confident_errors(labels, probabilities, 20, [str(digit) for digit in range(10)])
    if not found:
        return "picture of the worst digits: not drawn, all are right"
    rows = [mistake.row for mistake in found]
    contact_sheet(images[rows], found, "The most confident errors on test digits").save(path, dpi=100)
    return f"picture of the worst digits: {path}"
