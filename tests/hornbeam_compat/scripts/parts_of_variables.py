"""Assignment to parts of variables, sizes as tensors, functions for one signature, Python functions."""

import numpy as np
import tensorflow as tf


def equal(tensor, expected):
    value = np.asarray(tensor).tolist()
    assert value == expected, (value, expected)


v = tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
v[0, 1].assign(42.0)
v[:, 2].assign([0.0, 1.0])
equal(v, [[1.0, 42.0, 0.0], [4.0, 5.0, 1.0]])
assert v[0, 1].numpy() == 42.0
v.scatter_nd_update(indices=[[0, 0]], updates=[100.0])
equal(v[0], [100.0, 42.0, 0.0])
v.scatter_update(tf.IndexedSlices(values=[[1.0, 2.0, 3.0]], indices=[0]))
v.scatter_add(tf.IndexedSlices(values=[[1.0, 1.0, 1.0]], indices=[0]))
equal(v[0], [2.0, 3.0, 4.0])
v.scatter_nd_add([[0, 0]], [98.0])


@tf.function
def shift():
    v[1, 0].assign(v[1, 0] + 1.0)


shift()
equal(v[1], [5.0, 5.0, 1.0])

x = tf.zeros([3, 2, 4, 5])
assert tf.size(x).numpy() == 120
assert tf.rank(x).numpy() == 4
assert tf.shape(x)[1].numpy() == 2
assert x.dtype.name == "float32"
assert v.dtype.name == "float32"
assert tf.cast(tf.size(x), tf.float32).numpy() == 120.0


class Positions(tf.keras.layers.Layer):
    def call(self, inputs):
        length = tf.shape(inputs)[-1]
        steps = tf.cast(tf.range(start=0, limit=length, delta=1), tf.float32)
        return tf.reshape(inputs, (tf.shape(inputs)[0], length, 1)) + steps[:, None]


first = tf.keras.Input((None,))
model = tf.keras.Model(first, Positions()(first))
equal(model.predict(np.zeros((2, 3)), verbose=0)[0], [[0.0], [1.0], [2.0]])


@tf.function
def scaled(a, b=2):
    return a * b


equal(scaled.get_concrete_function(tf.TensorSpec([], tf.float32), b=3)(tf.constant(2.0)), 6.0)
equal(scaled.get_concrete_function(tf.constant(1.0))(tf.constant(4.0)), 8.0)
assert scaled.get_concrete_function(tf.constant(1.0)) is scaled.get_concrete_function(tf.constant(2.0))
equal(scaled.get_concrete_function(tf.TensorSpec([], tf.float32), 3)(tf.constant(2.0)), 6.0)


@tf.py_function(Tout=tf.float32)
def one_more(a):
    return a + 1


@tf.numpy_function(Tout=tf.float32)
def sine(a):
    return np.sin(a)


equal(one_more(tf.constant(1.0)), 2.0)
assert abs(sine(tf.constant(1.0)) - np.sin(1.0)) < 1e-6
assert tf.numpy_function(lambda a: a.astype("float32"), [tf.constant(2)], tf.float32).dtype == tf.float32
pair = tf.py_function(lambda a: (a, a + 1), [tf.constant(1)], [tf.int32, tf.int32])
assert [int(part) for part in pair] == [1, 2]

equal(tf.unique_with_counts([1, 1, 2])[2], [2, 1])
equal(tf.dynamic_partition([1, 2, 3, 4], [0, 1, 0, 1], 2)[1], [2, 4])
equal(tf.dynamic_stitch([[0, 2], [1, 3]], [[1, 3], [2, 4]]), [1, 2, 3, 4])
equal(tf.reverse_sequence([[1, 2, 3], [4, 5, 6]], [2, 3], seq_axis=1), [[2, 1, 3], [6, 5, 4]])
equal(tf.tensor_scatter_nd_max([1, 2], [[0]], [5]), [5, 2])
equal(tf.tensor_scatter_nd_sub([1, 2], [[0]], [5]), [-4, 2])
equal(tf.compat.v1.scan(lambda a, b: a + b, tf.constant([1, 2, 3])), [1, 3, 6])

# the words of a text by a function of the script
for split in (lambda s: tf.strings.split(s, sep=","), lambda s: tf.strings.unicode_split(s, "UTF-8")):
    layer = tf.keras.layers.TextVectorization(split=split, standardize=lambda s: tf.strings.lower(s))
    layer.adapt(np.array(["a,b", "B,c"]))
    assert {"a", "b", "c"} <= set(layer.get_vocabulary())

print("ok")
