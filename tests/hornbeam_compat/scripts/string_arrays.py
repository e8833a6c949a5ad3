"""Strings in functions that select, reorder and repeat; rows of ragged tensors. Passes under TensorFlow."""

import numpy as np
import tensorflow as tf


def same(actual, expected):
    np.testing.assert_array_equal(actual.numpy(), np.array(expected, object))


def raises(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind}")


words = tf.constant(["x", "y", "z"])
table = tf.constant([["a", "b"], ["c", "d"]])
same(tf.where([True, False, True], words, "-"), [b"x", b"-", b"z"])
same(tf.tile(table, [1, 2])[0], [b"a", b"b", b"a", b"b"])
same(tf.fill([2, 1], "q"), [[b"q"], [b"q"]])
same(tf.zeros([2], tf.string), [b"", b""])
same(tf.zeros_like(words), [b"", b"", b""])
same(tf.reverse(words, [0]), [b"z", b"y", b"x"])
same(tf.transpose(table)[0], [b"a", b"c"])
same(tf.stack([words, words], axis=1)[2], [b"z", b"z"])
assert [part.numpy() for part in tf.unstack(words)] == [b"x", b"y", b"z"]
same(tf.split(words, [1, 2])[1], [b"y", b"z"])
same(tf.repeat(words, 2), [b"x", b"x", b"y", b"y", b"z", b"z"])
same(tf.roll(words, 1, 0), [b"z", b"x", b"y"])
same(tf.boolean_mask(words, [True, False, True]), [b"x", b"z"])
same(tf.broadcast_to(words, [2, 3])[1], [b"x", b"y", b"z"])
same(tf.gather_nd(table, [[0, 1], [1, 0]]), [b"b", b"c"])
same(tf.slice(words, [1], [-1]), [b"y", b"z"])
same(tf.pad(words, [[1, 0]], constant_values="p"), [b"p", b"x", b"y", b"z"])
values, index = tf.unique(tf.constant(["b", "a", "b"]))
same(values, [b"b", b"a"])
assert index.numpy().tolist() == [0, 1, 0]
same(tf.identity(words), [b"x", b"y", b"z"])
tf.debugging.assert_equal(words, words)
raises(tf.errors.InvalidArgumentError, lambda: tf.debugging.assert_equal(words, words[::-1]))
array = tf.TensorArray(tf.string, 2).write(0, "a").write(1, "b")
same(array.stack(), [b"a", b"b"])
assert tf.boolean_mask([1, 2, 3], [1.0, 0.0, 1.0]).numpy().tolist() == [1, 3]

# Ragged tensors: rows, and never their values across rows.
ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
assert tf.reverse(ragged, [0]).to_list() == [[3], [1, 2]]
assert tf.reverse(ragged, [1]).to_list() == [[2, 1], [3]]
assert tf.tile(ragged, [2, 1]).to_list() == [[1, 2], [3], [1, 2], [3]]
assert tf.tile(ragged, [1, 2]).to_list() == [[1, 2, 1, 2], [3, 3]]
assert tf.tile(tf.ragged.constant([["a"], []]), [1, 2]).to_list() == [[b"a", b"a"], []]
np.testing.assert_allclose(tf.nn.softmax(ragged)[1].numpy(), [1.0])
np.testing.assert_allclose(tf.reduce_sum(tf.nn.softmax(ragged), 1).numpy(), [1, 1], rtol=1e-6)
raises((TypeError, ValueError), lambda: tf.sort(ragged))
raises(tf.errors.InvalidArgumentError, lambda: ragged + tf.ragged.constant([[1.0], [2.0, 3.0]]))
texts = tf.concat([tf.fill([2, 1], "#"), tf.ragged.constant([["a"], ["b", "c"]])], axis=1)
assert texts.to_list() == [[b"#", b"a"], [b"#", b"b", b"c"]]
assert tf.ragged.range(tf.zeros([0], tf.int32)).to_list() == []

# Gradients flow through a TensorArray.
x = tf.Variable([1.0, 2.0])
with tf.GradientTape() as tape:
    parts = tf.TensorArray(tf.float32, 2).write(0, x[0] * 2).write(1, x[1] * 3)
    total = tf.reduce_sum(parts.stack())
assert tape.gradient(total, x).numpy().tolist() == [2, 3]

values, vectors = tf.linalg.eig(tf.constant([[2.0, 1.0], [2.0, 3.0]], tf.float64))
assert values.dtype == tf.complex128
np.testing.assert_allclose(sorted(values.numpy().real), [1, 4])
print("ok")
