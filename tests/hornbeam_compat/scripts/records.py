"""TFRecord files, messages, CSV records."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf


def equal(tensor, expected):
    value = tensor.numpy()
    value = value if isinstance(value, bytes) else value.tolist()
    assert value == expected, (value, expected)


folder = Path(tempfile.mkdtemp())


def feature(**kind):
    return tf.train.Feature(**kind)


def example(i):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "a": feature(int64_list=tf.train.Int64List(value=[i])),
                "s": feature(bytes_list=tf.train.BytesList(value=[b"x"] * i)),
                "f": feature(float_list=tf.train.FloatList(value=[0.5, 1.5])),
            }
        )
    )


spec = {
    "a": tf.io.FixedLenFeature([], tf.int64),
    "s": tf.io.VarLenFeature(tf.string),
    "f": tf.io.FixedLenFeature([2], tf.float32),
    "m": tf.io.FixedLenFeature([], tf.string, default_value="?"),
}
fixed = {key: spec[key] for key in ("a", "f")}
for compression in ("", "GZIP", "ZLIB"):
    path = str(folder / f"a{compression}.tfrecord")
    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(path, options) as writer:
        for i in range(3):
            writer.write(example(i).SerializeToString())
    records = tf.data.TFRecordDataset([path], compression_type=compression)
    parsed = [tf.io.parse_single_example(record, spec) for record in records]
    equal(parsed[2]["a"], 2)
    equal(parsed[2]["f"], [0.5, 1.5])
    equal(parsed[2]["m"], b"?")
    equal(tf.sparse.to_dense(parsed[2]["s"], default_value=b""), [b"x", b"x"])
    batches = list(records.map(lambda record: tf.io.parse_single_example(record, fixed)).batch(2))
    assert [tuple(batch["f"].shape) for batch in batches] == [(2, 2), (1, 2)]
    together = tf.io.parse_example(next(iter(records.batch(2))), spec)
    equal(together["a"], [0, 1])
    equal(tf.sparse.to_dense(together["s"]), [[b""], [b"x"]])
for raw in records.take(1):
    message = tf.train.Example()
    message.ParseFromString(raw.numpy())
    assert message.features.feature["f"].float_list.value[1] == 1.5
    assert "float_list" in str(message)
try:
    tf.io.parse_single_example(example(1).SerializeToString(), {"b": tf.io.FixedLenFeature([], tf.int64)})
    raise AssertionError("a missing feature")
except (ValueError, tf.errors.InvalidArgumentError):
    pass

bytes_of = tf.io.serialize_tensor(tf.constant([[1.0, 2.0]]))
equal(tf.io.parse_tensor(bytes_of, tf.float32), [[1.0, 2.0]])
equal(tf.io.parse_tensor(tf.io.serialize_tensor(tf.constant(["a"])), tf.string), [b"a"])
for value, dtype in (
    ([[1, 2], [3, 4]], "int32"),
    (0, "int32"),
    (2.5, "float32"),
    (np.ones(3), "float64"),
    (True, "bool"),
):
    proto = tf.make_tensor_proto(value)
    array = tf.make_ndarray(type(proto).FromString(proto.SerializeToString()))
    assert (array.dtype, array.tolist()) == (dtype, np.asarray(value).tolist()), (value, array)
assert tf.make_ndarray(tf.make_tensor_proto(7, "float16", [2, 2])).tolist() == [[7, 7], [7, 7]]
assert tf.make_ndarray(tf.make_tensor_proto([1, 2], shape=[2, 1])).shape == (2, 1)
assert tf.make_ndarray(tf.make_tensor_proto(["a", "b"])).tolist() == [b"a", b"b"]
assert tf.make_tensor_proto("text").string_val[0] == b"text"

sequence = tf.train.SequenceExample(
    context=tf.train.Features(feature={"n": feature(int64_list=tf.train.Int64List(value=[7]))}),
    feature_lists=tf.train.FeatureLists(
        feature_list={
            "c": tf.train.FeatureList(
                feature=[
                    feature(bytes_list=tf.train.BytesList(value=[b"a", b"b"])),
                    feature(bytes_list=tf.train.BytesList(value=[b"c"])),
                ]
            )
        }
    ),
)
context, lists = tf.io.parse_single_sequence_example(
    sequence.SerializeToString(),
    {"n": tf.io.FixedLenFeature([], tf.int64)},
    {"c": tf.io.VarLenFeature(tf.string)},
)
equal(context["n"], 7)
assert tf.RaggedTensor.from_sparse(lists["c"]).to_list() == [[b"a", b"b"], [b"c"]]

# CSV
first, second, third = tf.io.decode_csv(["1,2.5,a", ",3,b"], [0, 0.0, ""])
equal(first, [1, 0])
equal(second, [2.5, 3.0])
equal(third, [b"a", b"b"])
equal(tf.stack(tf.io.decode_csv("1,2,3", [0.0, 0.0, tf.constant([], tf.float32)])), [1.0, 2.0, 3.0])
try:
    tf.io.decode_csv("1,,3", [0.0, tf.constant([], tf.float32), 0.0])
    raise AssertionError("a missing field")
except (ValueError, tf.errors.InvalidArgumentError):
    pass
(folder / "x.csv").write_text("a,b\n1,x\n2,y\n")
table = list(tf.data.experimental.CsvDataset(str(folder / "x.csv"), [tf.float32, tf.string], header=True))
equal(table[1][0], 2.0)
equal(table[1][1], b"y")
with gzip.open(folder / "x.csv.gz", "wt") as packed:
    packed.write("a,b\n1,x\n2,y\n")
batch = next(
    iter(
        tf.data.experimental.make_csv_dataset(
            str(folder / "x.csv.gz"), 2, compression_type="GZIP", num_epochs=1, shuffle=False
        )
    )
)
equal(batch["a"], [1, 2])
(folder / "y.csv").write_text("1,2,3\n4,5,6\n")


def parse(line):
    fields = tf.io.decode_csv(line, [0.0, 0.0, 0.0])
    return tf.stack(fields[:-1]), tf.stack(fields[-1:])


lines = tf.data.TextLineDataset(str(folder / "y.csv")).map(parse).batch(2)
equal(next(iter(lines))[0], [[1.0, 2.0], [4.0, 5.0]])
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(lines, verbose=0)

print("ok")
