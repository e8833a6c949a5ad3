"""`JaxLayer` and `FlaxLayer`: functions of JAX and modules of Flax as layers."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import dtype_name, is_float
from hornbeam.layers.library_layer import LibraryLayer
from hornbeam.random import SeedGenerator, draw_seed


@exported("keras.layers")
class JaxLayer(LibraryLayer):
    """A pure function of JAX as a layer. It runs on the jax engine.

    y = call_fn(params, state, rng, inputs, training), with those of the arguments, by these names, that it
    has; `inputs` it must have. params: a pytree of arrays, which become weights that are trained. state: one
    of arrays that are not; where it is taken, call_fn returns (y, new state) in the same structure. rng: a
    raw key, uint32 (2,), while training, else None. training: a bool. Its derivative is JAX's.

    init_fn(rng, inputs, training) -> params, or (params, state), makes the weights when the layer is built,
    on ones of the inputs' shapes with 1 for unknown sizes; it is not needed where params or state are given.
    seed: of the keys. native_serialization_platforms: kept for Keras's signature, for only its TensorFlow
    backend reads it.

    Raises ImportError without JAX, ValueError for functions with other arguments and for a new state of
    another structure, MissingPrimitiveError on another engine (when a step is compiled). Files name call_fn
    and init_fn, which must be registered then. Source: https://keras.io/api/layers/backend_specific_layers.

    >>> layer = JaxLayer(lambda params, inputs: inputs @ params["w"], params={"w": w})  # doctest: +SKIP
    >>> layer(x)  # doctest: +SKIP
    """

    _library = "jax"

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        import jax

        settings: Any = jax.config
        self._wide = bool(settings.jax_enable_x64)  # the user's own, not that of our calls
        self._taken = _arguments(call_fn, "call_fn", ("params", "state", "rng", "inputs", "training"))
        self._init_taken = _arguments(init_fn, "init_fn", ("rng", "inputs", "training")) if init_fn else []
        needs = "params" in self._taken or "state" in self._taken
        if needs and init_fn is None and params is None and state is None:
            raise ValueError(
                f"{self.describe()}: call_fn takes weights: give params (and state), or init_fn, which makes "
                "them"
            )
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self.params = self._variables_of(params, trainable=True)
        self.state = self._variables_of(state, trainable=False)
        self.seed_generator = SeedGenerator(seed) if "rng" in self._taken else None
        if params is not None or state is not None:
            self.built = True

    def _variables_of(self, values: Any, trainable: bool) -> Any:
        """The pytree with weights for its arrays and numbers; what else is in it stays."""
        import jax

        def made(path: Any, value: Any) -> Any:
            if not isinstance(value, (bool, int, float, np.ndarray, np.generic, jax.Array, Tensor)):
                return value
            array = np.asarray(value)
            if isinstance(value, (bool, int, float)):
                array = array.astype({bool: "bool", int: "int32", float: "float32"}[type(value)])
            dtype = None if is_float(dtype_name(array.dtype)) else dtype_name(array.dtype)
            name = "_".join(re.sub(r"\W", "", str(key)) for key in path) or "variable"
            return self._add_weight_from(self._engine.put(array), dtype=dtype, trainable=trainable, name=name)

        return jax.tree_util.tree_map_with_path(made, values)

    # -- random numbers --------------------------------------------------------------------------------------

    def _get_init_seed(self) -> Tensor:
        """A key for `init_fn`."""
        return draw_seed(None)

    def _get_init_rng(self) -> Any:
        """The `rng` of `init_fn`: a key. Subclasses may return a structure of keys."""
        return self._get_init_seed()

    def _get_call_seed(self) -> Tensor:
        """A key for `call_fn`."""
        assert self.seed_generator is not None
        return self.seed_generator.next()

    def _get_call_rng(self, training: bool | None) -> Any:
        """The `rng` of `call_fn`: a key while training, else None. Subclasses may return a structure."""
        return self._get_call_seed() if training else None

    # -- building, calling -----------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights by `init_fn`."""
        if self.init_fn is None:
            return
        import jax

        with jax.enable_x64(self._wide):
            ones = tree.map_shape_structure(lambda s: jax.numpy.ones([n or 1 for n in s]), input_shape)
            known = {"inputs": ones, "training": True}
            if "rng" in self._init_taken:
                known["rng"] = tree.map_structure(
                    lambda key: jax.numpy.asarray(key.numpy()), self._get_init_rng()
                )
            made = self.init_fn(*(known[name] for name in self._init_taken))
        params, state = made if "state" in self._taken else (made, None)
        self.params = self._variables_of(params, trainable=True)
        self.state = self._variables_of(state, trainable=False)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        parts = {"params": self.params, "state": self.state, "inputs": inputs}
        if "rng" in self._taken:
            parts["rng"] = self._get_call_rng(training)
        forms = [_Pytree(parts[name]) for name in self._taken if name != "training"]
        key = (bool(training), *(form.key for form in forms))
        results, run = self._host_call(
            key,
            lambda: _Run(self.call_fn, self._taken, forms, bool(training), self._wide),
            [x for form in forms for x in form.tensors],
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
        """What makes the layer again: the functions, which must be registered to be found by name."""
        return {
            **self._base_config(),
            "call_fn": serialize(self.call_fn),
            "init_fn": serialize(self.init_fn),
            "native_serialization_platforms": self.native_serialization_platforms,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> JaxLayer:
        """The layer of a config."""
        functions = {name: deserialize(config[name]) for name in ("call_fn", "init_fn")}
        return cls(**{**config, **functions})


def _arguments(fn: Callable[..., Any], what: str, allowed: Sequence[str]) -> list[str]:
    """Names of what a function takes, in its order."""
    names = list(inspect.signature(fn).parameters)
    if "inputs" not in names:
        raise ValueError(f"{what} must have an argument `inputs`, it has {names}")
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise ValueError(f"{what} has an argument {unknown[0]!r}; it may have {', '.join(allowed)}")
    return names


class _Pytree:
    """As `TensorTemplate`, of what JAX sees as a structure."""

    def __init__(self, structure: Any, kinds: tuple[type, ...] = (Tensor, np.ndarray)) -> None:
        import jax

        self.treedef: Any
        leaves, self.treedef = jax.tree_util.tree_flatten(structure)
        self._positions = [i for i, x in enumerate(leaves) if isinstance(x, kinds)]
        self.tensors = [leaves[i] for i in self._positions]
        self._fixed = [None if isinstance(x, kinds) else x for x in leaves]
        self.key = (self.treedef, repr(self._fixed))

    def fill(self, tensors: Sequence[Any]) -> Any:
        """The structure with others in the places of its tensors."""
        leaves = list(self._fixed)
        for place, tensor in zip(self._positions, tensors, strict=True):
            leaves[place] = tensor
        return self.treedef.unflatten(leaves)


class _Run:
    """A layer's function on arrays: (tensors of its arguments) -> (arrays of the results, those of the new
    state). `results` is their structure, known once types were asked for.
    """

    results: _Pytree

    def __init__(
        self, fn: Callable[..., Any], taken: list[str], forms: list[_Pytree], training: bool, wide: bool
    ) -> None:
        self._fn, self._taken, self._forms = fn, taken, forms
        self._training, self._wide = training, wide
        self.has_state = "state" in taken

    def __call__(self, *arrays: Any) -> list[Any]:
        import jax

        rest = iter(arrays if self._wide else [_narrowed(x) for x in arrays])
        forms = iter(self._forms)
        given = []
        for name in self._taken:
            if name == "training":
                given.append(self._training)
            else:
                form = next(forms)
                given.append(form.fill([next(rest) for _ in form.tensors]))
        with jax.enable_x64(self._wide):
            made = self._fn(*given)
            outputs, state = made if self.has_state else (made, None)
            self.results = _Pytree(outputs, (jax.Array, np.ndarray, np.generic, float, int))
            found = [jax.numpy.asarray(x) for x in self.results.tensors]
            return [*found, *(self._new_state(state) if self.has_state else ())]

    def _new_state(self, state: Any) -> list[Any]:
        import jax

        before = self._forms[[n for n in self._taken if n != "training"].index("state")]
        treedef: Any
        leaves, treedef = jax.tree_util.tree_flatten(state)
        if treedef != before.treedef:
            raise ValueError(
                f"call_fn returned a state of the structure {treedef}; the state that it was given has "
                f"{before.treedef}"
            )
        return [jax.numpy.asarray(leaves[place]) for place in before._positions]


def _narrowed(array: Any) -> Any:
    """As an array looks where 64-bit dtypes are off, as they are for JAX's users by default."""
    narrow = {"int64": "int32", "uint64": "uint32", "float64": "float32"}.get(np.dtype(array.dtype).name)
    return array if narrow is None else array.astype(narrow)


@exported("keras.layers")
class FlaxLayer(JaxLayer):
    """A `flax.linen.Module` as a layer. It runs on the jax engine.

    y = module.apply(variables, inputs, training), or another `method` of the module, or a function
    method(module, inputs, training); `training` is passed where it is taken. The collection "params" becomes
    weights that are trained, all others (batch statistics, ...) become state. Keys of random numbers: those
    named "params" and "dropout".

    variables: what `module.init` gives, trained already or to be trained; by default `init` is called when
    the layer is built. Raises ImportError without JAX or Flax, and as `JaxLayer` does; collections that only
    a call makes (sow) are a new structure. A file can hold the module only if its class is registered and has
    get_config. Source: https://keras.io/api/layers/backend_specific_layers.

    >>> layer = FlaxLayer(flax.linen.Dense(10))  # doctest: +SKIP
    >>> layer(x)  # doctest: +SKIP
    """

    def __init__(self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any) -> None:
        try:
            linen = importlib.import_module("flax.linen")
        except ImportError as error:
            raise ImportError(
                f"FlaxLayer needs Flax, which is not installed: pip install flax ({error})"
            ) from error
        takes = "training" in inspect.signature(method or module.__call__).parameters
        mutable = linen.DenyList(["params"])

        def apply(params: Any, state: Any, rng: Any, inputs: Any, training: Any) -> Any:
            mode = {"training": training} if takes else {}
            held = {**(params or {}), **(state or {})}
            return module.apply(held, inputs, rngs=rng, method=method, mutable=mutable, **mode)

        def init(rng: Any, inputs: Any, training: Any) -> Any:
            mode = {"training": training} if takes else {}
            return _split(module.init(rng, inputs, method=method, **mode))

        params, state = _split(variables)
        # Made before the layer is, which looks into its attributes.
        self._not_tracked = (module, method)
        super().__init__(apply, init, params, state, **kwargs)

    @property
    def module(self) -> Any:
        """The module of Flax, which holds no values."""
        return self._not_tracked[0]

    @property
    def method(self) -> Any:
        """What is called: None for the module itself."""
        return self._not_tracked[1]

    def _get_init_rng(self) -> Any:
        return {"params": self._get_init_seed(), "dropout": self._get_init_seed()}

    def _get_call_rng(self, training: bool | None) -> Any:
        return {"dropout": self._get_call_seed()} if training else {}

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again. Raises TypeError for a module whose class has no get_config."""
        bound = getattr(self.method, "__self__", None) is self.module and self.method is not None
        method = self.method.__name__ if bound else serialize(self.method)
        return {**self._base_config(), "module": serialize(self.module), "method": method}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlaxLayer:
        """The layer of a config."""
        module, method = deserialize(config["module"]), config["method"]
        method = getattr(module, method) if isinstance(method, str) else deserialize(method)
        return cls(**{**config, "module": module, "method": method})


def _split(variables: Any) -> tuple[Any, Any]:
    """Collections of Flax as what is trained and what is not."""
    if variables is None:
        return None, None
    return (
        {key: value for key, value in variables.items() if key == "params"},
        {key: value for key, value in variables.items() if key != "params"},
    )
