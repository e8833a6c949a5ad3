"""Sparse tensors, sets, and indexed rows."""

import tensorflow as tf


def equal(tensor, expected):
    value = tensor.numpy().tolist()
    assert value == expected, (value, expected)


s = tf.SparseTensor(indices=[[0, 1], [1, 0]], values=[1.0, 2.0], dense_shape=[2, 3])
text = tf.SparseTensor([[0, 1]], ["x"], [1, 2])
assert isinstance(s, tf.SparseTensor)
assert isinstance(text, tf.SparseTensor)
assert not isinstance(tf.zeros([2]), tf.SparseTensor)
equal(s.indices, [[0, 1], [1, 0]])
equal(s.values, [1.0, 2.0])
equal(s.dense_shape, [2, 3])
dense = tf.sparse.to_dense
equal(dense(s), [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
equal(dense(s, default_value=9.0), [[9.0, 1.0, 9.0], [2.0, 9.0, 9.0]])
equal(dense(text, default_value="-"), [[b"-", b"x"]])
equal(tf.sparse.from_dense([[1, 0], [0, 3]]).values, [1, 3])
equal(tf.sparse.from_dense(["", "b"]).indices, [[1]])
equal(dense(s * 3.0), [[0.0, 3.0, 0.0], [6.0, 0.0, 0.0]])
equal(dense(tf.sparse.add(s, s)), [[0.0, 2.0, 0.0], [4.0, 0.0, 0.0]])
equal(dense(tf.sparse.map_values(tf.square, s)), [[0.0, 1.0, 0.0], [4.0, 0.0, 0.0]])
equal(dense(tf.sparse.concat(1, [s, s])), [[0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [2.0, 0.0, 0.0, 2.0, 0.0, 0.0]])
equal(dense(tf.sparse.concat(0, [s, s]))[2:], [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
equal(dense(tf.sparse.slice(s, [0, 0], [1, 2])), [[0.0, 1.0]])
equal(dense(tf.sparse.split(s, num_split=2, axis=0)[1]), [[2.0, 0.0, 0.0]])
equal(dense(tf.sparse.transpose(s)), [[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
equal(dense(tf.sparse.reshape(s, [3, 2])), [[0.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
equal(dense(tf.sparse.expand_dims(s, 0)), [[[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]])
equal(dense(tf.sparse.retain(s, [True, False])), [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
equal(dense(tf.sparse.reset_shape(s, [2, 4])), [[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
equal(dense(tf.sparse.maximum(s, tf.sparse.map_values(tf.negative, s))), [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
equal(tf.sparse.reduce_sum(s, axis=1), [1.0, 2.0])
equal(tf.sparse.reduce_max(s, axis=0), [2.0, 1.0, 0.0])
equal(tf.sparse.sparse_dense_matmul(s, tf.ones([3, 2])), [[1.0, 1.0], [2.0, 2.0]])
equal(dense(tf.sparse.eye(2)), [[1.0, 0.0], [0.0, 1.0]])
equal(
    tf.sparse.to_indicator(tf.SparseTensor([[0, 0]], tf.constant([2], tf.int64), [1, 1]), 3),
    [[False, False, True]],
)

# sets
a, b = tf.constant([[2, 3, 5, 7], [7, 9, 0, 0]]), tf.constant([[4, 5, 6, 0], [9, 10, 0, 0]])
equal(dense(tf.sets.union(a, b)), [[0, 2, 3, 4, 5, 6, 7], [0, 7, 9, 10, 0, 0, 0]])
equal(dense(tf.sets.difference(a, b)), [[2, 3, 7], [7, 0, 0]])
equal(dense(tf.sets.intersection(a, b)), [[5, 0], [0, 9]])
equal(tf.sets.size(tf.sparse.from_dense([[1, 2], [3, 0]])), [2, 1])

# rows
rows = tf.IndexedSlices(values=tf.ones((2, 3)), indices=[0, 2], dense_shape=[4, 3])
equal(tf.convert_to_tensor(rows), [[1.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3])

print("ok")

# distances of sequences
words = tf.sparse.from_dense([["a", "b", "c"], ["a", "", ""], ["", "", ""]])
others = tf.sparse.from_dense([["a", "x", "c"], ["b", "a", ""], ["a", "", ""]])
equal(tf.edit_distance(words, others, normalize=False), [1.0, 1.0, 1.0])
assert abs(float(tf.edit_distance(words, others)[0]) - 1 / 3) < 1e-6
equal(tf.edit_distance(others, words)[1:], [1.0, float("inf")])
assert tf.constant(["a", "b"]).shape.rank == 1
assert tf.constant("a").shape == ()
assert len(tf.ragged.constant([tf.constant("a"), tf.constant("b")])) == 2
