"""tf.experimental.ExtensionType: immutable classes whose fields are tensors and Python values."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from hornbeam import Tensor, ops, tree
from hornbeam.data import Strings
from hornbeam.extensions.tensors import Composite
from hornbeam_compat.tensorflow import ragged, sparse
from hornbeam_compat.tensorflow.dtypes import DType, TensorShape, TensorSpec, TypeSpec, as_dtype
from hornbeam_compat.tensorflow.ragged_rows import RaggedTensorSpec
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.tensors import AnyTensor, convert_to_tensor
from hornbeam_compat.tensorflow.typing import RaggedOrTensor, Tree

# Namespace -> its names.
NAMESPACES = {"experimental": "BatchableExtensionType ExtensionType ExtensionTypeSpec"}

_PYTHON = (int, float, str, bytes, bool)


class ImmutableDict(dict[Any, Any]):
    """Dict of a field, which cannot be changed."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("a dict in an ExtensionType cannot be changed")

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse

    def __repr__(self) -> str:
        return f"ImmutableDict({super().__repr__()})"


class ExtensionTypeSpec(TypeSpec):
    """Type of an ExtensionType: the types of its tensors, and its other fields.

    Args:
        *args: Fields in their order.
        **kwargs: Fields by name.
    """

    value_type: type[ExtensionType]

    def __init__(self, *args: object, **kwargs: object) -> None:
        vars(self).update(_bind(self.value_type, args, kwargs))

    @classmethod
    def of(cls, fields: dict[str, Any]) -> ExtensionTypeSpec:
        """Create it from fields, past the constructor."""
        spec = cls.__new__(cls)
        vars(spec).update(fields)
        return spec

    def _fields(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in _annotations(self.value_type) if name in vars(self)}

    def row(self) -> ExtensionTypeSpec:
        """Return the type of a row."""
        return self.of({k: _each(v, lambda part: part.row(), _row_shape) for k, v in self._fields().items()})

    def batch(self, size: int | None) -> ExtensionTypeSpec:
        """Return the type of a batch."""
        return self.of(
            {
                k: _each(v, lambda part: part.batch(size), lambda shape: TensorShape((size, *shape)))
                for k, v in self._fields().items()
            }
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._fields().items())
        return f"{self.value_type.__qualname__}.Spec({fields})"


class _Meta(type):
    """Checks and freezes instances after their constructor, which may be the user's."""

    def __call__(cls, *args: object, **kwargs: object) -> Any:
        value: Any = cls.__new__(cls)  # type: ignore[call-overload]
        vars(value)["_open"] = True
        value.__init__(*args, **kwargs)
        del vars(value)["_open"]
        for name, annotation in _annotations(cls).items():
            if name not in vars(value):
                raise TypeError(f"{cls.__name__}: the constructor did not set the field {name!r}")
            vars(value)[name] = _convert(vars(value)[name], annotation, name)
        validate = getattr(cls, "__validate__", None)
        if validate is not None:
            validate(value)
        return value


class ExtensionType(Composite, metaclass=_Meta):
    """Base class of immutable classes with annotated fields.

    A subclass names its fields: `values: tf.Tensor`. The constructor takes them in this order or by name,
    converts what should be a tensor, and checks the other types. `tf.function` passes them on, datasets have
    them as elements, and `tf.experimental.dispatch_for_api` says what functions of `tf` do with them.

    Raises:
        TypeError: For missing, unknown and wrong fields.
    """

    Spec: Any = ExtensionTypeSpec

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("Spec")
        bases = (ExtensionTypeSpec,) if own is None else (own, ExtensionTypeSpec)
        cls.Spec = type("Spec", bases, {"value_type": cls, "__module__": cls.__module__})

    def __init__(self, *args: object, **kwargs: object) -> None:
        vars(self).update(_bind(type(self), args, kwargs))

    def __setattr__(self, name: str, value: object) -> None:
        if "_open" not in vars(self):
            raise AttributeError(f"{type(self).__name__}.{name} can only be set in the constructor")
        vars(self)[name] = value

    def __delattr__(self, name: str) -> None:
        if "_open" not in vars(self):
            raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")
        del vars(self)[name]

    def __eq__(self, other: object) -> Any:
        if type(other) is not type(self):
            return False
        mine, others = (list(_leaves(x)) for x in (self, other))
        if len(mine) != len(others):
            return False
        results = [_equal(a, b) for a, b in zip(mine, others, strict=True)]
        if any(result is False for result in results):
            return False
        tensors = [result for result in results if result is not True]
        return ops.all(ops.stack([ops.all(x) for x in tensors])) if tensors else True

    def __ne__(self, other: object) -> Any:
        equal = self == other
        return ops.logical_not(equal) if isinstance(equal, Tensor) else not equal

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in fields_of(self).items())})"

    # -- as part of a dataset ------------------------------------------------------------------------------

    def stack(self, values: Sequence[ExtensionType]) -> ExtensionType:
        """Stack values along a new first axis."""
        columns = [fields_of(value) for value in values]
        return rebuild(type(self), _over_columns(columns, stack_tensors, _batch_shape))

    def row(self, index: int) -> ExtensionType:
        """Return a row: that of each tensor."""
        return rebuild(type(self), _each(fields_of(self), lambda part: row_of(part, index), _row_shape))

    def row_count(self) -> int:
        """Return the number of rows."""
        first = next(part for part in _leaves(self) if _is_tensor(part))
        return first.row_count() if isinstance(first, Composite) else len(first)

    def spec(self) -> ExtensionTypeSpec:
        """Return the type."""
        return type_spec_from_value(self)


class BatchableExtensionType(ExtensionType):
    """ExtensionType whose rows and batches are of the same class: that is so for all of them here."""


# -- fields --------------------------------------------------------------------------------------------------


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    """Return the fields of a class with their types, those of its bases first."""
    hints = typing.get_type_hints(cls, localns={cls.__name__: cls})
    bases = [base for base in reversed(cls.__mro__) if issubclass(base, ExtensionType)]
    names = [name for base in bases[1:] for name in inspect.get_annotations(base)]
    return {
        name: hints[name]
        for name in dict.fromkeys(names)
        if not name.startswith("__") and typing.get_origin(hints[name]) is not typing.ClassVar
    }


def _bind(cls: type, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the value of each field. Raise TypeError for missing and unknown ones."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {name: getattr(cls, name, inspect.Parameter.empty) for name in _annotations(cls)}
    parameters = [inspect.Parameter(name, kind, default=default) for name, default in defaults.items()]
    signature = inspect.Signature(sorted(parameters, key=lambda p: p.default is not inspect.Parameter.empty))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{cls.__name__}{signature}: {error}") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _convert(value: Tree, annotation: object, name: str) -> Tree:
    """Convert a value to the type of its field. Raise TypeError for another one."""
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _convert_to_one(value, arguments, name)
    if origin in _CONVERSIONS:
        return _CONVERSIONS[origin](value, name)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = (
            arguments[:1] * len(value) if arguments[1:] == (Ellipsis,) else arguments or (Any,) * len(value)
        )
        if len(kinds) == len(value):
            return tuple(_convert(part, kind, name) for part, kind in zip(value, kinds, strict=True))
    elif origin is collections.abc.Mapping and isinstance(value, Mapping):
        kind = arguments[1] if arguments else Any
        return ImmutableDict({key: _convert(part, kind, name) for key, part in value.items()})
    elif (
        annotation is Any
        or (annotation in (None, type(None)) and value is None)
        or _is_instance(value, origin)
    ):
        return value
    kind_name = getattr(annotation, "__name__", str(annotation))
    raise TypeError(f"{name}: expected a value of type {kind_name}, got {type(value).__name__!r}")


def _is_instance(value: object, kind: object) -> bool:
    if kind in _PYTHON:
        return type(value) is kind or (kind is float and type(value) is int)
    return isinstance(kind, type) and isinstance(value, kind)


def _convert_to_one(value: Tree, kinds: Sequence[Any], name: str) -> Tree:
    """Convert to the first of several types that fits: Python's own before tensors."""
    for kind in sorted(kinds, key=lambda kind: kind is AnyTensor):
        try:
            return _convert(value, kind, name)
        except TypeError:
            continue
    raise TypeError(f"{name}: {type(value).__name__!r} is none of the types {', '.join(map(str, kinds))}")


def _to_tensor(value: Tree, name: str) -> RaggedOrTensor:
    if _is_tensor(value):
        return value
    if value is None or isinstance(value, (dict, ExtensionType)):
        raise TypeError(f"{name}: expected a Tensor, got {type(value).__name__!r}")
    try:
        return convert_to_tensor(list(value) if isinstance(value, range) else value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected a Tensor, got {type(value).__name__!r}: {error}") from None


# Type of a field -> the conversion of its value.
_CONVERSIONS: dict[Any, Any] = {
    AnyTensor: _to_tensor,
    TensorShape: lambda value, name: TensorShape(value),
    DType: lambda value, name: as_dtype(value),
}


def _is_tensor(value: object) -> bool:
    return isinstance(value, (Tensor, Strings, ragged.RaggedTensor, sparse.SparseStrings))


def fields_of(value: ExtensionType) -> dict[str, Any]:
    """Return the fields of a value."""
    return {name: vars(value)[name] for name in _annotations(type(value))}


def rebuild(cls: type, fields: dict[str, Any]) -> ExtensionType:
    """Create a value from all of its fields, past the constructor."""
    value: Any = object.__new__(cls)
    vars(value).update(fields)
    return value


def _each(part: Tree, tensor: Callable[[Any], Tree], shape: Callable[[TensorShape], TensorShape]) -> Tree:
    """Apply a function to the tensors (or their types), and another one to the shapes."""
    if isinstance(part, TensorShape):
        return shape(part)
    if isinstance(part, ExtensionType):
        return rebuild(type(part), _each(fields_of(part), tensor, shape))
    if isinstance(part, ExtensionTypeSpec):
        return part.of(_each(part._fields(), tensor, shape))
    if isinstance(part, dict):
        return type(part)({key: _each(value, tensor, shape) for key, value in part.items()})
    if isinstance(part, tuple):
        return tuple(_each(value, tensor, shape) for value in part)
    is_type = isinstance(part, (TensorSpec, RaggedTensorSpec, sparse.SparseTensorSpec))
    return tensor(part) if is_type or _is_tensor(part) else part


def _over_columns(
    parts: Sequence[Any], tensor: Callable[[Any], Tree], shape: Callable[[Any], TensorShape]
) -> Tree:
    """Combine the corresponding parts of several values."""
    first = parts[0]
    if isinstance(first, TensorShape):
        return shape(parts)
    if isinstance(first, ExtensionType):
        return rebuild(type(first), _over_columns([fields_of(p) for p in parts], tensor, shape))
    if isinstance(first, dict):
        return type(first)({key: _over_columns([p[key] for p in parts], tensor, shape) for key in first})
    if isinstance(first, tuple):
        return tuple(_over_columns(column, tensor, shape) for column in zip(*parts, strict=True))
    return tensor(parts) if _is_tensor(first) else first


def _batch_shape(shapes: Sequence[TensorShape]) -> TensorShape:
    return TensorShape((len(shapes), *shapes[0]))


def _row_shape(shape: TensorShape) -> TensorShape:
    return TensorShape(shape[1:])


def row_of(value: Tree, index: int) -> Tree:
    """Return the row of a tensor of any kind."""
    return value.row(index) if isinstance(value, Composite) else value[index]


def stack_tensors(values: Sequence[Any]) -> Tree:
    """Stack tensors of any kind along a new first axis."""
    if isinstance(values[0], Composite):
        return values[0].stack(values)
    if isinstance(values[0], Strings):
        return StringTensor(np.stack([StringTensor(value).array for value in values]))
    return ops.stack(list(values))


def _leaves(part: Tree) -> Iterator[Any]:
    """Yield all tensors and Python values of a value."""
    if isinstance(part, ExtensionType):
        part = fields_of(part)
    if isinstance(part, dict):
        for key in sorted(part):
            yield key
            yield from _leaves(part[key])
    elif isinstance(part, tuple):
        for value in part:
            yield from _leaves(value)
    else:
        yield part


def _equal(a: Tree, b: Tree) -> Tensor | bool:
    if _is_tensor(a) and _is_tensor(b):
        return a == b if tuple(a.shape) == tuple(b.shape) and a.dtype == b.dtype else False
    return bool(a == b) if not (_is_tensor(a) or _is_tensor(b)) else False


# -- types of values, and arguments of compiled functions ----------------------------------------------------


def type_spec_from_value(value: Tree) -> Tree:
    """Return the type of a tensor of any kind, or of an ExtensionType."""
    if isinstance(value, ExtensionType):
        return type(value).Spec.of({k: _spec(v) for k, v in fields_of(value).items()})
    if hasattr(value, "spec") and isinstance(value, Composite):
        return value.spec()
    if hasattr(value, "element_spec"):
        return value.element_spec
    if isinstance(value, Strings):
        return TensorSpec(value.shape, "string")
    tensor = value if isinstance(value, Tensor) else convert_to_tensor(value)
    return TensorSpec(tensor.shape, tensor.dtype)


def _spec(part: Tree) -> Tree:
    if isinstance(part, dict):
        return type(part)({key: _spec(value) for key, value in part.items()})
    if isinstance(part, tuple) and not isinstance(part, TensorShape):
        return tuple(_spec(value) for value in part)
    return type_spec_from_value(part) if _is_tensor(part) or isinstance(part, ExtensionType) else part


class _Kind:
    """Class and Python values of an ExtensionType: what its tensors are packed into."""

    def __init__(self, cls: type, fixed: dict[str, Any]) -> None:
        self.cls, self.fixed = cls, fixed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kind) and other.cls is self.cls and repr(other.fixed) == repr(self.fixed)

    def __hash__(self) -> int:
        return hash((self.cls, repr(self.fixed)))


def unpacked(structure: Tree) -> Tree:
    """Replace each ExtensionType by a tuple of its kind and its tensors, which `hornbeam.jit` passes on."""
    if isinstance(structure, ExtensionType):
        fields = fields_of(structure)
        has_tensor = {k: any(_is_tensor(x) for x in _leaves(v)) for k, v in fields.items()}
        kind = _Kind(type(structure), {k: v for k, v in fields.items() if not has_tensor[k]})
        return (kind, {k: unpacked(v) for k, v in fields.items() if has_tensor[k]})
    return _map_children(structure, unpacked)


def packed(structure: Tree) -> Tree:
    """Undo `unpacked`."""
    if isinstance(structure, tuple) and len(structure) == 2 and isinstance(structure[0], _Kind):
        kind, tensors = structure
        parts = {k: packed(v) for k, v in tensors.items()}
        return rebuild(kind.cls, {**kind.fixed, **parts})
    return _map_children(structure, packed)


def _map_children(structure: Tree, fn: Callable[..., Any]) -> Tree:
    if isinstance(structure, dict):
        return type(structure)({key: fn(value) for key, value in structure.items()})
    if isinstance(structure, (list, tuple)) and tree.is_nested(structure):
        children = [fn(child) for child in structure]
        if all(a is b for a, b in zip(children, structure, strict=True)):
            return structure
        return type(structure)(*children) if hasattr(structure, "_fields") else type(structure)(children)
    return structure
