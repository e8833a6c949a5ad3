"""Use of a trained net and of its numbers."""

from .data import classifier, table
from .listen import error, silent


@silent("what NumPy does with predictions cannot be seen")
def most_likely_sample(keras, layers):
    """predict(x).argmax(0) for the classes."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y)
    print(model.predict(x).argmax(0))


@silent("what NumPy does with predictions cannot be seen")
def largest_of_one_probability(keras, layers):
    """np.argmax(predict(x), 1) of one sigmoid unit: always 0."""
    x, y = table(classes=2)
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy")
    model.fit(x, y)
    print((model.predict(x).argmax(1) == y).mean())


@silent("what NumPy does with predictions cannot be seen")
def matrix_of_booleans(keras, layers):
    """predict(x) == y of a column (n, 1) and a row (n,): n x n answers, and their mean."""
    x, y = table(classes=2)
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy")
    model.fit(x, y)
    print(((model.predict(x) > 0.5) == y).mean())


@silent("what Python does with the list cannot be seen; the line of evaluate is right")
def accuracy_is_the_second(keras, layers):
    """accuracy, loss = evaluate(...)."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x[:200], y[:200])
    accuracy, _ = model.evaluate(x[200:], y[200:])
    print(f"accuracy {accuracy:.0%}")


@error("but y is missing")
def evaluate_without_labels(keras, layers):
    """evaluate(x_test)."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y)
    model.evaluate(x)


@error("x holds 2 arrays")
def sample_of_two_inputs(keras, layers):
    """A net of one input gets [x1, x2]."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict([x, x])


@error("use model.predict(x).argmax(axis=-1)")
def predict_classes(keras, layers):
    """model.predict_classes(x), gone since 2021."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y)
    model.predict_classes(x)


@silent("predictions of random weights are asked for in tests and for shapes")
def predict_before_training(keras, layers):
    """predict of a net that was neither trained nor loaded: the fit cell was skipped."""
    x, _ = table()
    print(classifier(keras, x).predict(x).argmax(1))
