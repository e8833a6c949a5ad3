"""Shapes that do not fit: images, sequences, layers that meet, several inputs."""

import numpy as np

from .data import classifier, images, net, table
from .listen import error, silent, warning


@error("put Flatten()")
def no_flatten_after_convolution(keras, layers):
    """A Dense layer follows Conv2D without Flatten."""
    x, y = images()
    model = net(keras, x, layers.Conv2D(4, 3, activation="relu"), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)


@error("for one channel add it with x[..., None]")
def images_without_channel_axis(keras, layers):
    """Gray images (n, 8, 8) go into Conv2D without an axis of channels."""
    x, _ = images()
    net(keras, x[..., 0], layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3, "softmax"))


@error("The axes seem to be in another order")
def channels_first(keras, layers):
    """Images (n, 3, 8, 8), as PyTorch has them, go into a net for (8, 8, 3)."""
    x, y = images(channels=3)
    model = net(keras, x, layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.transpose(0, 3, 1, 2), y)


@warning("seem to have the channels first")
def channels_first_in_input_too(keras, layers):
    """Input((3, 8, 8)): the convolution takes 3 for the height and 8 for the channels."""
    x, y = images(channels=3)
    x = x.transpose(0, 3, 1, 2)
    model = net(keras, x, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("fewer pooling layers")
def pooled_to_nothing(keras, layers):
    """Four convolutions with pooling leave nothing of an 8x8 image."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (4, 8, 16, 32):
        model.add(layers.Conv2D(filters, 3))
        model.add(layers.MaxPooling2D())


@error("give them in Input(shape=...)")
def flatten_of_any_size(keras, layers):
    """Input((None, None, 1)), then Flatten and Dense."""
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(4, 3), layers.Flatten()])
    model.add(layers.Dense(3, "softmax"))


@error("sizes differ: (4, 16)")
def residual_of_other_width(keras, layers):
    """Add()([x, conv(x)]) with 16 channels on one side and 4 on the other."""
    inputs = keras.Input((8, 8, 4))
    y = layers.Conv2D(16, 3, padding="same")(inputs)
    layers.Add()([inputs, y])


@error("(None, 14, 14, 1)] must have the same rank and agree")
def u_net_of_odd_size(keras, layers):
    """A U-Net joins 15x15 with 14x14, which pooling and UpSampling left."""
    inputs = keras.Input((15, 15, 1))
    down = layers.MaxPooling2D()(inputs)
    up = layers.UpSampling2D()(down)
    layers.Concatenate()([inputs, up])


@error("write Input(x.shape[1:])")
def batch_size_in_input(keras, layers):
    """Input(x_train.shape), with the number of rows."""
    x, y = images()
    model = keras.Sequential([keras.Input(x.shape), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("x has 300, y has 250")
def more_x_than_y(keras, layers):
    """300 images and 250 labels."""
    x, y = images()
    classifier(keras, x).fit(x, y[:250])


@error("for one feature per step add an axis")
def no_feature_axis(keras, layers):
    """Series (n, 4) go into an LSTM without an axis of features."""
    x, _ = table()
    net(keras, x, layers.LSTM(4), layers.Dense(3, "softmax"))


@silent("few steps of many features are as usual as the reverse")
def features_before_time(keras, layers):
    """Series are (n, features, time), an LSTM takes (n, time, features)."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(32, 2, 50)).astype("float32")
    y = (x[:, 0].mean(1) > 0).astype("int64")
    model = net(keras, x, layers.LSTM(4), layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, y)


@error("write return_sequences=True")
def lstm_on_lstm(keras, layers):
    """Two LSTMs in a row, the first without return_sequences=True."""
    keras.Sequential([keras.Input((10, 2)), layers.LSTM(4), layers.LSTM(4), layers.Dense(1)])


@error("expects shape (None, 8, 8, 1), got (1, 16, 16, 1)")
def one_image_of_other_size(keras, layers):
    """A net for 8x8 images gets a photo of 16x16."""
    x, y = images()
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict(np.zeros((1, 16, 16, 1)))


@error("one sample without a batch axis")
def one_image_without_batch_axis(keras, layers):
    """predict(x[0])."""
    x, y = images()
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict(x[0])


@error("has 64 values, target_shape (7, 7) holds 49")
def reshape_loses_numbers(keras, layers):
    """Reshape((7, 7)) of 64 numbers."""
    keras.Sequential([keras.Input((64,)), layers.Reshape((7, 7))])


@error("x holds one array")
def two_inputs_one_array(keras, layers):
    """A net of two inputs gets one array."""
    x, y = table()
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], layers.Dense(3, "softmax")(layers.Concatenate()([one, two])))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("Did you mean 'class'?")
def target_of_unknown_output(keras, layers):
    """y={"klass": ...} for the outputs "class" and "price"."""
    x, y = table()
    inputs = keras.Input((4,))
    outputs = {
        "class": layers.Dense(3, "softmax", name="class")(inputs),
        "price": layers.Dense(1, name="price")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"class": "sparse_categorical_crossentropy", "price": "mse"})
    model.fit(x, {"klass": y, "price": x[:, :1]})


@warning("layer joins or splits samples")
def layer_changes_number_of_samples(keras, layers):
    """A Lambda reshapes to (-1, 128): two images become one sample."""
    x, _ = images()
    merge = layers.Lambda(lambda t: keras.ops.reshape(t, (-1, 128)))
    model = net(keras, x, merge, layers.Dense(1))
    model.compile("adam", "mse")
    model.predict(x)


@error("np.stack(x)")
def list_of_rows(keras, layers):
    """x is a Python list of arrays, one for each row."""
    x, y = table()
    classifier(keras, x).fit(list(x), y)


@error("they must be equal: compare the model's last layer")
def decoder_of_other_size(keras, layers):
    """An autoencoder returns 10x10 images for 8x8 ones."""
    x, _ = images()
    model = net(keras, x, layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"))
    model.add(layers.Conv2DTranspose(1, 4, strides=2, activation="sigmoid"))
    model.compile("adam", "mse")
    model.fit(x, x)


@error("pad them to one")
def ragged_sentences(keras, layers):
    """Sentences of different lengths, as lists, without padding."""
    x, y = [[1, 2], [3, 4, 5], [6]], np.array([0, 1, 0])
    model = keras.Sequential([layers.Embedding(10, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y)
