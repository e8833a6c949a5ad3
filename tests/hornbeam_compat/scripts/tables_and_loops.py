"""Lookup tables, CSV files, TensorArray, loops over rows, strategies, and less common functions."""

import tempfile

import numpy as np
import tensorflow as tf

# tf.lookup
table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([3, 5], tf.int64)),
    default_value=-1,
)
values = table.lookup(tf.constant([["b", "?"], ["a", "a"]]))
assert values.numpy().tolist() == [[5, -1], [3, 3]]
assert values.dtype == tf.int64
assert int(table.size()) == 2
names = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1]), tf.constant(["cat", "dog"])),
    default_value="none",
)
assert names.lookup(tf.constant([1, 7, 0])).numpy().tolist() == [b"dog", b"none", b"cat"]

# tables in files
with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/cats.csv"
    with open(path, "w") as file:
        file.write('name,age,weight,owner\n"Tom, the cat",3,4.5,2\nKitty,,3.5,5000000000\nRex,7,?,1\n')
    batches = tf.data.experimental.make_csv_dataset(path, 2, num_epochs=1, shuffle=False, na_value="?")
    first, second = list(batches)
    assert list(first) == ["name", "age", "weight", "owner"]
    assert [first[name].dtype for name in ("age", "weight", "owner")] == [tf.int32, tf.float32, tf.int64]
    assert first["name"].numpy().tolist() == [b"Tom, the cat", b"Kitty"]
    assert (first["age"].numpy().tolist(), second["weight"].numpy().tolist()) == ([3, 0], [0.0])
    batches = tf.data.experimental.make_csv_dataset(
        path,
        3,
        label_name="age",
        select_columns=["name", "age", "weight"],
        column_defaults=[["?"], [-1], [9.5]],
        num_epochs=1,
        shuffle=False,
        na_value="?",
    )
    columns, ages = next(iter(batches))
    assert (list(columns), ages.numpy().tolist()) == (["name", "weight"], [3, -1, 7])
    # a default may be a dtype, or a number of NumPy's
    batches = tf.data.experimental.make_csv_dataset(
        path,
        3,
        select_columns=["owner", "weight"],
        column_defaults=[tf.int64, np.float32(9.5)],
        num_epochs=1,
        shuffle=False,
        na_value="?",
    )
    columns = next(iter(batches))
    assert (columns["owner"].dtype, columns["weight"].dtype) == (tf.int64, tf.float32)
    assert columns["owner"].numpy().tolist() == [2, 5_000_000_000, 1]
    assert columns["weight"].numpy().tolist() == [4.5, 3.5, 9.5]
    assert columns["weight"].numpy().tolist() == [4.5, 3.5, 9.5]

# tf.TensorArray, tf.scan, tf.foldl
array = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
for i in range(3):
    array = array.write(i, [float(i), 1.0])
assert array.stack().numpy().tolist() == [[0, 1], [1, 1], [2, 1]]
assert array.read(2).numpy().tolist() == [2, 1]
x = tf.constant([1.0, 2.0, 3.0])
assert tf.scan(lambda total, row: total + row, x).numpy().tolist() == [1, 3, 6]
assert tf.scan(lambda total, row: total * row, x, initializer=2.0).numpy().tolist() == [2, 4, 12]
assert float(tf.foldl(lambda total, row: total + row, x)) == 6

# functions
matrix = tf.constant([[3.0, 4.0], [0.0, 2.0]])
assert float(tf.math.reduce_euclidean_norm(matrix[0])) == 5
assert tf.math.xlogy([0.0, 1.0], [0.0, 1.0]).numpy().tolist() == [0, 0]
np.testing.assert_allclose(tf.linalg.normalize(matrix, axis=1)[0].numpy()[0], [0.6, 0.8], rtol=1e-6)
assert float(tf.linalg.logdet(tf.eye(3) * 2.0)) - 3 * np.log(2) < 1e-6
assert tf.saturate_cast([300.0, -5.0], tf.uint8).numpy().tolist() == [255, 0]
assert tf.strings.to_hash_bucket_fast(["hello", "hornbeam", ""], 1000).numpy().tolist() == [296, 547, 263]
image = tf.reshape(tf.range(12, dtype=tf.float32), (1, 2, 2, 3))
assert tf.image.total_variation(image).numpy().tolist() == [54]
pixels = tf.reshape(tf.range(16, dtype=tf.float32), (1, 4, 4, 1))
assert tf.nn.max_pool(pixels, 2, 2, "VALID").numpy().ravel().tolist() == [5, 7, 13, 15]
assert tf.nn.avg_pool(pixels, 2, 2, "SAME").numpy().ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
kernel = tf.ones((2, 2, 1, 1))
assert tf.nn.depthwise_conv2d(pixels, kernel, [1, 2, 2, 1], "VALID").numpy().ravel().tolist() == [
    10,
    18,
    42,
    50,
]
assert (
    tf.nn.conv3d(tf.ones((1, 2, 2, 2, 1)), tf.ones((2, 2, 2, 1, 3)), [1] * 5, "VALID")
    .numpy()
    .ravel()
    .tolist()
    == [8] * 3
)
logits = tf.math.log(tf.constant([[[0.2, 0.5, 0.3]], [[0.6, 0.3, 0.1]]]))
loss = tf.nn.ctc_loss(tf.constant([[1]]), logits, tf.constant([1]), tf.constant([2]), blank_index=0)
np.testing.assert_allclose(loss.numpy(), [-np.log(0.5 * 0.6 + 0.2 * 0.3 + 0.5 * 0.3)], rtol=1e-5)
assert float(tf.nn.compute_average_loss([1.0, 2.0, 3.0], global_batch_size=6)) == 1
assert tf.nn.in_top_k([1], [[0.1, 0.8, 0.1]], k=1).numpy().tolist() == [True]

# Keras's names in tf, structures, strategies
assert tf.losses.MeanSquaredError is tf.keras.losses.MeanSquaredError
assert tf.optimizers.Adam is tf.keras.optimizers.Adam
assert tf.nest.flatten({"a": 1, "b": [2, 3]}) == [1, 2, 3]
strategy = tf.distribute.get_strategy()
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1)])
assert strategy.num_replicas_in_sync == 1
try:
    tf.distribute.cluster_resolver.TPUClusterResolver()
    raise AssertionError("a TPU")
except ValueError:
    pass
assert tf.compat.as_bytes("ab") == tf.compat.as_bytes(b"ab") == b"ab"


# branches on values
@tf.function
def clipped(x):
    if tf.reduce_sum(x) > 10:
        return x * 0
    return x


assert clipped(tf.constant([1.0, 2.0])).numpy().tolist() == [1, 2]
assert clipped(tf.constant([9.0, 2.0])).numpy().tolist() == [0, 0]
print("ok")
