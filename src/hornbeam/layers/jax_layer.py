"""`JaxLayer` and `FlaxLayer`: functions of JAX and modules of Flax as layers."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.ir.types import dtype_name, is_float
from hornbeam.layers.library_layer import LibraryLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random import SeedGenerator, draw_seed

if TYPE_CHECKING:
    import flax


@exported("keras.layers")
class JaxLayer(LibraryLayer):
    """Layer of a pure JAX function. It runs on the jax engine; its gradient is JAX's.

    Formula: `y = call_fn(params, state, rng, inputs, training)`, with those of these arguments that call_fn
    has. If it has `state`, it returns (y, new state), in the structure of the state. `rng` is a raw key,
    uint32 (2,), in training and None in inference.

    Args:
        call_fn: Pure function; it must have an argument `inputs`.
        init_fn: Function init_fn(rng, inputs, training) -> params, or (params, state), that initializes the
            weights when the layer is built, from ones of the inputs' shapes with size 1 where unknown. Not
            needed if `params` or `state` are given.
        params: Pytree of arrays, which become trainable weights.
        state: Pytree of arrays, which become non-trainable weights.
        seed: Seed of the keys; drawn at random by default.
        native_serialization_platforms: Ignored, for Keras's signature: only its TensorFlow backend uses it.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ImportError: If JAX is not installed.
        ValueError: If a function has other arguments, or returns a state of another structure.
        MissingPrimitiveError: If a step is compiled by another engine.

    Example:
        >>> layer = JaxLayer(lambda params, inputs: inputs @ params["w"], params={"w": w})  # doctest: +SKIP
        >>> layer(x)  # doctest: +SKIP

    Files name `call_fn` and `init_fn`, which must be registered. Source:
    https://keras.io/api/layers/backend_specific_layers.
    """

    _library = "jax"

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Tree = None,
        state: Tree = None,
        seed: int | None = None,
        native_serialization_platforms: Sequence[str] | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        import jax

        settings: Any = jax.config
        self._enable_x64 = bool(settings.jax_enable_x64)  # the user's setting, not that of our calls
        self._arguments = _argument_names(
            call_fn, "call_fn", ("params", "state", "rng", "inputs", "training")
        )
        self._init_arguments = (
            _argument_names(init_fn, "init_fn", ("rng", "inputs", "training")) if init_fn else []
        )
        has_weights = "params" in self._arguments or "state" in self._arguments
        if has_weights and init_fn is None and params is None and state is None:
            raise ValueError(
                f"{self.describe()}: call_fn takes weights: "
                "pass params (and state), or init_fn to initialize them"
            )
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self.params = self._add_weights(params, trainable=True)
        self.state = self._add_weights(state, trainable=False)
        self.seed_generator = SeedGenerator(seed) if "rng" in self._arguments else None
        if params is not None or state is not None:
            self.built = True

    def _add_weights(self, values: Tree, trainable: bool) -> Tree:
        """Add weights for the arrays and numbers of a pytree; other leaves stay as they are."""
        import jax

        def add(path: Any, value: Any) -> Any:
            if not isinstance(value, (bool, int, float, np.ndarray, np.generic, jax.Array, Tensor)):
                return value
            array = np.asarray(value)
            if isinstance(value, (bool, int, float)):
                array = array.astype({bool: "bool", int: "int32", float: "float32"}[type(value)])
            dtype = None if is_float(dtype_name(array.dtype)) else dtype_name(array.dtype)
            name = "_".join(re.sub(r"\W", "", str(key)) for key in path) or "variable"
            return self._add_weight_from(self._engine.put(array), dtype=dtype, trainable=trainable, name=name)

        return jax.tree_util.tree_map_with_path(add, values)

    # -- random numbers --------------------------------------------------------------------------------------

    def _get_init_seed(self) -> Tensor:
        """Return a key for `init_fn`."""
        return draw_seed(None)

    def _get_init_rng(self) -> Tree:
        """Return the `rng` of `init_fn`: a key. Subclasses may return a structure of keys."""
        return self._get_init_seed()

    def _get_call_seed(self) -> Tensor:
        """Return a key for `call_fn`."""
        assert self.seed_generator is not None
        return self.seed_generator.next()

    def _get_call_rng(self, training: bool | None) -> Tree:
        """Return the `rng` of `call_fn`: a key in training, else None. Subclasses may return a structure."""
        return self._get_call_seed() if training else None

    # -- building, calling -----------------------------------------------------------------------------------

    def build(self, input_shape: ShapeTree) -> None:
        """Initialize the weights by `init_fn`.

        Args:
            input_shape: Sizes of the inputs, None where unknown.
        """
        if self.init_fn is None:
            return
        import jax

        with jax.enable_x64(self._enable_x64):
            ones = tree.map_shape_structure(lambda s: jax.numpy.ones([n or 1 for n in s]), input_shape)
            arguments = {"inputs": ones, "training": True}
            if "rng" in self._init_arguments:
                arguments["rng"] = tree.map_structure(
                    lambda key: jax.numpy.asarray(key.numpy()), self._get_init_rng()
                )
            initial = self.init_fn(*(arguments[name] for name in self._init_arguments))
        params, state = initial if "state" in self._arguments else (initial, None)
        self.params = self._add_weights(params, trainable=True)
        self.state = self._add_weights(state, trainable=False)

    def call(self, inputs: Tree, training: bool | None = False) -> Tree:
        values = {"params": self.params, "state": self.state, "inputs": inputs}
        if "rng" in self._arguments:
            values["rng"] = self._get_call_rng(training)
        templates = [_Pytree(values[name]) for name in self._arguments if name != "training"]
        key = (bool(training), *(template.key for template in templates))
        results, run = self._host_call(
            key,
            lambda: _Run(self.call_fn, self._arguments, templates, bool(training), self._enable_x64),
            [x for template in templates for x in template.tensors],
        )
        if run.has_state:
            state = _Pytree(self.state)
            count = len(results) - len(state.tensors)
            for variable, value in zip(state.tensors, results[count:], strict=True):
                variable.assign(value)
            results = results[:count]
        return run.results.fill(results)

    # -- saving ----------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the functions' names, under which they must be registered."""
        return {
            **self._base_config(),
            "call_fn": serialize(self.call_fn),
            "init_fn": serialize(self.init_fn),
            "native_serialization_platforms": self.native_serialization_platforms,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> JaxLayer:
        """Rebuild the layer that a config describes.

        Args:
            config: Result of `get_config`.
        """
        functions = {name: deserialize(config[name]) for name in ("call_fn", "init_fn")}
        return cls(**{**config, **functions})


def _argument_names(fn: Callable[..., Any], name: str, allowed: Sequence[str]) -> list[str]:
    """Return the names of a function's arguments in their order, and check them."""
    names = list(inspect.signature(fn).parameters)
    if "inputs" not in names:
        raise ValueError(f"{name} must have an argument `inputs`, got {names}")
    unknown = [argument for argument in names if argument not in allowed]
    if unknown:
        raise ValueError(f"{name} has an argument {unknown[0]!r}; it may have {', '.join(allowed)}")
    return names


class _Pytree:
    """A `TensorTemplate` of a JAX pytree."""

    def __init__(self, structure: Tree, kinds: tuple[type, ...] = (Tensor, np.ndarray)) -> None:
        import jax

        self.treedef: Any
        leaves, self.treedef = jax.tree_util.tree_flatten(structure)
        self._positions = [i for i, x in enumerate(leaves) if isinstance(x, kinds)]
        self.tensors = [leaves[i] for i in self._positions]
        self._constants = [None if isinstance(x, kinds) else x for x in leaves]
        self.key = (self.treedef, repr(self._constants))

    def fill(self, tensors: Sequence[Any]) -> Tree:
        """Return the structure with other tensors at the positions of its own."""
        leaves = list(self._constants)
        for position, tensor in zip(self._positions, tensors, strict=True):
            leaves[position] = tensor
        return self.treedef.unflatten(leaves)


class _Run:
    """A layer's function on arrays.

    It maps the tensors of its arguments to the arrays of the results and those of the new state. `results` is
    the structure of the results, known once their types were inferred.
    """

    results: _Pytree

    def __init__(
        self,
        fn: Callable[..., Any],
        arguments: list[str],
        templates: list[_Pytree],
        training: bool,
        enable_x64: bool,
    ) -> None:
        self._fn, self._arguments, self._templates = fn, arguments, templates
        self._training, self._enable_x64 = training, enable_x64
        self.has_state = "state" in arguments

    def __call__(self, *arrays: Any) -> list[Any]:
        import jax

        remaining = iter(arrays if self._enable_x64 else [_to_32_bits(x) for x in arrays])
        templates = iter(self._templates)
        values = []
        for name in self._arguments:
            if name == "training":
                values.append(self._training)
            else:
                template = next(templates)
                values.append(template.fill([next(remaining) for _ in template.tensors]))
        with jax.enable_x64(self._enable_x64):
            returned = self._fn(*values)
            outputs, state = returned if self.has_state else (returned, None)
            self.results = _Pytree(outputs, (jax.Array, np.ndarray, np.generic, float, int))
            results = [jax.numpy.asarray(x) for x in self.results.tensors]
            return [*results, *(self._new_state(state) if self.has_state else ())]

    def _new_state(self, state: Tree) -> list[Any]:
        import jax

        template = self._templates[[n for n in self._arguments if n != "training"].index("state")]
        treedef: Any
        leaves, treedef = jax.tree_util.tree_flatten(state)
        if treedef != template.treedef:
            raise ValueError(f"call_fn returned a state of structure {treedef}, expected {template.treedef}")
        return [jax.numpy.asarray(leaves[position]) for position in template._positions]


def _to_32_bits(array: Any) -> Any:
    """Cast arrays to 32 bits, as JAX does unless 64-bit dtypes are enabled."""
    dtype = {"int64": "int32", "uint64": "uint32", "float64": "float32"}.get(np.dtype(array.dtype).name)
    return array if dtype is None else array.astype(dtype)


@exported("keras.layers")
class FlaxLayer(JaxLayer):
    """Layer of a `flax.linen.Module`. It runs on the jax engine; its gradient is JAX's.

    Formula: `y = module.apply(variables, inputs, training)`, with `training` if the method has this argument.
    The collection "params" becomes trainable weights, all others (batch statistics, ...) non-trainable ones.
    Random keys are named "params" and "dropout".

    Args:
        module: Module of Flax.
        method: Another method of the module, or a function method(module, inputs, training); `__call__` by
            default.
        variables: Initial variables, as `module.init` returns them; `init` is called when the layer is built
            by default.
        **kwargs: Arguments of `JaxLayer` and `Layer`: `seed`, `name`, ...

    Raises:
        ImportError: If JAX or Flax is not installed.
        ValueError: If a call creates new collections (sow).

    Example:
        >>> layer = FlaxLayer(flax.linen.Dense(10))  # doctest: +SKIP
        >>> layer(x)  # doctest: +SKIP

    A file can store the module only if its class is registered and has get_config. Source:
    https://keras.io/api/layers/backend_specific_layers.
    """

    def __init__(
        self,
        module: flax.linen.Module,
        method: Callable[..., Any] | None = None,
        variables: Tree = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        try:
            linen = importlib.import_module("flax.linen")
        except ImportError as error:
            raise ImportError(
                f"FlaxLayer needs Flax, which is not installed: pip install flax ({error})"
            ) from error
        takes_training = "training" in inspect.signature(method or module.__call__).parameters
        mutable = linen.DenyList(["params"])

        def apply(params: Tree, state: Tree, rng: Any, inputs: Any, training: bool | None) -> Any:
            mode = {"training": training} if takes_training else {}
            collections = {**(params or {}), **(state or {})}
            return module.apply(collections, inputs, rngs=rng, method=method, mutable=mutable, **mode)

        def init(rng: Any, inputs: Any, training: bool | None) -> Any:
            mode = {"training": training} if takes_training else {}
            return _split_collections(module.init(rng, inputs, method=method, **mode))

        params, state = _split_collections(variables)
        # Set before super().__init__(), in a tuple that attribute tracking ignores.
        self._not_tracked = (module, method)
        super().__init__(apply, init, params, state, **kwargs)

    @property
    def module(self) -> flax.linen.Module:
        """The module of Flax, which holds no values."""
        return self._not_tracked[0]

    @property
    def method(self) -> Callable[..., Any] | None:
        """The method that is called, None for the module's `__call__`."""
        return self._not_tracked[1]

    def _get_init_rng(self) -> Tree:
        return {"params": self._get_init_seed(), "dropout": self._get_init_seed()}

    def _get_call_rng(self, training: bool | None) -> Tree:
        return {"dropout": self._get_call_seed()} if training else {}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments. Raises TypeError for a module whose class has no get_config."""
        is_bound = getattr(self.method, "__self__", None) is self.module and self.method is not None
        method = self.method.__name__ if self.method is not None and is_bound else serialize(self.method)
        return {**self._base_config(), "module": serialize(self.module), "method": method}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlaxLayer:
        """Rebuild the layer that a config describes.

        Args:
            config: Result of `get_config`.
        """
        module, method = deserialize(config["module"]), config["method"]
        method = getattr(module, method) if isinstance(method, str) else deserialize(method)
        return cls(**{**config, "module": module, "method": method})


def _split_collections(variables: Tree) -> tuple[Any, Any]:
    """Split the collections of Flax into trainable and non-trainable ones."""
    if variables is None:
        return None, None
    return (
        {key: value for key, value in variables.items() if key == "params"},
        {key: value for key, value in variables.items() if key != "params"},
    )
