"""tf.GradientTape. Passes under TensorFlow and `hornbeam run`."""

import numpy as np
import tensorflow as tf


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.array(actual), expected, rtol=tolerance, atol=tolerance)


x = tf.constant(3.0)

# A value equal to one that was read before has a gradient, too.
before = x * x
assert float(before) == 9.0
with tf.GradientTape() as tape:
    tape.watch(x)
    y = x * x
assert float(y) == 9.0  # reading does not hurt
close(tape.gradient(y, x), 6.0)
try:
    tape.gradient(y, x)
    raise AssertionError("a second gradient of a tape that is not persistent")
except RuntimeError:
    pass

# Constants are not watched; trainable variables are.
v, frozen = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 1.0], trainable=False)
with tf.GradientTape(persistent=True) as tape:
    loss = tf.reduce_sum(v * v * frozen) + x
assert tape.gradient(loss, x) is None
assert tape.gradient(loss, frozen) is None
close(tape.gradient(loss, v), [2.0, 4.0])
gradients = tape.gradient(loss, {"v": v, "x": [x]})
close(gradients["v"], [2.0, 4.0])
assert gradients["x"] == [None]
close(tape.gradient(loss, x, unconnected_gradients="zero"), 0.0)

# A variable counts with its value at the time of reading, whatever is assigned later.
v.assign_add([10.0, 10.0])
close(tape.gradient(loss, v), [2.0, 4.0])
close(v, [11.0, 12.0])
with tf.GradientTape() as tape:
    first = tf.reduce_sum(v**2)
    v.assign([1.0, 1.0])
    total = first + tf.reduce_sum(3.0 * v)
close(tape.gradient(total, v), [25.0, 27.0])

# Second and third order.
with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as middle:
        middle.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x**4
        d1 = inner.gradient(y, x)
    d2 = middle.gradient(d1, x)
d3 = outer.gradient(d2, x)
close([d1, d2, d3], [108.0, 108.0, 72.0])

# Intermediate sources, targets that are not scalars, several targets, cotangents.
with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    h = 2.0 * x
    y = tf.stack([h, h * h])
    z = h + 1.0
close(tape.gradient(y, h), 1.0 + 12.0)
close(tape.gradient([y, z], x), 2.0 * (1.0 + 12.0) + 2.0)
close(tape.gradient(y, x, output_gradients=tf.constant([1.0, 0.0])), 2.0)

# Jacobians.
m = tf.constant([[1.0, 2.0], [3.0, 4.0]])
with tf.GradientTape(persistent=True) as tape:
    tape.watch(m)
    p = m * m
close(tape.jacobian(p, m), np.einsum("ij,ia,jb->ijab", 2 * np.array([[1, 2], [3, 4]]), np.eye(2), np.eye(2)))
close(tape.batch_jacobian(p, m), np.stack([np.diag([2, 4]), np.diag([6, 8])]))
with tf.GradientTape(watch_accessed_variables=False) as tape:
    loss = tf.reduce_sum(v)
assert tape.gradient(loss, v) is None


# Through compiled functions, and inside of them.
@tf.function
def cube(a):
    return a * a * a


with tf.GradientTape() as tape:
    tape.watch(x)
    y = cube(x)
close(tape.gradient(y, x), 27.0)


@tf.function
def derivative(a):
    with tf.GradientTape() as inside:
        inside.watch(a)
        b = tf.math.sin(a)
    return inside.gradient(b, a)


for value in (0.0, 0.5):
    close(derivative(tf.constant(value)), np.cos(value))


@tf.custom_gradient
def clipped(a):
    def grad(upstream):
        return tf.clip_by_value(upstream, -0.5, 0.5)

    return tf.identity(a), grad


with tf.GradientTape() as tape:
    tape.watch(x)
    y = clipped(x) * 4.0
close(tape.gradient(y, x), 0.5)

# A custom training loop.
weight, rate = tf.Variable(5.0), 0.1
for _ in range(50):
    with tf.GradientTape() as tape:
        loss = (weight - 2.0) ** 2
    weight.assign_sub(rate * tape.gradient(loss, weight))
close(weight, 2.0, 1e-3)
# Equal tensors are different sources.
ones, others = tf.ones((2,)), tf.ones((2,))
with tf.GradientTape() as tape:
    tape.watch([ones, others])
    product = tf.reduce_sum(ones * others * 3.0 + ones)
first, second = tape.gradient(product, [ones, others])
assert first.numpy().tolist() == [4.0, 4.0]
assert second.numpy().tolist() == [3.0, 3.0]
print("ok")
