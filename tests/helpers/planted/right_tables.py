"""Right programs on tables: classes, numbers, several answers."""

import numpy as np
import pandas as pd

from .data import classifier, houses, net, regressor, table
from .listen import right


@right
def three_classes(keras, layers):
    """The plainest classifier, with validation and test rows apart."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x[:200], y[:200], validation_data=(x[200:260], y[200:260]), epochs=2)
    model.evaluate(x[260:], y[260:])
    model.predict(x[260:])


@right
def one_hot_labels(keras, layers):
    x, y = table()
    classifier(keras, x, loss="categorical_crossentropy").fit(x, keras.utils.to_categorical(y, 3))


@right
def labels_in_floats(keras, layers):
    """Labels 0.0, 1.0, 2.0 of a column that pandas made float."""
    x, y = table()
    classifier(keras, x).fit(x, y.astype("float64"))


@right
def labels_in_a_column(keras, layers):
    """Labels of shape (n, 1)."""
    x, y = table()
    classifier(keras, x).fit(x, y[:, None])


@right
def labels_in_bytes(keras, layers):
    x, y = table()
    classifier(keras, x).fit(x, y.astype("uint8"))


@right
def labels_are_booleans(keras, layers):
    x, y = table(classes=2)
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy").fit(x, y.astype(bool))


@right
def yes_or_no(keras, layers):
    """One sigmoid unit, labels (n,)."""
    x, y = table(classes=2)
    metrics = ["accuracy", keras.metrics.AUC(), keras.metrics.Precision(), keras.metrics.Recall()]
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy", metrics=metrics).fit(x, y)


@right
def two_units_for_yes_or_no(keras, layers):
    """Softmax over two classes."""
    x, y = table(classes=2)
    classifier(keras, x, 2).fit(x, y)


@right
def logits(keras, layers):
    """No softmax, from_logits=True, and ops.softmax on what predict returns."""
    x, y = table()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = classifier(keras, x, activation=None, loss=loss)
    model.fit(x, y)
    keras.ops.softmax(model.predict(x))


@right
def logits_of_yes_or_no(keras, layers):
    """Logits with metrics that know it."""
    x, y = table(classes=2)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.BinaryAccuracy(threshold=0.0), keras.metrics.AUC(from_logits=True)]
    classifier(keras, x, 1, None, loss, metrics=metrics).fit(x, y)


@right
def hinge(keras, layers):
    """Labels -1 and 1 with hinge, and tanh."""
    x, y = table(classes=2)
    classifier(keras, x, 1, "tanh", "hinge", metrics=[]).fit(x, 2 * y - 1)


@right
def smoothed_labels(keras, layers):
    x, y = table()
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    classifier(keras, x, loss=loss).fit(x, keras.utils.to_categorical(y, 3))


@right
def labels_as_distributions(keras, layers):
    """Soft labels: what another net or several people answered."""
    x, y = table()
    soft = 0.8 * np.eye(3)[y] + 0.2 / 3
    classifier(keras, x, loss="kl_divergence").fit(x, soft.astype("float32"))
    classifier(keras, x, loss="categorical_crossentropy").fit(x, soft.astype("float32"))


@right
def more_units_than_labels(keras, layers):
    """Ten units, and the first rows have three classes."""
    x, y = table()
    classifier(keras, x, 10).fit(x, y)


@right
def several_labels(keras, layers):
    """Several labels at once: sigmoid, binary_crossentropy, binary_accuracy."""
    x, _ = table()
    y = (x[:, :3] > 0).astype("float32")
    classifier(keras, x, 3, "sigmoid", "binary_crossentropy", metrics=["binary_accuracy"]).fit(x, y)


@right
def rare_class(keras, layers):
    """Weights for a class of 5%."""
    x, _ = table()
    y = (x[:, 0] > 1.6).astype("int64")
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy", metrics=[keras.metrics.AUC()])
    model.fit(x, y, class_weight={0: 1.0, 1: 10.0})


@right
def weights_of_samples(keras, layers):
    """Recent rows count more; a few have weight 0."""
    x, y = table()
    weight = np.linspace(0, 1, len(x))
    weight[:20] = 0
    classifier(keras, x, weighted_metrics=["accuracy"]).fit(x, y, sample_weight=weight)


@right
def ignored_labels(keras, layers):
    """ignore_class=-1, since some rows have no label."""
    x, y = table()
    y[:5] = -1
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    classifier(keras, x, loss=loss, metrics=[]).fit(x, y)


@right
def regression(keras, layers):
    """Negative and positive targets, (n,), one linear unit."""
    x, y = houses()
    model = regressor(keras, x)
    model.fit(x[:200], y[:200], validation_split=0.1)
    model.evaluate(x[200:], y[200:])


@right
def targets_of_large_scale(keras, layers):
    """Prices around 50, with the standardization of y undone after predict."""
    x, y = houses()
    price = 50 + 10 * y
    model = regressor(keras, x)
    model.fit(x, (price - price.mean()) / price.std())
    model.predict(x) * price.std() + price.mean()


@right
def positive_regression(keras, layers):
    """Softplus for targets above 0, with a logarithmic error."""
    x, y = houses()
    classifier(keras, x, 1, "softplus", "mean_squared_logarithmic_error", metrics=["mae"]).fit(x, np.exp(y))


@right
def relu_for_positive_targets(keras, layers):
    x, y = houses()
    classifier(keras, x, 1, "relu", "mse", metrics=[]).fit(x, np.abs(y))


@right
def proportions(keras, layers):
    """Targets between 0 and 1 with sigmoid and binary_crossentropy."""
    x, y = houses()
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy", metrics=["mae"]).fit(x, 1 / (1 + np.exp(-y)))


@right
def counts(keras, layers):
    """Integer targets of a regression, with the Poisson loss."""
    x, y = houses()
    classifier(keras, x, 1, "exponential", "poisson", metrics=[]).fit(
        x, np.round(np.exp(y / 2)).astype("int64")
    )


@right
def small_integers_as_numbers(keras, layers):
    """Stars 1 to 5 as a regression: integers, but mse."""
    x, y = houses()
    regressor(keras, x).fit(x, np.clip(np.round(y + 3), 1, 5).astype("int64"))


@right
def three_numbers(keras, layers):
    """A regression with three targets."""
    x, _ = houses()
    classifier(keras, x, 3, None, "mae", metrics=[]).fit(x, x[:, 1:] * 2 + 1)


@right
def constant_column(keras, layers):
    """A column of ones, and one that is rarely set."""
    x, y = table()
    rare = (np.arange(320) % 100 == 0).astype("float32")
    x = np.column_stack([x, np.ones(320, "float32"), rare])
    classifier(keras, x).fit(x, y)


@right
def one_hot_columns(keras, layers):
    """Dummies, booleans in a frame, few of them different: equal rows are no leak."""
    y = np.arange(400) % 2
    frame = pd.get_dummies(pd.DataFrame({"city": np.array(["Oslo", "Rome", "Lima"])[np.arange(400) % 3]}))
    model = classifier(keras, frame, 2)
    model.fit(frame[:300], y[:300], validation_data=(frame[300:], y[300:]))


@right
def frame_and_series(keras, layers):
    """A frame in, a Series of a filtered frame as y, its index with gaps."""
    x, y = table()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=y)
    frame = frame[frame.a > -1]
    x, y = frame.drop(columns="y"), frame.y
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict(x.iloc[:5])


@right
def shuffled_together(keras, layers):
    """Frame and Series, both shuffled by sample(frac=1) of one frame."""
    x, y = table()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=y).sample(frac=1, random_state=0)
    classifier(keras, frame[list("abcd")]).fit(frame[list("abcd")], frame.y)


@right
def normalization_layer(keras, layers):
    """Raw columns of many scales, and Normalization adapted to the training rows."""
    x, y = table()
    x = x * [1, 1000, 1e5, 0.01] + [0, 5000, 4e5, 1]
    normalize = layers.Normalization()
    normalize.adapt(x[:200])
    model = net(keras, x, normalize, layers.Dense(8, "relu"), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:200], y[:200])
    model.evaluate(x[200:], y[200:])


@right
def one_column(keras, layers):
    """A curve: y = sin(x), in order of x."""
    x = np.linspace(-3, 3, 400, dtype="float32")[:, None]
    model = classifier(keras, x, 1, None, "mse", metrics=[])
    model.fit(x, np.sin(x))


@right
def four_rows(keras, layers):
    """XOR, four rows, trained and asked on the same ones."""
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32"), np.array([0, 1, 1, 0])
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy")
    model.fit(x, y, epochs=5)
    model.evaluate(x, y)
    model.predict(x)


@right
def two_inputs(keras, layers):
    """Numbers and a category, each with its own input, by name."""
    x, y = table()
    numbers, city = keras.Input((4,), name="numbers"), keras.Input((1,), dtype="int32", name="city")
    both = layers.Concatenate()([numbers, layers.Flatten()(layers.Embedding(5, 2)(city))])
    model = keras.Model([numbers, city], layers.Dense(3, "softmax")(both))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit({"numbers": x, "city": np.arange(320) % 5}, y)


@right
def two_outputs(keras, layers):
    """A class and a number, with a weight for each loss."""
    x, y = table()
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = {
        "class": layers.Dense(3, "softmax", name="class")(hidden),
        "sum": layers.Dense(1, name="sum")(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        {"class": "sparse_categorical_crossentropy", "sum": "mse"},
        loss_weights={"class": 1.0, "sum": 0.2},
        metrics={"class": ["accuracy"], "sum": ["mae"]},
    )
    model.fit(x, {"class": y, "sum": x.sum(1)})


@right
def linear_regression(keras, layers):
    """One Dense(1), nothing else, with SGD at a rate of 0.1."""
    x, y = houses()
    model = net(keras, x, layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y)
