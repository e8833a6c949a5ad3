"""`Operation`: a function on tensors as an object, which functional models can hold."""

from __future__ import annotations

import inspect
from typing import Any

from hornbeam import tree
from hornbeam._internal.naming import to_snake_case, unique_name
from hornbeam.core.dispatch import has_symbolic
from hornbeam.core.registry import serialize
from hornbeam.core.symbolic import KerasTensor, SymbolicCall, infer_types, symbolic_call


class Operation:
    """A function on tensors that has a name and a config; a `Layer` is one that has state too.

    Subclasses write `call`. Called on symbolic tensors it is recorded; their shapes are found by a trial run.
    name: made from the class name if None. Raises ValueError for a name with a slash.

    >>> class Double(hornbeam.Operation):
    ...     def call(self, x): return x * 2
    >>> Double()(hornbeam.ops.ones(2)).tolist()
    [2.0, 2.0]
    """

    _inbound: tuple[SymbolicCall, ...] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        # Kept for the config of classes that write none.
        object.__setattr__(made, "_constructor", (args, kwargs))
        return made

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"name must be a string without '/', got {name!r}")
        self._name = name or unique_name(to_snake_case(type(self).__name__))

    @property
    def name(self) -> str:
        """The operation's name, unique in its model."""
        return self._name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function, or record the call if an argument is symbolic."""
        if has_symbolic(args) or has_symbolic(kwargs.values()):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The function on tensors. Subclasses write it."""
        raise NotImplementedError(f"{type(self).__name__} does not define call()")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call on symbolic tensors and return symbolic outputs."""
        outputs = symbolic_call(self, args, kwargs, run=self.call)
        self._note_call(outputs)
        return outputs

    def _note_call(self, outputs: Any) -> None:
        flat = [x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)]
        if flat and flat[0].history is not None:
            self._inbound = (*self._inbound, flat[0].history)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors of the shapes and dtypes that a call gives, found by a trial run."""
        specs = infer_types(self.call, args, kwargs)
        made = [KerasTensor(*spec) if isinstance(spec, tuple) else spec for spec in specs.leaves]
        return tree.pack_sequence_as(specs.structure, made)

    @property
    def input(self) -> Any:
        """The symbolic input of the first call on symbolic tensors. AttributeError if there was none."""
        inputs = self._first_call().inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self) -> Any:
        """The symbolic output of the first call on symbolic tensors. AttributeError if there was none."""
        return self._first_call().outputs

    def _first_call(self) -> SymbolicCall:
        if not self._inbound:
            raise AttributeError(
                f"{self!r} has not been called on an Input yet, so it has no symbolic input or output"
            )
        return self._inbound[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that the operation was made with, and its name. TypeError for what has no config."""
        args, kwargs = self._constructor  # type: ignore[attr-defined]
        bound = dict(inspect.signature(type(self).__init__).bind(self, *args, **kwargs).arguments)
        bound.pop("self", None)
        return {"name": self.name, **{key: serialize(value) for key, value in bound.items() if key != "name"}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The operation that `get_config` described."""
        config = dict(config)
        name = config.pop("name", None)
        takes_name = "name" in inspect.signature(cls.__init__).parameters
        made = cls(**config, **({"name": name} if takes_name else {}))
        made._name = name or made._name
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={getattr(self, '_name', '?')}>"
