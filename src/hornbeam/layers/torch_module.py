"""`TorchModuleWrapper`: a module of PyTorch as a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.library_layer import LibraryLayer, TensorTemplate
from hornbeam.random import SeedGenerator


@exported("keras.layers")
class TorchModuleWrapper(LibraryLayer):
    """A `torch.nn.Module` as a layer. It runs on the torch engine.

    y = module(*args, **kwargs), in the module's own shapes and dtypes, its order of axes included. Parameters
    become weights, trained where `requires_grad` says so, buffers non-trainable weights; what the module
    writes to its buffers becomes their value. `training=False` puts it into evaluation mode, all else into
    training mode, in which it draws random numbers from a key of the layer's: the same seed gives the same
    again. Its derivative is PyTorch's.

    module: made by torch.nn, lazy parameters initialized. output_shape: what compute_output_shape says.

    Values live in the layer's variables: `layer.module` is the module, brought up to date when it is read.
    Raises ImportError without PyTorch, ValueError for a lazy module, MissingPrimitiveError on another engine
    (when a step is compiled), TypeError if shapes of results depend on values. Weights are saved as Keras
    does; a whole model only if the module's class is registered and has get_config, for no file holds code.
    Source: https://keras.io/api/layers/backend_specific_layers/torch_module_wrapper.

    >>> layer = TorchModuleWrapper(torch.nn.Linear(4, 2))  # doctest: +SKIP
    >>> model = hornbeam.Sequential([hornbeam.Input((4,)), layer])  # doctest: +SKIP
    """

    _library = "torch"

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        import torch

        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"TorchModuleWrapper takes a torch.nn.Module, got {type(module).__name__}")
        if any(torch.nn.parameter.is_lazy(x) for x in (*module.parameters(), *module.buffers())):
            raise ValueError(
                f"{type(module).__name__} has parameters without a shape yet: call the module once on a "
                "batch before it is wrapped"
            )
        self._module = module.to(self._engine.device)
        parameters = {key: self._variable(key, p, p.requires_grad) for key, p in module.named_parameters()}
        self._buffers = {key: self._variable(key, b, False) for key, b in module.named_buffers()}
        self._weights = {**parameters, **self._buffers}
        self.seed_generator = SeedGenerator()
        self.output_shape = output_shape
        self.built = True

    def _variable(self, key: str, value: Any, trainable: bool) -> Variable:
        dtype = str(value.dtype).removeprefix("torch.")
        return self._add_weight_from(
            value.detach().clone(), dtype=dtype, trainable=trainable, autocast=trainable, name=key
        )

    @property
    def module(self) -> Any:
        """The module, with the layer's present values."""
        values = {key: self._engine.put(value) for key, value in self._state_dict().items()}
        self._module.load_state_dict(values, strict=False)
        return self._module

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Parameters of the module, with the layer's present values."""
        return self.module.parameters(recurse=recurse)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        form, mode = TensorTemplate((args, kwargs)), training is not False
        given = [*self._weights.values(), *form.tensors]
        if mode:
            given.append(self.seed_generator.next())
        results, run = self._host_call(
            (mode, form.key),
            lambda: _Run(self._module, list(self._weights), list(self._buffers), form, mode),
            given,
        )
        count = len(results) - len(run.changed)
        for key, value in zip(run.changed, results[count:], strict=True):
            self._weights[key].assign(value)
        return run.results.fill(results[:count])

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """`output_shape` if it was given, else what the module says."""
        if self.output_shape is not None:
            return self.output_shape
        return super().compute_output_shape(*args, **kwargs)

    # -- saving ----------------------------------------------------------------------------------------------

    def _named(self) -> dict[str, Variable]:
        """Variables under the names of the module's state_dict; what is tied has each of its names."""
        names = {id(x): key for key, x in (*self._module.named_parameters(), *self._module.named_buffers())}
        state = self._module.state_dict(keep_vars=True)
        return {key: self._weights[names[id(x)]] for key, x in state.items() if id(x) in names}

    def _state_dict(self) -> dict[str, np.ndarray]:
        return {key: np.array(variable.numpy()) for key, variable in self._named().items()}

    def save_own_variables(self, store: Any) -> None:
        """Put the values into a mapping, under the names of the module's state_dict."""
        for key, value in self._state_dict().items():
            store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Take the values from a mapping that `save_own_variables` filled.

        Raises ValueError if a name is missing or unknown, ShapeError if a shape is wrong.
        """
        named = self._named()
        found = {
            key.decode() if isinstance(key, bytes) else key: np.asarray(value) for key, value in store.items()
        }
        if found.keys() != named.keys():
            raise ValueError(
                f"{self.describe()} has {sorted(named)}, the file holds {sorted(found)}: they differ in "
                f"{sorted(found.keys() ^ named.keys())}"
            )
        for key, variable in named.items():
            if found[key].shape != variable.shape:
                raise ShapeError(
                    f"weight {variable.path!r} has shape {variable.shape}, the file holds {found[key].shape}"
                )
        for key, variable in named.items():
            variable.assign(found[key])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments. Raises TypeError for a module whose class has no get_config."""
        return {**self._base_config(), "module": serialize(self._module), "output_shape": self.output_shape}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchModuleWrapper:
        """The layer of a config. Raises ValueError for Keras's, which holds a pickled module."""
        if not isinstance(config.get("module"), dict):
            raise ValueError(
                "the config holds a pickled torch.nn.Module, which is code, and no code from a file is ever "
                "run: make the layer again in Python and load_weights() from the file"
            )
        return cls(**{**config, "module": deserialize(config["module"])})


class _Run:
    """A module as a pure function: (values of its weights, tensors of a call, key of random numbers while
    training) -> (tensors of the results, values of the buffers in `changed`).

    A run on the meta device, which always comes first, fills `results`, `changed` and `_written`.
    """

    results: TensorTemplate

    def __init__(
        self, module: Any, names: list[str], buffers: list[str], form: TensorTemplate, training: bool
    ) -> None:
        self._module, self._names, self._buffers = module, names, buffers
        self._form, self._training = form, training
        # In training mode that is all: not every operation that writes says so.
        self.changed = list(buffers) if training else []
        self._written: list[int] = []  # positions that the module writes to: it gets copies

    def __call__(self, *arrays: Any) -> list[Any]:
        import torch

        own = list(arrays)
        meta = own[0].device.type == "meta"
        for i in () if meta else self._written:
            own[i] = own[i].clone()
        key = own.pop() if self._training else None
        count = len(self._names)
        values = dict(zip(self._names, own[:count], strict=True))
        versions = [x._version for x in own]
        if self._module.training != self._training:
            self._module.train(self._training)
        args, kwargs = self._form.fill(own[count:])
        with _drawing(torch, None if meta else key):
            result = torch.func.functional_call(self._module, values, args, kwargs)
        if meta:
            self.results = TensorTemplate(result, (torch.Tensor,))
            written = [i for i, x in enumerate(own) if x._version != versions[i]]
            if not self._training:
                self.changed = [k for i, k in enumerate(self._names) if i in written and k in self._buffers]
            whole = [i for i, k in enumerate(self._names) if k in self.changed]
            self._written = sorted({*written, *whole})
        return [*TensorTemplate(result, (torch.Tensor,)).tensors, *(values[key] for key in self.changed)]


@contextmanager
def _drawing(torch: Any, key: Any) -> Iterator[None]:
    """Inside, PyTorch draws by the key; what it would draw outside stays as it was."""
    if key is None:
        yield
        return
    generators: Sequence[Any] = [torch.default_generator]
    if key.device.type == "cuda":
        generators = [*generators, torch.cuda.default_generators[key.device.index or 0]]
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(_mixed(*(int(word) for word in key)))
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _mixed(low: int, high: int) -> int:
    """Both words in 32 bits, for PyTorch's generator on CPUs reads no more (the finalizer of splitmix64)."""
    x, mask = low + (high << 32) + 0x9E3779B97F4A7C15, 2**64 - 1
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = ((x ^ ((x & mask) >> shift)) * factor) & mask
    return (x ^ (x >> 31)) & 0xFFFFFFFF
