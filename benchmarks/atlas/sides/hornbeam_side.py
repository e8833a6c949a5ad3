"""Hornbeam's side of the atlas: python hornbeam_side.py [--engine NAME]

Functions of hornbeam.ops and layers under hornbeam.jit, gradients by hornbeam.grad.
"""

import sys

import numpy as np
from serving import Program, cotangent, differentiable, factory_of, family, first, parameters_of, serve

import hornbeam as hb
from hornbeam import layers, ops, optimizers, random


@family("conv1d", "conv2d", "conv3d")
def conv(p):
    return lambda x, kernel: ops.conv(x, kernel, p.strides, p.padding, dilation_rate=p.dilation)


@family("depthwise")
def depthwise(p):
    return lambda x, kernel: ops.depthwise_conv(x, kernel, p.strides, p.padding)


@family("conv transposed")
def transposed(p):
    return lambda x, kernel: ops.conv_transpose(x, kernel, p.strides, p.padding)


@family("matmul", "batched matmul")
def product(p):
    return ops.matmul


@family("attention")
def attention(p):
    if not p.dropout:
        return lambda q, k, v, mask=None: ops.dot_product_attention(q, k, v, mask=mask, is_causal=p.causal)
    layer = layers.MultiHeadAttention(p.heads, p.size, dropout=p.dropout, dtype=p.dtype)

    def dropped(q, k, v, mask=None):
        return layer._compute_attention(q, k, v, mask, training=True, use_causal_mask=p.causal)[0]

    return dropped


def _layer(layer, shape, **call):
    """Return a layer as a function of its input and its trainable weights."""
    layer.build(shape)
    state = layer.non_trainable_variables

    def apply(x, *weights):
        y, new = layer.stateless_call(list(weights), [v.value for v in state], x, **call)
        for variable, value in zip(state, new, strict=True):
            variable.assign(value)
        return y

    return apply


@family("lstm", "gru", "simple_rnn")
def recurrent(p):
    cell = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}[p.family]
    return _layer(cell(p.units, return_sequences=True, dtype=p.dtype), (None, None, p.features))


@family("max pool")
def max_pool(p):
    return lambda x: ops.max_pool(x, p.window, p.strides)


@family("average pool")
def average_pool(p):
    return lambda x: ops.average_pool(x, p.window, p.strides)


@family("layer norm")
def layer_norm(p):
    return lambda x, gamma, beta: ops.layer_normalization(x, gamma, beta, epsilon=1e-3)


@family("rms norm")
def rms_norm(p):
    return lambda x, scale: ops.rms_normalization(x, scale, epsilon=1e-6)


@family("batch norm")
def batch_norm(p):
    layer = layers.BatchNormalization(dtype=p.dtype)
    return _layer(layer, (None,) * (len(p.shapes[0]) - 1) + (p.channels,), training=p.training)


@family("group norm")
def group_norm(p):
    layer = layers.GroupNormalization(p.groups, dtype=p.dtype)
    return _layer(layer, (None, None, None, p.channels))


@family("softmax")
def softmax(p):
    return ops.softmax


@family("log softmax")
def log_softmax(p):
    return ops.log_softmax


@family("cross-entropy")
def cross_entropy(p):
    def loss(logits, labels):
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    return loss


@family("one-hot")
def one_hot(p):
    return lambda labels: ops.one_hot(labels, p.classes, dtype=p.dtype)


@family("reduction")
def reduction(p):
    function = getattr(ops, p.operation)
    axis = p.axes[0] if p.operation == "argmax" else tuple(p.axes)
    return lambda x: function(x, axis=axis)


@family("cumulative sum")
def cumulative_sum(p):
    return lambda x: ops.cumsum(x, axis=p.axis)


@family("sort")
def sort(p):
    return lambda x: ops.sort(x, axis=p.axis)


@family("argsort")
def argsort(p):
    return lambda x: ops.argsort(x, axis=p.axis)


@family("top-k")
def top_k(p):
    return lambda x: ops.top_k(x, p.count)


@family("embedding")
def embedding(p):
    return lambda table, indices: ops.take(table, indices, axis=0)


@family("gather")
def gather(p):
    return lambda x, indices: ops.take(x, indices, axis=p.axis)


@family("take along axis")
def take_along(p):
    return lambda x, indices: ops.take_along_axis(x, indices, axis=-1)


@family("scatter add")
def scatter(p):
    return lambda x, segments: ops.segment_sum(x, segments, num_segments=p.segments)


ELEMENTWISE = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu tanh": lambda x: ops.gelu(x, approximate=True),
}


@family("elementwise", "call")
def elementwise(p):
    return ELEMENTWISE.get(p.operation) or getattr(ops, p.operation)


@family("bias")
def bias(p):
    activation = elementwise(p)
    return lambda x, b: activation(x + b)


@family("transpose")
def transpose(p):
    return lambda x: ops.transpose(x, p.order)


@family("pad")
def pad(p):
    return lambda x: ops.pad(x, p.pads)


@family("concatenate")
def concatenate(p):
    return lambda *parts: ops.concatenate(parts, axis=p.axis)


@family("resize")
def resize(p):
    return lambda x: ops.image.resize(x, p.into, p.method)


@family("random")
def numbers(p):
    seed = random.SeedGenerator(1)
    return {
        "uniform": lambda: random.uniform(p.shape, dtype=p.dtype, seed=seed),
        "normal": lambda: random.normal(p.shape, dtype=p.dtype, seed=seed),
        "truncated normal": lambda: random.truncated_normal(p.shape, dtype=p.dtype, seed=seed),
        "integers": lambda: random.randint(p.shape, 0, 1000, seed=seed),
    }[p.distribution]


@family("dropout")
def dropout(p):
    seed = random.SeedGenerator(1)
    return lambda x: random.dropout(x, p.rate, seed=seed)


RULES = {
    "SGD momentum": lambda: optimizers.SGD(0.01, momentum=0.9),
    "SGD nesterov": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
}


@family("optimizer", stateful=True)
def optimizer(p, *operands):
    rule = RULES[p.rule]() if p.rule in RULES else getattr(optimizers, p.rule)(learning_rate=0.01)
    count = len(operands) // 2
    variables = [hb.Variable(value) for value in operands[:count]]
    gradients = list(operands[count:])
    rule.build(variables)
    step = hb.jit(lambda *gradients: rule.apply(list(gradients), variables))

    def update():
        step(*gradients)
        return variables

    return update


class Hornbeam:
    """Computes cases by jitted functions."""

    def programs(self, request, arrays):
        """Yield the program of a case."""
        tensors = [self._tensor(x, request["dtype"]) for x in arrays]
        p = parameters_of(request)
        factory, stateful = factory_of(request["family"])
        if stateful:
            call = factory(p, *tensors)
        else:
            call = self._call(factory(p), tensors, request)
        yield Program("jit", call)

    def _call(self, function, tensors, request):
        forward = hb.jit(function)
        if not request["backward"]:
            return lambda: forward(*tensors)
        y = first(forward(*tensors))
        ct = self._tensor(cotangent(y.shape), y.dtype)

        def loss(ct, *operands):
            y = first(function(*operands))
            return ops.sum(y * ct), y

        positions = [i + 1 for i in differentiable(request)]
        both = hb.jit(hb.grad(loss, argnums=positions, has_aux=True))
        return lambda: both(ct, *tensors)

    @staticmethod
    def _tensor(array, dtype):
        tensor = ops.convert_to_tensor(array, dtype if array.dtype == np.float32 else None)
        tensor.numpy()
        return tensor

    def outputs(self, request, result):
        """Return the results as arrays, those of bfloat16 as float32."""
        if request["backward"]:
            gradients, y = result
            result = (y, *gradients)
        result = result if isinstance(result, (list, tuple)) else (result,)
        return [
            np.asarray(ops.cast(x, "float32") if x.dtype == "bfloat16" else x)
            for x in map(ops.convert_to_tensor, result)
        ]


if __name__ == "__main__":
    if "--engine" in sys.argv:
        hb.config.set_engine(sys.argv[sys.argv.index("--engine") + 1])
    serve(Hornbeam())
