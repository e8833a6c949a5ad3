"""`hornbeam mnist`: train a good small net on the bundled digits and report on it.

The digits are split into training, validation and test sets. A tiny net shows what seconds of training give;
the net that is kept takes about a minute. All choices (when to stop, which weights to keep) are made on the
validation set; the test set is evaluated once, at the end.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import layers
from hornbeam._internal.extras import install_command
from hornbeam._internal.intervals import wilson
from hornbeam._internal.terminal import command, paint, print_wrapped, uses_color
from hornbeam.callbacks import Callback, Certificate, Doctor, EarlyStopping, RunRecorder
from hornbeam.cli.mnist import speedrun
from hornbeam.cli.mnist.digits import VALIDATION, one_cycle, process_age, split
from hornbeam.cli.mnist.warp import WarpedDigits
from hornbeam.data import look
from hornbeam.data.splits.sealed import seal
from hornbeam.datasets import mnist
from hornbeam.diagnostics.predictions import Predictions
from hornbeam.evaluation.confusion_matrix import confused_pairs, confusion_matrix
from hornbeam.evaluation.top_errors import contact_sheet, most_confident_errors
from hornbeam.models import Sequential
from hornbeam.models.summary import summarize
from hornbeam.optimizers import Adam
from hornbeam.utils import clear_session, set_random_seed

if TYPE_CHECKING:
    from hornbeam.models import Model

PATIENCE = 5
# Largest learning rate, the fraction of the updates until it is reached, and Adam's beta_2.
PEAK, WARMUP, BETA_2 = 6e-3, 0.1, 0.99
# Epochs of the tiny net.
FIRST_EPOCHS = 5


def build() -> Model:
    """Build the net: two pairs of 3x3 convolutions, each pair followed by pooling, and a small dense head."""

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


def run(
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    train_samples: int | None,
    output: str,
    runs: str | None,
    certificate: str | None = None,
) -> int:
    """Train, evaluate and report; return the exit status.

    The run is recorded in the folder `runs`, and a certificate written to a file, unless they are None.
    """
    (digits, y_train), (x_test, y_test) = mnist.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 255 for x in (digits, x_test))
    folder = Path(output)
    test = seal(x_test, y_test, name="the official test digits", path=folder / "test_uses.jsonl")
    del x_test, y_test
    rows, validation = split(y_train, VALIDATION, seed)
    rows = rows[:train_samples]
    print_wrapped(
        f"{len(x_train):,} training digits: {len(rows):,} for training, {len(validation):,} for validation "
        f"(shuffled, stratified by digit). {len(test):,} test digits are sealed and evaluated once, at the "
        "end."
    )
    set_random_seed(seed)
    _train_first(digits[..., None], y_train, rows, validation)
    set_random_seed(seed)  # the net that is kept does not depend on the first one
    batches = WarpedDigits(x_train[rows], y_train[rows], batch_size, seed)
    recorder = None if runs is None else RunRecorder("mnist", runs, explain=False)
    certifier = None if certificate is None else Certificate(certificate)
    model = build()
    summarize(model, hint=False)
    rate = one_cycle(PEAK, WARMUP, epochs * len(batches))
    model.compile(Adam(rate, beta_2=BETA_2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stopping = EarlyStopping(monitor="val_loss", patience=PATIENCE, restore_best_weights=True)
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=(x_train[validation], y_train[validation]),
        callbacks=[c for c in (stopping, Doctor(), _StartAgain(), recorder, certifier) if c is not None],
    ).history
    folder.mkdir(parents=True, exist_ok=True)
    _save(model, folder)
    _print_training(history, folder)

    def report(images: np.ndarray, labels: np.ndarray) -> str:
        if certifier is not None:
            # Copies, which are not sealed: this is part of the use that was counted.
            certifier.evaluate(images.copy(), labels.copy(), 500)
        return _report(model, images, labels, folder, recorder)

    figure = test.apply(report)
    if recorder is not None:
        recorder.add(model.explain())
        recorder.add(look(x_train[rows], y_train[rows]))
        recorder.add(model.profile(*batches[0], batch_size=batch_size))
    print_wrapped(figure, indent="  ")
    _suggest(folder, recorder, certificate)
    return 0


def _save(model: Model, folder: Path) -> None:
    """Write the model for Hornbeam, for other programs, and as a page in which one draws digits."""
    model.save(folder / "mnist.keras")
    labels = [str(digit) for digit in range(10)]
    model.export(folder / "mnist.hornbeam", format="hornbeam", labels=labels, verbose=False)
    page = folder / "mnist.html"
    model.export(page, format="web", labels=labels, title="Handwritten digits", verbose=False)


def _suggest(folder: Path, recorder: RunRecorder | None, certificate: str | None) -> None:
    """Name the commands that show more of what was trained, each on a line of its own."""
    steps = [
        (command("inspect", folder / "mnist.keras"), "the contents of the model's file"),
        (command("serve", folder / "mnist.hornbeam"), "answers over HTTP"),
    ]
    if recorder is not None and recorder.path is not None:
        print(f"run: {recorder.path}")
        steps.insert(0, (command("report", recorder.path, "--open"), "a page about this run"))
        steps.append((command("runs", recorder.path.parent), "all recorded runs"))
    if certificate is not None:
        program = shlex.join(["hornbeam", *sys.argv[1:]])
        steps.append((command("verify", certificate, "--program", program), "the training again, compared"))
    print(f"\n{paint('next:', 'heading', uses_color())}")
    for line, purpose in steps:
        print(f"  {line}\n    {paint(purpose, 'dim', uses_color())}")
    print_wrapped(f"\ndraw a digit and see it named: open {folder / 'mnist.html'} in a browser")


class _StartAgain(Callback):
    """Names the command that trains again when Ctrl-C ends the training."""

    chunked = True

    def _when_interrupted(self) -> tuple[str, str]:
        return "", f"No model was saved; {command('mnist')} starts from the beginning, with the same digits."


def _train_first(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, validation: np.ndarray) -> None:
    """Train the net of `--speedrun` for `FIRST_EPOCHS` epochs, and print its score and its time."""
    steps = FIRST_EPOCHS * max(len(rows) // speedrun.BATCH, 1)
    model = speedrun.train(images[rows], labels[rows], steps)
    predicted = model.predict(images[validation], batch_size=500, verbose=0).argmax(-1)
    right = (predicted == labels[validation]).mean()
    print_wrapped(
        f"\nFirst a tiny net of {model.count_params():,} weights: {right:.2%} of the validation digits "
        f"right {process_age():.0f} s after the process started. Now a larger one, trained on digits that "
        "are moved and bent:"
    )
    clear_session()  # the names of its layers, too


# -- the report ----------------------------------------------------------------------------------------------


def _report(
    model: Model, images: np.ndarray, labels: np.ndarray, folder: Path, recorder: RunRecorder | None
) -> str:
    """Print and record the scores on the test digits; return a sentence about the figure."""
    probabilities = model.predict(images, batch_size=500, verbose=0)
    print_wrapped(_scores(probabilities, labels), indent="  ")
    if recorder is not None:
        recorder.record_predictions(Predictions(images, labels, probabilities, None, adds_losses=False))
    return _figure(images, labels, probabilities, folder / "worst_digits.png")


def _scores(probabilities: np.ndarray, labels: np.ndarray) -> str:
    predicted = probabilities.argmax(-1)
    right, total = int((predicted == labels).sum()), len(labels)
    bounds = wilson(right, total)
    pairs = confused_pairs(confusion_matrix(labels.astype(int), predicted, 10))
    listed = ", ".join(f"{pair.true} taken for {pair.predicted} ({pair.count}x)" for pair in pairs)
    interval = f"95% interval {bounds.low:.2%} to {bounds.high:.2%}"
    wrong = f"{total - right:,} of {total:,} wrong"
    return f"\ntest accuracy {right / total:.2%}, {interval} ({wrong})\nmost frequent confusions: {listed}"


def _figure(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, path: Path) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        return f"figure of the worst digits: not drawn, it needs Matplotlib: {install_command('plot')}"
    errors, _ = most_confident_errors(labels, probabilities, 20, [str(digit) for digit in range(10)])
    if not errors:
        return "figure of the worst digits: not drawn, all digits are right"
    rows = [error.row for error in errors]
    contact_sheet(images[rows], errors, "The most confident errors on test digits").save(path, dpi=100)
    return f"figure of the worst digits: {path}"


def _print_training(history: dict[str, list[float]], folder: Path) -> None:
    best = int(np.argmin(history["val_loss"]))
    print_wrapped(
        f"epochs: {len(history['loss'])}, done {process_age():.0f} s after the process started; kept the "
        f"weights of epoch {best + 1} (validation accuracy {history['val_accuracy'][best]:.2%})"
    )
    print(f"model: {folder / 'mnist.keras'}")
