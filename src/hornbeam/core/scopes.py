"""Context managers of Keras: stateless variables, rematerialization, names, devices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.naming import current_path, path_scope
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable, VariableTracer
from hornbeam.engines import available, current_engine, get_engine, using
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import ShapeError

_stateless: ContextVar[StatelessScope | None] = context_variable("stateless scope", None)
_remat: ContextVar[RematScope | None] = context_variable("rematerialization", None)


class StatelessScope(VariableTracer):
    """Scope in which variables have given values, and assignments stay in the scope.

    Args:
        state_mapping: Pairs of a Variable and its value.
        collect_losses: Collect the losses that layers add in `losses`.
        initialize_variables: Accepted for Keras's signature; variables have values from the start.

    Raises:
        ValueError: If a key is not a Variable.
        ShapeError: If a value has another shape than its variable.

    Example:
        >>> v = hornbeam.Variable([1.0])
        >>> with StatelessScope([(v, [5.0])]) as scope:
        ...     sum = v.assign_add([1.0])
        >>> v.tolist(), scope.get_current_value(v).tolist()
        ([1.0], [6.0])
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, TensorLike]] | None = None,
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
        self._override = override(_stateless, self)
        self._override.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._override.__exit__(*exc)

    def read(self, variable: Variable) -> Node:
        """Return the value in this scope, else the outer one.

        Args:
            variable: Variable that is read.
        """
        if variable in self.held:
            return self.held[variable]
        return self.read_outside(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        """Set a value in this scope.

        Args:
            variable: Variable that is assigned.
            node: Its new value.
        """
        self.held[variable] = node

    def add_loss(self, loss: Tensor) -> None:
        """Add a loss.

        Args:
            loss: Scalar tensor.
        """
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, TensorLike]) -> None:
        """Set a value in this scope.

        Args:
            update: Pair of a Variable and its new value.

        Raises:
            ShapeError: If the value does not have the variable's shape.
        """
        variable, value = update
        tensor = cast(as_tensor(value), variable.type.dtype)
        if tensor.shape != variable.shape:
            raise ShapeError(
                f"variable {variable.path!r} has shape {variable.shape}, got a value of shape {tensor.shape}"
            )
        self.held[variable] = tensor.node

    def get_current_value(self, variable: Variable) -> Tensor | None:
        """Return the value in this scope, or None if it was neither given nor assigned.

        Args:
            variable: Variable.
        """
        return Tensor(self.held[variable]) if variable in self.held else None

    @staticmethod
    def current() -> StatelessScope | None:
        """Return the innermost open scope, or None."""
        return _stateless.get()


class SymbolicScope:
    """Scope without effect, for programs that open one: symbolic tensors are recognized without it.

    Example:
        >>> with SymbolicScope(): pass
    """

    def __enter__(self) -> SymbolicScope:
        return self

    def __exit__(self, *exc: object) -> None:
        """Do nothing."""


_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class RematScope:
    """Scope whose layers recompute intermediate values in the backward pass: less memory for more time.

    A layer made of layers leaves rematerialization to those. For a function, use `hornbeam.remat`.

    Args:
        mode: "full" for all layers; "larger_than" for those whose outputs have more than
            `output_size_threshold` values; "list_of_layers" for those named in `layer_names`; None for none
            (inside another scope). "activations" changes nothing: engines recompute activations where that
            is cheaper.
        output_size_threshold: Integer, the number of values of "larger_than".
        layer_names: Names of layers of "list_of_layers".

    Raises:
        ValueError: If the mode is unknown.

    Example:
        >>> with RematScope("list_of_layers", layer_names=["big"]):
        ...     layer = hornbeam.layers.Dense(4, name="big")

    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174.
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
        self._override = override(_remat, self)
        self._override.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._override.__exit__(*exc)


def current_remat_scope() -> RematScope | None:
    """Return the innermost open RematScope."""
    return _remat.get()


class name_scope:
    """Scope in which paths of variables and layers begin with `name/`.

    Args:
        name: Name without a slash.
        **kwargs: No further arguments; those of Keras's own layers (caller, deduplicate, override_parent)
            are refused.

    Raises:
        ValueError: If the name has a slash.
        TypeError: If there is a further argument.

    Example:
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


class device:
    """Scope that runs on a device: "cpu:0", "gpu:1", or one of an engine, such as "torch:cuda:0".

    A device without an engine is one of the current engine. Values move to it when they are next used.

    Args:
        device_name: Name of a device, also in the form "/device:GPU:0".

    Raises:
        ValueError: If the device does not exist; the message lists those that do.
        ImportError: If the library of the engine is not installed.

    Example:
        >>> with device("cpu:0"): pass
    """

    def __init__(self, device_name: str) -> None:
        self.device_name = device_name
        self._engine = _engine_on(device_name)

    def __enter__(self) -> device:
        self._scope = using(self._engine)
        self._scope.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._scope.__exit__(*exc)


def _engine_on(device_name: object) -> str | None:
    """Return the name of the engine that runs on a device, None if it is the current one."""
    if not isinstance(device_name, str):
        raise ValueError(f'the device must be a string such as "cpu" or "gpu:0", got {device_name!r}')
    name = re.sub(r"^/?(device:)?", "", device_name.lower())
    kind, _, index = name.partition(":")
    engine = current_engine()
    if kind not in available():
        if kind == "cpu" and (not index or index.isdigit()) and engine.devices()[0].startswith("cpu"):
            return None
        name = f"{engine.name.partition(':')[0]}:{name}"
    try:
        get_engine(name)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"the device {device_name!r} does not exist. The {engine.name} engine has "
            f"{', '.join(engine.devices())}; devices of another engine begin with its name, such as "
            f'"torch:cuda:0"; engines: {", ".join(available())}'
        ) from error
    return name
