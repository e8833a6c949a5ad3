"""Conditions whose branches return different shapes, and functions that read values: TensorFlow runs both."""

import numpy as np
import tensorflow as tf


def same(value, wanted):
    np.testing.assert_allclose(np.asarray(value), wanted)


image = tf.reshape(tf.range(6.0), (2, 3))
ways = [lambda: image, lambda: tf.transpose(image), lambda: tf.reshape(image, (6, 1))]


def turn(index):
    return tf.switch_case(index, ways)


def wide(x, flag):
    turned = tf.cond(flag, lambda: tf.transpose(x), lambda: x)
    return tf.cond(flag, lambda: turned[:1], lambda: turned) * 2


for call in (turn, tf.function(turn)):
    for index, shape in enumerate([(2, 3), (3, 2), (6, 1)]):
        assert call(tf.constant(index)).shape == shape
for call in (wide, tf.function(wide)):
    same(call(image, tf.constant(True)), [[0, 6]])
    same(call(image, tf.constant(False)), np.arange(6.0).reshape(2, 3) * 2)

calls = []


def counted(value):
    calls.append(value)
    return value


same(tf.switch_case(tf.constant(1), [lambda: counted(1.0), lambda: counted(2.0)]), 2)
assert calls == [2.0]

# Rows that are selected by their values, outside of compiled functions.
table = tf.constant([[1.0, -1.0, 3.0], [-2.0, 4.0, 6.0]])
same(tf.map_fn(lambda row: tf.reduce_mean(tf.boolean_mask(row, row > 0)), table), [2, 5])
names = tf.map_fn(lambda row: tf.where(row[0] > 0, "up", "down"), table, fn_output_signature=tf.string)
assert [name.decode() for name in names.numpy()] == ["up", "down"]
halves = tf.while_loop(lambda x: tf.size(tf.boolean_mask(x, x > 1)) > 0, lambda x: (x / 2,), [table])
same(halves[0], np.array([[1, -1, 3], [-2, 4, 6]]) / 8)
print("ok")
