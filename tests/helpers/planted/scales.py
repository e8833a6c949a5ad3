"""Inputs and targets of a scale, sign or order that the net does not expect."""

import numpy as np
import pandas as pd

from .data import classifier, houses, images, net, photos, regressor, table
from .listen import error, silent, warning


@warning("divide them by 255")
def pixels_to_255(keras, layers):
    """Bytes go into the net as they are."""
    x, y = photos()
    classifier(keras, x).fit(x, y)


@warning("divided by 255 twice")
def divided_twice(keras, layers):
    """x / 255 in one cell, and again in another."""
    x, y = photos()
    x = x / 255
    x = x / 255
    classifier(keras, x).fit(x, y)


@warning("multiplies by 0.003922 again")
def rescaling_of_scaled_images(keras, layers):
    """The net begins with Rescaling(1 / 255), as pretrained ones do, and x is scaled already."""
    x, y = images()
    model = net(keras, x, layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@warning("validation_data got values up to 254")
def raw_validation_images(keras, layers):
    """x is scaled, validation_data are not."""
    x, y = photos()
    classifier(keras, x).fit(x[:200] / 255, y[:200], validation_data=(x[200:], y[200:]))


@warning("evaluate() got values up to 254")
def raw_test_images(keras, layers):
    """x is scaled in training, and not in evaluate."""
    x, y = photos()
    model = classifier(keras, x)
    model.fit(x[:200] / 255, y[:200])
    model.evaluate(x[200:], y[200:])


@warning("predict() got values up to 254")
def raw_photo(keras, layers):
    """x is scaled in training, and not in predict."""
    x, y = photos()
    model = classifier(keras, x)
    model.fit(x[:200] / 255, y[:200])
    model.predict(x[200:])


@warning("invert them (1 - x)")
def dark_ink_on_white(keras, layers):
    """The net learned bright bars on black; the own drawing is dark on white."""
    x, y = images()
    model = classifier(keras, x)
    model.fit(x[:200], y[:200])
    model.predict(1 - x[200:])


@silent("not yet: means of the channels in reverse order")
def blue_green_red(keras, layers):
    """Trained on RGB, used on images that OpenCV read as BGR."""
    x, y = images(channels=3)
    x *= [1, 0.7, 0.3]
    model = classifier(keras, x)
    model.fit(x[:200], y[:200])
    model.predict(x[200:, ..., ::-1])


@warning("scale them alike")
def standardized_only_in_training(keras, layers):
    """A table is standardized in training, and raw in predict."""
    x, y = table()
    raw = 50 + 20 * x
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict(raw[:10])


@warning("got the columns in another order than fit()")
def columns_in_other_order(keras, layers):
    """The frame in use has the columns of training in another order."""
    x, y = table()
    frame = pd.DataFrame(x, columns=["age", "income", "rooms", "children"])
    model = classifier(keras, x)
    model.fit(frame, y)
    model.predict(frame[["income", "age", "rooms", "children"]])


@warning("adapt it to the training data")
def one_column_of_millions(keras, layers):
    """Income in cents, and other columns near 1."""
    x, y = table()
    x[:, 2] = x[:, 2] * 1e6 + 4e6
    classifier(keras, x).fit(x, y)


@warning("train on (y - y.mean()) / y.std()")
def prices_with_sgd(keras, layers):
    """Prices to 500,000 as targets, with SGD: the loss is NaN soon."""
    x, y = houses()
    regressor(keras, x, optimizer="sgd").fit(x, 250_000 + 100_000 * y, epochs=5)


@error("x contains NaN, first in sample 3")
def nan_among_inputs(keras, layers):
    """A cell of the table was empty."""
    x, y = table()
    x[3, 2] = np.nan
    classifier(keras, x).fit(x, y)


@error("Mend the division or overflow")
def infinite_input(keras, layers):
    """A ratio was divided by zero."""
    x, y = table()
    x[3, 2] = np.inf
    classifier(keras, x).fit(x, y)


@silent("what wrapped around in NumPy looks like any image")
def bytes_minus_mean(keras, layers):
    """Bytes minus 128 in bytes: what is darker than 128 wraps around to bright."""
    x, y = photos()
    x = (x - np.uint8(128)) / 255
    classifier(keras, x).fit(x, y)


@error("not numeric: 'city'")
def frame_with_strings(keras, layers):
    """A frame with a column of city names."""
    x, y = table()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(city=["Oslo", "Rome"] * 160)
    classifier(keras, frame).fit(frame, y)


@error("not numeric: 'day'")
def frame_with_dates(keras, layers):
    """A frame with a column of dates."""
    x, y = table()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(day=pd.date_range("2024-01-01", periods=320))
    classifier(keras, frame).fit(frame, y)


@error("expects shape (None, 3), got (2, 2)")
def dummies_of_each_part(keras, layers):
    """get_dummies of training and test apart: the test has no "Rome"."""
    train, test = (
        pd.get_dummies(pd.Series(["Oslo", "Rome", "Lima"] * 8)),
        pd.get_dummies(pd.Series(["Oslo", "Lima"])),
    )
    model = classifier(keras, train, 2)
    model.fit(train, np.arange(24) % 2)
    model.predict(test)


@warning("call its adapt(x) before fit()")
def normalization_not_adapted(keras, layers):
    """A Normalization layer that never saw data."""
    x, y = table()
    model = net(keras, x, layers.Normalization(), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(50 + 20 * x, y)
