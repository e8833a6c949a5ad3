"""Structured data from scratch: numbers are normalized, categories looked up and one-hot encoded."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

KINDS = ["normal", "fixed", "reversible"]


def make_patients(count, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(54, 9, count)
    chol = rng.normal(246, 50, count)
    sex = rng.integers(0, 2, count)
    thal = rng.integers(0, 3, count)
    risk = (age - 54) / 9 + (chol - 246) / 50 + sex + np.array([-1.0, 0.5, 1.0])[thal]
    target = (risk + rng.normal(0, 0.5, count) > 0.5).astype("float32")
    features = {
        "age": age.astype("float32"),
        "chol": chol.astype("float32"),
        "sex": sex.astype("int64"),
        "thal": np.array(KINDS)[thal],
    }
    return features, target


def main():
    keras.utils.set_random_seed(0)
    features, target = make_patients(800)
    inputs, encoded = [], []
    columns = {}
    for name in ["age", "chol"]:
        normalizer = layers.Normalization()
        normalizer.adapt(features[name].reshape(-1, 1))
        inputs.append(keras.Input(shape=(1,), name=name))
        encoded.append(normalizer(inputs[-1]))
        columns[name] = features[name].reshape(-1, 1)
    lookup = layers.StringLookup(output_mode="int")
    lookup.adapt(features["thal"])
    print("vocabulary", sorted(str(word) for word in lookup.get_vocabulary()))
    columns["thal"] = np.asarray(lookup(tf.constant(features["thal"]))).reshape(-1, 1)
    columns["sex"] = features["sex"].reshape(-1, 1)
    for name, size in [("thal", 4), ("sex", 2)]:
        inputs.append(keras.Input(shape=(1,), name=name, dtype="int64"))
        encoded.append(layers.CategoryEncoding(num_tokens=size, output_mode="one_hot")(inputs[-1]))
    x = layers.concatenate(encoded)
    x = layers.Dense(32, activation="relu")(x)
    x = layers.Dropout(0.2)(x)
    output = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model({layer.name: layer for layer in inputs}, output)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(columns, target, batch_size=32, epochs=8, verbose=2)
    return {"loss": history.history["loss"], "accuracy": history.history["accuracy"]}


if __name__ == "__main__":
    main()
