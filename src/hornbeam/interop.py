"""In and out of PyTorch, JAX and TensorFlow: arrays on shared memory, a model as their kind of function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.engines import Engine, current_engine, get_engine
from hornbeam.ir import autodiff
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, leaf, placeholder
from hornbeam.ir.primitive import zeros_like
from hornbeam.ir.trace import is_constant
from hornbeam.ir.types import TensorType, dtype_name, is_float

__all__ = ["from_dlpack", "jax_function", "tf_module", "torch_module"]


def from_dlpack(x: Any) -> Tensor:
    """A Tensor on the memory of `x`, any array with `__dlpack__`: of PyTorch, JAX, NumPy, CuPy, ...

    The present engine borrows the memory where it can, and moves it to its device where it must. Nobody may
    write to `x` while the Tensor lives. `torch.from_dlpack(tensor)`, `np.from_dlpack(tensor)` and
    `jax.numpy.from_dlpack(tensor)` go the other way, likewise without a copy, but for JAX's from an engine
    that is not JAX's: it asks for a version of DLPack that cannot say that memory is read-only.

    Raises TypeError for what has no `__dlpack__`, and what the host raises for a dtype that it does not have.
    Source: https://dmlc.github.io/dlpack.

    >>> from_dlpack(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack() takes an array with __dlpack__, got {type(x).__name__}")
    engine = current_engine()
    buffer = engine.borrow(x)
    array = engine.get(buffer)
    return Tensor(leaf((engine, buffer), TensorType(tuple(array.shape), dtype_name(array.dtype))))


# -- a model's graph -----------------------------------------------------------------------------------------


def _traced(model: Any, engine: Engine, types: Any, training: bool) -> Traced:
    """The model on arguments of `types`; what it captures is computed."""
    traced = trace_for(engine, lambda *xs: model(*xs, training=training), types)
    evaluate(traced.captured)
    return traced


def _unbuilt(model: Any) -> bool:
    return not getattr(model, "built", True)


def _variables_of(model: Any) -> list[Variable]:
    return list(dict.fromkeys(model.variables))


class _Derivative:
    """A graph and the way back, as two graphs; what the way back needs of the way forward is handed over.

    forward: from the graph's inputs to its outputs and the values that are handed over. backward: from those
    and cotangents of the float outputs to cotangents of the float inputs.
    """

    def __init__(self, graph: Graph) -> None:
        self.outputs = [i for i, node in enumerate(graph.outputs) if is_float(node.dtype)]
        self.inputs = [i for i, node in enumerate(graph.inputs) if is_float(node.dtype)]
        wrt = [graph.inputs[i] for i in self.inputs]
        outs = [graph.outputs[i] for i in self.outputs]
        given = [placeholder(n._single(), n.level) for n in outs]
        found = autodiff.gradients(outs, given, wrt)
        slopes = [zeros_like(n) if slope is None else slope for n, slope in zip(wrt, found, strict=True)]
        border = _border(slopes, given)
        self.forward = Graph(graph.inputs, (*graph.outputs, *border))
        self.backward = Graph((*border, *given), slopes)


class _Run:
    """A model for one signature, compiled for the way forward and the way back."""

    def __init__(self, model: Any, engine: Engine, types: Any, training: bool) -> None:
        self.traced = traced = _traced(model, engine, types, training)
        self.captured = [buffer_of(node, engine) for node in traced.captured]
        self.derivative = _Derivative(traced.graph)
        self.count = len(traced.graph.outputs)
        self.floats = self.derivative.outputs
        self.forward = engine.executable(self.derivative.forward)
        self.backward = engine.executable(self.derivative.backward)


def _border(outputs: Sequence[Node], given: Sequence[Node]) -> list[Node]:
    """Values that do not depend on `given` and are read by what does, or are outputs; constants aside."""
    whole = Graph(tuple(_leaves(outputs)), outputs)
    late = set(given)
    while True:
        for node in whole.nodes:
            if any(operand in late for operand in node.inputs):
                late.add(node)
        read = [operand for node in whole.nodes if node in late for operand in node.inputs]
        border = dict.fromkeys(n for n in (*read, *outputs) if n not in late and not is_constant(n))
        # No graph hands over a value with several outputs: it is computed again.
        several = [node for node in border if isinstance(node.type, tuple)]
        if not several:
            return list(border)
        for node in several:
            late.add(node)


def _leaves(outputs: Sequence[Node]) -> list[Node]:
    seen: dict[Node, None] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack.extend(node.inputs)
    return [node for node in seen if node.primitive is None]


# -- PyTorch -------------------------------------------------------------------------------------------------


def torch_module(model: Any) -> Any:
    """The model as a `torch.nn.Module`: trained by PyTorch's optimizers, or a part of a bigger module.

    model: a built Model or Layer. Trainable weights are copied to parameters, the others (batch statistics,
    random states) to buffers; a name is the weight's path in the model, with "_" for "/". `forward(*inputs)`
    takes tensors of the model's input shapes, and gives tensors in the structure of its outputs, float32
    unless the model says otherwise; `train()` and `eval()` say whether dropout drops. Backward through
    autograd is Hornbeam's own derivative, run by the torch engine, once: it has no second derivative.
    `module.write_back()` assigns parameters and buffers to the model's variables.

    Raises ImportError without PyTorch (with the command that installs it), ValueError for a model that is not
    built, MissingPrimitiveError for what the torch engine lacks.

    >>> module = torch_module(model)  # doctest: +SKIP
    >>> torch.optim.SGD(module.parameters(), lr=0.1)  # doctest: +SKIP
    """
    engine = get_engine("torch")
    import torch

    if _unbuilt(model):
        raise ValueError(
            "torch_module() needs a model that is built: call it on data, or build(shape), first"
        )
    return _module_class(torch)(model, engine)


def _module_class(torch: Any) -> Any:
    class Apply(torch.autograd.Function):
        """One run of a derivative's two graphs."""

        @staticmethod
        def forward(ctx: Any, run: _Run, *inputs: Any) -> Any:
            values = run.forward.run([x.detach() for x in inputs])
            ctx.run, ctx.count = run, len(inputs)
            ctx.save_for_backward(*values[run.count :])
            results = tuple(values[: run.count])
            ctx.mark_non_differentiable(*(results[i] for i in range(run.count) if i not in run.floats))
            return results

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, *slopes: Any) -> Any:
            run = ctx.run
            found = run.backward.run([*ctx.saved_tensors, *(slopes[i].contiguous() for i in run.floats)])
            gradients: list[Any] = [None] * ctx.count
            for i, slope in zip(run.derivative.inputs, found, strict=True):
                gradients[i] = slope
            return None, *gradients

    class HornbeamModule(torch.nn.Module):
        """See `hornbeam.interop.torch_module`."""

        def __init__(self, model: Any, engine: Engine) -> None:
            super().__init__()
            self._model, self._engine = [model], engine  # a list: torch looks into attributes
            self._runs: dict[Any, _Run] = {}
            self._names: dict[Variable, str] = {}
            for variable in _variables_of(model):
                name = _torch_name(model, variable, len(self._names))
                value = buffer_of(variable.value.node, engine).detach().clone()
                self._names[variable] = name
                if variable.trainable and is_float(variable.type.dtype):
                    self.register_parameter(name, torch.nn.Parameter(value))
                else:
                    self.register_buffer(name, value)

        def forward(self, *inputs: Any) -> Any:
            types = [TensorType(tuple(x.shape), str(x.dtype).removeprefix("torch.")) for x in inputs]
            key = (self.training, *((t.shape, t.dtype) for t in types))
            if key not in self._runs:
                self._runs[key] = _Run(self._model[0], self._engine, types, self.training)
            run = self._runs[key]
            weights = [getattr(self, self._names[v]) for v in run.traced.variables]
            results = Apply.apply(run, *weights, *run.captured, *inputs)
            count = len(run.traced.updated)
            with torch.no_grad():
                for variable, value in zip(run.traced.updated, results[:count], strict=True):
                    getattr(self, self._names[variable]).copy_(value)
            return run.traced.pack(results[count:])

        def write_back(self) -> None:
            """Assign parameters and buffers to the model's variables."""
            for variable, name in self._names.items():
                variable.assign(self._engine.get(getattr(self, name).detach()))

    return HornbeamModule


def _torch_name(model: Any, variable: Variable, number: int) -> str:
    """The path inside of the model; a number for random states, which lie outside, under counted names."""
    inside = variable.path.removeprefix(f"{model.path}/")
    return f"state_{number}" if inside == variable.path else inside.replace("/", "_").replace(".", "_")


# -- JAX -----------------------------------------------------------------------------------------------------


def jax_function(model: Any, training: bool = False) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The model as a pure function of JAX: `f, weights = jax_function(model)`, then `f(weights, *xs)`.

    model: a built Model or Layer. weights: a dict from the paths of all variables, trained or not, to
    `jax.Array`s, a pytree that `jax.grad`, `jax.jit`, `jax.vmap` and optax take. With `training` the function
    returns `(outputs, weights)`, the new weights holding batch statistics and random states. Arguments and
    outputs have the model's shapes and dtypes. The graph is evaluated with the jax engine's table, so that
    derivatives, of any order, are JAX's.

    Raises ImportError without JAX (with the command that installs it), ValueError for a model that is not
    built, MissingPrimitiveError for what the jax engine lacks.

    >>> function, weights = jax_function(model)  # doctest: +SKIP
    >>> jax.grad(lambda w: function(w, x).sum())(weights)  # doctest: +SKIP
    """
    engine: Any = get_engine("jax")
    import jax

    if _unbuilt(model):
        raise ValueError(
            "jax_function() needs a model that is built: call it on data, or build(shape), first"
        )
    weights = {v.path: buffer_of(v.value.node, engine) for v in _variables_of(model)}
    known: dict[Any, Traced] = {}

    def function(weights: dict[str, Any], *inputs: Any) -> Any:
        types = [TensorType(tuple(x.shape), dtype_name(x.dtype)) for x in inputs]
        key = tuple((t.shape, t.dtype) for t in types)
        if key not in known:
            known[key] = _traced(model, engine, types, training)
        traced = known[key]
        captured = [buffer_of(node, engine) for node in traced.captured]
        with jax.enable_x64(True):
            values = engine.evaluate(
                traced.graph,
                [*(weights[v.path] for v in traced.variables), *captured, *map(jax.numpy.asarray, inputs)],
            )
        count = len(traced.updated)
        outputs = traced.pack(values[count:])
        if not training:
            return outputs
        return outputs, {**weights, **dict(zip((v.path for v in traced.updated), values, strict=False))}

    return function, weights


# -- TensorFlow ----------------------------------------------------------------------------------------------


def tf_module(model: Any) -> Any:
    """The model as a `tf.Module`: a callable on TensorFlow's tensors with `variables`, for `tf.GradientTape`,
    `tf.function` and optimizers of TensorFlow's.

    model: a built Model or Layer. Its weights are copied to `tf.Variable`s, whose names are their paths in
    the model. `module(*inputs, training=False)` takes tensors of the model's input shapes, all sizes known:
    each batch size is traced once. Derivatives are Hornbeam's own, once: there is no second. Training assigns
    batch statistics and random states to the variables. `module.write_back()` assigns all variables to the
    model's. For files that need no Python see `hornbeam.export.ExportArchive`.

    Raises ImportError without TensorFlow (with the command that installs it), ValueError for a model that is
    not built and for a size that is not known, MissingPrimitiveError for what the engine lacks.

    >>> module = tf_module(model)  # doctest: +SKIP
    >>> tf.keras.optimizers.SGD().apply_gradients(zip(slopes, module.trainable_variables))  # doctest: +SKIP
    """
    engine: Any = get_engine("tensorflow")
    if _unbuilt(model):
        raise ValueError("tf_module() needs a model that is built: call it on data, or build(shape), first")
    return _tf_class(engine.tf)(model, engine)


def _tf_class(tf: Any) -> Any:
    class HornbeamModule(tf.Module):
        """See `hornbeam.interop.tf_module`."""

        def __init__(self, model: Any, engine: Engine) -> None:
            super().__init__()
            runs: dict[Any, _Run] = {}
            self._hidden = (model, engine, runs)
            self._held = [
                tf.Variable(buffer_of(v.value.node, engine), trainable=v.trainable, name=v.path)
                for v in _variables_of(model)
            ]

        def __call__(self, *inputs: Any, training: bool = False) -> Any:
            model, engine, runs = self._hidden
            given = [tf.convert_to_tensor(x) for x in inputs]
            if any(None in x.shape for x in given):
                raise ValueError(f"all sizes must be known, got {[tuple(x.shape) for x in given]}")
            types = [TensorType(tuple(x.shape), x.dtype.name) for x in given]
            key = (training, *types)
            if key not in runs:
                with tf.init_scope():
                    runs[key] = _Run(model, engine, types, training)
            run = runs[key]
            held = dict(zip(_variables_of(model), self._held, strict=True))
            weights = [held[v].read_value() for v in run.traced.variables]
            results = _tf_apply(tf, run)(*weights, *run.captured, *given)
            count = len(run.traced.updated)
            for variable, value in zip(run.traced.updated, results[:count], strict=True):
                held[variable].assign(value)
            return run.traced.pack(results[count:])

        def write_back(self) -> None:
            """Assign the variables' values to the model's."""
            for variable, held in zip(_variables_of(self._hidden[0]), self._held, strict=True):
                variable.assign(held.numpy())

    return HornbeamModule


def _tf_apply(tf: Any, run: _Run) -> Callable[..., Any]:
    @tf.custom_gradient
    def apply(*inputs: Any) -> Any:
        values = run.forward.run(inputs)

        def backward(*slopes: Any) -> list[Any]:
            found = run.backward.run([*values[run.count :], *(slopes[i] for i in run.floats)])
            places = dict(zip(run.derivative.inputs, found, strict=True))
            return [places.get(i) for i in range(len(inputs))]

        return tuple(values[: run.count]), backward

    return apply
