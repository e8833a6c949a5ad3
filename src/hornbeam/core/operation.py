"""`Operation`: a function on tensors as an object, which functional models can contain."""

from __future__ import annotations

import inspect
import re
from typing import Any

from hornbeam import tree
from hornbeam._internal.call_errors import check_keywords
from hornbeam._internal.naming import to_snake_case, unique_name
from hornbeam._internal.typing import Tree
from hornbeam.core.dispatch import has_symbolic
from hornbeam.core.keras_names import Computed
from hornbeam.core.registry import serialize
from hornbeam.core.symbolic import KerasTensor, SymbolicCall, compute_output_spec, symbolic_call
from hornbeam.core.typing import Self

# A slash separates the names of a path; a surrogate is in no file.
_REFUSED = re.compile("[/\ud800-\udfff]")


class _RecordsConstructor:
    """Base class that keeps the arguments of the constructor, for the config of classes that define none."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if kwargs:
            check_keywords(cls, args, kwargs)
        instance = object.__new__(cls)
        object.__setattr__(instance, "_hb_constructor", (args, kwargs))
        return instance


def checked_name(name: str | None) -> str | None:
    """Return a name of a layer or operation, or None. Raises ValueError for a slash or a surrogate."""
    if name is not None and (not isinstance(name, str) or _REFUSED.search(name)):
        raise ValueError(f"name must be a string without '/' or surrogates, got {name!r}")
    return name


class Operation(_RecordsConstructor):
    """Function on tensors with a name and a config; a `Layer` is one that also has state.

    Subclasses define `call`. Called on symbolic tensors it is recorded; their shapes are inferred by
    tracing it.

    Args:
        name: Name without a slash; None for one from the class name.

    Raises:
        ValueError: If the name has a slash.

    Example:
        >>> class Double(hornbeam.Operation):
        ...     def call(self, x): return x * 2
        >>> Double()(hornbeam.ops.ones(2)).tolist()
        [2.0, 2.0]
    """

    _hb_inbound: tuple[SymbolicCall, ...] = ()
    # Keras's name for it.
    _inbound_nodes = Computed(lambda operation: list(operation._hb_inbound))

    def __init__(self, name: str | None = None) -> None:
        self._name = checked_name(name) or unique_name(to_snake_case(type(self).__name__))

    @property
    def name(self) -> str:
        """Name of the operation, unique in its model. Names of weights that exist do not change with it."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = checked_name(value) or self._name

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        """Apply the function, or record the call if an argument is symbolic.

        Args:
            *args: Arguments of `call`.
            **kwargs: Keyword arguments of `call`.

        Returns:
            Result of `call`, or symbolic tensors.
        """
        if has_symbolic(args) or has_symbolic(kwargs.values()):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Tree:
        """Compute the function on tensors; subclasses define it.

        Args:
            *args: Tensors and other arguments.
            **kwargs: Further arguments.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define call()")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Tree:
        """Record a call on symbolic tensors.

        Args:
            *args: Arguments of `call`.
            **kwargs: Keyword arguments of `call`.

        Returns:
            Symbolic tensors.
        """
        outputs = symbolic_call(self, args, kwargs, run=self.call)
        self._note_call(outputs)
        return outputs

    def _note_call(self, outputs: Tree) -> None:
        flat = [x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)]
        if flat and flat[0].history is not None:
            self._hb_inbound = (*self._hb_inbound, flat[0].history)

    def _hb_arguments(self, call: SymbolicCall) -> Any:
        """Return an object with the arguments of a call, as Keras counts them."""
        return call

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Tree:
        """Infer the shapes and dtypes of the result by tracing `call`.

        Args:
            *args: Arguments of `call`.
            **kwargs: Keyword arguments of `call`.

        Returns:
            Symbolic tensors.
        """
        return compute_output_spec(self.call, *args, **kwargs)

    @property
    def input(self) -> Tree:
        """Symbolic input of the first call on symbolic tensors; AttributeError before such a call."""
        inputs = self._first_call().inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self) -> Tree:
        """Symbolic output of the first call on symbolic tensors; AttributeError before such a call."""
        return self._first_call().result

    def _first_call(self) -> SymbolicCall:
        if not self._hb_inbound:
            raise AttributeError(
                f"{self!r} has not been called on an Input yet, so it has no symbolic input or output"
            )
        return self._hb_inbound[0]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, defaults included, and the name if it takes one.

        Raises:
            NotImplementedError: If the constructor takes `*args`, or a value has no config: such a class
                defines `get_config` itself.
        """
        args, kwargs = self._hb_constructor  # type: ignore[attr-defined]
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments: dict[str, Any] = {}
        for key, value in list(bound.arguments.items())[1:]:
            kind = bound.signature.parameters[key].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                raise NotImplementedError(
                    f"{type(self).__name__} needs a get_config() of its own: its constructor takes *{key}, "
                    "which a config cannot name"
                )
            arguments.update(value if kind is inspect.Parameter.VAR_KEYWORD else {key: value})
        name = {"name": self.name} if _takes_name(type(self)) else {}
        return {**name, **{key: self._hb_described(key, x) for key, x in arguments.items() if key != "name"}}

    def _hb_described(self, key: str, value: Any) -> Any:
        try:
            return serialize(value)
        except TypeError as error:
            raise NotImplementedError(
                f"{type(self).__name__} needs a get_config() of its own: its argument {key}: {error}"
            ) from error

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the operation that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Operation.
        """
        config = dict(config)
        name = config.pop("name", None)
        operation = cls(**config, **({"name": name} if _takes_name(cls) else {}))
        operation._name = name or operation._name
        return operation

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={getattr(self, '_name', '?')}>"


def _takes_name(cls: type) -> bool:
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return "name" in parameters or any(x.kind is x.VAR_KEYWORD for x in parameters.values())


def inbound_calls(operation: Operation) -> tuple[SymbolicCall, ...]:
    """Return the calls on symbolic tensors that were recorded for an operation."""
    return operation._hb_inbound
