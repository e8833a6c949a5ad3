"""PyTorch's side of the atlas: python torch_side.py [--compile]

Eager functions, with all threads and with one; with --compile also compiled by torch.compile. The quickest is
measured. Images have the memory format channels_last. BENCH_THREADS: threads, by default PyTorch's choice.
"""

import contextlib
import os
import sys

import torch
from serving import Program, cotangent, differentiable, factory_of, family, first, parameters_of, serve
from torch.nn import functional as F

THREADS = int(os.environ.get("BENCH_THREADS", torch.get_num_threads()))


# torch.compile unrolls their steps, which takes minutes.
UNROLLED = ("lstm", "gru", "simple_rnn")


# -- layouts ---------------------------------------------------------------------------------------------


def _last(x):
    """Return the memory format of channels_last for images that have one."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats.get(x.ndim, torch.contiguous_format))


def _gates(x):
    """Exchange the first two of three gates: Keras orders them z, r, h."""
    z, r, h = x.chunk(3, -1)
    return torch.cat([r, z, h], -1)


# From Hornbeam's layout, and back.
LAYOUTS = {
    "": (lambda x: x, lambda x: x),
    "image": (lambda x: _last(x.movedim(-1, 1)), lambda x: x.movedim(1, -1)),
    "kernel": (
        lambda x: _last(x.movedim((-1, -2), (0, 1))),
        lambda x: x.movedim((0, 1), (-1, -2)),
    ),
    "depthwise kernel": (
        lambda x: _last(x.movedim((-2, -1), (0, 1))),
        lambda x: x.movedim((0, 1), (-2, -1)),
    ),
    "heads": (lambda x: x.transpose(1, 2), lambda x: x.transpose(1, 2)),
    "matrix": (lambda x: x.T.contiguous(), lambda x: x.T),
    "gates": (lambda x: _gates(x).T.contiguous(), lambda x: _gates(x.T)),
    "gate bias": (_gates, _gates),
}


# -- families --------------------------------------------------------------------------------------------


@family("conv1d", "conv2d", "conv3d")
def conv(p):
    function = {"conv1d": F.conv1d, "conv2d": F.conv2d, "conv3d": F.conv3d}[p.family]
    options = {"stride": p.strides, "padding": p.padding, "dilation": p.dilation, "groups": p.groups}
    if p.padding == "same":
        # By numbers: for "same" by name PyTorch computes them in every call.
        options["padding"] = [p.dilation * (k - 1) // 2 for k in p.shapes[1][:-2]]
        if any(p.dilation * (k - 1) % 2 for k in p.shapes[1][:-2]):
            options["padding"] = "same"
    return lambda x, kernel: function(x, kernel, **options)


@family("depthwise")
def depthwise(p):
    *kernel, channels, _ = p.shapes[1]
    function = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 1]
    padding = [k // 2 for k in kernel] if p.padding == "same" else 0
    return lambda x, kernel: function(x, kernel, None, p.strides, padding, 1, channels)


@family("conv transposed")
def transposed(p):
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(p.kernel) - 1]
    padding = [(k - p.strides) // 2 for k in p.kernel] if p.padding == "same" else 0
    return lambda x, kernel: function(x, kernel, None, p.strides, padding)


@family("matmul", "batched matmul")
def product(p):
    return torch.matmul


@family("attention")
def attention(p):
    past = torch.ones(p.length, p.length, dtype=torch.bool).tril()
    grouped = p.shapes[1][2] != p.heads

    def attend(q, k, v, mask=None):
        if p.causal and mask is not None:
            mask = mask & past
        return F.scaled_dot_product_attention(
            q, k, v, mask, p.dropout, p.causal and mask is None, enable_gqa=grouped
        )

    return attend


@family("lstm", "gru", "simple_rnn")
def recurrent(p):
    state = torch.zeros(1, p.batch, p.units, dtype=getattr(torch, p.dtype))
    no_bias = torch.zeros(4 * p.units, dtype=state.dtype)

    def lstm(x, kernel, recurrent, bias):
        weights = [kernel, recurrent, bias, no_bias]
        return torch.lstm(x, [state, state], weights, True, 1, 0.0, False, False, True)[0]

    def gru(x, kernel, recurrent, bias):
        weights = [kernel, recurrent, bias[0], bias[1]]
        return torch.gru(x, state, weights, True, 1, 0.0, False, False, True)[0]

    def simple_rnn(x, kernel, recurrent, bias):
        weights = [kernel, recurrent, bias, no_bias[: p.units]]
        return torch.rnn_tanh(x, state, weights, True, 1, 0.0, False, False, True)[0]

    return {"lstm": lstm, "gru": gru, "simple_rnn": simple_rnn}[p.family]


@family("max pool")
def max_pool(p):
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(p.shapes[0]) - 3]
    return lambda x: function(x, p.window, p.strides)


@family("average pool")
def average_pool(p):
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(p.shapes[0]) - 3]
    return lambda x: function(x, p.window, p.strides)


@family("layer norm")
def layer_norm(p):
    return lambda x, gamma, beta: F.layer_norm(x, (p.columns,), gamma, beta, 1e-3)


@family("rms norm")
def rms_norm(p):
    return lambda x, scale: F.rms_norm(x, (p.columns,), scale, 1e-6)


@family("batch norm")
def batch_norm(p):
    dtype = getattr(torch, p.dtype)
    mean, variance = torch.zeros(p.channels, dtype=dtype), torch.ones(p.channels, dtype=dtype)
    return lambda x, gamma, beta: F.batch_norm(x, mean, variance, gamma, beta, p.training, 0.01, 1e-3)


@family("group norm")
def group_norm(p):
    return lambda x, gamma, beta: F.group_norm(x, p.groups, gamma, beta, 1e-3)


@family("softmax")
def softmax(p):
    return lambda x: torch.softmax(x, -1)


@family("log softmax")
def log_softmax(p):
    return lambda x: torch.log_softmax(x, -1)


@family("cross-entropy")
def cross_entropy(p):
    return F.cross_entropy


@family("one-hot")
def one_hot(p):
    dtype = getattr(torch, p.dtype)
    return lambda labels: torch.zeros(len(labels), p.classes, dtype=dtype).scatter_(1, labels[:, None], 1)


REDUCTIONS = {
    "max": torch.amax,
    "var": lambda x, axes: torch.var(x, axes, correction=0),
    "argmax": lambda x, axes: torch.argmax(x, axes[0]),
}


@family("reduction")
def reduction(p):
    function = REDUCTIONS.get(p.operation) or getattr(torch, p.operation)
    return lambda x: function(x, p.axes)


@family("cumulative sum")
def cumulative_sum(p):
    return lambda x: torch.cumsum(x, p.axis)


@family("sort")
def sort(p):
    return lambda x: torch.sort(x, p.axis)[0]


@family("argsort")
def argsort(p):
    return lambda x: torch.argsort(x, p.axis)


@family("top-k")
def top_k(p):
    return lambda x: tuple(torch.topk(x, p.count))


@family("embedding")
def embedding(p):
    return lambda table, indices: F.embedding(indices, table)


@family("gather")
def gather(p):
    return lambda x, indices: torch.index_select(x, p.axis, indices)


@family("take along axis")
def take_along(p):
    return lambda x, indices: torch.gather(x, -1, indices)


@family("scatter add")
def scatter(p):
    return lambda x, segments: x.new_zeros(p.segments, x.shape[1]).index_add(0, segments, x)


ELEMENTWISE = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "softmax": lambda x: torch.softmax(x, -1),
}


@family("elementwise", "call")
def elementwise(p):
    return ELEMENTWISE.get(p.operation) or getattr(torch, p.operation)


@family("bias")
def bias(p):
    activation = elementwise(p)
    return lambda x, b: activation(x + b)


@family("transpose")
def transpose(p):
    return lambda x: x.permute(p.order).contiguous()


@family("pad")
def pad(p):
    flat = [n for pair in reversed(p.pads) for n in pair]
    return lambda x: F.pad(x, flat)


@family("concatenate")
def concatenate(p):
    return lambda *parts: torch.cat(parts, p.axis)


@family("resize")
def resize(p):
    corners = {} if p.method == "nearest" else {"align_corners": False}
    return lambda x: F.interpolate(x, p.into, mode=p.method, **corners)


@family("random")
def numbers(p):
    dtype = getattr(torch, p.dtype)
    return {
        "uniform": lambda: torch.rand(p.shape, dtype=dtype),
        "normal": lambda: torch.randn(p.shape, dtype=dtype),
        "truncated normal": lambda: torch.nn.init.trunc_normal_(torch.empty(p.shape, dtype=dtype)),
        "integers": lambda: torch.randint(0, 1000, p.shape, dtype=torch.int32),
    }[p.distribution]


@family("dropout")
def dropout(p):
    return lambda x: F.dropout(x, p.rate)


# With the settings of Keras's defaults.
RULES = {
    "SGD": lambda w, **how: torch.optim.SGD(w, 0.01, **how),
    "SGD momentum": lambda w, **how: torch.optim.SGD(w, 0.01, 0.9, **how),
    "SGD nesterov": lambda w, **how: torch.optim.SGD(w, 0.01, 0.9, nesterov=True, **how),
    "Adam": lambda w, **how: torch.optim.Adam(w, 0.01, eps=1e-7, **how),
    "AdamW": lambda w, **how: torch.optim.AdamW(w, 0.01, eps=1e-7, weight_decay=0.004, **how),
    "Nadam": lambda w, **how: torch.optim.NAdam(w, 0.01, eps=1e-7, **how),
    "Adamax": lambda w, **how: torch.optim.Adamax(w, 0.01, eps=1e-7, **how),
    "RMSprop": lambda w, **how: torch.optim.RMSprop(w, 0.01, 0.9, eps=1e-7, **how),
    "Adagrad": lambda w, **how: torch.optim.Adagrad(w, 0.01, initial_accumulator_value=0.1, eps=1e-7, **how),
    "Adadelta": lambda w, **how: torch.optim.Adadelta(w, 0.01, 0.95, eps=1e-7, **how),
    "Adafactor": lambda w, **how: torch.optim.Adafactor(w, 0.01, **how),
    "Muon": lambda w, **how: torch.optim.Muon(
        w, 0.01, weight_decay=0.004, adjust_lr_fn="match_rms_adamw", **how
    ),
}


def optimizer(p, operands, **how):
    """Return the call of one update, with the options "fused" or "foreach"."""
    count = len(operands) // 2
    variables = [x.clone().requires_grad_() for x in operands[:count]]
    for variable, gradient in zip(variables, operands[count:], strict=True):
        variable.grad = gradient
    rule = RULES[p.rule](variables, **how)

    def update():
        rule.step()
        return variables

    return update


@family("optimizer", stateful=True)
def optimizers(p, *operands):
    if p.rule not in RULES:
        raise NotImplementedError(f"PyTorch has no {p.rule}")
    for name, how in (("", {}), ("fused", {"fused": True}), ("foreach", {"foreach": True})):
        with contextlib.suppress(TypeError, RuntimeError):  # not every rule has these options
            yield name, optimizer(p, operands, **how)


# -- programs --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _mode(threads, inference):
    torch.set_num_threads(threads)
    with torch.inference_mode(inference):
        yield


class Torch:
    """Computes cases eagerly and, if asked, by compiled functions."""

    def __init__(self, compiled):
        self.compiled = compiled

    def programs(self, request, arrays):
        """Yield the programs of a case: with all threads and with one, eager and compiled."""
        p = parameters_of(request)
        factory, stateful = factory_of(request["family"])
        with _mode(THREADS, False):
            tensors = [
                self._tensor(x, operand["layout"], request["dtype"])
                for x, operand in zip(arrays, request["operands"], strict=True)
            ]
        calls = factory(p, *tensors) if stateful else self._calls(factory(p), tensors, request)
        inference = not request["backward"] and not stateful
        for name, call in calls:
            for threads in {THREADS, 1}:
                setting = f"{name or 'eager'}, {threads} thread{'s' if threads > 1 else ''}"
                yield Program(setting, call, lambda threads=threads: _mode(threads, inference))

    def _calls(self, function, tensors, request):
        yield "eager", self._call(function, tensors, request)
        if self.compiled and request["family"] not in UNROLLED:
            torch.compiler.reset()
            yield "compiled", self._call(torch.compile(function, dynamic=False), tensors, request)

    def _call(self, function, tensors, request):
        if not request["backward"]:
            return lambda: function(*tensors)
        sources = [tensors[i].requires_grad_() for i in differentiable(request)]
        with torch.no_grad():
            y = first(function(*tensors))
            back = LAYOUTS[request["result"]][1]
            ct = self._tensor(cotangent(tuple(back(y).shape)), request["result"], str(y.dtype)[6:])

        def both():
            y = first(function(*tensors))
            return (y, *torch.autograd.grad(y, sources, ct))

        return both

    @staticmethod
    def _tensor(array, layout, dtype):
        tensor = torch.from_numpy(array) if array.ndim else torch.tensor(array)
        tensor = tensor.to(
            getattr(torch, dtype) if tensor.dtype == torch.float32 else
            torch.int64 if tensor.dtype == torch.int32 else tensor.dtype
        )  # fmt: skip
        return LAYOUTS[layout][0](tensor)

    def outputs(self, request, result):
        """Return the results as arrays in Hornbeam's layout, those of bfloat16 as float32."""
        result = result if isinstance(result, (list, tuple)) else (result,)
        layouts = [request["result"]]
        if request["backward"]:
            layouts += [request["operands"][i]["layout"] for i in differentiable(request)]
        layouts += [""] * (len(result) - len(layouts))
        arrays = [LAYOUTS[layout][1](x.detach()) for layout, x in zip(layouts, result, strict=True)]
        return [(x.float() if x.dtype == torch.bfloat16 else x).numpy() for x in arrays]


if __name__ == "__main__":
    serve(Torch("--compile" in sys.argv))
