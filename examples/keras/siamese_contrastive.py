"""A siamese network: one embedding for two images, and a contrastive loss on their distance."""

import keras
import numpy as np
from keras import layers, ops


def make_pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).random((5, 14, 14))
    y = rng.integers(0, 5, count)
    x = patterns[y] + 0.6 * rng.normal(size=(count, 14, 14))
    return x[..., None].astype("float32"), y


def make_pairs(x, y, seed=1):
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(y == label) for label in range(5)]
    pairs, labels = [], []
    for index in range(len(x)):
        pairs.append([x[index], x[rng.choice(places[y[index]])]])
        labels.append(0)
        other = rng.choice([label for label in range(5) if label != y[index]])
        pairs.append([x[index], x[rng.choice(places[other])]])
        labels.append(1)
    return np.array(pairs), np.array(labels).astype("float32")


def euclidean_distance(vects):
    x, y = vects
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


def loss(margin=1):
    def contrastive_loss(y_true, y_pred):
        square_pred = ops.square(y_pred)
        margin_square = ops.square(ops.maximum(margin - (y_pred), 0))
        return ops.mean((1 - y_true) * square_pred + (y_true) * margin_square)

    return contrastive_loss


def main():
    keras.utils.set_random_seed(0)
    x, y = make_pictures(500)
    pairs, labels = make_pairs(x, y)
    inputs = layers.Input((14, 14, 1))
    z = layers.BatchNormalization()(inputs)
    z = layers.Conv2D(4, (5, 5), activation="tanh")(z)
    z = layers.AveragePooling2D(pool_size=(2, 2))(z)
    z = layers.Conv2D(16, (3, 3), activation="tanh")(z)
    z = layers.Flatten()(z)
    z = layers.BatchNormalization()(z)
    z = layers.Dense(10, activation="tanh")(z)
    embedding_network = keras.Model(inputs, z)

    input_1, input_2 = layers.Input((14, 14, 1)), layers.Input((14, 14, 1))
    tower_1, tower_2 = embedding_network(input_1), embedding_network(input_2)
    merge_layer = layers.Lambda(euclidean_distance, output_shape=(1,))([tower_1, tower_2])
    normal_layer = layers.BatchNormalization()(merge_layer)
    output_layer = layers.Dense(1, activation="sigmoid")(normal_layer)
    siamese = keras.Model(inputs=[input_1, input_2], outputs=output_layer)
    siamese.compile(loss=loss(margin=1), optimizer="RMSprop", metrics=["accuracy"])
    history = siamese.fit([pairs[:, 0], pairs[:, 1]], labels, batch_size=25, epochs=5, verbose=2)
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
