"""A small Transformer text classifier: 128 words of 10,000, two blocks of width 64 with 4 heads, Adam."""

from common import keras, measure, np, samples, sentences

layers = keras.layers
LENGTH, WIDTH = 128, 64


class Embedded(layers.Layer):
    """Words and their places as vectors."""

    def __init__(self):
        super().__init__()
        self.words = layers.Embedding(10000, WIDTH)
        self.places = layers.Embedding(LENGTH, WIDTH)

    def call(self, x):
        return self.words(x) + self.places(np.arange(LENGTH, dtype="int32"))


def block(x):
    seen = layers.MultiHeadAttention(4, WIDTH // 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(x + seen)
    inner = layers.Dense(4 * WIDTH, activation="gelu")(x)
    inner = layers.Dropout(0.1)(layers.Dense(WIDTH)(inner))
    return layers.LayerNormalization(epsilon=1e-6)(x + inner)


x, y = sentences(samples(5120), LENGTH, 10000)
inputs = keras.Input((LENGTH,), dtype="int32")
hidden = layers.GlobalAveragePooling1D()(block(block(Embedded()(inputs))))
outputs = layers.Dense(2, activation="softmax")(layers.Dropout(0.1)(hidden))
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
measure(model, x, y, 64)
