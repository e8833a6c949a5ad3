"""`with` blocks of Keras's: variables held still, values computed again, names, devices."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from hornbeam._internal.naming import current_path, path_scope
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, VariableTracer
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import ShapeError

_local = threading.local()


class StatelessScope(VariableTracer):
    """Inside, variables read as the given values, and assignments stay in the scope.

    state_mapping: pairs of a Variable and its value. collect_losses: losses that layers add are kept in
    `losses`. initialize_variables: kept for Keras's signature; variables have values from the start.

    Raises ValueError for a key that is no Variable, ShapeError for a value of another shape.

    >>> v = hornbeam.Variable([1.0])
    >>> with StatelessScope([(v, [5.0])]) as scope:
    ...     sum = v.assign_add([1.0])
    >>> v.tolist(), scope.get_current_value(v).tolist()
    ([1.0], [6.0])
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        super().__init__(current_level())
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses: list[Tensor] = []
        self.held: dict[Variable, Node] = {}
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(f"state_mapping pairs a Variable with its value, got {variable!r}")
            self.add_update((variable, value))

    def __enter__(self) -> StatelessScope:
        self._outer_scope = current_stateless_scope()
        _local.stateless = self
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        _local.stateless = self._outer_scope

    def read(self, variable: Variable) -> Node:
        """The value in this scope, else the one outside."""
        if variable in self.held:
            return self.held[variable]
        return variable._node if self._outer is None else self._outer.read(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        """Note a value in this scope."""
        self.held[variable] = node

    def add_loss(self, loss: Any) -> None:
        """Note a loss."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Note a value: a pair of a Variable and what it is now."""
        variable, value = update
        tensor = cast(as_tensor(value), variable.type.dtype)
        if tensor.shape != variable.shape:
            raise ShapeError(
                f"variable {variable.path!r} has shape {variable.shape}, the value given for it has "
                f"{tensor.shape}"
            )
        self.held[variable] = tensor.node

    def get_current_value(self, variable: Variable) -> Tensor | None:
        """The value in this scope, or None if it was neither given nor assigned."""
        return Tensor(self.held[variable]) if variable in self.held else None


def current_stateless_scope() -> StatelessScope | None:
    """The innermost open StatelessScope of this thread."""
    return getattr(_local, "stateless", None)


class SymbolicScope:
    """Kept for programs that open one. Symbolic tensors know that they are symbolic: nothing changes inside.

    >>> with SymbolicScope(): pass
    """

    def __enter__(self) -> SymbolicScope:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to undo."""


_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class RematScope:
    """Layers made inside compute their inner values again in the derivative: less memory for more time.

    mode: "full" for all of them; "larger_than" for those whose outputs have more than `output_size_threshold`
    values; "list_of_layers" for those named in `layer_names`; None for none (inside another scope).
    "activations" changes nothing: engines compute activations again anyway where that is cheaper. A layer
    made of layers leaves it to those. See Chen et al. 2016, https://arxiv.org/abs/1604.06174; for a function,
    use `hornbeam.remat`.

    Raises ValueError for an unknown mode.

    >>> with RematScope("list_of_layers", layer_names=["big"]):
    ...     layer = hornbeam.layers.Dense(4, name="big")
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        self._outer = current_remat_scope()
        _local.remat = self
        return self

    def __exit__(self, *exc: object) -> None:
        _local.remat = self._outer


def current_remat_scope() -> RematScope | None:
    """The innermost open RematScope of this thread."""
    return getattr(_local, "remat", None)


class name_scope:
    """Inside, paths of variables and layers begin with `name/`.

    Keyword arguments of Keras's own layers (caller, deduplicate, override_parent) are not taken. Raises
    ValueError for a name with a slash, TypeError for a keyword argument.

    >>> with name_scope("encoder"):
    ...     print(hornbeam.Variable(1.0, name="scale").path)
    encoder/scale
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"the name of a scope must be a string without '/', got {name!r}")
        if kwargs:
            raise TypeError(f"name_scope does not take {', '.join(map(repr, kwargs))}")
        self.name = name

    def __enter__(self) -> name_scope:
        outer = current_path()
        self._scope = path_scope(f"{outer}/{self.name}" if outer else self.name)
        self._scope.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._scope.__exit__(*exc)


_CPU = re.compile(r"/?(device:)?cpu(:\d+)?", re.IGNORECASE)


class device:
    """Where work inside runs: the CPU, which is where it runs anyway. Kept for programs that say so.

    Raises ValueError for any other device.

    >>> with device("cpu:0"): pass
    """

    def __init__(self, device_name: str) -> None:
        if not isinstance(device_name, str) or not _CPU.fullmatch(device_name):
            raise ValueError(
                f'the device must be "cpu" or "cpu:0", got {device_name!r}: the engines of this version run '
                "on the CPU"
            )
        self.device_name = device_name

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to undo."""
