"""`hornbeam mnist --speedrun`: from the start of the process to 99% accuracy on the test digits.

Net, optimizer, schedule, batch size and number of updates were chosen by `--speedrun --validate` alone, which
evaluates on 5,000 training digits that are held out. A speedrun makes that number of updates on all training
digits and then evaluates the test digits once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import layers
from hornbeam._internal.terminal import print_wrapped
from hornbeam.cli.mnist.digits import VALIDATION, one_cycle, process_age, split
from hornbeam.data import Dataset
from hornbeam.datasets import mnist
from hornbeam.utils import set_random_seed

if TYPE_CHECKING:
    from hornbeam.models import Model

GOAL = 0.99
BATCH = 125  # divides 60,000 and 55,000, so all batches are full
STEPS = 600  # 1.25 epochs of 60,000
PEAK = 0.015
WARMUP = 0.25


def build() -> Model:
    """Build the net: a 5x5 convolution that halves the image, then 3x3 convolutions over few pixels."""
    from hornbeam.models import Sequential

    def convolution(filters: int, size: int, **kwargs: Any) -> list[Any]:
        return [
            layers.Conv2D(filters, size, use_bias=False, **kwargs),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
        ]

    return Sequential(
        [
            layers.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 79, offset=-0.42),  # about mean 0 and variance 1
            *convolution(16, 5, strides=2),
            *convolution(32, 3),
            layers.MaxPooling2D(2),
            *convolution(96, 3),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name="speedrun",
    )


def train(images: np.ndarray, labels: np.ndarray, steps: int) -> Model:
    """Train a net for `steps` updates, with a learning rate that rises and falls."""
    from hornbeam.losses import CategoricalCrossentropy
    from hornbeam.optimizers import Adam

    model = build()
    model.compile(
        Adam(one_cycle(PEAK, WARMUP, steps), beta_2=0.99),
        CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )
    targets = np.eye(10, dtype="float32")[labels]
    digits = Dataset.from_tensor_slices((images, targets)).shuffle(len(images)).repeat().batch(BATCH)
    model.fit(digits, steps_per_epoch=steps, verbose=0)
    return model


def run(
    *, seed: int, validate: bool = False, train_samples: int | None = None, steps: int | None = None
) -> int:
    """Train and report; return the exit status. steps: updates, `STEPS` for None."""
    set_random_seed(seed)
    (x, y), (x_test, y_test) = mnist.load_data()
    rows = np.arange(len(x))
    if validate:
        rows, held_out = split(y, VALIDATION, 0)
        x_test, y_test = x[held_out], y[held_out]
    rows = rows[:train_samples]
    model = train(x[rows, ..., None], y[rows], STEPS if steps is None else steps)
    logits = model.predict(x_test[..., None], batch_size=500, verbose=0)
    accuracy = float((logits.argmax(-1) == y_test).mean())
    seconds = process_age()
    updates, outcome = int(model.optimizer.iterations), "reached" if accuracy >= GOAL else "not reached"
    print_wrapped(
        f"seed {seed}: {accuracy:.2%} of {len(y_test):,} {'validation' if validate else 'test'} digits right "
        f"{seconds:.2f} s after the start of the process "
        f"({updates} updates of {BATCH} digits; {GOAL:.0%} {outcome})",
        indent="  ",
    )
    return 0
