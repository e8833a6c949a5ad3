"""Nets for tables: linear models, multilayer perceptrons, and ensembles of them in one graph."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import callbacks, initializers, layers, ops, optimizers
from hornbeam.auto.table_layers import PiecewiseLinearEncoding
from hornbeam.auto.task import Fitted, Problem
from hornbeam.core.symbolic import KerasTensor
from hornbeam.models import Model
from hornbeam.random import set_random_seed

# Rows of a prediction at once.
_ROWS = 1_024
# Standard deviations beyond which a number tells a linear model no more.
_FURTHEST = 5.0


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron on piecewise linear encodings of the numbers and embeddings of the words.

    With `members` above 1 it is an ensemble in one graph: the members share all matrices, and each scales
    the inputs and outputs of them by vectors of its own (Wen et al. 2020, "BatchEnsemble"; Gorishniy et al.
    2024, "TabM"). Without `hidden` it is a linear model of standardized numbers and of words.

    Args:
        hidden: Widths of the hidden layers.
        members: Number of members.
        bins: Bins of each number.
        embedding: Width of the embedding of each number.
        words: Width of the embedding of each word.
        dropout: Share of the hidden units that a step leaves out.
        learning_rate: Largest step of AdamW; it falls by a cosine to zero.
        weight_decay: Of AdamW.
        batch: Rows of a step.
        epochs: Passes over the rows. The weights of the best one, by the held-out rows, are kept.
        patience: Epochs without an improvement, after which training ends.
    """

    hidden: tuple[int, ...] = (128, 128)
    members: int = 1
    bins: int = 16
    embedding: int = 8
    words: int = 8
    dropout: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    batch: int = 128
    epochs: int = 60
    patience: int = 12

    def fit(
        self,
        problem: Problem,
        train: tuple[np.ndarray, np.ndarray],
        held_out: tuple[np.ndarray, np.ndarray],
        *,
        seed: int,
        deadline: float | None = None,
        stop_after: int | None = None,
    ) -> Fitted:
        """Train.

        Args:
            problem: The task, and the columns of the matrix.
            train: Matrix and targets, as numbers or numbers of classes.
            held_out: Likewise, to choose the best epoch by.
            seed: Seed of the weights, the order of the rows and dropout.
            deadline: Time of `time.monotonic` at which training ends, or None.
            stop_after: Number of epochs after which it ends, or None: what an earlier one reached in time.

        Returns:
            The model, which predicts from the matrix, and its predictions of the held-out rows.
        """
        task, numbers = problem.task, problem.numbers
        set_random_seed(seed)
        x, y = train
        mean, scale = (float(y.mean()), float(y.std()) or 1.0) if not task.classes else (0.0, 1.0)
        inputs, outputs, encoding = self._build(problem, x)
        net = Model(inputs, outputs)
        if encoding is not None:
            encoding.set_edges(quantile_edges(x[:, :numbers], self.bins))

        def targets(y: np.ndarray) -> np.ndarray:
            values = y if task.classes else ((y - mean) / scale).astype("float32")
            return np.repeat(values[:, None], self.members, 1)

        batch = min(self.batch, max(len(x) // 8, 1))
        steps = self.epochs * math.ceil(len(x) / batch)
        rate = optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=self.learning_rate, warmup_steps=steps // 20
        )
        net.compile(optimizers.AdamW(rate, weight_decay=self.weight_decay), task.loss)
        limit = _Limit(deadline, stop_after)
        stop = callbacks.EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)
        history = net.fit(
            x,
            targets(y)[..., None],
            batch_size=batch,
            epochs=self.epochs,
            validation_data=(held_out[0], targets(held_out[1])[..., None]),
            callbacks=[limit, stop],
            verbose=0,
        )
        mixed = layers.GlobalAveragePooling1D()(outputs)
        if not task.classes:
            mixed = layers.Rescaling(scale, mean)(mixed)
        model = Model(inputs, mixed)
        return Fitted(model, model.predict(held_out[0], batch_size=_ROWS, verbose=0), len(history.epoch))

    def _build(
        self, problem: Problem, x: np.ndarray
    ) -> tuple[KerasTensor, KerasTensor, PiecewiseLinearEncoding | None]:
        """Return inputs, outputs (rows, members, units), and the layer whose edges are to be set."""
        task, numbers, words = problem.task, problem.numbers, problem.words
        inputs = layers.Input((x.shape[1],))
        parts: list[Any] = []
        encoding = None
        if numbers and self.hidden:
            encoding = PiecewiseLinearEncoding(self.bins)
            shape = (numbers, self.embedding)
            embed = layers.EinsumDense("bnk,nkd->bnd", shape, bias_axes="nd", activation="relu")
            parts.append(layers.Flatten()(embed(encoding(inputs[:, :numbers]))))
        elif numbers:
            mean, variance = x[:, :numbers].mean(0, dtype="float64"), x[:, :numbers].var(0, dtype="float64")
            standard = layers.Normalization(mean=mean, variance=np.maximum(variance, 1e-12))
            numbers_of = ops.clip(standard(inputs[:, :numbers]), -_FURTHEST, _FURTHEST)
            parts.append(layers.Dense(task.units, kernel_initializer="zeros")(numbers_of))
        if words:
            starts = np.cumsum([0, *words[:-1]]).astype("float32")
            codes = ops.cast(inputs[:, numbers:] + starts, "int32")
            if self.hidden:
                parts.append(layers.Flatten()(layers.Embedding(sum(words), self.words)(codes)))
            else:
                parts.append(ops.sum(layers.Embedding(sum(words), task.units, "zeros")(codes), axis=1))
        activation = layers.Activation("softmax" if task.classes else "linear", dtype="float32")
        if not self.hidden:
            sums = layers.Add()(parts) if len(parts) > 1 else parts[0]
            return inputs, activation(layers.Reshape((1, task.units))(sums)), encoding
        joined = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
        x_of = layers.RepeatVector(self.members)(joined)
        for number, width in enumerate(self.hidden):
            x_of = self._scaled(x_of, initializers.RandomNormal(1.0, 0.5) if number == 0 else "ones")
            x_of = self._scaled(layers.Dense(width)(x_of), "ones")
            x_of = layers.Dropout(self.dropout)(layers.Activation("relu")(x_of))
        head = layers.EinsumDense("bmd,mdu->bmu", (self.members, task.units), bias_axes="mu")
        return inputs, activation(head(x_of)), encoding

    def _scaled(self, x: KerasTensor, start: str | initializers.Initializer) -> KerasTensor:
        """Multiply by a vector of each member."""
        if self.members == 1:
            return x
        width = x.shape[-1]
        return layers.EinsumDense("bmd,md->bmd", (self.members, width), kernel_initializer=start)(x)


class _Limit(callbacks.Callback):
    """Ends training at a time, or after some epochs."""

    def __init__(self, deadline: float | None, stop_after: int | None) -> None:
        super().__init__()
        self.deadline, self.stop_after = deadline, stop_after

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the clock."""
        is_late = self.deadline is not None and time.monotonic() > self.deadline
        if is_late or epoch + 1 == self.stop_after:
            self.model.stop_training = True


def quantile_edges(x: np.ndarray, bins: int) -> np.ndarray:
    """Return the edges of bins with equally many values, (columns, bins + 1).

    Args:
        x: Numbers, (rows, columns).
        bins: Number of bins.
    """
    return np.quantile(x.astype("float64"), np.linspace(0, 1, bins + 1), axis=0).T
