"""Interoperation with PyTorch, JAX, TensorFlow and einops: shared memory, models as their functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import SupportsDLPack
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.engines import Engine, current_engine, get_engine
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.derived_graph import DerivedGraph
from hornbeam.ir.node import leaf
from hornbeam.ir.types import TensorType, dtype_name, is_float

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

    from hornbeam.layers.layer import Layer


__all__ = ["from_dlpack", "jax_function", "register_einops", "register_jax", "tf_module", "torch_module"]


def register_einops() -> None:
    """Let `einops.rearrange`, `reduce`, `repeat`, `pack` and `einsum` take Hornbeam's tensors.

    Where `import keras` means Hornbeam this is done when einops is imported.

    Raises:
        ImportError: If einops is not installed.

    Example:
        >>> hornbeam.interop.register_einops()  # doctest: +SKIP
        >>> einops.rearrange(hornbeam.ops.ones((2, 3)), "a b -> b a").shape  # doctest: +SKIP
        (3, 2)

    Source: Rogozhnikov, "Einops: Clear and Reliable Tensor Manipulations with Einstein-like Notation",
    ICLR 2022.
    """
    import hornbeam.interop.einops_backend  # noqa: F401


def register_jax() -> None:
    """Let `jax.jit`, `jax.grad`, `jax.vmap` and the other transformations of JAX trace Hornbeam's operations.

    Operations, layers and losses that are called with values that JAX traces return such values, on the JAX
    engine; `stateless_call` and `stateless_apply` are then functions for JAX. Tensors are leaves of its
    pytrees. Where `import keras` means Hornbeam this is done when the engine follows KERAS_BACKEND=jax.

    Raises:
        ImportError: If JAX is not installed.

    Example:
        >>> hornbeam.config.set_engine("jax"); hornbeam.interop.register_jax()  # doctest: +SKIP
        >>> jax.grad(lambda x: hornbeam.ops.sum(x**2))(3.0)  # doctest: +SKIP
        Array(6., dtype=float32)
    """
    from hornbeam.interop import jax_tracing

    jax_tracing.register()


def from_dlpack(x: SupportsDLPack) -> Tensor:
    """Create a Tensor on the memory of an array of another library.

    The current engine borrows the memory if possible, and copies it to its device otherwise. Do not write to
    `x` while the Tensor lives. `torch.from_dlpack(tensor)`, `np.from_dlpack(tensor)` and
    `jax.numpy.from_dlpack(tensor)` do the opposite, likewise without a copy, except for JAX's from an engine
    that is not JAX's: it requests a version of DLPack that cannot mark memory as read-only.

    Args:
        x: Any array with `__dlpack__`: of PyTorch, JAX, NumPy, CuPy, ...

    Returns:
        Tensor with the shape and dtype of `x`.

    Raises:
        TypeError: If `x` has no `__dlpack__`, or the engine does not support its dtype.

    Example:
        >>> from_dlpack(np.arange(3)).tolist()
        [0, 1, 2]

    Source: https://dmlc.github.io/dlpack.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack() takes an array with __dlpack__, got {type(x).__name__}")
    engine = current_engine()
    buffer = engine.borrow(x)
    array = engine.get(buffer)
    return Tensor(leaf((engine, buffer), TensorType(tuple(array.shape), dtype_name(array.dtype))))


# -- a model's graph -----------------------------------------------------------------------------------------


def _traced(model: Layer, engine: Engine, types: Any, training: bool) -> Traced:
    """Trace the model on arguments of `types`, and evaluate what it captures."""
    traced = trace_for(engine, lambda *xs: model(*xs, training=training), types)
    evaluate(traced.captured)
    return traced


def _is_unbuilt(model: Layer) -> bool:
    return not getattr(model, "built", True)


def _variables_of(model: Layer) -> list[Variable]:
    return list(dict.fromkeys(model.variables))


class _CompiledModel:
    """A model for one signature, with its forward and backward pass compiled."""

    def __init__(self, model: Layer, engine: Engine, types: Any, training: bool) -> None:
        self.traced = traced = _traced(model, engine, types, training)
        self.captured = [buffer_of(node, engine) for node in traced.captured]
        self.derivative = DerivedGraph(traced.graph)
        self.count = len(traced.graph.outputs)
        self.floats = self.derivative.outputs
        self.forward = engine.executable(self.derivative.forward)
        self.backward = engine.executable(self.derivative.backward)


# -- PyTorch -------------------------------------------------------------------------------------------------


def torch_module(model: Layer) -> torch.nn.Module:
    """Convert a model to a `torch.nn.Module`, to train it with PyTorch or to use it in a larger module.

    Trainable weights are copied to parameters, the others (batch statistics, random states) to buffers; their
    names are the weights' paths in the model, with "_" for "/". `forward(*inputs)` takes tensors of the
    model's input shapes, and returns tensors in the structure of its outputs. `train()` and `eval()` switch
    the training mode. Autograd uses Hornbeam's derivative, run by the torch engine; second derivatives are
    not available. `module.write_back()` assigns parameters and buffers to the model's variables.

    Args:
        model: A built Model or Layer.

    Returns:
        `torch.nn.Module`.

    Raises:
        ImportError: If PyTorch is not installed; the message has the command that installs it.
        ValueError: If the model is not built.
        MissingPrimitiveError: If the torch engine lacks an operation.

    Example:
        >>> module = torch_module(model)  # doctest: +SKIP
        >>> torch.optim.SGD(module.parameters(), lr=0.1)  # doctest: +SKIP
    """
    engine = get_engine("torch")
    import torch

    if _is_unbuilt(model):
        raise ValueError("torch_module() needs a built model. Call it on data or build(shape) first.")
    return _module_class(torch)(model, engine)


def _module_class(torch: Any) -> Any:
    class Apply(torch.autograd.Function):
        """One forward and backward pass."""

        @staticmethod
        def forward(ctx: Any, run: _CompiledModel, *inputs: Any) -> Any:
            values = run.forward.run([x.detach() for x in inputs])
            ctx.run, ctx.count = run, len(inputs)
            ctx.save_for_backward(*values[run.count :])
            results = tuple(values[: run.count])
            ctx.mark_non_differentiable(*(results[i] for i in range(run.count) if i not in run.floats))
            return results

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, *cotangents: Any) -> Any:
            run = ctx.run
            float_cotangents = (cotangents[i].contiguous() for i in run.floats)
            grads = run.backward.run([*ctx.saved_tensors, *float_cotangents])
            gradients: list[Any] = [None] * ctx.count
            for i, grad in zip(run.derivative.inputs, grads, strict=True):
                gradients[i] = grad
            return None, *gradients

    class HornbeamModule(torch.nn.Module):
        """Module of `hornbeam.interop.torch_module`."""

        def __init__(self, model: Layer, engine: Engine) -> None:
            super().__init__()
            self._model, self._engine = [model], engine  # a list, since torch inspects attributes
            self._runs: dict[Any, _CompiledModel] = {}
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
                self._runs[key] = _CompiledModel(self._model[0], self._engine, types, self.training)
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


def _torch_name(model: Layer, variable: Variable, number: int) -> str:
    """Return the path inside the model; a number for random states, which are outside of it."""
    inside = variable.path.removeprefix(f"{model.path}/")
    return f"state_{number}" if inside == variable.path else inside.replace("/", "_").replace(".", "_")


# -- JAX -----------------------------------------------------------------------------------------------------


def jax_function(model: Layer, training: bool = False) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Convert a model to a pure function of JAX.

    The graph is evaluated by the jax engine's table, so that derivatives, of any order, are JAX's.

    Args:
        model: A built Model or Layer.
        training: True for a function that computes in training mode, and also returns new weights with
            batch statistics and random states.

    Returns:
        `(function, weights)`. `function(weights, *inputs)` returns the outputs, or `(outputs, weights)` with
        `training`. `weights` is a dict from the paths of all variables to `jax.Array`s, a pytree for
        `jax.grad`, `jax.jit`, `jax.vmap` and optax.

    Raises:
        ImportError: If JAX is not installed; the message has the command that installs it.
        ValueError: If the model is not built.
        MissingPrimitiveError: If the jax engine lacks an operation.

    Example:
        >>> function, weights = jax_function(model)  # doctest: +SKIP
        >>> jax.grad(lambda w: function(w, x).sum())(weights)  # doctest: +SKIP
    """
    engine: Any = get_engine("jax")
    import jax

    if _is_unbuilt(model):
        raise ValueError("jax_function() needs a built model. Call it on data or build(shape) first.")
    weights = {v.path: buffer_of(v.value.node, engine) for v in _variables_of(model)}
    traces: dict[Any, Traced] = {}

    def function(weights: dict[str, Any], *inputs: Any) -> Any:
        types = [TensorType(tuple(x.shape), dtype_name(x.dtype)) for x in inputs]
        key = tuple((t.shape, t.dtype) for t in types)
        if key not in traces:
            traces[key] = _traced(model, engine, types, training)
        traced = traces[key]
        captured = [buffer_of(node, engine) for node in traced.captured]
        with jax.enable_x64(True):
            values = engine.evaluate(
                lower(traced.graph),
                [*(weights[v.path] for v in traced.variables), *captured, *map(jax.numpy.asarray, inputs)],
            )
        count = len(traced.updated)
        outputs = traced.pack(values[count:])
        if not training:
            return outputs
        return outputs, {**weights, **dict(zip((v.path for v in traced.updated), values, strict=False))}

    return function, weights


# -- TensorFlow ----------------------------------------------------------------------------------------------


def tf_module(model: Layer) -> tf.Module:
    """Convert a model to a `tf.Module`, for `tf.GradientTape`, `tf.function` and TensorFlow's optimizers.

    The weights are copied to `tf.Variable`s, whose names are their paths in the model. `module(*inputs,
    training=False)` takes tensors of the model's input shapes with known sizes: each batch size is traced
    once. Gradients are Hornbeam's; second derivatives are not available. Training assigns batch statistics
    and random states to the variables. `module.write_back()` assigns all variables to the model's. For files
    that need no Python see `hornbeam.export.ExportArchive`.

    Args:
        model: A built Model or Layer.

    Returns:
        `tf.Module`.

    Raises:
        ImportError: If TensorFlow is not installed; the message has the command that installs it.
        ValueError: If the model is not built, or a size is unknown.
        MissingPrimitiveError: If the tensorflow engine lacks an operation.

    Example:
        >>> module = tf_module(model)  # doctest: +SKIP
        >>> sgd = tf.keras.optimizers.SGD()  # doctest: +SKIP
        >>> sgd.apply_gradients(zip(grads, module.trainable_variables))  # doctest: +SKIP
    """
    engine: Any = get_engine("tensorflow")
    if _is_unbuilt(model):
        raise ValueError("tf_module() needs a built model. Call it on data or build(shape) first.")
    return _tf_class(engine.tf)(model, engine)


def _tf_class(tf: Any) -> Any:
    class HornbeamModule(tf.Module):
        """Module of `hornbeam.interop.tf_module`."""

        def __init__(self, model: Layer, engine: Engine) -> None:
            super().__init__()
            runs: dict[Any, _CompiledModel] = {}
            self._untracked = (model, engine, runs)
            self._tf_variables = [
                tf.Variable(buffer_of(v.value.node, engine), trainable=v.trainable, name=v.path)
                for v in _variables_of(model)
            ]

        def __call__(self, *inputs: Any, training: bool = False) -> Any:
            model, engine, runs = self._untracked
            tensors = [tf.convert_to_tensor(x) for x in inputs]
            if any(None in x.shape for x in tensors):
                raise ValueError(f"all sizes must be known, got {[tuple(x.shape) for x in tensors]}")
            types = [TensorType(tuple(x.shape), x.dtype.name) for x in tensors]
            key = (training, *types)
            if key not in runs:
                with tf.init_scope():
                    runs[key] = _CompiledModel(model, engine, types, training)
            run = runs[key]
            by_variable = dict(zip(_variables_of(model), self._tf_variables, strict=True))
            weights = [by_variable[v].read_value() for v in run.traced.variables]
            results = _tf_apply(tf, run)(*weights, *run.captured, *tensors)
            count = len(run.traced.updated)
            for variable, value in zip(run.traced.updated, results[:count], strict=True):
                by_variable[variable].assign(value)
            return run.traced.pack(results[count:])

        def write_back(self) -> None:
            """Assign the variables' values to the model's."""
            for variable, tf_variable in zip(
                _variables_of(self._untracked[0]), self._tf_variables, strict=True
            ):
                variable.assign(tf_variable.numpy())

    return HornbeamModule


def _tf_apply(tf: Any, run: _CompiledModel) -> Callable[..., Any]:
    @tf.custom_gradient
    def apply(*inputs: Any) -> Any:
        values = run.forward.run(inputs)

        def backward(*cotangents: Any) -> list[Any]:
            grads = run.backward.run([*values[run.count :], *(cotangents[i] for i in run.floats)])
            by_input = dict(zip(run.derivative.inputs, grads, strict=True))
            return [by_input.get(i) for i in range(len(inputs))]

        return tuple(values[: run.count]), backward

    return apply


explain_missing(__name__)
