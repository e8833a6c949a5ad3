"""Ragged and sparse tensors as elements of datasets, and rows of map_fn. Passes under TensorFlow, too."""

import numpy as np
import tensorflow as tf

ragged = tf.ragged.constant([[1, 2], [3], [], [4, 5, 6]])
rows = tf.data.Dataset.from_tensor_slices(ragged)
assert [row.numpy().tolist() for row in rows] == [[1, 2], [3], [], [4, 5, 6]]
assert rows.element_spec == tf.RaggedTensorSpec([None], tf.int32, 0)
batched = rows.batch(2)
assert [batch.to_list() for batch in batched] == [[[1, 2], [3]], [[], [4, 5, 6]]]
assert isinstance(next(iter(batched)), tf.RaggedTensor)
assert [row.numpy().tolist() for row in batched.unbatch()] == [[1, 2], [3], [], [4, 5, 6]]
assert [int(total) for total in rows.map(tf.reduce_sum)] == [3, 3, 0, 15]
assert next(iter(batched.map(lambda x: x * 2))).to_list() == [[2, 4], [6]]
assert next(iter(batched.map(lambda x: x.to_tensor()))).shape == (2, 2)

words = tf.ragged.constant([["a", "b"], ["c"], ["d", "e"]])
pairs = tf.data.Dataset.from_tensor_slices((words, [0, 1, 2]))
text, label = next(iter(pairs.batch(3)))
assert text.to_list() == [[b"a", b"b"], [b"c"], [b"d", b"e"]]
assert label.numpy().tolist() == [0, 1, 2]
assert sorted(int(y) for _, y in pairs.shuffle(3).repeat(2)) == [0, 0, 1, 1, 2, 2]
deep = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[[1], [2, 3]], [[4]]]))
assert [row.to_list() for row in deep] == [[[1], [2, 3]], [[4]]]
assert next(iter(tf.data.Dataset.from_tensors(ragged))).to_list() == ragged.to_list()

lengths = tf.data.Dataset.range(1, 4).map(tf.range)
assert next(iter(lengths.ragged_batch(3))).to_list() == [[0], [0, 1], [0, 1, 2]]
assert [int(x) for x in tf.map_fn(tf.reduce_max, ragged[:2], fn_output_signature=tf.int32)] == [2, 3]
assert tf.map_fn(lambda row: row + 1, ragged).to_list() == [[2, 3], [4], [], [5, 6, 7]]

# Sparse tensors.
sparse = tf.SparseTensor([[0, 0], [0, 2], [2, 1]], [1.0, 2.0, 3.0], [3, 4])
rows = tf.data.Dataset.from_tensor_slices(sparse)
assert rows.element_spec.value_type is tf.SparseTensor
assert tuple(rows.element_spec.shape) == (4,)
assert [tf.sparse.to_dense(row).numpy().tolist() for row in rows] == [[1, 0, 2, 0], [0] * 4, [0, 3, 0, 0]]
batch = next(iter(rows.batch(2)))
np.testing.assert_array_equal(tf.sparse.to_dense(batch).numpy(), [[1, 0, 2, 0], [0, 0, 0, 0]])
np.testing.assert_array_equal(batch.indices.numpy(), [[0, 0], [0, 2]])
cut = tf.sparse.slice(sparse, [0, 3], [3, 5])
assert tf.sparse.to_dense(cut).shape == (3, 1)
assert tf.sparse.to_dense(tf.sparse.slice(sparse, [0, 9], [3, 2])).shape == (3, 0)
print("ok")
