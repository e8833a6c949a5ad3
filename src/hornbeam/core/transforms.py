"""Functions of functions: jit, grad, value_and_grad, vjp, checkpoint; derivatives of values at hand."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam.config import floatx
from hornbeam.core.lazy import buffer_of, evaluate, released_sources
from hornbeam.core.tensor import Tensor, as_tensor, has_symbolic
from hornbeam.core.variable import Variable, VariableTracer, current_variable_tracer
from hornbeam.engines import current_engine
from hornbeam.engines.base import (
    Buffer,
    Engine,
    Executable,
    MeshEngine,
    MeshExecutable,
    MissingPrimitiveError,
)
from hornbeam.ir import autodiff
from hornbeam.ir.graph import Graph, Node, leaf, placeholder, topological
from hornbeam.ir.primitive import graph_param, ones_like, zeros_like
from hornbeam.ir.source_lines import recorded_lines
from hornbeam.ir.trace import captures, current_level, gc_paused, inline, new_level
from hornbeam.ir.types import ShapeError, TensorType, dtype_name, is_float

__all__ = [
    "Traced",
    "checkpoint",
    "grad",
    "gradients",
    "jit",
    "remat",
    "stop_gradient",
    "trace_function",
    "value_and_grad",
    "vjp",
]


def _is_array(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic))


# -- derivatives ---------------------------------------------------------------------------------------------


def gradients(loss: Tensor, variables: Sequence[Tensor]) -> list[Tensor]:
    """Derivative of a scalar `loss` with respect to each of `variables` (zeros where it does not depend on
    one).

    Use it where the loss has just been computed, as in an overridden `train_step`.

    Raises ShapeError if the loss is not a scalar, DerivativeError if it was read (printed, compared) before,
    since reading a value in eager code lets go of how it was computed.

    >>> g = hornbeam.gradients(loss, model.trainable_variables)  # doctest: +SKIP
    """
    node = loss.node
    if node.shape != ():
        raise ShapeError(f"gradients need a scalar loss, got shape {node.shape}: take its mean or sum first")
    if node.primitive is None and node.value is not None:
        raise autodiff.DerivativeError(
            "the loss has already been read, and reading a value lets go of how it was computed: take "
            "gradients before "
            "reading it, or use value_and_grad"
        )
    nodes = [v.node for v in variables]
    cut = [n for n in topological([node]) if not released_sources(n).isdisjoint(map(weakref.ref, nodes))]
    found = autodiff.gradients([node], [ones_like(node)], [*nodes, *cut])
    _check_whole(cut, found[len(nodes) :])
    return [Tensor(zeros_like(n) if g is None else g) for n, g in zip(nodes, found, strict=False)]


def _check_whole(cut: Sequence[Node], slopes: Sequence[Node | None]) -> None:
    """Raise if the loss depends on a value that no longer knows that it came from a variable."""
    for node, slope in zip(cut, slopes, strict=True):
        if slope is not None:
            raise autodiff.DerivativeError(
                f"the loss depends on the variables through a {node.type} that has been read (printed, "
                "compared, converted, or computed along with what was), and reading a value lets go of how "
                "it was computed: take gradients before reading, or use value_and_grad; ops.stop_gradient "
                "says that no derivative is wanted"
            )


def value_and_grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns `fn`'s value and its derivative with respect to the arguments `argnums`.

    `fn` returns a scalar (with `has_aux`, a pair of a scalar and anything else). Arguments may be nested
    structures; the derivative has their structure. Only floating-point leaves are differentiated.

    >>> value, slope = hornbeam.value_and_grad(lambda w: w * w)(3.0)
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ValueError(
                    f"argnums={argnums!r}, but the function was called with {len(args)} arguments"
                )
        chosen = [args[number] for number in numbers]
        values = [as_tensor(x) for x in tree.flatten(chosen)]
        for value in values:
            if not is_float(value.dtype):
                raise TypeError(f"grad needs floating-point arguments, got {value.dtype}")

        def call(inputs: Sequence[Tensor]) -> tuple[Any, Any]:
            full_args = list(args)
            for number, argument in zip(numbers, tree.pack_sequence_as(chosen, list(inputs)), strict=True):
                full_args[number] = argument
            result = fn(*full_args, **kwargs)
            if has_aux:
                return result
            return result, None

        def seed(out: Node) -> Node:
            if out.shape != ():
                raise ShapeError(f"grad needs a function that returns a scalar, got shape {out.shape}")
            return ones_like(out)

        loss, aux, slopes = _differentiate(call, values, seed)
        packed = tree.pack_sequence_as(chosen, slopes)
        derivative = packed[0] if isinstance(argnums, int) else tuple(packed)
        return ((loss, aux) if has_aux else loss), derivative

    return wrapped


def grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the derivative of `fn` with respect to the arguments `argnums`.

    >>> float(hornbeam.grad(lambda x: x * x)(3.0))
    6.0
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, derivative = both(*args, **kwargs)
        return (derivative, value[1]) if has_aux else derivative

    return wrapped


def vjp(fn: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], tuple]]:
    """`fn(*args)` and a function that maps cotangents of the result to cotangents of the arguments."""
    structure = list(args)
    values = [as_tensor(x) for x in tree.flatten(structure)]
    result = fn(*tree.pack_sequence_as(structure, values))

    def pullback(cotangents: Any) -> tuple:
        cts = iter([as_tensor(ct).node for ct in tree.flatten(cotangents)])

        def call(inputs: Sequence[Tensor]) -> tuple[Any, Any]:
            return fn(*tree.pack_sequence_as(structure, list(inputs))), None

        _, _, slopes = _differentiate(call, values, lambda out: next(cts))
        return tuple(tree.pack_sequence_as(structure, slopes))

    return result, pullback


def _differentiate(
    call: Callable[[Sequence[Tensor]], tuple[Any, Any]],
    values: Sequence[Tensor],
    seed: Callable[[Node], Node],
) -> tuple[Any, Any, list[Tensor]]:
    """Trace `call` on stand-ins for `values`, differentiate, and put the values back in.

    Variables that the function assigns (batch statistics, random states) are assigned for real afterwards.
    """
    args = [value.node for value in values]
    with new_level() as level:
        inputs = [placeholder(n.type, level) for n in args]  # type: ignore[arg-type]
        tracer = _PassthroughTracer(level)
        with tracer:
            result, aux = call([Tensor(n) for n in inputs])
            outs = [as_tensor(x).node for x in tree.flatten(result)]
            found = autodiff.gradients(outs, [seed(out) for out in outs], inputs)
        slopes = [zeros_like(n) if g is None else g for n, g in zip(inputs, found, strict=True)]
        aux_leaves = tree.flatten(aux)
        aux_nodes = [x.node for x in aux_leaves if isinstance(x, Tensor)]
        updates = list(tracer.updates.items())
        graph = Graph(inputs, (*outs, *slopes, *aux_nodes, *(node for _, node in updates)))
    rebound = [Tensor(n) for n in inline(graph, args)]
    for (variable, _), value in zip(
        updates, rebound[len(outs) + len(slopes) + len(aux_nodes) :], strict=True
    ):
        variable.assign(value)
    aux_values = iter(rebound[len(outs) + len(slopes) :])
    new_aux = tree.pack_sequence_as(
        aux, [next(aux_values) if isinstance(x, Tensor) else x for x in aux_leaves]
    )
    new_result = tree.pack_sequence_as(result, rebound[: len(outs)])
    return new_result, new_aux, rebound[len(outs) : len(outs) + len(slopes)]


class _PassthroughTracer(VariableTracer):
    """Reads variables as the code outside would, and holds assignments back until the derivative is taken."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.updates: dict[Variable, Node] = {}

    def read(self, variable: Variable) -> Node:
        if variable in self.updates:
            return self.updates[variable]
        outer = self._outer
        return variable._node if outer is None else outer.read(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        self.updates[variable] = node


def stop_gradient(x: Any) -> Tensor:
    """`x`, through which no derivative flows."""
    return Tensor(p.stop_gradient(as_tensor(x).node))


def checkpoint(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, whose inner values are computed again in the derivative: less memory for more time.

    Arguments that are neither tensors nor arrays are passed on as they are. Variables that `fn` assigns
    (batch statistics, random states) are assigned once.

    >>> float(hornbeam.grad(hornbeam.checkpoint(lambda x: x * x))(3.0))
    6.0
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = [list(args), kwargs]
        leaves = tree.flatten(given)
        arrays = [as_tensor(x) for x in leaves if _is_array(x)]
        results: list[Any] = []
        updated: list[Variable] = []

        def body(*nodes: Node) -> list[Node]:
            stand_ins = (Tensor(n) for n in nodes)
            inner = tree.pack_sequence_as(given, [next(stand_ins) if _is_array(x) else x for x in leaves])
            tracer = _PassthroughTracer(current_level())
            with tracer:
                results[:] = [fn(*inner[0], **inner[1])]
            updated[:] = tracer.updates
            return [*(as_tensor(x).node for x in tree.flatten(results[0])), *tracer.updates.values()]

        outs = [Tensor(n) for n in p.checkpoint(body, *(x.node for x in arrays))]
        count = len(outs) - len(updated)
        for variable, value in zip(updated, outs[count:], strict=True):
            variable.assign(value)
        return tree.pack_sequence_as(results[0], outs[:count])

    return wrapped


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's name for `checkpoint`."""
    return checkpoint(f)


# -- compiled functions --------------------------------------------------------------------------------------


class Traced:
    """A function as a graph.

    The graph's inputs are `variables`, then `captured` values, then the arguments' arrays; its outputs are
    the new values of `updated` variables, then the results' arrays. `result` is what the function returned,
    with stand-ins.
    """

    def __init__(
        self,
        variables: list[Variable],
        captured: list[Node],
        arguments: list[Node],
        values: dict[Variable, Node],
        updated: list[Variable],
        result: Any,
        variable_inputs: list[Node],
    ) -> None:
        self.variables = variables
        self.captured = captured
        self.updated = updated
        self.result = result
        self.outputs = [x.node for x in tree.flatten(result) if isinstance(x, Tensor)]
        inputs = (*variable_inputs, *captured, *arguments)
        self.graph = Graph(inputs, (*(values[v] for v in updated), *self.outputs))
        # As `graph`, with every variable and captured value among the outputs, so that it can be run step
        # after step.
        self.step_graph = Graph(inputs, (*(values[v] for v in variables), *captured, *self.outputs))

    def pack(self, arrays: Sequence[Any]) -> Any:
        """The function's result with `arrays` in place of its tensors."""
        rest = iter(arrays)
        leaves = [next(rest) if isinstance(x, Tensor) else x for x in tree.flatten(self.result)]
        return tree.pack_sequence_as(self.result, leaves)


def trace_function(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None
) -> Traced:
    """Trace `fn` on the types of the arrays in `args` and `kwargs` (TensorType may stand for an array)."""
    with gc_paused(), new_level() as level:
        arguments: list[Node] = []

        def stand_in(x: Any) -> Any:
            if isinstance(x, TensorType):
                type = x
            elif _is_array(x):
                type = TensorType(tuple(x.shape), as_type(x))
            else:
                return x
            node = placeholder(type, level)
            arguments.append(node)
            made = Tensor(node)
            if isinstance(x, Tensor) and x._keras_mask is not None:
                made._keras_mask = x._keras_mask
            return made

        call_args, call_kwargs = tree.map_structure(stand_in, (list(args), dict(kwargs or {})))
        with VariableTracer(level) as tracer:
            result = fn(*call_args, **call_kwargs)
            result = tree.map_structure(lambda x: Tensor(x.node) if isinstance(x, Variable) else x, result)
        outputs = [x.node for x in tree.flatten(result) if isinstance(x, Tensor)]
        variables = list(tracer.inputs)
        updated = [v for v in variables if v in tracer.assigned]
        inputs = [*tracer.inputs.values(), *arguments]
        new_values = [tracer.values[v] for v in updated]
        captured = list(captures([*new_values, *outputs], inputs, level))
    return Traced(
        variables,
        captured,
        arguments,
        tracer.values,
        updated,
        result,
        [tracer.inputs[v] for v in variables],
    )


def trace_for(
    engine: Engine, fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None
) -> Traced:
    """`trace_function` for an engine. What the engine lacks is an error that names the user's line.

    Raises MissingPrimitiveError. Lines are not noted while tracing: `fn` is traced again to find one.
    """
    traced = trace_function(fn, args, kwargs)
    try:
        engine.check(traced.graph)
    except MissingPrimitiveError:
        with recorded_lines():
            again = trace_function(fn, args, kwargs)
        engine.check(again.graph)
        raise
    return traced


def as_type(x: Any) -> str:
    """Dtype of an array or tensor. NumPy's float64 scalars are Python floats, which have none."""
    return floatx() if isinstance(x, float) else dtype_name(x.dtype)


# Held by calls that assign variables, which run one at a time: each starts from what the one before it left.
_assigning = threading.RLock()


class Compiled:
    """One traced and compiled signature of a jitted function."""

    def __init__(
        self, traced: Traced, engine: Engine, put: Callable[[np.ndarray], Buffer] | None = None
    ) -> None:
        self.traced = traced
        self.engine = engine
        self._put = put or engine.put
        self.executable: Executable = engine.executable(traced.graph)
        self._updated = set(traced.updated)
        # Arrays are borrowed for the call; where a result may be a view of one, a copy is lent instead.
        self._copies = _may_be_views(traced.graph)

    def __call__(self, arrays: Sequence[Any]) -> Any:
        if self._updated:
            with _assigning:
                return self._run(arrays)
        return self._run(arrays)

    def _run(self, arrays: Sequence[Any]) -> Any:
        traced, engine = self.traced, self.engine
        inputs, donate = [], []
        for variable in traced.variables:
            buffer, alone = variable.borrow_buffer(engine)
            inputs.append(buffer)
            donate.append(alone and variable in self._updated)
        if traced.captured:
            evaluate(traced.captured)
        for node in traced.captured:
            inputs.append(buffer_of(node, engine))
        for x in arrays:
            inputs.append(self._input(x))
        donate.extend([False] * (len(inputs) - len(donate)))
        outputs = self._outputs(inputs, donate)
        for variable, buffer in zip(traced.updated, outputs, strict=False):
            variable.set_buffer(engine, buffer)
        return traced.pack(
            [_settled_tensor(engine, buffer, node) for buffer, node in zip(
                outputs[len(traced.updated) :], traced.outputs, strict=True)]
        )  # fmt: skip

    def _outputs(self, inputs: list[Buffer], donate: list[bool]) -> list[Buffer]:
        if not isinstance(self.engine, MeshEngine):
            return self.executable.run(inputs, donate)
        layouts = [*(v.placement for v in self.traced.updated), *(None for _ in self.traced.outputs)]
        return cast(MeshExecutable, self.executable).run(inputs, donate, layouts)

    def _input(self, x: Any) -> Buffer:
        if isinstance(x, Tensor):
            node = x.node
            if node.value is None:
                evaluate([node])
            return buffer_of(node, self.engine)
        array = np.asarray(x, as_type(x)) if isinstance(x, float) else np.asarray(x)
        return self._put(array.copy() if self._copies else array)


def _may_be_views(graph: Graph) -> bool:
    """Whether an output can be an input, or a part of one, that nothing is computed of on the way."""
    inputs, seen = set(graph.inputs), set()
    stack = list(graph.outputs)
    while stack:
        node = stack.pop()
        if node in inputs:
            return True
        if node in seen or node.primitive is None:
            continue
        seen.add(node)
        flops, _ = node.primitive.cost([n.type for n in node.inputs], node.type, **node.params)
        if not flops or graph_param(node.params):
            stack.extend(node.inputs)
    return False


def _settled_tensor(engine: Engine, buffer: Any, like: Node) -> Tensor:
    assert isinstance(like.type, TensorType)
    return Tensor(leaf((engine, buffer), like.type))


def jit(fn: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`fn`, compiled once for every signature (shapes and dtypes of the arrays, values of everything else).

    Variables that `fn` reads or assigns are inputs and outputs of the compiled code. Inside another compiled
    function and on symbolic tensors `fn` simply becomes part of what is built. Several threads may call it at
    once; calls that assign variables wait for each other.

    Raises ConcretizationError where `fn` reads a value that is not known while compiling.

    >>> step = hornbeam.jit(lambda x: x * 2)
    """
    if fn is None:
        return jit
    cache: dict[Any, Compiled] = {}

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if current_level() or current_variable_tracer() is not None:
            return fn(*args, **kwargs)
        leaves = tree.flatten((list(args), kwargs))
        if has_symbolic(leaves):
            return fn(*args, **kwargs)
        key = (current_engine(), _structure((args, kwargs)), tuple(_signature(x) for x in leaves))
        compiled = cache.get(key)
        if compiled is None:
            compiled = cache[key] = Compiled(trace_for(current_engine(), fn, args, kwargs), current_engine())
        return compiled([x for x in leaves if _is_array(x)])

    return wrapped


def _signature(x: Any) -> Any:
    if _is_array(x):
        return (tuple(x.shape), as_type(x))
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"an argument of a compiled function must be an array or hashable, got {type(x).__name__}"
        ) from None
    return (type(x), repr(x) if isinstance(x, float) else x)  # 0.0 == -0.0, and nan is never found again


def _structure(structure: Any) -> Any:
    """The nesting and keys of a structure as something hashable."""
    if isinstance(structure, dict):
        return ("dict", tuple((key, _structure(structure[key])) for key in sorted(structure)))
    if isinstance(structure, (list, tuple)):
        return (type(structure).__name__, tuple(_structure(part) for part in structure))
    return None
