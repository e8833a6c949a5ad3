"""Text and sparse tensors in datasets: what functions of elements and NumPy's iterators receive."""

import numpy as np
import tensorflow as tf

seen = []


def look(text):
    seen.append(isinstance(text, tf.Tensor))
    assert text.shape == ()
    return text


words = tf.data.Dataset.from_tensor_slices((["a", "bb"], [1, 2]))
assert list(words.map(lambda text, n: (look(text), n)).as_numpy_iterator()) == [(b"a", 1), (b"bb", 2)]
assert all(seen)
batch, numbers = next(words.batch(2).as_numpy_iterator())
assert [text.decode() for text in batch] == ["a", "bb"]
assert numbers.tolist() == [1, 2]
assert next(words.map(lambda text, n: {"text": text}).as_numpy_iterator()) == {"text": b"a"}
for text, _ in words.take(1):
    assert isinstance(text, tf.Tensor)
    assert text.numpy().decode() == "a"
assert isinstance(tf.constant("a"), tf.Tensor)
assert isinstance(tf.constant(1.0), tf.Tensor)
assert not isinstance("a", tf.Tensor)
assert not isinstance(np.ones(2), tf.Tensor)

table = tf.sparse.from_dense(np.array([[1.0, 0, 2], [0, 3.0, 0]]))
for result in (table * 2.0, table / 0.5, tf.sparse.add(table, table)):
    assert isinstance(result, tf.SparseTensor)
    assert result.indices.numpy().tolist() == [[0, 0], [0, 2], [1, 1]]
    assert result.dense_shape.numpy().tolist() == [2, 3]
    assert result.values.numpy().tolist() == [2, 4, 6]
rows = tf.data.Dataset.from_tensor_slices(table).map(lambda row: row * 2.0)
assert isinstance(rows.element_spec, tf.SparseTensorSpec)
assert [tf.sparse.to_dense(row).numpy().tolist() for row in rows] == [[2, 0, 4], [0, 6, 0]]
print("ok")
