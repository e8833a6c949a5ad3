"""Variables, conversions and control flow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TypeAlias

import numpy as np
from keras.src import tree
from keras.src.backend.common import KerasVariable, standardize_dtype
from keras.src.backend.common.dtypes import result_type
from keras.src.backend.common.keras_tensor import KerasTensor
from keras.src.backend.common.stateless_scope import StatelessScope
from keras.src.backend.common.symbolic_scope import SymbolicScope

import hornbeam
from hornbeam import ops
from hornbeam.extensions.tracing import compute_output_spec as output_spec_of
from keras_hornbeam.src.float8 import DTYPES, Float8Tensor

Tree: TypeAlias = Any
"""Nested lists, tuples and dicts of what functions of the user take or return."""

associative_scan = ops.associative_scan
cond = ops.cond
custom_gradient = ops.custom_gradient
fori_loop = ops.fori_loop
map = ops.map
scan = ops.scan
scatter = ops.scatter
scatter_update = ops.scatter_update
slice = ops.slice
slice_update = ops.slice_update
stop_gradient = ops.stop_gradient
switch = ops.switch
unstack = ops.unstack
vectorized_map = ops.vectorized_map
while_loop = ops.while_loop

SUPPORTS_SPARSE_TENSORS = False
SUPPORTS_RAGGED_TENSORS = False
SUPPORTS_COMPLEX_DTYPES = True
IS_THREAD_SAFE = True


class Variable(KerasVariable):
    """Variable of Keras, whose value is one of Hornbeam."""

    def _initialize(self, value: Any) -> None:
        *layers, name = self._path.split("/")
        with ExitStack() as scopes:
            for layer in layers:
                scopes.enter_context(hornbeam.name_scope(layer))
            self._value = hornbeam.Variable(value, dtype=self._dtype, trainable=self._trainable, name=name)

    def _direct_assign(self, value: Any) -> None:
        self._value.assign(value)

    def _convert_to_tensor(self, value: Any, dtype: Any = None) -> Any:
        return convert_to_tensor(value, dtype=dtype)

    def __hornbeam_tensor__(self) -> hornbeam.Tensor:
        return convert_to_tensor(self.value)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self.value, dtype)


def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    """Return a Hornbeam tensor; without a dtype, that of Keras's rules for numbers and arrays."""
    if sparse or ragged:
        raise ValueError("sparse and ragged tensors are not supported with the hornbeam backend")
    if dtype is not None:
        dtype = standardize_dtype(dtype)
    if isinstance(x, Variable):
        x = x.value
    if isinstance(x, hornbeam.Variable):
        x = hornbeam.Tensor(x.node)
    if is_tensor(x):
        return x if dtype is None or x.dtype == dtype else ops.cast(x, dtype)
    if dtype is None:
        dtype = result_type(*[getattr(item, "dtype", type(item)) for item in tree.flatten(x)])
    return ops.convert_to_tensor(x, dtype=dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """Return a new NumPy array."""
    return np.array(x.value if isinstance(x, Variable) else x)


def is_tensor(x: object) -> bool:
    """Return True for Hornbeam's tensors."""
    return isinstance(x, hornbeam.Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """Return the shape of a tensor; unknown sizes are symbols."""
    return tuple(x.shape)


def cast(x: Any, dtype: Any) -> Any:
    """Convert to a dtype; float8 is rounded to, and can only be cast back."""
    dtype = standardize_dtype(dtype)
    if isinstance(x, Float8Tensor):
        x = x.values
    if dtype in DTYPES:
        return Float8Tensor(convert_to_tensor(x), dtype)
    return convert_to_tensor(x, dtype=dtype)


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the types of the results of a function of symbolic tensors, without computing them.

    An axis of unknown size has the same in all arguments, as on other backends: layers compare shapes.
    """
    unknown: defaultdict[int, Any] = defaultdict(lambda: hornbeam.KerasTensor((None,)).sizes[0])

    def to_hornbeam(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        shape = [unknown[axis] if size is None else size for axis, size in enumerate(x.shape)]
        return hornbeam.KerasTensor(shape, x.dtype)

    def to_keras(x: Any) -> Any:
        return KerasTensor(x.shape, standardize_dtype(x.dtype)) if is_tensor(x) else x

    with StatelessScope(), SymbolicScope():
        args, kwargs = tree.map_structure(to_hornbeam, (args, kwargs))
        return tree.map_structure(to_keras, output_spec_of(fn, *args, **kwargs))


def random_seed_dtype() -> str:
    """Return the dtype of the two numbers of a seed."""
    return "uint32"


def device_scope(device_name: str) -> AbstractContextManager[None]:
    """Return a context without effect: the engine has one device."""
    return nullcontext()


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Recompute the intermediate values of a function in the backward pass."""
    return hornbeam.remat(f)
