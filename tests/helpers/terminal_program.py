"""A program that prints everything a beginner meets, for `tests/first_hour/test_terminal.py`."""

from __future__ import annotations

import sys

import numpy as np

import hornbeam as hb
from hornbeam import layers


def network(name: str) -> hb.Model:
    image, facts = hb.Input((28, 28, 1), name="image"), hb.Input((5,), name="facts_about_the_patient")
    h = layers.Conv2D(8, 3, strides=2, padding="same", name="the_first_convolution_of_the_image")(image)
    h = layers.BatchNormalization()(h)
    h = layers.GlobalAveragePooling2D()(h)
    g = layers.Dense(4, activation="relu")(facts)
    both = layers.Concatenate()([h, g])
    return hb.Model([image, facts], layers.Dense(2, name="out")(both), name=name)


def main() -> None:
    hb.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
    x, x_test = (part[:, :, :, None].astype("float32") / 255 for part in (x[:600], x_test[:200]))
    y, y_test = y[:600], y_test[:200]
    network("a_model_with_two_inputs").summary(expand_nested=True, show_trainable=True)
    model = hb.Sequential(
        [
            hb.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    top = hb.metrics.SparseTopKCategoricalAccuracy(name="top_5_categorical_accuracy")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", top])
    doctor = hb.callbacks.Doctor()
    history = model.fit(x, y, epochs=4, batch_size=100, validation_split=0.2, callbacks=[doctor])
    print(history.explain(x, y))
    print(model.explain())
    model.explain().show()
    report = hb.data.look(x, y)
    print(report)
    report.show()
    print(hb.insight.plot_history(history))
    print(hb.evaluation.evaluate(model, x_test, y_test))
    print(hb.evaluation.confusion(model, x_test, y_test))
    print(hb.evaluation.mistakes(model, x_test, y_test))
    model.evaluate(x_test, y_test)
    model.predict(x_test)
    print(model.profile(x, y, batch_size=100, steps=2))
    print(hb.data.find_leaks(x[:300], x[200:500]))
    print(hb.data.find_duplicates(np.concatenate([x[:50], x[:20]])))
    print(hb.lr_find(model, x, y))
    model.fit(x_test, y_test, verbose=0, validation_data=(x_test, y_test))  # a LeakWarning
    model.evaluate(x_test, y_test, verbose=0)  # a TestSetWarning
    stuck = hb.Sequential([hb.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    stuck.compile(hb.optimizers.SGD(1e-7), "sparse_categorical_crossentropy")
    stuck.fit(x, y, epochs=8, callbacks=[hb.callbacks.Doctor()])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
