"""tf.function: `hornbeam.jit`, with what TensorFlow lets its functions do besides."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hornbeam import tree
from hornbeam.compat.messages import MissingNameError, remark
from hornbeam.compat.tensorflow import recording
from hornbeam.core.jit import jit
from hornbeam.core.lazy import ConcretizationError
from hornbeam.core.variable import Variable, current_variable_tracer
from hornbeam.data import Strings
from hornbeam.ir.trace import current_level

# Set by tf.config.run_functions_eagerly.
run_eagerly = False


class _Held:
    """A variable among the arguments: itself, not its value, so that the function may assign it."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


def _held(x: Any) -> Any:
    return _Held(x) if isinstance(x, Variable) else x


def _free(x: Any) -> Any:
    return x.variable if isinstance(x, _Held) else x


class Function:
    """A compiled function.

    TensorFlow rewrites `if`, `while` and `for` on tensors; here such a function runs line by line, which a
    line on stderr says. Under an open gradient tape it is not compiled either: the tape needs its nodes.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self.python_function = fn

        def run(args: Any, kwargs: Any) -> Any:
            args, kwargs = tree.map_structure(_free, (args, kwargs))
            return fn(*args, **kwargs)

        self._compiled: Callable[..., Any] | None = jit(run)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        eager = run_eagerly or recording.is_recording() or self._compiled is None
        if eager or current_level() or current_variable_tracer() is not None or _has_text(args, kwargs):
            return self.python_function(*args, **kwargs)
        try:
            return self._compiled(*tree.map_structure(_held, (args, kwargs)))  # type: ignore[misc]
        except ConcretizationError:
            self._compiled = None
            name = getattr(self.python_function, "__name__", "function")
            remark(
                f"tf.function {name!r} decides by values (if, while, for on tensors): it runs line by line"
            )
            return self.python_function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: compiled once for each instance."""
        if instance is None:
            return self
        bound = Function(self.python_function.__get__(instance, owner))
        if hasattr(instance, "__dict__") and self.python_function.__name__.isidentifier():
            object.__setattr__(instance, self.python_function.__name__, bound)
        return bound

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> Any:
        raise MissingNameError("get_concrete_function: `hornbeam run` has no concrete functions; call it")


def _has_text(args: tuple, kwargs: dict[str, Any]) -> bool:
    return any(isinstance(x, Strings) for x in (*args, *kwargs.values()))


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: bool | None = None,
    experimental_compile: bool | None = None,
    experimental_follow_type_hints: bool | None = None,
) -> Any:
    """`func` compiled, once for each signature of its arguments. input_signature: sizes that it leaves open
    are compiled when they come, so it is not needed; the other options say how TensorFlow compiles.
    """
    return function if func is None else Function(func)


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """`func(*inp)`: Python code is nothing special here."""
    return func(*inp)


def numpy_function(
    func: Callable[..., Any], inp: Any, Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """`func` of the inputs as NumPy arrays, its results as tensors."""
    from hornbeam.compat.tensorflow.tensors import convert_to_tensor

    arrays = [x.numpy() if hasattr(x, "numpy") else x for x in inp]
    return tree.map_structure(convert_to_tensor, func(*arrays))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f(*x)` that returns (value, function from its cotangent to those of x)."""
    from hornbeam import ops

    return ops.custom_gradient(f)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, whose inner values are computed again in the derivative."""
    from hornbeam import checkpoint

    return checkpoint(f)
