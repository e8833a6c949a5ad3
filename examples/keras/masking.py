"""Masking and padding: masks made by Embedding and Masking, passed on, used and made by one's own layers."""

import keras
import numpy as np
from keras import layers, ops


class TemporalSoftmax(layers.Layer):
    """A softmax over time that leaves the padding out."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            raise ValueError("TemporalSoftmax needs a mask")
        broadcast_float_mask = ops.expand_dims(ops.cast(mask, "float32"), -1)
        inputs_exp = ops.exp(inputs) * broadcast_float_mask
        inputs_sum = ops.sum(inputs_exp, axis=1, keepdims=True)
        return inputs_exp / inputs_sum


class CustomEmbedding(layers.Layer):
    def __init__(self, input_dim, output_dim, mask_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim), initializer="random_normal", name="embeddings"
        )

    def call(self, inputs):
        return ops.take(self.embeddings, ops.cast(inputs, "int32"), axis=0)

    def compute_mask(self, inputs, mask=None):
        if not self.mask_zero:
            return None
        return ops.not_equal(inputs, 0)


def main():
    keras.utils.set_random_seed(0)
    raw_inputs = [[711, 632, 71], [73, 8, 3215, 55, 927], [83, 91, 1, 645, 1253, 927]]
    padded_inputs = keras.utils.pad_sequences(raw_inputs, padding="post")
    print(padded_inputs)
    embedding = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)
    mask = embedding.compute_mask(padded_inputs)
    print("steps that count", np.array(ops.sum(ops.cast(mask, "int32"), axis=1)))
    lengths = [int(n) for n in ops.convert_to_numpy(ops.sum(ops.cast(mask, "int32"), axis=1))]

    rng = np.random.default_rng(0)
    x = np.zeros((500, 12), "int32")
    y = np.zeros(500, "float32")
    for row in x:
        length = rng.integers(3, 13)
        row[:length] = rng.integers(1, 50, length)
    y = np.array([row[row > 0][-1] % 2 for row in x]).astype("float32")[:, None]
    inputs = keras.Input(shape=(None,), dtype="int32")
    z = CustomEmbedding(50, 24, mask_zero=True)(inputs)
    z = layers.Dense(24, activation="relu")(z)
    weights = TemporalSoftmax()(layers.Dense(1)(z))
    last = layers.LSTM(16)(z)
    pooled = layers.Lambda(lambda pair: ops.sum(pair[0] * pair[1], axis=1))([z, weights])
    outputs = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([last, pooled]))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=25, epochs=6, verbose=2)
    return {"loss": history.history["loss"], "lengths": lengths}


if __name__ == "__main__":
    main()
