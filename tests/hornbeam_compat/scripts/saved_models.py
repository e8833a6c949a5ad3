"""Modules and models in folders of tf.saved_model, and concrete functions. Passes under TensorFlow, too."""

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


class Scale(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)
        self.shift = tf.constant([1.0, 2.0])

    @tf.function
    def __call__(self, x):
        return x * self.factor + self.shift

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def set(self, factor):
        self.factor.assign(factor)


def doubled(x):
    return x * 2


class Outer(tf.Module):
    def __init__(self):
        super().__init__()
        self.before, self.after = doubled, tf.nn.relu
        self.parts = [Scale(2.0), Scale(3.0)]
        self.generator = tf.random.Generator.from_seed(1)

    @tf.function
    def both(self, x):
        return [self.after(part(self.before(x))) for part in self.parts]

    @tf.function
    def draw(self):
        return self.generator.normal([2])


outer = Outer()
wanted = [part.numpy() for part in outer.both(tf.constant(10.0))]
outer.draw()
tf.saved_model.save(outer, "outer")
loaded = tf.saved_model.load("outer")
np.testing.assert_allclose(loaded.both(tf.constant(10.0)), wanted)
np.testing.assert_allclose(loaded.draw(), outer.draw())
loaded.parts[0].factor.assign(5.0)
assert float(outer.parts[0].factor) == 2
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(loaded.both(tf.constant(1.0))[1])
assert float(tape.gradient(loss, loaded.parts[1].factor)) == 4

scale = Scale(2.0)
scale(tf.constant(1.0))
tf.saved_model.save(scale, "scale")
assert tf.saved_model.contains_saved_model("scale")
assert not tf.saved_model.contains_saved_model("elsewhere")
loaded = tf.saved_model.load("scale")
loaded.set(tf.constant(4.0))
np.testing.assert_array_equal(loaded(tf.constant(1.0)).numpy(), [5, 6])

call = scale.__call__.get_concrete_function(tf.TensorSpec(None, tf.float32))
tf.saved_model.save(scale, "signed", signatures={"serving_default": call, "other": call})
signatures = tf.saved_model.load("signed").signatures
assert sorted(signatures) == ["other", "serving_default"]
np.testing.assert_array_equal(signatures["other"](x=tf.constant(1.0))["output_0"].numpy(), [3, 4])

model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
tf.saved_model.save(model, "model")
loaded = tf.saved_model.load("model")
x = np.ones((2, 3), "float32")
signature = loaded.signatures["serving_default"]
np.testing.assert_allclose(signature(tf.constant(x))["output_0"], model(x), rtol=1e-5)
assert signature.structured_outputs["output_0"].dtype == tf.float32
raises((OSError, ValueError), lambda: tf.saved_model.load("elsewhere"))


# Signatures convert Python values, and refuse other tensors; results are tensors.
@tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
def half(x):
    return x / 2


np.testing.assert_array_equal(half([1, 2]).numpy(), [0.5, 1.0])
raises(TypeError, lambda: half(tf.constant([[1.0]])))
raises(TypeError, lambda: half(tf.constant([1, 2])))


@tf.function
def sign(x):
    if x > 0:
        return 1
    return 0


assert sign(tf.constant(-1.0)).numpy() == 0


@tf.function
def power(a, b):
    return a**b


square = power.get_concrete_function(a=tf.TensorSpec(None, tf.float32), b=2)
assert float(square(tf.constant(3.0))) == float(square(a=tf.constant(3.0))) == 9
raises(TypeError, lambda: square(tf.constant(3.0), 3))
raises((tf.errors.InvalidArgumentError, TypeError), lambda: square(tf.constant(3)))
assert "b (POSITIONAL_OR_KEYWORD): Literal[2]" in str(square)
assert "TensorSpec(shape=(None,)" in str(half.get_concrete_function().function_type)
assert "x (POSITIONAL_OR_KEYWORD)" in half.pretty_printed_concrete_signatures()
bound = tf.function(lambda owner, x: owner.factor * x).get_concrete_function(scale, tf.constant(1.0))
assert float(bound(tf.constant(3.0))) == 6

# Generators have a state; a tape knows the variables that were read; conditions run one function.
generator = tf.random.Generator.from_seed(1)
first = generator.normal([3])
state = tf.identity(generator.state)
second = generator.normal([3])
generator.reset(state)
np.testing.assert_array_equal(generator.normal([3]), second)
generator.reset_from_seed(1)
np.testing.assert_array_equal(generator.normal([3]), first)
parts = generator.split(2)
assert not np.allclose(parts[0].normal([3]), parts[1].normal([3]))
used, unused = tf.Variable(1.0), tf.Variable(1.0)
with tf.GradientTape() as tape:
    used * 2.0
assert [v is used for v in tape.watched_variables()] == [True]
count = tf.Variable(0)
tf.cond(tf.constant(True), lambda: count.assign_add(1), lambda: count.assign_add(10))
assert int(count) == 1
print("ok")
