"""Tracing and compilation of functions: trace_function, Compiled, jit."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

import numpy as np

from hornbeam import tree
from hornbeam._internal.formatting import brief
from hornbeam.config import floatx
from hornbeam.core.convert import is_array
from hornbeam.core.dispatch import has_symbolic
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.tensor import Tensor, copy_mask, tensor_of
from hornbeam.core.variable import (
    Variable,
    VariableTracer,
    borrow_buffers,
    current_variable_tracer,
    set_buffers,
)
from hornbeam.engines import current_engine
from hornbeam.engines.base import Buffer, Engine, Executable, MeshEngine, MeshExecutable
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.complex_pairs import lower, pack_array
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import graph_param, node_cost
from hornbeam.ir.source_lines import recorded_lines
from hornbeam.ir.trace import captures, current_level, gc_paused, new_level
from hornbeam.ir.types import TensorType, ValueType, dtype_name


class Traced:
    """A function as a graph.

    Inputs of the graph are `variables`, then `captured` values, then the arrays of the arguments; outputs are
    the new values of `updated` variables, then the arrays of the result. `result` is the return value of the
    function, with traced tensors.
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
        # `graph` with every variable and captured value among the outputs, to run it step after step.
        self.step_graph = Graph(inputs, (*(values[v] for v in variables), *captured, *self.outputs))

    def pack(self, arrays: Sequence[Any]) -> Any:
        """Return the result of the function with `arrays` in place of its tensors."""
        rest = iter(arrays)
        leaves = [next(rest) if isinstance(x, Tensor) else x for x in tree.flatten(self.result)]
        return tree.pack_sequence_as(self.result, leaves)


def trace_function(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None
) -> Traced:
    """Trace `fn` on the types of the arrays (or TensorTypes) in `args` and `kwargs`."""
    with gc_paused(), new_level() as level:
        arguments: list[Node] = []

        def placeholder_for(x: Any) -> Any:
            if isinstance(x, TensorType):
                type = x
            elif is_array(x):
                type = TensorType(tuple(x.shape), as_type(x))
            else:
                return x
            node = placeholder(type, level)
            arguments.append(node)
            tensor = Tensor(node)
            if isinstance(x, Tensor):
                copy_mask(x, tensor)
            return tensor

        call_args, call_kwargs = tree.map_structure(placeholder_for, (list(args), dict(kwargs or {})))
        with VariableTracer(level) as tracer:
            result = fn(*call_args, **call_kwargs)
            result = tree.map_structure(lambda x: Tensor(x.node) if isinstance(x, Variable) else x, result)
        outputs = [x.node for x in tree.flatten(result) if isinstance(x, Tensor)]
        updated = [v for v in tracer.inputs if v in tracer.assigned]
        # An engine writes output n in the memory of input n, if it can: their numbers must agree.
        variables = [*updated, *(v for v in tracer.inputs if v not in tracer.assigned)]
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
    """Trace a function for an engine.

    Raises MissingPrimitiveError with the user's line if the engine lacks a primitive. Lines are not recorded
    while tracing: `fn` is traced again to find it.
    """
    traced = trace_function(fn, args, kwargs)
    try:
        engine.check(lower(traced.graph))
    except MissingPrimitiveError:
        with recorded_lines():
            again = trace_function(fn, args, kwargs)
        engine.check(lower(again.graph))
        raise
    return traced


def as_type(x: Any) -> str:
    """Return the dtype of an array or tensor; `floatx` for NumPy float64 scalars, which are Python floats."""
    return floatx() if isinstance(x, float) else dtype_name(x.dtype)


# What a function of tensors returns for arguments that it is not made for.
MISMATCH: Any = object()
# Held by calls that assign variables: they run one at a time, each on the values of the previous one.
_assigning = threading.RLock()


class Compiled:
    """Traced and compiled function for one signature."""

    def __init__(
        self, traced: Traced, engine: Engine, put: Callable[[np.ndarray], Buffer] | None = None
    ) -> None:
        self.traced = traced
        self.engine = engine
        self._put = put or engine.put
        self.executable: Executable = engine.executable(traced.graph)
        # Arrays are borrowed for the call; if a result may be a view of one, a copy is used instead.
        self._copies = may_return_views(traced.graph)
        self._single_output = isinstance(traced.result, Tensor)
        # Known before the calls: small ones take microseconds.
        self._on_mesh = isinstance(engine, MeshEngine)
        self._types = [cast(TensorType, node.type) for node in traced.outputs]

    def __call__(self, arrays: Sequence[Any]) -> Any:
        return self.run([self._input(x) for x in arrays])

    def run(self, buffers: list[Buffer]) -> Any:
        """Call the function on buffers of its engine."""
        if self.traced.updated:
            with _assigning:
                return self._run(buffers)
        return self._run(buffers)

    def of_tensors(self, types: tuple[ValueType, ...]) -> Callable[[tuple[Any, ...]], Any]:
        """Return the function of a tuple of tensors. It returns `MISMATCH` unless they have these types, and
        values on the engine."""
        engine = self.engine
        call_of = getattr(self.executable, "call_of", None)
        call = None if call_of is None else call_of(Tensor, engine, types)
        if call is not None and not self.traced.variables and not self.traced.captured:
            run, result = call.run, self._result
            if self._single_output:
                type = self._types[0]

                # As `_result`, without the call.
                def compute_one(args: tuple[Any, ...]) -> Any:
                    outputs = run(args)
                    return MISMATCH if outputs is None else tensor_of((engine, outputs[0]), type)

                return compute_one

            def compute(args: tuple[Any, ...]) -> Any:
                outputs = run(args)
                return MISMATCH if outputs is None else result(outputs)

            return compute
        buffers_of = (lambda args: _buffers(args, types, engine)) if call is None else call.buffers

        def run_buffers(args: tuple[Any, ...]) -> Any:
            buffers = buffers_of(args)
            return MISMATCH if buffers is None else self.run(buffers)

        return run_buffers

    def _run(self, buffers: list[Buffer]) -> Any:
        traced, engine = self.traced, self.engine
        inputs: list[Buffer] = []
        donate: list[bool] | None = None
        if traced.variables:
            inputs, unshared = borrow_buffers(traced.variables, engine)
            donate = unshared[: len(traced.updated)]
        if traced.captured:
            evaluate(traced.captured)
            for node in traced.captured:
                inputs.append(buffer_of(node, engine))
        outputs = self._outputs([*inputs, *buffers] if inputs else buffers, donate)
        if traced.updated:
            set_buffers(traced.updated, engine, outputs)
            outputs = outputs[len(traced.updated) :]
        return self._result(outputs)

    def _result(self, outputs: list[Buffer]) -> Any:
        engine, types = self.engine, self._types
        if self._single_output:
            return tensor_of((engine, outputs[0]), types[0])
        tensors = [tensor_of((engine, y), type) for y, type in zip(outputs, types, strict=True)]
        return self.traced.pack(tensors)

    def _outputs(self, inputs: list[Buffer], donate: list[bool] | None) -> list[Buffer]:
        if not self._on_mesh:
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
        return self._put(pack_array(array.copy() if self._copies else array))


def may_return_views(graph: Graph) -> bool:
    """Return True if an output may be a view of an input: no computation lies between them."""
    inputs, seen = set(graph.inputs), set()
    stack = list(graph.outputs)
    while stack:
        node = stack.pop()
        if node in inputs:
            return True
        if node in seen or node.primitive is None:
            continue
        seen.add(node)
        if not node_cost(node)[0] or graph_param(node.params):
            stack.extend(node.inputs)
    return False


def jit(fn: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Compile a function once for every signature (shapes and dtypes of arrays, values of everything else).

    Variables that `fn` reads or assigns are inputs and outputs of the compiled code. Inside another compiled
    function and on symbolic tensors `fn` becomes part of the outer graph. Several threads may call it at
    once; calls that assign variables wait for each other.

    Args:
        fn: Function of tensors; None to use `jit()` as a decorator.

    Returns:
        Compiled function.

    Raises:
        ConcretizationError: If `fn` reads a value, when it is called.

    Example:
        >>> step = hornbeam.jit(lambda x: x * 2)
    """
    if fn is None:
        return jit
    if not callable(fn):
        raise TypeError(f"jit takes a function, got {brief(fn)}")
    cache: dict[Any, Compiled] = {}
    # For functions of tensors alone: by the same keys, and for the engine of the last call.
    of_tensors: dict[Any, Callable[[tuple[Any, ...]], Any]] = {}
    last: tuple[Engine, Callable[[tuple[Any, ...]], Any]] | None = None

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal last
        if current_level() or current_variable_tracer() is not None:
            return fn(*args, **kwargs)
        engine = current_engine()
        recent = last  # another thread may replace it
        if recent is not None and recent[0] is engine and not kwargs:
            result = recent[1](args)
            if result is not MISMATCH:
                return result
        types = None if kwargs else _array_types(args)
        if types is not None:
            key: Hashable = (engine, types)
            arrays: Sequence[Any] = args
        else:
            leaves = tree.flatten((list(args), kwargs))
            if has_symbolic(leaves):
                return fn(*args, **kwargs)
            key = (engine, _structure((args, kwargs)), tuple(_signature(x) for x in leaves))
            arrays = [x for x in leaves if is_array(x)]
        compiled = cache.get(key)
        if compiled is None:
            compiled = cache[key] = Compiled(trace_for(engine, fn, args, kwargs), engine)
        if types is not None:
            if key not in of_tensors:
                of_tensors[key] = compiled.of_tensors(types)
            last = (engine, of_tensors[key])
        return compiled(arrays)

    return wrapped


def _buffers(args: Sequence[Any], types: tuple[ValueType, ...], engine: Engine) -> list[Buffer] | None:
    """Return the buffers of arguments that are tensors of these types with values on the engine, as most are;
    None for others."""
    if len(args) != len(types):
        return None
    buffers: list[Buffer] = []
    for x, expected in zip(args, types, strict=False):
        if type(x) is not Tensor:
            return None
        node = x.node
        value = node.value
        if value is None or value[0] is not engine or (node.type is not expected and node.type != expected):
            return None
        buffers.append(value[1])
    return buffers


def _array_types(args: Sequence[Any]) -> tuple[ValueType, ...] | None:
    """Return the types of arguments that are tensors and arrays alone, as most are; None for others."""
    types: list[ValueType] = []
    for x in args:
        if type(x) is Tensor:
            types.append(x.node.type)
        elif type(x) is np.ndarray:
            types.append(TensorType(x.shape, dtype_name(x.dtype)))
        else:
            return None
    return tuple(types)


def _signature(x: Any) -> Hashable:
    if is_array(x):
        return (tuple(x.shape), as_type(x))
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"an argument of a compiled function must be an array or hashable, got {type(x).__name__}"
        ) from None
    return (type(x), repr(x) if isinstance(x, float) else x)  # 0.0 == -0.0, and NaN is not equal to itself


def _structure(structure: Any) -> Hashable:
    """Return the nesting and the keys of a structure as a hashable value."""
    if isinstance(structure, dict):
        return ("dict", tuple((key, _structure(structure[key])) for key in sorted(structure)))
    if isinstance(structure, (list, tuple)):
        return (type(structure).__name__, tuple(_structure(part) for part in structure))
    return None
