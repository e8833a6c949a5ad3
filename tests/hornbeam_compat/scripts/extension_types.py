"""Immutable classes of tensors: fields, functions, datasets, dispatch. Passes under TensorFlow, too."""

from collections.abc import Mapping
from typing import Union

import numpy as np
import tensorflow as tf


class Interval(tf.experimental.ExtensionType):
    low: tf.Tensor
    high: tf.Tensor
    unit: str = "m"

    def width(self):
        return self.high - self.low

    def __validate__(self):
        self.low.shape.assert_is_compatible_with(self.high.shape)


def raises(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


# Fields are converted and checked; values cannot be changed.
one = Interval([1, 2], high=[3, 5])
assert isinstance(one.low, tf.Tensor)
assert one.unit == "m"
np.testing.assert_array_equal(one.width().numpy(), [2, 3])
assert bool(one == Interval([1, 2], [3, 5]))
assert not bool(one == Interval([1, 2], [3, 6]))
assert one != Interval([1, 2], [3, 5], unit="s")
assert one != one.low
raises(TypeError, lambda: Interval([1.0], None))
raises(TypeError, lambda: Interval([1.0]))
raises(TypeError, lambda: Interval([1.0], [2.0], unit=3))
raises(ValueError, lambda: Interval([1.0], [2.0, 3.0]))
raises(AttributeError, lambda: setattr(one, "low", 3))
raises(AttributeError, lambda: delattr(one, "low"))


class Named(tf.experimental.ExtensionType):
    name: str
    parts: Mapping[str, tf.Tensor]
    inner: Interval

    def __init__(self, name, inner, **parts):
        self.name = name.upper()
        self.parts = parts
        self.inner = inner


named = Named("a", one, x=1.0, y=[2.0])
assert named.name == "A"
assert sorted(named.parts) == ["x", "y"]
raises(TypeError, lambda: exec("named.parts['x'] = 2", globals()))
spec = tf.type_spec_from_value(named)
assert spec.parts["y"] == tf.TensorSpec([1], tf.float32)
assert spec.inner.low.dtype == tf.int32


# Compiled functions take and return them; equal types are traced once.
traces = []


@tf.function
def wider(value, by):
    traces.append(value.unit)
    return Interval(value.low - by, value.high + by, value.unit)


for start in (0.0, 1.0):
    result = wider(Interval([start], [start + 2]), tf.constant(0.5))
    np.testing.assert_allclose(result.width().numpy(), [3.0])
assert len(traces) == 1
wider(Interval([0.0], [1.0], "s"), tf.constant(0.5))
assert traces == ["m", "s"]

variable = tf.Variable(3.0)
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(Interval([1.0, 2.0], [variable, variable]).width() ** 2)
np.testing.assert_allclose(tape.gradient(loss, variable).numpy(), 2 * (2.0 + 1.0))


# What functions of tf do with them.
class Marked(tf.experimental.BatchableExtensionType):
    values: tf.Tensor
    marks: tf.Tensor
    shape = property(lambda self: self.values.shape)

    class Spec:
        def __init__(self, shape, dtype=tf.float32):
            self.values = tf.TensorSpec(shape, dtype)
            self.marks = tf.TensorSpec(shape, tf.bool)

        shape = property(lambda self: self.values.shape)
        dtype = property(lambda self: self.values.dtype)


@tf.experimental.dispatch_for_unary_elementwise_apis(Marked)
def unary(api, x):
    return Marked(api(x.values), x.marks)


@tf.experimental.dispatch_for_binary_elementwise_apis(Union[Marked, tf.Tensor], Union[Marked, tf.Tensor])  # noqa: UP007
def binary(api, x, y):
    x, y = (
        part if isinstance(part, Marked) else Marked(part, tf.ones_like(part, tf.bool)) for part in (x, y)
    )
    return Marked(api(x.values, y.values), x.marks & y.marks)


@tf.experimental.dispatch_for_api(tf.stack)
def stack(values: list[Marked], axis=0):
    return Marked(tf.stack([v.values for v in values], axis), tf.stack([v.marks for v in values], axis))


marked = Marked([1.0, -2.0], [True, False])
np.testing.assert_array_equal(tf.abs(marked).values.numpy(), [1, 2])
np.testing.assert_array_equal(tf.cast(marked, tf.int32).values.numpy(), [1, -2])
added = tf.add(marked, tf.constant([10.0, 20.0]))
np.testing.assert_array_equal(added.values.numpy(), [11, 18])
np.testing.assert_array_equal(added.marks.numpy(), [True, False])
assert tuple(tf.stack([marked, marked]).values.shape) == (2, 2)
raises((TypeError, ValueError), lambda: tf.reduce_sum(marked))
tf.experimental.unregister_dispatch_for(stack)
raises((TypeError, ValueError), lambda: tf.stack([marked, marked]))

# Elements of datasets, rows of map_fn.
table = Marked([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], tf.ones([3, 2], tf.bool))
rows = tf.data.Dataset.from_tensor_slices(table)
assert [float(tf.reduce_sum(row.values)) for row in rows] == [3, 7, 11]
batches = list(rows.batch(2))
assert [tuple(batch.shape) for batch in batches] == [(2, 2), (1, 2)]
assert len(list(rows.batch(2).unbatch())) == 3
doubled = next(iter(rows.map(lambda row: Marked(row.values * 2, row.marks))))
np.testing.assert_array_equal(doubled.values.numpy(), [2, 4])
generated = tf.data.Dataset.from_generator(
    lambda: (Marked([i, i + 1], [True, True]) for i in range(3)), output_signature=Marked.Spec([2], tf.int32)
)
assert [part.values.numpy().tolist() for part in generated] == [[0, 1], [1, 2], [2, 3]]
mapped = tf.map_fn(lambda row: Marked(row.values + 1, row.marks), table)
np.testing.assert_array_equal(mapped.values.numpy(), [[2, 3], [4, 5], [6, 7]])
print("ok")
