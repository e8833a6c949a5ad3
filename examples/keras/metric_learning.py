"""Metric learning for image similarity: a train_step of one's own pulls pairs of one class together."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

CLASSES = 6


def make_pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).random((CLASSES, 12, 12, 3))
    y = rng.integers(0, CLASSES, count)
    return (patterns[y] + 0.5 * rng.normal(size=(count, 12, 12, 3))).astype("float32"), y


class AnchorPositivePairs(keras.utils.PyDataset):
    """One anchor and one positive of every class: shape (2, classes, ...)."""

    def __init__(self, x, y, num_batches, **kwargs):
        super().__init__(**kwargs)
        self.x, self.batches = x, num_batches
        self.rows = [np.flatnonzero(y == label) for label in range(CLASSES)]

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        pairs = [rng.choice(rows, 2, replace=False) for rows in self.rows]
        return np.stack(
            [self.x[[anchor for anchor, _ in pairs]], self.x[[positive for _, positive in pairs]]]
        )


class EmbeddingModel(keras.Model):
    def train_step(self, data):
        if isinstance(data, tuple):
            data = data[0]
        anchors, positives = data[0], data[1]
        with tf.GradientTape() as tape:
            anchor_embeddings = self(anchors, training=True)
            positive_embeddings = self(positives, training=True)
            similarities = tf.einsum("ae,pe->ap", anchor_embeddings, positive_embeddings)
            similarities /= 0.2
            sparse_labels = tf.range(CLASSES)
            loss = self.compute_loss(y=sparse_labels, y_pred=similarities)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(sparse_labels, similarities)
        return {m.name: m.result() for m in self.metrics}


def main():
    keras.utils.set_random_seed(0)
    x, y = make_pictures(600)
    inputs = layers.Input(shape=(12, 12, 3))
    z = layers.Conv2D(filters=16, kernel_size=3, strides=2, activation="relu")(inputs)
    z = layers.Conv2D(filters=32, kernel_size=3, strides=2, activation="relu")(z)
    z = layers.GlobalAveragePooling2D()(z)
    embeddings = layers.Dense(units=8, activation=None)(z)
    embeddings = layers.UnitNormalization()(embeddings)
    model = EmbeddingModel(inputs, embeddings)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(AnchorPositivePairs(x, y, 100), epochs=4, verbose=2, shuffle=False)
    test_x, test_y = make_pictures(60, seed=1)
    found = model.predict(test_x, verbose=0)
    nearest = np.argsort(-(found @ found.T), axis=1)[:, 1]
    print("nearest neighbor of the same class", np.mean(test_y[nearest] == test_y))
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
