"""Tensors, variables, shapes, dtypes, rearranging elements. Passes under TensorFlow and `hornbeam run`."""

import numpy as np
import tensorflow as tf


def same(actual, expected):
    array = np.array(actual)
    np.testing.assert_allclose(array, np.array(expected), rtol=1e-6, atol=1e-6)


# Tensors.
a = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
assert a.shape == (2, 3)
assert a.shape.as_list() == [2, 3]
assert a.shape.rank == 2
assert a.get_shape()[1] == 3
assert a.dtype == tf.float32
assert tf.constant(1).dtype == tf.int32
assert tf.constant(np.zeros(2)).dtype == tf.float64
assert tf.constant(True).dtype == tf.bool
assert isinstance(a, tf.Tensor)
assert tf.is_tensor(a)
assert not tf.is_tensor([1.0])
same(a + 1, [[2, 3, 4], [5, 6, 7]])
same(2 * a - a / 2, 1.5 * np.arange(1, 7).reshape(2, 3))
same(a @ tf.transpose(a), [[14, 32], [32, 77]])
same(a[:, 1:], [[2, 3], [5, 6]])
same(a[..., tf.newaxis].shape, (2, 3, 1))
same(a > 2, [[False, False, True], [True, True, True]])
same(np.sum(a), 21)
same(np.exp(tf.constant([0.0])), [1])
assert float(a[0, 0]) == 1.0
assert f"{float(tf.reduce_mean(a)):.2f}" == "3.50"
changed = a.numpy()
changed[0, 0] = 9
assert float(a[0, 0]) == 1.0
assert [float(row[0]) for row in a] == [1.0, 4.0]
assert len(a) == 2
same(tf.constant(7, shape=(2, 2)), [[7, 7], [7, 7]])
same(tf.cast(a, tf.int32), [[1, 2, 3], [4, 5, 6]])
assert tf.convert_to_tensor([1, 2], dtype=tf.float32).dtype == tf.float32
assert tf.as_dtype("float32") == tf.float32
assert tf.float32.is_floating
assert tf.int32.max == 2**31 - 1

# Variables.
v = tf.Variable(tf.zeros((2,)), name="counter")
assert isinstance(v, tf.Variable)
v.assign([1.0, 2.0])
v.assign_add([1.0, 1.0])
v.assign_sub([0.5, 0.0])
same(v, [1.5, 3.0])
same(v.read_value() * 2, [3, 6])
same(v + v, [3, 6])
assert v.trainable
assert v.shape == (2,)
step = tf.Variable(0, trainable=False, dtype=tf.int64)
step.assign_add(1)
assert int(step) == 1
assert {v.ref(): "here"}[v.ref()] == "here"

# Creation.
same(tf.zeros((2, 1)), [[0], [0]])
same(tf.ones_like(a), np.ones((2, 3)))
same(tf.fill([2], 4.0), [4, 4])
same(tf.range(3), [0, 1, 2])
same(tf.range(1, 7, 2), [1, 3, 5])
assert tf.range(3).dtype == tf.int32
same(tf.linspace(0.0, 1.0, 3), [0, 0.5, 1])
same(tf.eye(2), np.eye(2))
same(tf.one_hot([0, 2], 3), [[1, 0, 0], [0, 0, 1]])
same(tf.one_hot([0], 2, on_value=5.0, off_value=1.0), [[5, 1]])
same(tf.sequence_mask([1, 3], 4), [[1, 0, 0, 0], [1, 1, 1, 0]])

# Shapes.
assert tf.shape(a)[0] == 2
same(tf.shape(a), [2, 3])
same(tf.zeros((tf.shape(a)[0], 4)).shape, (2, 4))
same(tf.zeros(tf.shape(a)).shape, (2, 3))
same(tf.reshape(a, [3, -1]), [[1, 2], [3, 4], [5, 6]])
same(tf.reshape(a, tf.concat([tf.shape(a), [1]], axis=0)).shape, (2, 3, 1))
same(tf.concat([a, a], axis=0).shape, (4, 3))
same(tf.stack([a, a], axis=1).shape, (2, 2, 3))
same(tf.unstack(a)[1], [4, 5, 6])
first, second = tf.split(a, [1, 2], axis=1)
same(second, [[2, 3], [5, 6]])
same(tf.split(a, 3, axis=-1)[2], [[3], [6]])
same(tf.tile(a, [1, 2]).shape, (2, 6))
same(tf.repeat([1, 2], 2), [1, 1, 2, 2])
same(tf.expand_dims(a, -1).shape, (2, 3, 1))
same(tf.squeeze(tf.zeros((1, 2, 1))).shape, (2,))
same(tf.squeeze(tf.zeros((1, 2, 1)), axis=[0]).shape, (2, 1))
same(tf.transpose(tf.zeros((2, 3, 4)), perm=[2, 0, 1]).shape, (4, 2, 3))
same(tf.broadcast_to([1.0, 2.0], [2, 2]), [[1, 2], [1, 2]])
same(tf.pad([[1, 2]], [[1, 0], [0, 1]]), [[0, 0, 0], [1, 2, 0]])
same(tf.pad([1, 2, 3], [[2, 0]], mode="REFLECT"), [3, 2, 1, 2, 3])
same(tf.reverse([1, 2, 3], axis=[0]), [3, 2, 1])
same(tf.roll([1, 2, 3], shift=1, axis=0), [3, 1, 2])
same(tf.slice(a, [0, 1], [2, -1]), [[2, 3], [5, 6]])

# Selection.
same(tf.where(a > 3, a, tf.zeros_like(a)), [[0, 0, 0], [4, 5, 6]])
same(tf.where([[True, False], [True, True]]), [[0, 0], [1, 0], [1, 1]])
same(tf.gather(a, [1, 0]), [[4, 5, 6], [1, 2, 3]])
same(tf.gather(a, [2, 0], axis=1), [[3, 1], [6, 4]])
same(tf.gather(a, [[0, 1], [2, 2]], batch_dims=1), [[1, 2], [6, 6]])
grid = np.arange(120.0).reshape(2, 3, 4, 5)
picks = np.array([[[0, 1], [2, 3], [3, 3]], [[1, 1], [0, 2], [2, 0]]])
same(tf.gather(grid, picks, batch_dims=2), np.take_along_axis(grid, picks[..., None], 2))
wanted = np.stack([[row[:, at] for row, at in zip(rows, ats)] for rows, ats in zip(grid, picks)])
same(tf.gather(grid, picks, axis=3, batch_dims=2), wanted)
wanted = np.stack([rows[:, at] for rows, at in zip(grid, picks[:, 0])])
same(tf.gather(grid, picks[:, 0], axis=-2, batch_dims=-1), wanted)
same(tf.gather_nd(a, [[0, 1], [1, 2]]), [2, 6])
same(tf.boolean_mask(a, [True, False]), [[1, 2, 3]])
same(tf.scatter_nd([[1], [3]], [5, 6], [4]), [0, 5, 0, 6])
same(tf.tensor_scatter_nd_update([1, 2, 3], [[0]], [9]), [9, 2, 3])
same(tf.sort([3, 1, 2], direction="DESCENDING"), [3, 2, 1])
same(tf.argsort([3, 1, 2]), [1, 2, 0])
values, places = tf.unique([4, 2, 4])
same(values, [4, 2])
same(places, [0, 1, 0])
same(tf.clip_by_value(a, 2.0, 5.0), [[2, 2, 3], [4, 5, 5]])
same(tf.clip_by_norm([3.0, 4.0], 1.0), [0.6, 0.8])
clipped, norm = tf.clip_by_global_norm([tf.constant([3.0]), tf.constant([4.0])], 1.0)
same(norm, 5)
same(clipped[1], [0.8])

# Random numbers: distributions, seeds.
tf.random.set_seed(3)
drawn = tf.random.normal((2000,), mean=1.0, stddev=2.0)
assert abs(float(tf.reduce_mean(drawn)) - 1) < 0.2
assert drawn.dtype == tf.float32
tf.random.set_seed(3)
same(tf.random.normal((2000,), mean=1.0, stddev=2.0), drawn)
integers = tf.random.uniform((500,), minval=0, maxval=5, dtype=tf.int32)
assert sorted(set(integers.numpy().tolist())) == [0, 1, 2, 3, 4]
assert sorted(tf.random.shuffle(tf.range(5)).numpy().tolist()) == [0, 1, 2, 3, 4]
generator = tf.random.Generator.from_seed(1)
assert generator.normal((3,)).shape == (3,)
same(tf.random.stateless_uniform((3,), seed=[1, 2]), tf.random.stateless_uniform((3,), seed=[1, 2]))
assert tf.random.categorical(tf.math.log([[0.0001, 0.9999]]), 5).shape == (1, 5)

# Devices and execution.
assert tf.config.list_physical_devices("GPU") == []
assert tf.version.VERSION.startswith("2.")
assert tf.executing_eagerly()
tf.debugging.assert_equal(a, a)
try:
    tf.debugging.assert_less(a, a)
    raise AssertionError("a < a")
except tf.errors.InvalidArgumentError:
    pass
print("ok")
