"""Text classification with a Transformer: a block of attention as a layer of one's own.

Made-up reviews: sequences of word numbers in which praise and blame may be negated by the word before.
"""

import keras
import numpy as np
from keras import layers, ops

VOCABULARY, LENGTH = 200, 24


def make_reviews(count, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(20, VOCABULARY, (count, LENGTH))
    score = np.zeros(count)
    for row, words in enumerate(x):
        for place in rng.choice(np.arange(1, LENGTH), 3, replace=False):
            good = rng.random() < 0.5
            words[place] = rng.integers(1, 10) if good else rng.integers(10, 19)
            score[row] += 1 if good else -1
    return x.astype("int32"), (score > 0).astype("int32")


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attn_output = self.dropout1(self.att(inputs, inputs))
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.dropout2(self.ffn(out1))
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = self.pos_emb(ops.arange(start=0, stop=maxlen, step=1))
        return self.token_emb(x) + positions


def main():
    keras.utils.set_random_seed(3)
    x, y = make_reviews(1500)
    embed_dim, num_heads, ff_dim = 16, 2, 16
    inputs = layers.Input(shape=(LENGTH,))
    z = TokenAndPositionEmbedding(LENGTH, VOCABULARY, embed_dim)(inputs)
    z = TransformerBlock(embed_dim, num_heads, ff_dim)(z)
    z = layers.GlobalAveragePooling1D()(z)
    z = layers.Dropout(0.1)(z)
    z = layers.Dense(20, activation="relu")(z)
    outputs = layers.Dense(2, activation="softmax")(z)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x[:1200], y[:1200], batch_size=32, epochs=6, validation_data=(x[1200:], y[1200:]), verbose=2
    )
    return {"loss": history.history["loss"], "val_loss": history.history["val_loss"]}


if __name__ == "__main__":
    main()
