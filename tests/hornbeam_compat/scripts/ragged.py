"""Ragged tensors, and functions of tf that take them."""

import tensorflow as tf


def equal(tensor, expected):
    value = tensor.to_list() if isinstance(tensor, tf.RaggedTensor) else tensor.numpy().tolist()
    assert value == expected, (value, expected)


rows = tf.ragged.constant([[3, 1, 4, 1], [], [5, 9, 2], [6], []])
words = tf.ragged.constant([["So", "long"], ["thanks"]])
nested = tf.ragged.constant([[[1, 2], [3]], [[4]]])

# parts
assert rows.shape.as_list() == [5, None]
assert rows.dtype == tf.int32
assert (rows.ragged_rank, nested.ragged_rank) == (1, 2)
equal(rows.values, [3, 1, 4, 1, 5, 9, 2, 6])
equal(rows.row_splits, [0, 4, 4, 7, 8, 8])
equal(rows.row_lengths(), [4, 0, 3, 1, 0])
equal(rows.value_rowids(), [0, 0, 0, 0, 2, 2, 2, 3])
equal(nested.flat_values, [1, 2, 3, 4])
equal(nested.row_lengths(axis=2), [[2, 1], [1]])
assert rows.nrows().numpy() == len(list(rows)) == 5
equal(rows.bounding_shape(), [5, 4])

# construction
equal(tf.RaggedTensor.from_value_rowids([3, 1, 4, 1], [0, 0, 2, 2]), [[3, 1], [], [4, 1]])
equal(tf.RaggedTensor.from_row_splits([3, 1, 4], [0, 1, 3]), [[3], [1, 4]])
equal(tf.RaggedTensor.from_row_lengths([3, 1, 4], [2, 1]), [[3, 1], [4]])
equal(tf.RaggedTensor.from_uniform_row_length([3, 1, 4, 1], 2), [[3, 1], [4, 1]])
equal(tf.RaggedTensor.from_tensor([[1, 3, -1, -1], [2, -1, -1, -1]], padding=-1), [[1, 3], [2]])
equal(tf.RaggedTensor.from_tensor([[1, 2], [3, 4]], lengths=[1, 2]), [[1], [3, 4]])
equal(tf.RaggedTensor.from_sparse(rows.to_sparse()), rows.to_list())
sparse = nested.to_sparse()
equal(sparse.indices, [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
equal(sparse.values, [1, 2, 3, 4])
equal(sparse.dense_shape, [2, 2, 2])
equal(tf.sparse.to_dense(sparse), nested.to_tensor().numpy().tolist())
pairs = tf.RaggedTensor.from_row_lengths([[1, 2], [3, 4], [5, 6]], [2, 0, 1])
equal(pairs.to_sparse().indices, [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [2, 0, 0], [2, 0, 1]])
equal(tf.sparse.to_dense(pairs.to_sparse()), pairs.to_tensor().numpy().tolist())
equal(tf.sparse.to_dense(words.to_sparse()), [[b"So", b"long"], [b"thanks", b""]])
for unfit in (sparse, tf.SparseTensor([[0, 1], [1, 0]], [1, 2], [2, 2])):
    try:
        tf.RaggedTensor.from_sparse(unfit)
        raise AssertionError("not rows")
    except (ValueError, tf.errors.InvalidArgumentError):
        pass
equal(tf.ragged.range([3, 1]), [[0, 1, 2], [0]])
equal(tf.ragged.stack([rows[0], rows[2]]), [[3, 1, 4, 1], [5, 9, 2]])
try:
    tf.RaggedTensor.from_row_splits([3, 1, 4], [0, 2])
    raise AssertionError("wrong splits")
except (ValueError, tf.errors.InvalidArgumentError):
    pass

# indices
equal(rows[0], [3, 1, 4, 1])
equal(rows[2, 1], 9)
equal(rows[1:3], [[], [5, 9, 2]])
equal(rows[:, :2], [[3, 1], [], [5, 9], [6], []])
equal(rows[:, -1:], [[1], [], [2], [6], []])
equal(nested[0, 1], [3])

# shapes
equal(rows.to_tensor(), [[3, 1, 4, 1], [0, 0, 0, 0], [5, 9, 2, 0], [6, 0, 0, 0], [0, 0, 0, 0]])
equal(rows.to_tensor(-1, shape=[None, 2]), [[3, 1], [-1, -1], [5, 9], [6, -1], [-1, -1]])
equal(nested.to_tensor(), [[[1, 2], [3, 0]], [[4, 0], [0, 0]]])
equal(words.to_tensor("?"), [[b"So", b"long"], [b"thanks", b"?"]])
equal(nested.merge_dims(0, 1), [[1, 2], [3], [4]])
equal(nested.merge_dims(1, 2), [[1, 2, 3], [4]])
equal(tf.expand_dims(tf.ragged.constant([[1, 2], [3]]), 1), [[[1, 2]], [[3]]])

# functions
equal(rows + 1, [[4, 2, 5, 2], [], [6, 10, 3], [7], []])
equal(2 * rows[:3:2], [[6, 2, 8, 2], [10, 18, 4]])
equal(tf.add(rows, rows)[0], [6, 2, 8, 2])
equal(rows > 3, [[False, False, True, False], [], [True, True, False], [True], []])
equal(tf.cast(rows, tf.float32)[3], [6.0])
equal(tf.ragged.map_flat_values(lambda x: x * 2 + 1, rows)[0], [7, 3, 9, 3])
equal(tf.concat([rows, [[5, 3]]], axis=0)[4:], [[], [5, 3]])
equal(tf.concat([rows[:1], rows[2:3]], axis=1), [[3, 1, 4, 1, 5, 9, 2]])
equal(tf.gather(rows, [2, 0]), [[5, 9, 2], [3, 1, 4, 1]])
equal(tf.ragged.boolean_mask([[1, 2], [3, 4]], [[True, False], [True, True]]), [[1], [3, 4]])
equal(tf.reduce_sum(rows), 31)
equal(tf.reduce_max(rows[::2][:2], axis=1), [4, 9])
equal(tf.reduce_mean(tf.ragged.constant([[1.0, 3.0], [5.0]]), axis=1), [2.0, 5.0])
equal(tf.reduce_sum(tf.ragged.constant([[1, 3], [5]]), axis=0), [6, 3])
equal(tf.reduce_sum(nested, axis=2), [[3, 3], [4]])
equal(tf.reduce_sum(nested, axis=1), [[4, 2], [4]])
equal(tf.size(rows), 8)

# strings
equal(tf.strings.upper(words), [[b"SO", b"LONG"], [b"THANKS"]])
equal(tf.strings.length(words), [[2, 4], [6]])
equal(tf.strings.reduce_join(words, axis=1, separator=" "), [b"So long", b"thanks"])
equal(tf.strings.split(["a b", "c"]), [[b"a", b"b"], [b"c"]])
equal(tf.strings.split("a,b", sep=","), [b"a", b"b"])
equal(tf.strings.split(words, sep="o"), [[[b"S", b""], [b"l", b"ng"]], [[b"thanks"]]])

# gradients
x = tf.Variable([1.0, 2.0, 3.0])
with tf.GradientTape() as tape:
    y = tf.reduce_sum(tf.square(tf.RaggedTensor.from_row_lengths(x, [1, 2])))
equal(tape.gradient(y, x), [2.0, 4.0, 6.0])

print("ok")
