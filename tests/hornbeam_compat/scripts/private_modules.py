"""Modules of TensorFlow's sources that programs import, and small names of `tf`."""

import numpy as np
import tensorflow as tf
import tensorflow.compat.v2 as tf2
from tensorflow.python.client import device_lib
from tensorflow.python.eager import backprop, context
from tensorflow.python.framework import constant_op, dtypes, ops, tensor_shape, tensor_util
from tensorflow.python.layers import utils
from tensorflow.python.ops import array_ops, ctc_ops, lookup_ops, math_ops, nn_ops
from tensorflow.python.ops.init_ops_v2 import Zeros, glorot_normal
from tensorflow.python.platform import tf_logging as logging
from tensorflow.python.util import nest

# -- private modules -----------------------------------------------------------------------------------------

x = constant_op.constant([[1.0, -2.0]])
assert float(math_ops.reduce_sum(math_ops.square(x))) == 5.0
assert array_ops.expand_dims(x, 0).shape == (1, 1, 2)
assert float(nn_ops.relu(x)[0, 1]) == 0.0
assert callable(ctc_ops.ctc_loss)
assert callable(glorot_normal())
assert float(tf.reduce_sum(Zeros()((2, 3)))) == 0.0
channels = tf.reshape(tf.range(1.0, 5.0), (1, 1, 1, 4))
scaled = tf.nn.local_response_normalization(channels, depth_radius=1, bias=1.0, alpha=2.0, beta=1.0)
assert np.allclose(scaled, [[[[1 / 11, 2 / 29, 3 / 59, 4 / 51]]]])
assert tf2.__version__ == tf.__version__
assert utils.conv_output_length(7, 3, "valid", 2) == 3
assert callable(lookup_ops.TextFileInitializer)

# -- tf.compat.v1.image, and boxes ---------------------------------------------------------------------------

pixels = np.arange(8.0, dtype="float32").reshape(1, 2, 4, 1)
v1 = tf.compat.v1.image
assert np.allclose(v1.resize(pixels, (2, 2))[0, :, :, 0], [[0, 2], [4, 6]])
assert np.allclose(v1.resize_bilinear(pixels, (3, 3), align_corners=True)[0, 1, :, 0], [2, 3.5, 5])
assert np.allclose(v1.resize_nearest_neighbor(pixels, (2, 2), align_corners=True)[0, 0, :, 0], [0, 3])
assert np.allclose(tf.image.resize(pixels, (2, 2))[0, 0, :, 0], [0.5, 2.5])
boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 1.5], [3, 3, 4, 4], [0, 0, 0.5, 0.5]], "float32")
scores = np.array([0.5, 0.75, 0.25, 0.125], "float32")
assert np.array(tf.image.non_max_suppression(boxes, scores, 3)).tolist() == [1, 2, 3]
chosen, values = tf.image.non_max_suppression_with_scores(boxes, scores, 4, 1.0, 0.2, 0.5)
assert np.array(chosen).tolist() == [1, 0, 2]
assert np.allclose(values, [0.75, 0.5 * np.exp(-0.5625), 0.25])
assert nest.flatten([1, [2, {"a": 3}]]) == [1, 2, 3]
assert context.executing_eagerly()
assert tensor_util.is_tensor(ops.convert_to_tensor([1.0]))
assert dtypes.float32 == tf.float32
assert tensor_shape.TensorShape([None, 3]).as_list() == [None, 3]
with backprop.GradientTape() as tape:
    tape.watch(x)
    y = x * x
assert float(tape.gradient(y, x)[0, 1]) == -4.0
assert device_lib.list_local_devices()[0].device_type == "CPU"
logging.debug("a line of the log")
assert float(tf2.nn.relu(-1.0)) == 0.0
assert tf2.keras.layers.Dense is tf.keras.layers.Dense
assert tf.compat.v1.keras.layers.Dense is tf.keras.layers.Dense
assert tf.compat.v1.nn.relu(x).shape == (1, 2)

# -- small names ---------------------------------------------------------------------------------------------

assert x.shape.dims[1].value == 2
assert tf.TensorShape([None]).dims[0].value is None
assert float(tf.foldr(lambda a, b: a - b, tf.constant([1.0, 2.0, 3.0]))) == 0.0
assert float(tf.timestamp()) > 1.7e9
v = tf.Variable([1.0, 2.0])
assert v.value().numpy().tolist() == [1.0, 2.0]
assert tf.constant_initializer(np.arange(4.0))(shape=(2, 2)).numpy().tolist() == [[0, 1], [2, 3]]
pairs = tf.data.Dataset.range(5).apply(tf.data.experimental.map_and_batch(lambda n: 2 * n, 2))
assert [batch.numpy().tolist() for batch in pairs] == [[0, 2], [4, 6], [8]]

for fails, error in (
    (lambda: tf.strings.to_number("abc"), tf.errors.InvalidArgumentError),
    (lambda: tf.reshape(tf.ones(3), (2,)), tf.errors.InvalidArgumentError),
    (lambda: tf.io.read_file("/no/such/file"), tf.errors.NotFoundError),
):
    try:
        fails()
    except error:
        pass
    else:
        raise AssertionError(error)
print("ok")
