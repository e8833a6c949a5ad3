"""Labels, losses and last layers that do not belong together."""

import numpy as np

from .data import classifier, houses, images, net, regressor, table
from .listen import error, silent, warning


@error("Labels that begin at 1 need y - 1")
def labels_from_one(keras, layers):
    """Labels 1, 2, 3 for three units."""
    x, y = table()
    classifier(keras, x).fit(x, y + 1)


@error("the label 255")
def labels_wrapped_around(keras, layers):
    """Labels are bytes, and y - 1 turned 0 into 255."""
    x, y = table()
    classifier(keras, x).fit(x, y.astype("uint8") - np.uint8(1))


@error("ignore_class=-1")
def label_minus_one(keras, layers):
    """-1 stands for "no label"."""
    x, y = table()
    y[:5] = -1
    classifier(keras, x).fit(x, y)


@error("y holds strings")
def labels_are_strings(keras, layers):
    """y holds "cat", "dog" and "bird"."""
    x, y = table()
    classifier(keras, x).fit(x, np.array(["cat", "dog", "bird"])[y])


@error("looks one-hot")
def one_hot_for_sparse_loss(keras, layers):
    """One-hot labels with sparse_categorical_crossentropy."""
    x, y = table()
    classifier(keras, x).fit(x, keras.utils.to_categorical(y))


@error("looks like class indices")
def integers_for_one_hot_loss(keras, layers):
    """Integer labels with categorical_crossentropy."""
    x, y = table()
    classifier(keras, x, loss="categorical_crossentropy").fit(x, y)


@error("y_true has shape (32, 3, 2)")
def one_hot_twice(keras, layers):
    """to_categorical(to_categorical(y)): a cell of the notebook ran twice."""
    x, y = table()
    y = keras.utils.to_categorical(keras.utils.to_categorical(y))
    classifier(keras, x, loss="categorical_crossentropy").fit(x, y)


@error("softmax over 1 unit, which is always 1")
def softmax_on_one_unit(keras, layers):
    """Dense(1, "softmax") for two classes: always 1."""
    x, y = table(classes=2)
    classifier(keras, x, 1, "softmax", "binary_crossentropy").fit(x, y)


@error("3 units with softmax")
def one_unit_for_three_classes(keras, layers):
    """Dense(1, "sigmoid") and binary_crossentropy for the classes 0, 1, 2."""
    x, y = table()
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy").fit(x, y)


@error("would apply it a second time")
def softmax_and_from_logits(keras, layers):
    """Softmax in the net and from_logits=True in the loss."""
    x, y = table()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier(keras, x, loss=loss).fit(x, y)


@error("expects probabilities")
def logits_without_from_logits(keras, layers):
    """No softmax in the net, and the loss by its name."""
    x, y = table()
    classifier(keras, x, activation=None).fit(x, y)


@warning("expects one class in each sample")
def sigmoid_for_exclusive_classes(keras, layers):
    """Sigmoid on three units with categorical_crossentropy."""
    x, y = table()
    classifier(keras, x, activation="sigmoid").fit(x, y)


@warning("ends in a relu, whose outputs are not probabilities")
def relu_before_cross_entropy(keras, layers):
    """The last layer of a classifier has relu, copied from the layer before."""
    x, y = table()
    classifier(keras, x, activation="relu").fit(x, y)


@warning("for several classes at once activation='sigmoid'")
def softmax_for_several_labels(keras, layers):
    """Several labels can be true at once, and the net ends in softmax."""
    x, _ = table()
    classifier(keras, x, loss="binary_crossentropy").fit(x, (x[:, :3] > 0).astype("float32"))


@warning("write axis=-1")
def softmax_over_samples(keras, layers):
    """Softmax(axis=0) normalizes over the batch."""
    x, y = table()
    model = net(keras, x, layers.Dense(3), layers.Softmax(axis=0))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("(y + 1) / 2")
def labels_of_hinge_for_cross_entropy(keras, layers):
    """Labels -1 and 1 with binary_crossentropy."""
    x, y = table(classes=2)
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy").fit(x, 2 * y - 1)


@error("divide y by 255")
def mask_in_bytes(keras, layers):
    """The mask of a segmentation is an image of 0 and 255."""
    x, _ = images()
    model = net(keras, x, layers.Conv2D(4, 3, padding="same"), layers.Conv2D(1, 1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, (x > 0.5).astype("uint8") * 255)


@error("targets between 0 and 1, y has values from -")
def negative_image_for_cross_entropy(keras, layers):
    """An autoencoder with binary_crossentropy on standardized images."""
    x, _ = images()
    x = (x - x.mean()) / x.std()
    model = net(keras, x, layers.Conv2D(4, 3, padding="same"), layers.Conv2D(1, 1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, x)


@error("Class labels take 'sparse_categorical_crossentropy'")
def squared_error_of_classes(keras, layers):
    """Integer classes and softmax with mse."""
    x, y = table()
    classifier(keras, x, loss="mse").fit(x, y)


@warning("ends in a relu, which gives values from 0 up")
def relu_for_negative_targets(keras, layers):
    """A regression ends in relu, and half of its targets are negative."""
    x, y = houses()
    classifier(keras, x, 1, "relu", "mse", metrics=[]).fit(x, y)


@warning("ends in a sigmoid, which gives 0 to 1")
def sigmoid_for_prices(keras, layers):
    """A regression ends in sigmoid, and its targets go to 300."""
    x, y = houses()
    classifier(keras, x, 1, "sigmoid", "mse", metrics=[]).fit(x, 150 + 50 * y)


@warning("use metrics=['mae']")
def accuracy_of_a_regression(keras, layers):
    """metrics=["accuracy"] with mse on prices."""
    x, y = houses()
    regressor(keras, x, metrics=["accuracy"]).fit(x, y)


@error("End the model with 3 units")
def three_targets_for_one_unit(keras, layers):
    """y has three columns, the net one unit: they would broadcast."""
    x, _ = table()
    regressor(keras, x).fit(x, x[:, :3])


@error("y contains NaN, first in sample 7")
def nan_among_targets(keras, layers):
    """A price is missing."""
    x, y = houses()
    y[7] = np.nan
    regressor(keras, x).fit(x, y)


@warning("labels are 1, so that nothing can be learned")
def all_of_one_class(keras, layers):
    """A filter left one class of three."""
    x, y = table(900)
    x, y = x[y == 1], y[y == 1]
    classifier(keras, x).fit(x, y)


@error("must be class indices, got 'cat'")
def class_weight_by_name(keras, layers):
    """class_weight={"cat": 1, "dog": 5}."""
    x, y = table(classes=2)
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy")
    model.fit(x, y, class_weight={"cat": 1.0, "dog": 5.0})


@silent("classes that are left out count 1, as in Keras")
def class_weight_lacks_classes(keras, layers):
    """class_weight={0: 2.0} for three classes."""
    x, y = table()
    classifier(keras, x).fit(x, y, class_weight={0: 2.0})
