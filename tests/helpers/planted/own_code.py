"""Own layers, losses, models and training steps."""

import numpy as np

from .data import classifier, houses, net, regressor, table
from .listen import error, silent, warning


@error("is a `return` missing at its end?")
def call_without_return(keras, layers):
    """call() of an own layer forgets its return."""

    class Double(layers.Layer):
        def call(self, x):
            2 * x

    net(keras, table()[0], Double(), layers.Dense(3))


@error("must call super().__init__()")
def super_forgotten(keras, layers):
    """__init__ of an own layer does not call super().__init__()."""

    class Block(layers.Layer):
        def __init__(self):
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    net(keras, table()[0], Block())


@error("create it in __init__() or build()")
def layer_made_in_call(keras, layers):
    """call() makes a new Dense each time: its weights are never trained."""
    x, y = table()

    class Block(layers.Layer):
        def call(self, x):
            return layers.Dense(3, "softmax")(x)

    model = net(keras, x, Block())
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("the value of")
def numpy_in_loss(keras, layers):
    """np.mean in a loss."""
    x, y = houses()
    regressor(keras, x, loss=lambda y, p: np.mean((np.array(y) - np.array(p)) ** 2)).fit(x, y)


@warning("no gradient of the loss reaches a weight")
def argmax_in_loss(keras, layers):
    """A loss counts errors with argmax, which has no gradient."""
    x, y = table()

    def errors(y, p):
        return keras.ops.mean(
            keras.ops.cast(keras.ops.argmax(p, -1) != keras.ops.cast(y, "int64"), "float32")
        )

    classifier(keras, x, loss=errors).fit(x, y)


@warning("the loss does not depend on the weights")
def loss_forgets_prediction(keras, layers):
    """A loss subtracts y from y."""
    x, y = houses()
    regressor(keras, x, loss=lambda y, p: keras.ops.square(y - y)).fit(x, y)


@warning("It is a logarithm of zero or less")
def logarithm_of_zero_in_loss(keras, layers):
    """log(p) of a relu in a loss: minus infinity, then NaN."""
    x, y = houses()
    loss = lambda y, p: -keras.ops.mean(y[:, None] * keras.ops.log(p))  # noqa: E731
    classifier(keras, x, 1, "relu", loss, metrics=[]).fit(x, abs(y), epochs=3)


@silent("both arguments look alike")
def loss_with_swapped_arguments(keras, layers):
    """def loss(prediction, truth), where Keras passes the truth first."""
    x, y = table()

    def cross_entropy(p, y):
        return keras.ops.mean(-keras.ops.sum(y * keras.ops.log(p + 1e-7), -1))

    classifier(keras, x, loss=cross_entropy).fit(x, keras.utils.to_categorical(y))


@error("`if`, `while`, `and`, `or` and `not` need it")
def if_of_a_tensor(keras, layers):
    """if on a value of a tensor in call()."""
    x, y = table()

    class Clip(layers.Layer):
        def call(self, x):
            if keras.ops.max(x) > 1:
                return x / keras.ops.max(x)
            return x

    model = net(keras, x, Clip(), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@error("is symbolic: it has no value yet")
def numpy_on_keras_tensor(keras, layers):
    """np.log of an Input."""
    np.log(keras.Input((4,)))


@error("outputs of a functional model must be symbolic tensors")
def layer_not_called(keras, layers):
    """outputs = Dense(3), without (x)."""
    inputs = keras.Input((4,))
    keras.Model(inputs, layers.Dense(3))


@error("which is not among the inputs")
def other_input(keras, layers):
    """Model(inputs, outputs) with an Input that outputs do not come from."""
    x, other = keras.Input((4,)), keras.Input((4,))
    keras.Model(other, layers.Dense(3)(x))


@error("units must be an integer")
def half_a_number_of_units(keras, layers):
    """Dense(64 / 2): 32.0."""
    layers.Dense(65 / 2)


@error("must return a dict of logs")
def training_step_without_logs(keras, layers):
    """train_step returns nothing."""
    x, y = table()

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, "softmax")

        def call(self, x):
            return self.dense(x)

        def train_step(self, *data):
            pass

    model = Own()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@silent("random predictions are a method (Monte Carlo dropout)")
def dropout_always_on(keras, layers):
    """dropout(x, training=True) in an own net: predictions are random too."""
    x, y = table()
    inputs = keras.Input((4,))
    hidden = layers.Dropout(0.5)(layers.Dense(8, "relu")(inputs), training=True)
    model = keras.Model(inputs, layers.Dense(3, "softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)
    model.predict(x)
