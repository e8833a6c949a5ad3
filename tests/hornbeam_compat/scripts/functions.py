"""tf.function with variables as arguments, in layers and pipelines. Passes under TensorFlow, too."""

import string
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow import keras


def same(actual, expected):
    np.testing.assert_allclose(np.array(actual), expected, rtol=1e-5, atol=1e-5)


# A variable is passed by reference: it can be differentiated, and assigned.
variable = tf.Variable([1.0, 2.0])


@tf.function
def loss_and_gradient(x, factor):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(x * x * factor)
    return loss, tape.gradient(loss, x)


for start in (1.0, 3.0):
    variable.assign([start, start])
    loss, gradient = loss_and_gradient(variable, tf.constant(2.0))
    same(loss, 4 * start**2)
    same(gradient, [4 * start, 4 * start])


@tf.function
def grow(x):
    x.assign_add(tf.ones_like(x))
    return tf.reduce_sum(x)


variable.assign([0.0, 0.0])
same([grow(variable) for _ in range(3)], [2, 4, 6])
same(variable, [3, 3])


# Structures and Python values as arguments, structures as results, several signatures.
@tf.function
def scaled(parts, by=1.0, names=("a", "b")):
    return {name: part * by for name, part in zip(names, parts)}


outputs = scaled([tf.constant(1.0), tf.constant([2.0])], by=3.0)
same(outputs["b"], [6.0])
same(scaled([tf.constant(1.0), tf.constant([[2.0]])])["b"], [[2.0]])


class Branch(keras.layers.Layer):
    """Branches on a value, line by line."""

    @tf.function
    def call(self, x):
        if tf.random.uniform([]) < 2.0:
            x = x + 1.0
        return x


same(Branch()(tf.zeros((2,))), [1, 1])
options = tf.data.Options()
options.threading.private_threadpool_size = 1
dataset = tf.data.Dataset.range(3).with_options(options)
same([Branch()(tf.cast(n, tf.float32)) for n in dataset], [1, 2, 3])


# A training loop with a compiled step, optimizer and metrics; the first compiled call creates their state.
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
optimizer = keras.optimizers.Adam(0.05)
mean = keras.metrics.Mean()


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
    gradients = tape.gradient(loss, model.trainable_variables)
    clipped, _ = tf.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(clipped, model.trainable_variables))
    mean.update_state(loss)
    return loss


x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x[:, :1] * x[:, 1:2]
losses = [float(step(x, y)) for _ in range(150)]
assert losses[-1] < 0.3 * losses[0], losses[::30]
same(mean.result(), np.mean(losses))
assert int(optimizer.iterations) == 150

# Checkpoints: all values are restored, only the newest files are kept.
with tempfile.TemporaryDirectory() as folder:
    epoch = tf.Variable(7)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, epoch=epoch)
    manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
    assert manager.latest_checkpoint is None
    checkpoint.restore(manager.latest_checkpoint)
    before = model.predict(x, verbose=0)
    for _ in range(3):
        path = manager.save()
    assert path == manager.latest_checkpoint == tf.train.latest_checkpoint(folder)
    assert len(manager.checkpoints) == 2
    step(x, y)
    epoch.assign(0)
    assert np.abs(model.predict(x, verbose=0) - before).max() > 1e-6
    checkpoint.restore(path).expect_partial()
    same(model.predict(x, verbose=0), before)
    assert (int(epoch), int(optimizer.iterations)) == (7, 150)

# Miscellaneous.
same(tf.math.cumprod([[2.0, 3.0, 4.0]], axis=-1, exclusive=True), [[1, 2, 6]])
same(tf.math.cumprod([2.0, 3.0, 4.0], exclusive=True, reverse=True), [12, 4, 1])
assert tf.strings.regex_replace("a,b!", f"([{string.punctuation}])", r" \1").numpy() == b"a ,b !"
same(tf.nn.depth_to_space(tf.reshape(tf.range(4.0), (1, 1, 1, 4)), 2)[0, :, :, 0], [[0, 1], [2, 3]])
same(tf.random_normal_initializer(stddev=1e-9)(shape=(2,)), [0, 0])
same(tf.zeros_initializer()(shape=(2,)), [0, 0])
assert "%.2f" % tf.constant(1.5) == "1.50"
with tf.device("/CPU:0"), tf.name_scope("scope"):
    same(tf.add_n([tf.constant(1.0), tf.constant(2.0)]), 3)
same(tf.py_function(lambda a: a + 1, inp=[tf.constant(1.0)], Tout=tf.float32), 2)
same(tf.numpy_function(lambda a: np.sort(a), [tf.constant([2.0, 1.0])], tf.float32), [1, 2])
choices = [lambda: tf.constant(1.0), lambda: tf.constant(2.0), lambda: tf.constant(3.0)]
for index, wanted in ((0, 1), (2, 3), (7, 3), (-1, 3)):
    same(tf.switch_case(index, choices), wanted)
    same(tf.switch_case(tf.constant(index), choices), wanted)
    same(tf.function(lambda i: tf.switch_case(i, choices))(tf.constant(index)), wanted)
by_index = {0: choices[0], 2: choices[1]}
for index, wanted in ((0, 1), (1, 3), (2, 2), (3, 3), (-2, 3)):
    same(tf.switch_case(tf.constant(index), by_index, default=choices[2]), wanted)
    same(tf.switch_case(index, list(by_index.items()), choices[2]), wanted)


def by_sign(x):
    return tf.case([(x > 0, choices[0]), (x < 0, choices[1])], default=choices[2], exclusive=True)


for x, wanted in ((5.0, 1), (-5.0, 2), (0.0, 3)):
    same(by_sign(tf.constant(x)), wanted)
    same(tf.function(by_sign)(tf.constant(x)), wanted)
same(tf.case([(tf.constant(False), choices[0]), (tf.constant(True), choices[1])]), 2)


def squares(n):
    rows = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    _, rows = tf.while_loop(
        lambda i, _: i < 3,
        lambda i, rows: (i + 1, rows.write(i, tf.cast(i, tf.float32) * n)),
        (tf.constant(0), rows),
    )
    return rows.stack()


same(squares(tf.constant(2.0)), [0, 2, 4])
same(tf.function(squares)(tf.constant(3.0)), [0, 3, 6])
pixels = tf.reshape(tf.range(6.0), (1, 2, 3, 1))
shifted = tf.raw_ops.ImageProjectiveTransformV3(
    images=pixels,
    transforms=[[1.0, 0, 1, 0, 1, 0, 0, 0]],
    output_shape=[2, 3],
    fill_value=-1.0,
    interpolation="NEAREST",
)
same(shifted[0, :, :, 0], [[1, 2, -1], [4, 5, -1]])
same(tf.cond(tf.constant(True), lambda: tf.constant(1.0), lambda: tf.constant(2.0)), 1)
same(tf.while_loop(lambda i: i < 5, lambda i: (i + 2,), [tf.constant(0)]), [6])
same(tf.map_fn(lambda row: row * 2, tf.constant([1.0, 2.0])), [2, 4])
print("ok")
