"""tf.function: functions compiled by `hornbeam.jit`, their signatures, and concrete functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from hornbeam import KerasTensor, StatelessScope, Tensor, Variable, jit, ops, tree
from hornbeam.data import Strings
from hornbeam.errors import BranchError, ConcretizationError, MissingNameError, ShapeError
from hornbeam.extensions.tensors import Composite
from hornbeam.extensions.tracing import Running
from hornbeam_compat.keras_src.tensors import compute_output_spec
from hornbeam_compat.messages import log_once
from hornbeam_compat.tensorflow import tape
from hornbeam_compat.tensorflow.dtypes import TensorSpec
from hornbeam_compat.tensorflow.extension_types import ExtensionType, packed, type_spec_from_value, unpacked
from hornbeam_compat.tensorflow.tensors import convert_to_tensor
from hornbeam_compat.tensorflow.typing import Sizes, Tree

# Set by tf.config.run_functions_eagerly.
run_eagerly = False


class _ByReference:
    """A variable among the arguments, passed by reference so that the function can assign it."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByReference) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


def _wrap(x: object) -> object:
    return _ByReference(x) if isinstance(x, Variable) else x


def _unwrap(x: object) -> object:
    return x.variable if isinstance(x, _ByReference) else x


def _is_spec(x: object) -> bool:
    return not isinstance(x, Tensor) and hasattr(x, "shape") and hasattr(x, "dtype") and not _is_value(x)


def _is_value(x: object) -> bool:
    """Return True for tensors of all kinds, variables, arrays and values of the user's classes."""
    return isinstance(x, (Tensor, Strings, Composite, np.ndarray))


def _spec(x: Tree) -> Tree:
    """Return the type of a value, and other arguments as they are."""
    if isinstance(x, np.ndarray) and not isinstance(x, Strings):
        return TensorSpec(x.shape, x.dtype)
    return type_spec_from_value(x) if _is_value(x) else x


class Function:
    """A compiled function, by `hornbeam.jit`.

    TensorFlow rewrites `if`, `while` and `for` on tensors; here such a function runs line by line, which a
    line on stderr reports, as for a condition whose branches return different shapes. Under an open gradient
    tape it is not compiled either: the tape needs its nodes.

    Args:
        fn: Function of tensors, variables and Python values.
        input_signature: Types of its arguments, or None.
    """

    def __init__(self, fn: Callable[..., Any], input_signature: Sequence[Tree] | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.python_function = fn
        self.input_signature = None if input_signature is None else tuple(input_signature)
        self._concrete: dict[Any, ConcreteFunction] = {}
        self._traces = 0

        def run(args: Tree, kwargs: Tree) -> Tree:
            args, kwargs = packed(tree.map_structure(_unwrap, (args, kwargs)))
            self._traces += 1
            self._remember(args, kwargs)
            return unpacked(fn(*args, **kwargs))

        self._compiled: Callable[..., Any] | None = jit(run)

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        args, kwargs = self._checked(args, kwargs)
        return tree.map_structure(_as_result, self._run(args, kwargs))

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
        eager = run_eagerly or tape.is_recording() or self._compiled is None
        if eager or Running.traces() or StatelessScope.current() is not None:
            return self.python_function(*args, **kwargs)
        arguments = unpacked((args, kwargs))
        if any(isinstance(x, (Strings, Composite)) for x in tree.flatten(arguments)):
            self._remember(args, kwargs)
            return self.python_function(*args, **kwargs)
        try:
            return packed(self._compiled(*tree.map_structure(_wrap, arguments)))  # type: ignore[misc]
        except (ConcretizationError, BranchError) as error:
            self._compiled = None
            reason = (
                "returns different shapes from the branches of a condition"
                if isinstance(error, BranchError)
                else "branches on values (if, while, for on tensors)"
            )
            log_once(f"{self._label} {reason}: it runs line by line")
            return self.python_function(*args, **kwargs)

    def _checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Convert the arguments to the types of `input_signature`. Raise TypeError for others."""
        if self.input_signature is None:
            return args, kwargs
        names = list(inspect.signature(self.python_function).parameters)
        specs = dict(zip(names, self.input_signature, strict=False))
        values = dict(zip(names, args, strict=False)) | kwargs
        rest = args[len(names) :]  # of a function with *args
        more = self.input_signature[len(names) :]
        for name in specs.keys() | values.keys():
            if name in specs and name not in values and self._required(name):
                raise TypeError(f"{self._label}: the argument {name!r} is missing")
            if name in values and name not in specs:
                raise TypeError(f"{self._label}: {name!r} is not in its input_signature")
        checked = {name: _conform(value, specs[name], self._label) for name, value in values.items()}
        positional = [checked.pop(name) for name in names[: len(args)]]
        return (*positional, *(_conform(v, s, self._label) for v, s in zip(rest, more, strict=True))), checked

    def _required(self, name: str) -> bool:
        parameter = inspect.signature(self.python_function).parameters[name]
        return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL

    @property
    def _label(self) -> str:
        return f"tf.function {getattr(self.python_function, '__name__', 'function')!r}"

    def __get__(self, instance: object, owner: type | None = None) -> Function:
        """Bind a method: it is compiled once for each instance."""
        if instance is None:
            return self
        signature = self.input_signature
        bound = Function(self.python_function.__get__(instance, owner), signature)
        if hasattr(instance, "__dict__") and self.python_function.__name__.isidentifier():
            object.__setattr__(instance, self.python_function.__name__, bound)
        return bound

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep the signature of a call, for `pretty_printed_concrete_signatures`."""
        specs = tree.map_structure(_spec, (args, dict(kwargs)))
        self._concrete.setdefault(_key(specs), ConcreteFunction(self, *specs))

    def get_concrete_function(self, *args: Tree, **kwargs: Tree) -> ConcreteFunction:
        """Return the function for one signature of its arguments.

        Args:
            *args: Tensors, TensorSpecs and Python values.
            **kwargs: The same, by name.
        """
        if not args and not kwargs and self.input_signature is not None:
            args = self.input_signature
        specs = tree.map_structure(_spec, (args, kwargs))
        return self._concrete.setdefault(_key(specs), ConcreteFunction(self, *specs))

    def experimental_get_tracing_count(self) -> int:
        """Return how often the function was traced."""
        return self._traces

    def pretty_printed_concrete_signatures(self, verbose: bool = True) -> str:
        """Return the signatures of all calls so far as text."""
        return "\n\n".join(map(str, self._concrete.values()))


def _key(specs: Tree) -> tuple[object, ...]:
    """Return what tells signatures apart: types and Python values, other objects by identity."""
    leaves = [repr(x) if _printable(x) else (type(x).__name__, id(x)) for x in tree.flatten(specs)]
    return (*leaves, repr(tree.map_structure(lambda _: 0, specs)))


def _printable(x: object) -> bool:
    return _is_spec(x) or _is_type(x) or isinstance(x, (int, float, bool, str, bytes, type(None)))


def _is_type(x: object) -> bool:
    return hasattr(x, "value_type")


def _as_result(x: object) -> object:
    """Convert numbers and arrays among the results to tensors."""
    numbers = (bool, int, float, np.ndarray, np.generic)
    return convert_to_tensor(x) if isinstance(x, numbers) and not isinstance(x, Strings) else x


def _conform(value: Tree, spec: Tree, label: str) -> Tree:
    """Convert a value to a type: Python numbers and lists to a tensor of its dtype.

    Raises:
        TypeError: For tensors of another shape or dtype.
    """
    if tree.is_nested(spec) and not isinstance(value, ExtensionType):
        if isinstance(spec, dict):
            return {key: _conform(value[key], part, label) for key, part in spec.items()}
        parts = [_conform(v, part, label) for v, part in zip(value, spec, strict=True)]
        return type(spec)(parts) if type(spec) in (list, tuple) else tuple(parts)
    if not isinstance(spec, TensorSpec) or isinstance(value, (Composite, Variable)):
        return value
    if not isinstance(value, (Tensor, Strings)):
        value = convert_to_tensor(value)
        value = value if isinstance(value, Strings) else ops.cast(value, spec.dtype)
    dtype = "string" if isinstance(value, Strings) else str(value.dtype)
    if dtype != spec.dtype or not _fits(value.shape, spec.shape):
        raise TypeError(f"{label} takes {spec}, got a tensor of shape {tuple(value.shape)}, dtype {dtype}")
    return value


def _fits(shape: Sizes, expected: Sizes | None) -> bool:
    if expected is None:
        return True
    return len(shape) == len(expected) and all(
        b is None or a is None or a == b for a, b in zip(shape, expected, strict=True)
    )


class ConcreteFunction:
    """A tf.function for one signature. Python values are fixed: only tensors are passed to it.

    Args:
        function: The function.
        args: TensorSpecs and Python values.
        kwargs: The same, by name.
    """

    def __init__(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._function = function
        self.name = getattr(function.python_function, "__name__", "function")
        self.structured_input_signature = (args, kwargs)
        self.parameters = list(self._parameters())

    def _parameters(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the name and the value or type of each argument, and whether it was passed by name."""
        args, kwargs = self.structured_input_signature
        names = list(inspect.signature(self._function.python_function).parameters)
        for index, value in enumerate(args):
            yield (names[index] if index < len(names) else f"args_{index}"), value, False
        for name, value in kwargs.items():
            yield name, value, True

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        """Call the function with the values of its tensors, fixed Python values in between."""
        by_name = {
            name: value for name, value in kwargs.items() if name in {n for n, _, _ in self.parameters}
        }
        extra = {name: value for name, value in kwargs.items() if name not in by_name}
        variable = [n for n, spec, _ in self.parameters if _has_spec(spec) and n not in by_name]
        complete = len(args) == len(self.parameters) - len(by_name) and len(args) != len(variable)
        values, positional, named = iter(args), [], dict(extra)
        for name, spec, is_named in self.parameters:
            if name in by_name:
                value = by_name[name]
            elif _has_spec(spec) or complete:
                value = next(values, _MISSING)
            else:
                value = spec
            if value is _MISSING:
                raise TypeError(f"{self.name}: the argument {name!r} is missing. Its signature: {self}")
            self._check(name, value, spec)
            if is_named:
                named[name] = value
            else:
                positional.append(value)
        surplus = list(values)
        if surplus:
            raise TypeError(f"{self.name}: {len(surplus)} arguments too many. Its signature: {self}")
        return self._function(*positional, **named)

    def _check(self, name: str, value: Tree, spec: Tree) -> None:
        """Raise ShapeError (tf.errors.InvalidArgumentError) for a tensor of another type."""
        if not isinstance(spec, TensorSpec):
            if not _has_spec(spec) and not _is_value(value) and value is not spec and value != spec:
                raise TypeError(f"{self.name}: {name!r} is fixed to {spec!r}, got {value!r}")
            return
        if isinstance(value, (Tensor, Strings)):
            dtype = "string" if isinstance(value, Strings) else str(value.dtype)
            if dtype != spec.dtype or not _fits(value.shape, spec.shape):
                raise ShapeError(
                    f"{self.name}: {name!r} must be {spec}, got a tensor of shape {tuple(value.shape)}, "
                    f"dtype {dtype}"
                )

    @property
    def function(self) -> Function:
        """The function of all signatures."""
        return self._function

    @property
    def inference_fn(self) -> ConcreteFunction:
        """This function."""
        return self

    @property
    def structured_outputs(self) -> Tree:
        """Types of the results.

        Raises:
            MissingNameError: If they are not known without values, as for strings.
        """
        args, kwargs = self.structured_input_signature
        specs = [x for x in tree.flatten((args, kwargs)) if _is_spec(x)]
        ranked = all(spec.shape is not None for spec in specs)
        try:
            symbols = tree.map_structure(_symbol, (args, kwargs))
            outputs = compute_output_spec(self._function.python_function, *symbols[0], **symbols[1])
        except Exception as error:
            raise MissingNameError(
                f"the types of the results of {self.name!r} are not known without values: {error}"
            ) from error
        return tree.map_structure(
            lambda x: TensorSpec(x.shape if ranked else None, x.dtype) if hasattr(x, "shape") else x, outputs
        )

    @property
    def output_shapes(self) -> Tree:
        """Shapes of the results."""
        return tree.map_structure(lambda spec: spec.shape, self.structured_outputs)

    @property
    def output_dtypes(self) -> Tree:
        """Dtypes of the results."""
        return tree.map_structure(lambda spec: spec.dtype, self.structured_outputs)

    @property
    def function_type(self) -> inspect.Signature:
        """Names and types of the arguments, and the types of the results where they are known."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter(name, kind, annotation=_annotation(spec)) for name, spec, _ in self.parameters
        ]
        try:
            outputs = self.structured_outputs
        except MissingNameError:
            return inspect.Signature(parameters)
        return inspect.Signature(parameters, return_annotation=outputs)

    def pretty_printed_signature(self, verbose: bool = True) -> str:
        """Return the names and types of the arguments, and the types of the results, as text."""
        kind = "(POSITIONAL_OR_KEYWORD)"
        lines = [f"  {name} {kind}: {_annotation(spec)!r}" for name, spec, _ in self.parameters]
        try:
            result = repr(self.structured_outputs)
        except MissingNameError:
            result = "known when it is called"
        return "\n".join(
            ["ConcreteFunction Input Parameters:", *(lines or ["  None"]), "Output Type:", f"  {result}"]
        )

    def __str__(self) -> str:
        return self.pretty_printed_signature()

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.name}{self.function_type}>"

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingNameError(
            f"a concrete function has no {name!r} under `hornbeam run`, which builds no graph of TensorFlow: "
            "it has structured_input_signature, structured_outputs and function_type"
        )


_MISSING = object()


def _has_spec(value: Tree) -> bool:
    return any(_is_spec(x) or _is_type(x) for x in tree.flatten(value)) or _is_type(value)


def _annotation(spec: Tree) -> Tree:
    return spec if _has_spec(spec) else _Fixed(spec)


class _Fixed:
    """A fixed argument in the text of a signature."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"Literal[{self._value!r}]"


def _symbol(x: Tree) -> Tree:
    if not _is_spec(x):
        return x
    if x.dtype == "string":
        raise TypeError("strings have no symbols")
    return KerasTensor(() if x.shape is None else tuple(x.shape), str(x.dtype))


def function(
    func: Callable[..., Any] | None = None, input_signature: Sequence[Tree] | None = None,
    autograph: bool = True, jit_compile: bool | None = None, reduce_retracing: bool = False,
    experimental_implements: object = None, experimental_autograph_options: object = None,
    experimental_attributes: object = None, experimental_relax_shapes: bool | None = None,
    experimental_compile: bool | None = None, experimental_follow_type_hints: bool | None = None,
) -> Any:  # fmt: skip
    """Compile `func`, once for each signature of its arguments.

    Arguments are converted to the types of `input_signature`, and refused if they have others. The other
    options configure TensorFlow's compiler, and are ignored.
    """
    if func is None:
        return functools.partial(function, input_signature=input_signature)
    return Function(func, input_signature)
