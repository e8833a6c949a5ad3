"""Text, embeddings, masks and series."""

import numpy as np

from .data import net, sentences
from .listen import error, silent, warning


def reader(keras, x, *layers, words=10, **embedding):
    model = net(keras, x, keras.layers.Embedding(words, 4, **embedding), *layers)
    model.add(keras.layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    return model


@error("Write Embedding(10, ...)")
def embedding_too_small(keras, layers):
    """Embedding(number of words) without one more for the padding."""
    x, y = sentences()
    reader(keras, x, layers.LSTM(4), words=9).fit(x, y)


@error("x contains the index 11")
def new_word_in_use(keras, layers):
    """A number of a word that training had not comes in predict."""
    x, y = sentences()
    model = reader(keras, x, layers.LSTM(4))
    model.fit(x, y)
    model.predict(np.array([[1, 2, 11, 0, 0, 0]]))


@silent("not yet: every row of the last axis is one-hot")
def one_hot_words(keras, layers):
    """One-hot words go into an Embedding, which takes numbers of words."""
    x, y = sentences()
    x = keras.utils.to_categorical(x)
    model = net(keras, x, layers.Embedding(10, 4), layers.Flatten(), layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, y)


@error("the layer takes indices (integers)")
def embedding_of_measurements(keras, layers):
    """Standardised numbers go into an Embedding, which cuts them to integers."""
    x, y = sentences()
    x = x / 9
    reader(keras, x, layers.GlobalAveragePooling1D()).fit(x, y)


@error("layers.TextVectorization")
def texts_without_vectorization(keras, layers):
    """Sentences as strings go into an Embedding."""
    x, y = np.array([["good film"], ["bad film"]] * 8), np.array([1, 0] * 8)
    reader(keras, x, layers.GlobalAveragePooling1D()).fit(x, y)


@error("call adapt(data)")
def vocabulary_not_adapted(keras, layers):
    """TextVectorization without adapt: each word is unknown."""
    texts = np.array(["a good film", "a bad film"] * 8)
    x = layers.TextVectorization(output_sequence_length=4)(texts)
    x = np.asarray(x)
    reader(keras, x, layers.GlobalAveragePooling1D()).fit(x, np.array([1, 0] * 8))


@warning("does not support masking")
def mask_lost_in_flatten(keras, layers):
    """mask_zero=True, then Flatten, which reads the padding as words."""
    x, y = sentences()
    reader(keras, x, layers.Flatten(), mask_zero=True).fit(x, y)


@silent("a masked 0 in the middle of a row may be meant")
def first_word_masked(keras, layers):
    """Words count from 0, and mask_zero=True hides the first one."""
    x, y = sentences()
    x = np.where(x == 0, 5, x) - 1
    reader(keras, x, layers.LSTM(4), mask_zero=True).fit(x, y)


@silent("0 may be a word")
def padding_read_as_words(keras, layers):
    """An LSTM ends on a row of zeros: padding on the right, no mask_zero."""
    x, y = sentences(length=40)
    reader(keras, x, layers.LSTM(4)).fit(x, y)


@silent("an autoencoder has its answer as an input, too")
def decoder_sees_its_answer(keras, layers):
    """Teacher forcing without the shift: the decoder's input is its target."""
    x, _ = sentences()
    source, target = keras.Input((6,)), keras.Input((6,))
    _, *state = layers.LSTM(4, return_state=True)(layers.Embedding(10, 4)(source))
    decoded = layers.LSTM(4, return_sequences=True)(layers.Embedding(10, 4)(target), initial_state=state)
    model = keras.Model([source, target], layers.Dense(10, "softmax")(decoded))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit([x, x[:, ::-1]], x[:, ::-1])


@warning("write shuffle=False")
def stateful_with_shuffle(keras, layers):
    """stateful=True, and fit shuffles: states pass between unrelated rows."""
    x = np.random.default_rng(0).normal(size=(320, 5, 1)).astype("float32")
    model = keras.Sequential(
        [keras.Input(batch_shape=(32, 5, 1)), layers.LSTM(4, stateful=True), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(x, x[:, -1], batch_size=32)


@silent("not yet: the last value of a window is y")
def forecast_of_today(keras, layers):
    """The window ends with the very value that is to be forecast: an index is off by one."""
    series = np.random.default_rng(0).normal(size=600).astype("float32")
    x = np.lib.stride_tricks.sliding_window_view(series, 10)[..., None]
    model = net(keras, x, layers.LSTM(4), layers.Dense(1))
    model.compile("adam", "mse")
    model.fit(x, series[9:])
