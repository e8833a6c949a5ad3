"""Checkpoints by the names of parts, before and after variables exist. Passes under TensorFlow, too."""

import os
import tempfile

import numpy as np
import tensorflow as tf

os.chdir(tempfile.mkdtemp())


def raises(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


class Linear(tf.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = tf.Variable(tf.ones([size]))
        self.history = [tf.Variable(0.0), tf.Variable(0.0)]


def numbers():
    return tf.data.Dataset.range(10).shuffle(10, seed=3, reshuffle_each_iteration=False).batch(2)


# Parts have names; the position of an iterator is restored.
module, iterator = Linear(3), iter(numbers())
checkpoint = tf.train.Checkpoint(step=tf.Variable(7), module=module, iterator=iterator)
manager = tf.train.CheckpointManager(checkpoint, "saved", max_to_keep=2)
module.weight.assign([1.0, 2.0, 3.0])
module.history[1].assign(5.0)
next(iterator)
path = manager.save()
expected = next(iterator).numpy()

other, second = Linear(3), iter(numbers())
status = tf.train.Checkpoint(step=tf.Variable(0), module=other, iterator=second).restore(path)
status.assert_consumed()
np.testing.assert_array_equal(other.weight.numpy(), [1, 2, 3])
assert float(other.history[1]) == 5
assert float(other.history[0]) == 0
np.testing.assert_array_equal(next(second).numpy(), expected)

names = [name for name, _ in tf.train.list_variables("saved")]
key = "module/weight/.ATTRIBUTES/VARIABLE_VALUE"
assert key in names
assert "module/history/1/.ATTRIBUTES/VARIABLE_VALUE" in names
reader = tf.train.load_checkpoint("saved")
assert reader.get_variable_to_shape_map()[key] == [3]
assert reader.has_tensor(key)
assert reader.get_variable_to_dtype_map()[key] == tf.float32
np.testing.assert_array_equal(reader.get_tensor(key), [1, 2, 3])
np.testing.assert_array_equal(tf.train.load_variable("saved", key), [1, 2, 3])

# A part of the graph alone; what is missing is named by the checks.
weight = tf.Variable(tf.zeros([3]))
root = tf.train.Checkpoint(module=tf.train.Checkpoint(weight=weight))
status = root.restore(path)
np.testing.assert_array_equal(weight.numpy(), [1, 2, 3])
status.assert_existing_objects_matched()
raises(AssertionError, status.assert_consumed)
extra = tf.train.Checkpoint(step=tf.Variable(0), unknown=tf.Variable(1.0))
raises(AssertionError, extra.restore(path).assert_existing_objects_matched)

# Variables that are created later get their values then.
late = tf.train.Checkpoint()
status = late.restore(path)
late.step = tf.Variable(0)
assert int(late.step) == 7

saved = tf.train.Checkpoint()
saved.listed = [tf.Variable(1.0)]
saved.listed.append(tf.Variable(2.0))
saved.mapped = {"one": saved.listed[0]}
saved.mapped["two"] = saved.listed[1]
path = saved.save("lists")
restored = tf.train.Checkpoint()
two, one = tf.Variable(0.0), tf.Variable(0.0)
restored.mapped = {"two": two}
restored.restore(path)
assert float(two) == 2  # the same variable under another name
restored.listed = []
restored.listed.append(one)
assert float(one) == 1


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = tf.keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


net, x = Net(), tf.ones([1, 3])
wanted = net(x).numpy()
path = tf.train.Checkpoint(net=net).write("net")
again = Net()
again(x)
tf.train.Checkpoint(net=again).restore(path).assert_existing_objects_matched()
np.testing.assert_allclose(again(x).numpy(), wanted, rtol=1e-6)
bias = tf.Variable([9.0, 9.0])
tf.train.Checkpoint(net=tf.train.Checkpoint(dense=tf.train.Checkpoint(bias=bias))).restore(path)
np.testing.assert_array_equal(bias.numpy(), [0, 0])
print("ok")
