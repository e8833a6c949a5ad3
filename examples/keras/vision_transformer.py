"""Image classification with a Vision Transformer: patches as words."""

import keras
import numpy as np
from keras import layers, ops

IMAGE, PATCH, DIM = 24, 6, 24


def make_pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 0.3, (count, IMAGE, IMAGE, 3))
    y = rng.integers(0, 4, count)
    for picture, label in zip(x, y):
        top, left = 12 * (label // 2), 12 * (label % 2)
        picture[top + 3 : top + 9, left + 3 : left + 9] += rng.uniform(0.3, 0.7, 3)
    return x.astype("float32"), y


class Patches(layers.Layer):
    def __init__(self, patch_size):
        super().__init__()
        self.patch_size = patch_size

    def call(self, images):
        patches = ops.image.extract_patches(images, size=self.patch_size)
        rows, columns, channels = patches.shape[1:]
        return ops.reshape(patches, (ops.shape(images)[0], rows * columns, channels))


class PatchEncoder(layers.Layer):
    def __init__(self, num_patches, projection_dim):
        super().__init__()
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)


def mlp(x, hidden_units, dropout_rate):
    for units in hidden_units:
        x = layers.Dense(units, activation=keras.activations.gelu)(x)
        x = layers.Dropout(dropout_rate)(x)
    return x


def main():
    keras.utils.set_random_seed(0)
    x, y = make_pictures(600)
    inputs = keras.Input(shape=(IMAGE, IMAGE, 3))
    patches = Patches(PATCH)(inputs)
    encoded = PatchEncoder((IMAGE // PATCH) ** 2, DIM)(patches)
    for _ in range(2):
        x1 = layers.LayerNormalization(epsilon=1e-6)(encoded)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=DIM, dropout=0.1)(x1, x1)
        x2 = layers.Add()([attention, encoded])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        x3 = mlp(x3, hidden_units=[DIM * 2, DIM], dropout_rate=0.1)
        encoded = layers.Add()([x3, x2])
    representation = layers.LayerNormalization(epsilon=1e-6)(encoded)
    representation = layers.Flatten()(representation)
    features = mlp(representation, hidden_units=[48], dropout_rate=0.2)
    model = keras.Model(inputs=inputs, outputs=layers.Dense(4)(features))
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    history = model.fit(x, y, batch_size=30, epochs=4, verbose=2)
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
