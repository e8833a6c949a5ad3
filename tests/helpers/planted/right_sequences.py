"""Right programs on text and series."""

import numpy as np

from .data import net, sentences
from .listen import right


def waves(rows=300, steps=20):
    """Return pieces of sines of unlike phase, and the value that follows each."""
    phase = np.random.default_rng(0).uniform(0, 6, (rows, 1))
    series = np.sin(phase + np.arange(steps + 1) / 3).astype("float32")
    return series[:, :-1, None], series[:, -1]


def reader(keras, x, *layers, **embedding):
    model = net(
        keras, x, keras.layers.Embedding(10, 4, **embedding), *layers, keras.layers.Dense(1, "sigmoid")
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@right
def masked_lstm(keras, layers):
    """Padding on the right, mask_zero=True."""
    x, y = sentences()
    model = reader(keras, x, layers.LSTM(4), mask_zero=True)
    model.fit(x, y, validation_split=0.2)
    model.predict(x[:2])


@right
def masked_average(keras, layers):
    """GlobalAveragePooling1D uses the mask."""
    x, y = sentences()
    reader(keras, x, layers.GlobalAveragePooling1D(), mask_zero=True).fit(x, y)


@right
def padding_on_the_left(keras, layers):
    """Padding on the left, without a mask."""
    x, y = sentences()
    x = keras.utils.pad_sequences([row[row > 0] for row in x], 6)
    reader(keras, x, layers.GRU(4)).fit(x, y)


@right
def convolution_over_words(keras, layers):
    """No mask, a maximum over time: padding does no harm."""
    x, y = sentences()
    reader(keras, x, layers.Conv1D(4, 2, activation="relu"), layers.GlobalMaxPooling1D()).fit(x, y)


@right
def flat_words_without_padding(keras, layers):
    """Embedding and Flatten for sequences that all have one length."""
    x = np.random.default_rng(0).integers(0, 10, (300, 5))
    reader(keras, x, layers.Flatten()).fit(x, (x[:, 0] > 4).astype("int64"))


@right
def words_in_floats(keras, layers):
    """Numbers of words in float32, as a CSV file gave them."""
    x, y = sentences()
    reader(keras, x, layers.LSTM(4), mask_zero=True).fit(x.astype("float32"), y)


@right
def stacked_lstm(keras, layers):
    """return_sequences=True, both directions, recurrent dropout."""
    x, y = sentences()
    first = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    reader(keras, x, first, layers.LSTM(3, dropout=0.2), mask_zero=True).fit(x, y)


@right
def bag_of_words(keras, layers):
    """Counts of words, most of them 0."""
    x, y = sentences()
    counts = np.stack([np.bincount(row, minlength=10) for row in x]).astype("float32")
    model = net(keras, counts, layers.Dense(4, "relu"), layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(counts, y)


@right
def vectorized_text(keras, layers):
    """TextVectorization, adapted to the training texts."""
    texts = np.array(["a good film", "a bad film", "so good", "what a bore"] * 10)
    vectorize = layers.TextVectorization(max_tokens=10, output_sequence_length=4)
    vectorize.adapt(texts)
    x = np.asarray(vectorize(texts))
    reader(keras, x, layers.GlobalAveragePooling1D(), mask_zero=True).fit(x, np.array([1, 0, 1, 0] * 10))


@right
def tags_for_words(keras, layers):
    """A class for each word, the padding masked."""
    x, _ = sentences()
    model = net(keras, x, layers.Embedding(10, 4, mask_zero=True), layers.LSTM(4, return_sequences=True))
    model.add(layers.Dense(2, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, x % 2)


@right
def next_word(keras, layers):
    """A language model: y is x, one step later."""
    x, _ = sentences()
    model = net(
        keras, x[:, :-1], layers.Embedding(10, 4), layers.GRU(4, return_sequences=True), layers.Dense(10)
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:, :-1], x[:, 1:])


@right
def teacher_forcing(keras, layers):
    """The decoder gets its target one step late."""
    x, _ = sentences()
    source, target = keras.Input((6,)), keras.Input((6,))
    _, *state = layers.LSTM(4, return_state=True)(layers.Embedding(10, 4)(source))
    decoded = layers.LSTM(4, return_sequences=True)(layers.Embedding(10, 4)(target), initial_state=state)
    model = keras.Model([source, target], layers.Dense(10, "softmax")(decoded))
    model.compile("adam", "sparse_categorical_crossentropy")
    answer = x[:, ::-1]
    model.fit([x, np.pad(answer[:, :-1], ((0, 0), (1, 0)))], answer)


@right
def attention(keras, layers):
    """Self-attention, normalization, positions."""
    x, y = sentences()
    words = keras.Input((6,))
    a = layers.Embedding(10, 4)(words) + layers.Embedding(6, 4)(keras.ops.arange(6))
    a = layers.LayerNormalization()(a + layers.MultiHeadAttention(2, 2)(a, a))
    model = keras.Model(words, layers.Dense(1, "sigmoid")(layers.GlobalAveragePooling1D()(a)))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, y)


@right
def forecast(keras, layers):
    """The value after each window, last windows held out."""
    x, y = waves()
    model = net(keras, x, layers.LSTM(4), layers.Dense(1))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x[:200], y[:200], validation_data=(x[200:], y[200:]))
    model.predict(x[-1:])


@right
def windows_of_one_series(keras, layers):
    """Overlapping windows, split in time."""
    series = np.cumsum(np.random.default_rng(0).normal(size=500)).astype("float32") / 20
    x = np.lib.stride_tricks.sliding_window_view(series, 11)
    model = net(
        keras, x[:, :10, None], layers.Conv1D(4, 3, padding="causal"), layers.Flatten(), layers.Dense(1)
    )
    model.compile("adam", "mse")
    model.fit(x[:400, :10, None], x[:400, 10], validation_data=(x[410:, :10, None], x[410:, 10]))


@right
def change_from_today(keras, layers):
    """The difference to the last value is the target."""
    x, y = waves()
    model = net(keras, x, layers.GRU(4), layers.Dense(1))
    model.compile("adam", "mae")
    model.fit(x, y - x[:, -1, 0])


@right
def several_steps_ahead(keras, layers):
    """Two features in, five steps out."""
    x, _ = waves()
    x = np.concatenate([x, x**2], -1)
    model = net(keras, x[:, :15], layers.LSTM(4), layers.Dense(5))
    model.compile("adam", "mse")
    model.fit(x[:, :15], x[:, 15:, 0])


@right
def series_of_other_lengths(keras, layers):
    """Masking(-1) for series that end early, steps of any number."""
    x, y = waves()
    x[::3, 12:] = -1
    model = keras.Sequential([keras.Input((None, 1)), layers.Masking(-1.0), layers.LSTM(4), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y)


@right
def stateful_in_order(keras, layers):
    """stateful=True, shuffle=False, states reset between epochs."""
    x, y = waves(64)
    layer = layers.LSTM(4, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(32, 20, 1)), layer, layers.Dense(1)])
    model.compile("adam", "mse")
    for _ in range(2):
        model.fit(x, y, batch_size=32, shuffle=False)
        layer.reset_state()


@right
def anomalies(keras, layers):
    """An autoencoder of normal series judges others, of larger values."""
    x, _ = waves()
    model = net(
        keras, x, layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(20), layers.Reshape((20, 1))
    )
    model.compile("adam", "mae")
    model.fit(x, x)
    model.predict(1.5 * x[:10])
