"""Small trainings with a fault each, the finding that names it, and findings that may come with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers, losses, ops, optimizers, regularizers
from tests.helpers.doctor_parts import (
    CX,
    CY,
    Fit,
    X,
    Y,
    blobs,
    compiled,
    conv,
    images,
    net,
    rings,
    run,
    sgd,
    stacked,
)


def dead() -> Fit:
    """Biases set by hand, far below zero."""
    return run(net(bias_initializer=hb.initializers.Constant(-30.0)), X, Y)


def half_dead() -> Fit:
    bias = np.where(np.arange(32) < 24, -30.0, 0.0)
    model = net(hidden=(32,))
    model.layers[0].bias.assign(bias)
    return run(model, X, Y)


def vanishing() -> Fit:
    return run(net(hidden=(16,) * 10, activation="sigmoid", optimizer=sgd(0.01)), X, Y)


def exploding() -> Fit:
    start = hb.initializers.RandomNormal(stddev=1.5)
    return run(net(hidden=(64,) * 6, kernel_initializer=start, optimizer=sgd(1e-3)), X, Y, epochs=2)


def exploding_recurrent() -> Fit:
    x = np.random.default_rng(0).normal(size=(128, 40, 2)).astype("float32")
    start = hb.initializers.RandomNormal(stddev=1.0)
    cell = layers.SimpleRNN(16, activation="relu", recurrent_initializer=start)
    model = compiled([hb.Input((40, 2)), cell, layers.Dense(1)], sgd(1e-3), "mse", ())
    return run(model, x, x.sum(axis=(1, 2)) / 10, epochs=1)


def overfit() -> Fit:
    x, y = blobs(80, 30, 2, apart=1.0)
    test, test_y = blobs(400, 30, 2, apart=1.0, seed=99)
    return run(net(30, 2, hidden=(128, 128)), x, y, epochs=40, batch_size=16, validation_data=(test, test_y))


def underfit() -> Fit:
    x, y = rings()
    return run(
        net(2, 1, hidden=(), last="sigmoid", loss="binary_crossentropy", optimizer=sgd(0.5)), x, y, epochs=24
    )


def underfit_numbers() -> Fit:
    x = np.random.default_rng(0).uniform(-3, 3, (512, 1)).astype("float32")
    return run(
        net(1, 1, hidden=(), last=None, loss="mse", metrics=(), optimizer=sgd(0.1)),
        x,
        np.cos(3 * x),
        epochs=24,
    )


def unrelated_labels() -> Fit:
    """Samples and labels that were shuffled apart."""
    x, y = blobs(2048)
    y = np.random.default_rng(0).permutation(y)
    return run(net(hidden=(8,)), x, y, epochs=12)


def noisy() -> Fit:
    x, y = blobs(1024, apart=6.0)
    rng = np.random.default_rng(0)
    wrong = rng.uniform(size=1024) < 0.25
    return run(net(), x, np.where(wrong, rng.integers(0, 4, 1024), y), epochs=8)


def collapsed(**options: Any) -> Fit:
    """A fifth of the labels are 1, and no input says which."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2048, 8)).astype("float32"), (rng.uniform(size=2048) < 0.2).astype("int32")
    return run(net(classes=2, hidden=(8,), optimizer=sgd(0.1)), x, y, epochs=8, **options)


def no_batch() -> Fit:
    stack = [
        hb.Input((8,)),
        layers.Dense(16),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dense(4, "softmax"),
    ]
    return run(compiled(stack), X[:128], Y[:128], epochs=2, batch_size=2)


def lonely_last_batch() -> Fit:
    stack = [
        hb.Input((8,)),
        layers.Dense(16),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dense(4, "softmax"),
    ]
    return run(compiled(stack), X[:161], Y[:161], epochs=2)


def zeros() -> Fit:
    return run(net(kernel_initializer="zeros", optimizer=sgd(0.1)), X, Y)


def constants() -> Fit:
    return run(net(kernel_initializer=hb.initializers.Constant(0.1)), X, Y)


class Severed(hb.Model):
    """Its first layer cannot learn: rounding has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(16), layers.Dense(4, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.second(ops.round(self.first(x)))


def frozen() -> Fit:
    model = net()
    model.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    return run(model, X, Y, epochs=2)


def scores_through_relu() -> Fit:
    stack = [hb.Input((8,)), layers.Dense(32, "relu"), layers.Dense(4, "relu"), layers.Softmax()]
    return run(compiled(stack), X, Y)


def softmax_for_several() -> Fit:
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0, X[:, 3] > 0], axis=1).astype("float32")
    return run(net(loss="binary_crossentropy"), X, y, epochs=2)


def rare() -> Fit:
    y = (X[:, 0] > 2.0).astype("float32")
    assert 0.0 < y.mean() < 0.05
    return run(net(classes=1, last="sigmoid", loss="binary_crossentropy"), X, y, epochs=2)


def by_class() -> Fit:
    order = np.argsort(Y, kind="stable")
    return run(net(), X[order], Y[order], epochs=2, shuffle=False)


def by_class_dataset() -> Fit:
    order = np.argsort(Y, kind="stable")
    data = hb.data.Dataset.from_tensor_slices((X[order], Y[order])).batch(32)
    return run(net(), data, epochs=2, batch_size=None)


def uint8_images() -> Fit:
    x, y = images()
    return run(conv(scaled=False), x, y, epochs=2)


def table() -> Fit:
    """Columns as they come: an age, an income, a share."""
    scale = np.array([40, 50000, 0.1, 1, 1, 1, 1, 1], "float32")
    return run(net(optimizer=sgd(1e-6)), X * scale, Y, epochs=2)


Fault = tuple[Callable[[], Fit], str, tuple[str, ...]]
# What is wrong: the program, the finding, and findings that may come with it.
FAULTS: dict[str, Fault] = {
    "all units dead": (dead, "constant_output", ("dead_units",)),
    "most units dead": (half_dead, "dead_units", ()),
    "ten sigmoids": (vanishing, "vanishing_gradients", ("class_collapse",)),
    "large weights": (exploding, "exploding_gradients", ("saturated_outputs",)),
    "large weights of a recurrent layer": (exploding_recurrent, "exploding_gradients", ("not_finite",)),
    "a rate of 50": (lambda: run(net(optimizer=sgd(50.0)), X, Y), "rate_too_high", ()),
    "Adam with a rate of 3": (
        lambda: run(net(optimizer=optimizers.Adam(3.0)), X, Y), "rate_too_high", (),
    ),
    "regression with a rate of 5": (
        lambda: run(net(4, 1, last=None, loss="mse", metrics=(), optimizer=sgd(5.0)), CX, CY),
        "rate_too_high",
        ("exploding_gradients",),
    ),
    "a rate of 1e-8": (lambda: run(net(optimizer=sgd(1e-8)), X, Y, epochs=8), "rate_too_low", ()),
    "Adam with a rate of 1e-9": (
        lambda: run(net(optimizer=optimizers.Adam(1e-9)), X, Y, epochs=8), "rate_too_low", (),
    ),
    "few samples, large net": (overfit, "overfitting", ()),
    "a line for rings": (underfit, "underfitting", ()),
    "a line for a wave": (underfit_numbers, "underfitting", ()),
    "labels shuffled apart": (unrelated_labels, "loss_not_falling", ()),
    "wrong labels": (noisy, "label_noise", ()),
    "one class for all": (collapsed, "class_collapse", ()),
    "weights of classes far too large": (
        lambda: collapsed(class_weight={0: 1.0, 1: 60.0}), "class_collapse", (),
    ),
    "images as they come": (uint8_images, "unscaled_inputs", ()),
    "a table as it comes": (table, "unscaled_inputs", ("saturated_outputs",)),
    "divided twice": (lambda: run(conv(), images()[0] / 255.0, images()[1], epochs=2), "tiny_inputs", ()),
    "divided as integers": (
        lambda: run(conv(scaled=False), images()[0] // 255, images()[1], epochs=2), "constant_inputs", (),
    ),
    "prices in full": (
        lambda: run(net(4, 1, last=None, loss="mse", metrics=()), CX, 2e5 + 5e4 * CY), "unscaled_targets", (),
    ),
    "sigmoid for numbers": (
        lambda: run(net(4, 1, last="sigmoid", loss="mse", metrics=()), CX, CY * 3), "unreachable_targets", (),
    ),
    "softmax for several classes": (softmax_for_several, "unreachable_targets", ()),
    "a rare class": (rare, "imbalance", ()),
    "class by class": (by_class, "sorted_labels", ()),
    "a Dataset class by class": (by_class_dataset, "sorted_labels", ()),
    "tanh far out": (
        lambda: run(
            net(activation="tanh", kernel_initializer=hb.initializers.RandomNormal(stddev=20.0)), X, Y,
            epochs=3,
        ),
        "saturated_units",
        ("exploding_gradients",),
    ),
    "certain from the start": (
        lambda: run(
            stacked(layers.Dense(32, "relu"), layers.Rescaling(100.0), optimizer=sgd(1e-5)), X, Y, epochs=2
        ),
        "saturated_outputs",
        ("bad_start",),
    ),
    "scores a hundred times too large": (
        lambda: run(
            stacked(layers.Dense(32, "relu"), layers.Rescaling(100.0), last=None, optimizer=sgd(1e-5),
                    loss=losses.SparseCategoricalCrossentropy(from_logits=True)), X, Y, epochs=2,
        ),
        "bad_start",
        ("saturated_outputs",),
    ),
    "no activation": (lambda: run(net(activation=None), X, Y), "linear_chain", ()),
    "no activation, with dropout between": (
        lambda: run(stacked(layers.Dense(32), layers.Dropout(0.2)), X, Y), "linear_chain", (),
    ),
    "softmax twice": (lambda: run(stacked_softmax(), X, Y), "activation_twice", ()),
    "relu under softmax": (scores_through_relu, "activation_twice", ("dead_units",)),
    "dropout 0": (
        lambda: run(stacked(layers.Dense(32, "relu"), layers.Dropout(0.0)), X, Y), "dropout_zero", (),
    ),
    "dropout 0.95": (
        lambda: run(stacked(layers.Dense(32, "relu"), layers.Dropout(0.95)), X, Y), "dropout_extreme", (),
    ),
    "dropout on answers": (
        lambda: run(
            compiled([hb.Input((8,)), layers.Dense(4, "softmax"), layers.Dropout(0.5)]), X, Y, epochs=2
        ),
        "dropout_last",
        ("saturated_outputs",),
    ),
    "batches of 2 to normalize by": (no_batch, "batch_norm_small_batch", ()),
    "a last batch of 1": (lonely_last_batch, "batch_norm_small_batch", ()),
    "weights of zero": (zeros, "symmetric_units", ("class_collapse", "constant_output")),
    "constant weights": (constants, "symmetric_units", ()),
    "rounding": (lambda: run(compiled(Severed()), X, Y), "no_gradient", ()),
    "all frozen": (frozen, "frozen", ()),
    "penalties of 1": (
        lambda: run(net(kernel_regularizer=regularizers.L2(1.0)), X, Y, epochs=3),
        "regularization_swamps",
        (),
    ),
    "weight decay of 50": (
        lambda: run(net(optimizer=optimizers.AdamW(0.01, weight_decay=50.0)), X, Y), "regularization_swamps",
        ("class_collapse", "dead_units", "constant_output"),
    ),
    "a logarithm of 0": (lambda: run(compiled(Logarithm(), sgd(0.01)), X, Y, epochs=2), "not_finite", ()),
}  # fmt: skip


def stacked_softmax() -> hb.Model:
    return compiled([hb.Input((8,)), layers.Dense(32, "relu"), layers.Dense(4, "softmax"), layers.Softmax()])


class Logarithm(hb.Model):
    """Takes the logarithm of what is 0 now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(16, "relu"), layers.Dense(4, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.second(ops.log(self.first(x)))
