"""Gradients of constants, entries of arrays, windows over channels, values of datasets and models."""

import numpy as np
import tensorflow as tf


def equal(tensor, expected):
    value = np.asarray(tensor).tolist()
    assert value == expected, (value, expected)


# a watched constant is not the literal of the same value
a, b = tf.constant(5.0), tf.constant(3.0)
with tf.GradientTape() as tape:
    tape.watch(a)
    tape.watch(b)
    z = 3 * a**2 + 2 * a * b
equal(tape.gradient(z, [a, b]), [36.0, 10.0])

# reading an entry clears it
array = tf.TensorArray(tf.float32, size=3)
for i in range(3):
    array = array.write(i, i + 1.0)
equal(array.read(1), 2.0)
equal(array.stack(), [1.0, 0.0, 3.0])
kept = tf.TensorArray(tf.float32, size=2, clear_after_read=False).unstack([1.0, 2.0])
equal(kept.read(1), 2.0)
equal(kept.stack(), [1.0, 2.0])

# windows over channels
x = np.arange(48, dtype="float32").reshape(2, 2, 2, 6)
pooled = tf.nn.max_pool(x, ksize=(1, 1, 1, 3), strides=(1, 1, 1, 3), padding="VALID")
equal(pooled, x.reshape(2, 2, 2, 2, 3).max(-1).tolist())

# images in a list
assert tuple(tf.keras.layers.CenterCrop(2, 2)([np.ones((4, 4, 3)), np.zeros((4, 4, 3))]).shape) == (
    2,
    2,
    2,
    3,
)


# (1,) is a value of shape (1,)
def samples():
    for i in range(2):
        yield (i,)


spec = tf.TensorSpec(shape=(1,), dtype=tf.int64)
equal(list(tf.data.Dataset.from_generator(samples, output_signature=spec)), [[0], [1]])

# a list of one output
first = tf.keras.Input((3,))
model = tf.keras.Model(inputs=[first], outputs=[tf.keras.layers.Dense(2)(first)])
assert tuple(model(np.ones((4, 3), "float32")).shape) == (4, 2)
assert model.predict(np.ones((4, 3)), verbose=0).shape == (4, 2)
assert isinstance(model(first), list)

print("ok")
