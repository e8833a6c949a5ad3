"""tf.math, tf.nn, tf.linalg. Passes under TensorFlow and `hornbeam run`."""

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x = rng.normal(size=(3, 4)).astype("float32")
t = tf.constant(x)


def same(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.array(actual), expected, rtol=tolerance, atol=tolerance)


for name in ["abs", "sin", "cos", "tanh", "exp", "square", "floor", "sign"]:
    same(getattr(tf.math, name)(t), getattr(np, name)(x))
    same(getattr(tf, name)(t, name="old"), getattr(np, name)(x))
same(tf.math.log(tf.abs(t)), np.log(np.abs(x)))
same(tf.pow(t, 2), x**2)
same(tf.maximum(t, 0.0), np.maximum(x, 0))
same(tf.math.divide_no_nan(t, tf.zeros_like(t)), np.zeros((3, 4)))
same(tf.math.squared_difference(t, 1.0), (x - 1) ** 2)

same(tf.reduce_sum(t, axis=1), x.sum(1))
same(tf.reduce_mean(t, axis=[0, 1]), x.mean())
same(tf.reduce_max(t, axis=-1, keepdims=True), x.max(-1, keepdims=True))
same(tf.math.reduce_std(t, axis=0), x.std(0))
same(tf.math.reduce_variance(t), x.var())
same(tf.reduce_logsumexp(t), np.log(np.exp(x).sum()))
same(tf.reduce_all(t < 9), True)
same(tf.reduce_sum([1, 2, 3]), 6)
same(tf.reduce_mean([1, 2, 4]), 2)  # integers stay integers
assert tf.reduce_sum(tf.constant([1, 2], tf.int8)).dtype == tf.int8
same(tf.argmax(t, axis=1), x.argmax(1))
assert tf.argmax(t, axis=1).dtype == tf.int64
same(tf.argmax(t), x.argmax(0))
same(tf.cumsum([1, 2, 3], exclusive=True), [0, 1, 3])
same(tf.cumsum([1, 2, 3], reverse=True), [6, 5, 3])
same(tf.math.count_nonzero([[0, 1], [2, 3]], axis=1), [1, 2])
same(tf.math.confusion_matrix([0, 1, 1], [0, 0, 1]), [[1, 0], [1, 1]])
values, weights = [1, 1, 2, 3, 2, 4, 4, 5], [1.0, 5.0, 0.0, 1.0, 0.0, 5.0, 4.0, 5.0]
same(tf.math.bincount(values), [0, 2, 2, 1, 2, 1])
same(tf.math.bincount(values, minlength=8), [0, 2, 2, 1, 2, 1, 0, 0])
same(tf.math.bincount(values, maxlength=3), [0, 2, 2])
same(tf.math.bincount(values, minlength=8, maxlength=7), [0, 2, 2, 1, 2, 1, 0])
same(tf.math.bincount(values, maxlength=9), [0, 2, 2, 1, 2, 1])
same(tf.math.bincount(values, weights), [0, 6, 0, 1, 9, 5])
same(tf.math.bincount(values, weights, maxlength=2), [0, 6])
same(tf.math.bincount(values, binary_output=True), [0, 1, 1, 1, 1, 1])
assert tf.math.bincount(values).dtype == tf.int32
assert tf.math.bincount(values, dtype=tf.int64).dtype == tf.int64
assert tf.math.bincount(values, weights, dtype=tf.int64).dtype == tf.float32
matrix = [[1, 2, 3, 0], [0, 0, 1, 2]]
same(tf.math.bincount(matrix), [3, 2, 2, 1])
same(tf.math.bincount(matrix, axis=0), [3, 2, 2, 1])
same(tf.math.bincount(matrix, axis=-1), [[1, 1, 1, 1], [2, 1, 1, 0]])
same(tf.math.bincount(matrix, axis=-1, binary_output=True, maxlength=3), [[1, 1, 1], [1, 1, 1]])
counted = tf.function(lambda x: tf.math.bincount(x, minlength=4, maxlength=4))
same(counted(tf.constant([0, 1, 5, 1])), [1, 2, 0, 0])
for arguments in [
    {"arr": values, "axis": 1},
    {"arr": values, "weights": weights, "binary_output": True},
    {"arr": [1, -1]},
]:
    try:
        tf.math.bincount(**arguments)
        raise AssertionError(arguments)
    except (ValueError, tf.errors.InvalidArgumentError):
        pass
same(tf.math.unsorted_segment_sum([1.0, 2.0, 3.0], [1, 0, 1], 2), [2, 4])
same(tf.math.unsorted_segment_mean([[1.0], [2.0], [5.0]], [1, 1, 0], 3), [[5], [1.5], [0]])
same(tf.math.segment_sum([1.0, 2.0, 3.0], [0, 0, 1]), [3, 3])
same(tf.add_n([t, t]), 2 * x)
largest = tf.math.top_k([1.0, 3.0, 2.0], k=2)
same(largest.values, [3, 2])
same(largest.indices, [1, 2])

softmax = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
same(tf.nn.softmax(t), softmax)
same(tf.nn.relu(t), np.maximum(x, 0))
same(tf.nn.leaky_relu(t, alpha=0.1), np.where(x > 0, x, 0.1 * x))
same(tf.nn.l2_normalize(t, axis=-1), x / np.linalg.norm(x, axis=-1, keepdims=True))
same(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 2], t), -np.log(softmax[range(3), range(3)]))
same(tf.nn.softmax_cross_entropy_with_logits(np.eye(4, dtype="float32")[:3], t), -np.log(np.diag(softmax)))
sigmoid = 1 / (1 + np.exp(-x))
labels = (x > 0).astype("float32")
wanted = -labels * np.log(sigmoid) - (1 - labels) * np.log(1 - sigmoid)
same(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=t), wanted)
weighted = -labels * 3 * np.log(sigmoid) - (1 - labels) * np.log(1 - sigmoid)
same(tf.nn.weighted_cross_entropy_with_logits(labels, t, 3.0), weighted)
mean, variance = tf.nn.moments(t, axes=[0])
same(variance, x.var(0))
same(tf.nn.l2_loss(t), (x**2).sum() / 2)
image = rng.normal(size=(1, 6, 6, 2)).astype("float32")
kernel = rng.normal(size=(3, 3, 2, 3)).astype("float32")
windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))
same(tf.nn.conv2d(image, kernel, strides=1, padding="VALID"), np.einsum("bhwcij,ijco->bhwo", windows, kernel))
# explicit amounts of padding, a pair for each axis
padding = [[0, 0], [2, 0], [1, 3], [0, 0]]
wider = np.pad(image, padding)
wanted = tf.nn.conv2d(wider, kernel, strides=1, padding="VALID")
same(tf.nn.conv2d(image, kernel, strides=1, padding=padding), wanted)
wanted = tf.nn.conv1d(wider[0, 2:], kernel[0], 2, "VALID")
same(tf.nn.conv1d(image[0], kernel[0], 2, [[0, 0], [1, 3], [0, 0]]), wanted)
kernel = rng.normal(size=(3, 3, 2, 2)).astype("float32")
wanted = tf.nn.depthwise_conv2d(wider, kernel, [1, 1, 1, 1], "VALID")
same(tf.nn.depthwise_conv2d(image, kernel, [1, 1, 1, 1], padding), wanted)
same(tf.nn.max_pool2d(image, 2, 2, "VALID"), image.reshape(1, 3, 2, 3, 2, 2).max(axis=(2, 4)))
same(
    tf.nn.avg_pool2d(image, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"),
    image.reshape(1, 3, 2, 3, 2, 2).mean((2, 4)),
)

same(tf.matmul(t, t, transpose_b=True), x @ x.T)
same(tf.einsum("ij,kj->ik", t, t), x @ x.T)
same(tf.tensordot(t, t, axes=[[1], [1]]), x @ x.T)
same(tf.norm(t), np.linalg.norm(x))
same(tf.norm(t, axis=1), np.linalg.norm(x, axis=1))
square = x @ x.T + 3 * np.eye(3, dtype="float32")
angle = np.array([[[0, -2.5], [2.5, 0]], [[0, -40], [40, 0]]], "float32")
turned = [[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in (2.5, 40)]
same(tf.linalg.expm(angle), np.array(turned, "float32"), 1e-3)
same(tf.linalg.expm(np.diag([-1.0, 0.0, 3.0])), np.diag(np.exp([-1.0, 0.0, 3.0])), 1e-6)
same(tf.linalg.inv(square), np.linalg.inv(square), 1e-3)
same(tf.linalg.det(square), np.linalg.det(square), 1e-3)
same(tf.linalg.cholesky(square), np.linalg.cholesky(square), 1e-4)
same(tf.linalg.solve(square, np.ones((3, 1), "float32")), np.linalg.solve(square, np.ones((3, 1))), 1e-3)
s, u, v = tf.linalg.svd(square)
same(u @ tf.linalg.diag(s) @ tf.transpose(v), square, 1e-3)
same(tf.linalg.trace(square), np.trace(square))
same(tf.linalg.diag_part(square), np.diag(square))
same(tf.linalg.set_diag(square, [1.0, 2.0, 3.0]), square - np.diag(np.diag(square)) + np.diag([1, 2, 3]))
same(tf.linalg.band_part(tf.ones((3, 3)), -1, 0), np.tril(np.ones((3, 3))))
same(tf.linalg.band_part(tf.ones((3, 4)), 0, 1), np.triu(np.ones((3, 4))) - np.triu(np.ones((3, 4)), 2))

assert tf.concat((np.arange(2), np.arange(3)), 0).dtype == tf.int64
assert tf.concat((np.arange(2, dtype="uint8"), np.arange(3, dtype="uint8")), 0).dtype == tf.uint8
assert tf.reshape(tf.range(6), tf.concat([tf.shape(tf.zeros((2, 1)))[:1], [3]], 0)).shape == (2, 3)

# gamma: the shape for each pair of parameters
assert tf.random.gamma([4], 2.0).shape == (4,)
assert tf.random.gamma([4], [0.5, 2.0]).shape == (4, 2)
assert tf.random.gamma([4, 1], tf.ones((3, 1)), beta=tf.ones((2,))).shape == (4, 1, 3, 2)
print("ok")
