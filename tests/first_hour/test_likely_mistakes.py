"""Mistakes with which `fit` runs, but does not learn what it should: it warns once, and names the remedy."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, losses, metrics, ops, optimizers
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.insight.ablation import ablations
from hornbeam.optimizers import schedules
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
N = 80
X = RNG.normal(size=(N, 4)).astype("float32")
LABELS = RNG.integers(0, 3, N)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
YES = (LABELS > 0).astype("float32")
REAL = RNG.normal(size=N).astype("float32")
IMAGES = RNG.random((N, 16, 16, 3)).astype("float32")
BYTES = (IMAGES * 255).astype("uint8")

Dense = layers.Dense
SPARSE, CATEGORICAL, BINARY = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
)
LOGITS = losses.BinaryCrossentropy(from_logits=True)
CLASS_LOGITS = losses.CategoricalCrossentropy(from_logits=True)


def fit(stack: list[Any], x: Any, y: Any, loss: Any = SPARSE, optimizer: Any = "sgd", **settings: Any) -> Any:
    """Fit a model that ends in the layers of `stack`, as a newcomer writes it."""
    compiled = {"metrics": settings.pop("metrics", None)}
    model = compiled_model(np.shape(x)[1:], stack, optimizer, loss, **compiled)
    model.fit(x, y, **{"verbose": 0, **settings})
    return model


def flat(units: int = 3, activation: Any = "softmax") -> list[Any]:
    return [layers.Flatten(), Dense(units, activation)]


def conv() -> list[Any]:
    return [layers.Conv2D(4, 3, activation="relu"), *flat()]


def frozen_after_compile(**settings: Any) -> None:
    model = compiled_model((4,), [Dense(8), Dense(3, "softmax")], "sgd", SPARSE)
    model.layers[0].trainable = False
    model.fit(X, LABELS, verbose=0, **settings)


class Subclassed(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(4, 3)
        self.dense = Dense(3, "softmax")

    def call(self, x: Any) -> Any:
        return self.dense(ops.reshape(self.conv(x), (x.shape[0], -1)))


def subclassed(x: Any) -> None:
    model = Subclassed()
    model.compile("sgd", SPARSE)
    model.fit(x, LABELS, verbose=0)


def functional(x: Any) -> None:
    inputs = hb.Input(x.shape[1:])
    outputs = Dense(3, "softmax")(layers.Flatten()(layers.Conv2D(4, 3)(inputs)))
    model = hb.Model(inputs, outputs)
    model.compile("sgd", SPARSE)
    model.fit(x, LABELS, verbose=0)


def two_outputs() -> None:
    x = hb.Input((4,))
    model = hb.Model(x, [Dense(3, "sigmoid", name="kind")(x), Dense(1, name="size")(x)])
    model.compile("sgd", [CATEGORICAL, "mse"])
    model.fit(X, [ONE_HOT, REAL], verbose=0)


SORTED = np.sort(LABELS)
SEVERAL = np.maximum(ONE_HOT, ONE_HOT[::-1])

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    # -- inputs ------------------------------------------------------------------------------------
    "color images with the channels first": (
        lambda: fit(conv(), RNG.random((N, 3, 16, 16)).astype("float32"), LABELS),
        "images of shape (3, 16, 16) seem to have the channels first",
    ),
    "gray images with the channels first": (
        lambda: fit(
            [layers.MaxPooling2D(1), *flat()], RNG.random((N, 1, 28, 28)).astype("float32"), LABELS
        ),
        "np.moveaxis(x, 1, -1)",
    ),
    "channels first, in a subclassed model": (
        lambda: subclassed(RNG.random((N, 4, 16, 16)).astype("float32")),
        "data_format='channels_first'",
    ),
    "bytes as pixels": (
        lambda: fit(conv(), BYTES, LABELS),
        "the images hold values up to 254, with which networks train badly or not at all: divide them by "
        "255, or put layers.Rescaling(1 / 255) first",
    ),
    "pixels from 0 to 255 as floats": (lambda: fit(conv(), IMAGES * 255, LABELS), "divide them by 255"),
    "pixels into Flatten and Dense": (lambda: fit(flat(), BYTES, LABELS), "divide them by 255"),
    "gray pixels without a channel axis": (
        lambda: fit(flat(), BYTES[..., 0].astype("int64"), LABELS),
        "divide them by 255",
    ),
    "rows of 784 pixels, as from a CSV file": (
        lambda: fit([Dense(3, "softmax")], RNG.integers(0, 256, (N, 784)), LABELS),
        "divide them by 255",
    ),
    "pixels into a subclassed model": (lambda: subclassed(BYTES), "divide them by 255"),
    "pixels into a functional model": (lambda: functional(BYTES), "divide them by 255"),
    "pixels from a dataset": (
        lambda: compiled_model((16, 16, 3), conv(), "sgd", SPARSE).fit(
            hb.data.Dataset.from_tensor_slices((BYTES, LABELS)).batch(16), verbose=0
        ),
        "divide them by 255",
    ),
    "features of thousands": (
        lambda: fit([Dense(8, "relu"), Dense(3, "softmax")], X * 1e5, LABELS),
        "put a layers.Normalization() first",
    ),
    "pixels that are divided twice": (
        lambda: fit([layers.Rescaling(1 / 255), *conv()], IMAGES, LABELS),
        "multiplies by 0.003922 again: give it pixels up to 255",
    ),
    "pixels from 0 to 1 for an application that divides them": (
        lambda: pretrained(RNG.random((8, 32, 32, 3)).astype("float32")),
        "give it pixels up to 255",
    ),
    "a normalization that has seen no data": (
        lambda: fit([layers.Normalization(), Dense(3, "softmax")], X, LABELS),
        "normalizes nothing, since it has seen no data: call its adapt(x) before fit()",
    ),
    # -- last activation -----------------------------------------------------------------------------
    "sigmoid for one-hot classes": (
        lambda: fit([Dense(3, "sigmoid")], X, ONE_HOT, CATEGORICAL),
        "ends in a sigmoid, which decides on each class alone, but categorical_crossentropy expects one "
        "class in each sample: write activation='softmax'",
    ),
    "sigmoid for class indices": (
        lambda: fit([Dense(3, "sigmoid")], X, LABELS),
        "ends in a sigmoid, which decides on each class alone",
    ),
    "relu for classes": (
        lambda: fit([Dense(3, "relu")], X, LABELS),
        "ends in a relu, whose outputs are not probabilities, but sparse_categorical_crossentropy expects "
        "them: write activation='softmax'",
    ),
    "relu for yes or no": (
        lambda: fit([Dense(1, "relu")], X, YES, BINARY),
        "write activation='sigmoid' in the last layer",
    ),
    "relu on logits": (
        lambda: fit([Dense(3, "relu")], X, LABELS, losses.SparseCategoricalCrossentropy(from_logits=True)),
        "ends in a relu, which cuts off all negative logits",
    ),
    "softmax twice": (
        lambda: fit([Dense(3, "softmax"), layers.Softmax()], X, LABELS),
        "ends in two softmax, one after the other",
    ),
    "softmax with binary cross-entropy": (
        lambda: fit([Dense(3, "softmax")], X, ONE_HOT, BINARY),
        "ends in a softmax over 3 classes, but binary_crossentropy takes each for a question of its own",
    ),
    "one of two outputs": (two_outputs, "output 'kind': ends in a sigmoid"),
    # -- targets -------------------------------------------------------------------------------------
    "sigmoid for a regression": (
        lambda: fit([Dense(1, "sigmoid")], X, REAL * 10, "mse"),
        "ends in a sigmoid, which gives 0 to 1, but the targets go from",
    ),
    "tanh for a regression": (lambda: fit([Dense(1, "tanh")], X, REAL * 10, "mae"), "which gives -1 to 1"),
    "relu for negative targets": (
        lambda: fit([Dense(1, "relu")], X, REAL, "mse"),
        "which gives values from 0 up",
    ),
    "targets of millions": (
        lambda: fit([Dense(1)], X, 1e6 + 1e5 * REAL, "mse", hb.optimizers.Adam()),
        "train on (y - y.mean()) / y.std()",
    ),
    "rows that sum to more than 1": (
        lambda: fit([Dense(3, "softmax")], X, np.full((N, 3), 0.5, "float32"), CATEGORICAL),
        "y does not hold one-hot rows: sample 0 sums to 1.5",
    ),
    "one-hot rows of 255": (
        lambda: fit([Dense(3, "softmax")], X, ONE_HOT * 255, CATEGORICAL),
        "sums to 255, but categorical_crossentropy expects rows that sum to 1",
    ),
    "a row without a class": (
        lambda: fit([Dense(3, "softmax")], X, np.where(np.arange(N)[:, None] == 7, 0, ONE_HOT), CATEGORICAL),
        "sample 7 has no class",
    ),
    "labels that are all the same": (
        lambda: fit([Dense(3, "softmax")], np.tile(X, (2, 1)), np.zeros(2 * N, int)),
        "all 160 labels are 0, so that nothing can be learned from them",
    ),
    # -- metrics -------------------------------------------------------------------------------------
    "accuracy of a regression": (
        lambda: fit([Dense(1)], X, REAL, "mse", metrics=["accuracy"]),
        "the metric 'accuracy' counts equal classes, but the targets are numbers such as",
    ),
    "accuracy of class numbers in a regression": (
        lambda: fit([Dense(1)], X, LABELS, "mse", metrics=["accuracy"]),
        "use metrics=['mae'] for a regression",
    ),
    "accuracy of several numbers": (
        lambda: fit([Dense(4)], X, X, "mse", metrics=["acc"]),
        "the metric 'acc' counts equal classes",
    ),
    "accuracy of several classes at once": (
        lambda: fit([Dense(3, "sigmoid")], X, SEVERAL, BINARY, metrics=["accuracy"]),
        "compares the largest output alone, but samples have several classes",
    ),
    "binary accuracy of a regression": (
        lambda: fit([Dense(1)], X, REAL, "mae", metrics=[metrics.BinaryAccuracy()]),
        "the metric 'binary_accuracy' counts equal classes",
    ),
    "an area under the curve of logits": (
        lambda: fit([Dense(1)], X, YES, LOGITS, metrics=["auc"]),
        "the metric 'auc' expects probabilities, but the output gives any numbers (logits): write "
        "metrics.AUC(from_logits=True)",
    ),
    "an area under the curve of logits of classes": (
        lambda: fit([Dense(3)], X, ONE_HOT, CLASS_LOGITS, metrics=["auc"]),
        "write activation='softmax' in the last layer, and the loss without from_logits=True",
    ),
    "precision and recall of logits": (
        lambda: fit(
            [Dense(1)], X, YES, LOGITS,
            metrics=[metrics.Precision(name="p"), metrics.Recall(0.5, name="r")],
        ),
        "the metrics 'p', 'r' expect probabilities, but the output gives any numbers (logits): write "
        "metrics.Precision(thresholds=0), metrics.Recall(thresholds=0)",
    ),
    "sensitivity of logits": (
        lambda: fit([Dense(1)], X, YES, LOGITS, metrics=[metrics.SensitivityAtSpecificity(0.9)]),
        "write activation='sigmoid' in the last layer",
    ),
    "a threshold of F1 for logits": (
        lambda: fit([Dense(1)], X, YES[:, None], LOGITS, metrics=[metrics.F1Score(threshold=0.5)]),
        "the metric 'f1_score' expects probabilities",
    ),
    "intersection over union of logits": (
        lambda: fit([Dense(1)], X, YES, LOGITS, metrics=[metrics.BinaryIoU()]),
        "write metrics.BinaryIoU(threshold=0)",
    ),
    "cross-entropy of logits as a metric": (
        lambda: fit(
            [Dense(3)], X, LABELS, losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["sparse_categorical_crossentropy"],
        ),
        "write metrics.SparseCategoricalCrossentropy(from_logits=True)",
    ),
    "accuracy of several classes at once, of logits": (
        lambda: fit([Dense(3)], X, SEVERAL, LOGITS, metrics=["accuracy"]),
        "write metrics=[metrics.BinaryAccuracy(threshold=0)]",
    ),
    "F1 of the largest of one output": (
        lambda: fit([Dense(1, "sigmoid")], X, YES[:, None], BINARY, metrics=[metrics.F1Score()]),
        "takes the largest output for yes, and there is 1, so that all samples are: write "
        "metrics.F1Score(threshold=0.5)",
    ),
    "the accuracy of classes for one output": (
        lambda: fit([Dense(1, "sigmoid")], X, YES, BINARY, metrics=["sparse_categorical_accuracy"]),
        "looks for the largest of several outputs, but there is 1",
    ),
    "the accuracy that counts equal numbers": (
        lambda: fit([Dense(1, "sigmoid")], X, YES, BINARY, metrics=[metrics.Accuracy()]),
        "counts outputs that equal their targets exactly, as probabilities hardly do",
    ),
    "an evaluation of logits": (
        lambda: compiled_model((4,), [Dense(1)], "sgd", LOGITS, metrics=["auc"]).evaluate(X, YES, verbose=0),
        "write metrics.AUC(from_logits=True)",
    ),
    "an evaluation after a fit, which said it": (
        lambda: fit([Dense(1)], X, YES, LOGITS, metrics=["auc"]).evaluate(X, YES, verbose=0),
        "write metrics.AUC(from_logits=True)",
    ),
    # -- settings ------------------------------------------------------------------------------------
    "a tail of classes that training never sees": (
        lambda: fit(
            [Dense(3, "softmax")], X, SORTED, validation_split=0.2, validation_split_mode="tail",
        ),
        "shuffle x and y together before, or omit validation_split_mode='tail'",
    ),
    "sorted labels that are not shuffled": (
        lambda: fit([Dense(3, "softmax")], X, SORTED, shuffle=False, batch_size=16),
        "the labels are sorted by class and shuffle=False",
    ),
    "sorted one-hot rows that are not shuffled": (
        lambda: fit([Dense(3, "softmax")], X, np.eye(3)[SORTED], CATEGORICAL, shuffle=False, batch_size=16),
        "write shuffle=True",
    ),
    "a split beside validation data": (
        lambda: fit(
            [Dense(3, "softmax")], X, LABELS, validation_split=0.2, validation_data=(X + 1, LABELS)
        ),
        "validation_split=0.2 has no effect beside validation_data",
    ),
    "epochs as the number of further ones": (
        lambda: fit([Dense(3, "softmax")], X, LABELS, epochs=3, initial_epoch=5),
        "write epochs=8 for 3 more",
    ),
    "frozen after compile": (
        frozen_after_compile,
        "was changed after compile(). Here that holds at once, in Keras from the next compile() on",
    ),
    "a loss that forgets the predictions": (
        lambda: fit([Dense(3)], X, ONE_HOT, lambda y, y_pred: ops.mean(ops.square(y), axis=-1)),
        "the loss does not depend on the weights, so that fit() does not change them",
    ),
    "a learning rate of 0": (
        lambda: fit([Dense(3, "softmax")], X, LABELS, optimizer=hb.optimizers.SGD(0.0)),
        "the learning rate is 0, so that fit() changes no weight",
    ),
    "a learning rate of 10": (
        lambda: fit([Dense(3, "softmax")], X, LABELS, optimizer=hb.optimizers.Adam(10)),
        "with the learning rate 10 of Adam each update changes every weight by about that much: try 0.001",
    ),
    "dropout of the outputs": (
        lambda: fit([Dense(3, "softmax"), layers.Dropout(0.5)], X, LABELS),
        "which sets outputs to 0 in training: put the Dropout before the last Dense",
    ),
    "softmax in a hidden layer": (
        lambda: fit([Dense(8, "softmax"), Dense(3, "softmax")], X, LABELS),
        "has a softmax, which leaves little to the next layer",
    ),
    "batch normalization of single samples": (
        lambda: fit([Dense(8), layers.BatchNormalization(), Dense(3, "softmax")], X, LABELS, batch_size=1),
        "normalizes over batches of one sample",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_fit_warns_once_and_goes_on(name: str) -> None:
    program, text = MISTAKES[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program()
    likely = [w for w in caught if issubclass(w.category, LikelyMistakeWarning)]
    assert len(likely) == 1, [str(w.message) for w in caught]
    assert re.search(re.escape(text), str(likely[0].message)), str(likely[0].message)
    assert likely[0].filename == __file__
    assert str(likely[0].message).startswith("model '")


def test_the_kind_of_warning_can_be_silenced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", hb.errors.LikelyMistakeWarning)
        fit(conv(), BYTES, LABELS)


# -- no false alarms -----------------------------------------------------------------------------------------


def batches() -> Iterator[Any]:
    while True:
        yield X[:8], LABELS[:8]


def pretrained(images: Any) -> None:
    """Fit an application that preprocesses its images itself."""
    base = hb.applications.MobileNetV3Small(
        input_shape=(32, 32, 3), weights=None, include_top=False, pooling="avg"
    )
    model = hb.Sequential([base, Dense(3, "softmax")])
    model.compile("sgd", SPARSE)
    model.fit(images, LABELS[:8], verbose=0)


def normalization() -> layers.Layer:
    layer = layers.Normalization()
    layer.adapt(X * 1e5)
    return layer


def compiled_again() -> None:
    model = compiled_model((4,), [Dense(8), Dense(3, "softmax")], "sgd", SPARSE)
    model.fit(X, LABELS, verbose=0)
    model.layers[0].trainable = False
    model.compile("sgd", SPARSE)
    model.fit(X, LABELS, verbose=0)


class Scaled(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 1000.0 + 200_000.0


RIGHT: dict[str, Callable[[], Any]] = {
    "rescaled pixels": lambda: fit([layers.Rescaling(1 / 255), *conv()], BYTES, LABELS),
    "flipped and rescaled pixels": lambda: fit(
        [layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255), *conv()], BYTES, LABELS
    ),
    "pixels into a batch normalization": lambda: fit([layers.BatchNormalization(), *conv()], BYTES, LABELS),
    "pixels, divided by a function": lambda: fit(
        [layers.Lambda(lambda x: ops.cast(x, "float32") / 255.0), *conv()], BYTES, LABELS
    ),
    "an application with its own preprocessing": lambda: pretrained(
        RNG.integers(0, 256, (8, 32, 32, 3)).astype("uint8")
    ),
    "a normalization with a mean of its own": lambda: fit(
        [layers.Normalization(mean=0.0, variance=1.0), Dense(3, "softmax")], X, LABELS
    ),
    "binary accuracy of several classes at once": lambda: fit(
        [Dense(3, "sigmoid")], X, SEVERAL, BINARY, metrics=["binary_accuracy"]
    ),
    "indices into an embedding": lambda: fit(
        [layers.Embedding(200, 4), *flat()], RNG.integers(0, 200, (N, 64)), LABELS
    ),
    "counts": lambda: fit([Dense(3, "softmax")], RNG.poisson(3.0, (N, 64)), LABELS),
    "normalized features": lambda: fit([normalization(), Dense(3, "softmax")], X * 1e5, LABELS),
    "images of three rows": lambda: fit(
        [layers.Conv2D(4, (3, 1)), *flat()], RNG.random((N, 3, 20, 6)).astype("float32"), LABELS
    ),
    "channels first, said so": lambda: fit(
        [layers.Permute((2, 3, 1)), layers.Conv2D(4, 3), *flat()],
        RNG.random((N, 3, 16, 16)).astype("float32"),
        LABELS,
    ),
    "sigmoid for several classes at once": lambda: fit([Dense(3, "sigmoid")], X, ONE_HOT, BINARY),
    "softmax over two units": lambda: fit([Dense(2, "softmax")], X, np.eye(2)[YES.astype(int)], BINARY),
    "sigmoid for a regression between 0 and 1": lambda: fit([Dense(1, "sigmoid")], X, YES * 0.5, "mse"),
    "an autoencoder of images": lambda: fit(
        [layers.Conv2D(3, 3, padding="same", activation="sigmoid")], IMAGES, IMAGES, BINARY
    ),
    "relu for positive targets": lambda: fit([Dense(1, "relu")], X, np.abs(REAL), "mse"),
    "large targets for a scaled output": lambda: fit([Dense(1), Scaled()], X, 1e5 + REAL, "mse", "adam"),
    "large targets for a bias that knows them": lambda: fit(
        [Dense(1, bias_initializer=hb.initializers.Constant(1e5))], X, 1e5 + REAL, "mse", "adam"
    ),
    "smoothed labels": lambda: fit([Dense(3, "softmax")], X, ONE_HOT * 0.9 + 0.1 / 3, CATEGORICAL),
    "accuracy of smoothed labels": lambda: fit(
        [Dense(3, "softmax")], X, ONE_HOT * 0.9 + 0.1 / 3, CATEGORICAL, metrics=["accuracy"]
    ),
    "accuracy of one-hot rows with mean squared error": lambda: fit(
        [Dense(3, "softmax")], X, ONE_HOT, "mse", metrics=["accuracy"]
    ),
    "accuracy of yes or no as floats": lambda: fit(
        [Dense(1, "sigmoid")], X, YES[:, None], "mse", metrics=["accuracy"]
    ),
    "metrics of logits": lambda: fit(
        [Dense(1)], X, YES[:, None], LOGITS,
        metrics=[
            "accuracy", metrics.AUC(from_logits=True), metrics.BinaryAccuracy(threshold=0),
            metrics.Precision(0), metrics.Recall([0]), metrics.BinaryIoU(threshold=0),
            metrics.BinaryCrossentropy(from_logits=True),
        ],
    ),
    "metrics of the largest logits": lambda: fit(
        [Dense(3)], X, ONE_HOT, CLASS_LOGITS,
        metrics=["accuracy", metrics.Precision(top_k=1), metrics.F1Score(), "top_k_categorical_accuracy"],
    ),
    "metrics of probabilities": lambda: fit(
        [Dense(1, "sigmoid")], X, YES[:, None], BINARY,
        metrics=["accuracy", "auc", "precision", metrics.F1Score(threshold=0.5), "binary_crossentropy"],
    ),
    "sorted labels that are shuffled": lambda: fit([Dense(3, "softmax")], X, SORTED),
    "sorted labels with a stratified split": lambda: fit(
        [Dense(3, "softmax")], X, SORTED, validation_split=0.2
    ),
    "a tail of shuffled labels": lambda: fit(
        [Dense(3, "softmax")], X, LABELS, validation_split=0.2, validation_split_mode="tail"
    ),
    "compiled again after freezing": compiled_again,
    "a learning rate of 0 that a callback changes": lambda: fit(
        [Dense(3, "softmax")], X, LABELS, optimizer=hb.optimizers.SGD(0.0),
        callbacks=[hb.callbacks.LearningRateScheduler(lambda epoch: 0.1)],
    ),
    "Adadelta's own learning rate": lambda: fit(
        [Dense(3, "softmax")], X, LABELS, optimizer=hb.optimizers.Adadelta(1.0)
    ),
    "resumed after the last epoch": lambda: fit(
        [Dense(3, "softmax")], X, LABELS, epochs=3, initial_epoch=3
    ),
    "a generator": lambda: compiled_model((4,), [Dense(3, "softmax")], "sgd", SPARSE).fit(
        batches(), steps_per_epoch=2, verbose=0
    ),
    "line by line": lambda: _eagerly(),
    "a loss of one's own": lambda: fit(
        [Dense(1, "sigmoid")], X, REAL * 10, lambda t, p: ops.mean(ops.abs(t - p), axis=-1)
    ),
    "a cosine to the end of the training": lambda: fit(
        flat(), X, LABELS, optimizer=optimizers.SGD(schedules.CosineDecay(0.1, 9)), epochs=3
    ),
    "a rate that falls to a hundredth": lambda: fit(
        flat(), X, LABELS, optimizer=optimizers.SGD(schedules.ExponentialDecay(0.1, 9, 0.01)), epochs=3
    ),
    "penalties as they are usual": lambda: fit(
        [Dense(8, "relu", kernel_regularizer="l1_l2"), Dense(3, "softmax")], X, LABELS
    ),
    "weights of zero and below, as advantages are": lambda: fit(
        flat(), X, LABELS, sample_weight=np.minimum(REAL, 0)
    ),
    "a head of zeros": lambda: fit(
        [Dense(8, "relu"), Dense(3, "softmax", kernel_initializer="zeros")], X, LABELS
    ),
    "rounded outputs with a gradient": lambda: fit(
        [Dense(1)], X, REAL, lambda y, p: (p + ops.stop_gradient(ops.round(p) - p) - y[:, None]) ** 2
    ),
    "softmax over the classes of each pixel": lambda: fit(
        [layers.Conv2D(3, 1), layers.Softmax(axis=-1)], IMAGES, (IMAGES[..., 0] * 3).astype(int)
    ),
}  # fmt: skip


def _eagerly() -> None:
    model = hb.Sequential([hb.Input((16, 16, 3)), *conv()])
    model.compile("sgd", SPARSE, run_eagerly=True)
    model.fit(IMAGES, LABELS, verbose=0)


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LikelyMistakeWarning)
        RIGHT[name]()


def test_fits_of_the_library_itself_are_not_judged() -> None:
    model = compiled_model((4,), [Dense(3, "relu"), layers.Softmax()], "sgd", SPARSE, metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", LikelyMistakeWarning)
        # A linear baseline is fitted without shuffling, and a variant of the model without its softmax.
        hb.evaluation.baselines(np.tile(X, (4, 1)), np.sort(np.tile(LABELS, 4)), X, LABELS)
        ablations(model, X, LABELS, batch_size=32, epochs=1, seeds=2, samples=None)
