"""Layers that run on the host, in NumPy, before the graph: what they take or give may be strings.

A graph holds numbers. So a model with such layers is cut in two: what leads to the last of them is run on
the batch as it comes, and the rest is compiled as usual (see `training/host_inputs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.symbolic import KerasTensor, holds_strings, record_call, strings_refused
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import HornbeamTypeError
from hornbeam.layers.layer import Layer

# How bytes that are no UTF-8 stand in a str, so that they come back as they were.
STRAY_BYTES = "surrogateescape"


class HostLayer(Layer):
    """A layer whose `call` computes on arrays with values, outside of any graph.

    On symbolic tensors the call is recorded, with what `compute_output_spec` says.
    """

    takes_strings = True

    @property
    def on_host(self) -> bool:
        """Whether a model runs this layer before its compiled part."""
        return True

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Apply the layer to arrays, lists or symbols. `training` and `mask` have no meaning here."""
        unknown = set(kwargs) - {"training", "mask"}
        if unknown:
            raise TypeError(f"{self.describe()} takes one input, it got {', '.join(sorted(unknown))} as well")
        leaves = tree.flatten(inputs)
        if not self.takes_strings:
            for x in leaves:
                no_strings(x, self.describe())
        if any(isinstance(x, KerasTensor) for x in leaves):
            call, outputs = record_call(self, (inputs,), {}, self.compute_output_spec(inputs))
            self._inbound = (*self._inbound, call)
            return outputs
        if not self.on_host:
            return super().__call__(inputs)
        if any(isinstance(x, Tensor) and x.node.level for x in leaves):
            return self.in_graph(inputs)
        return self.call(inputs)

    def in_graph(self, inputs: Any) -> Any:
        """The layer's function on tensors without values, where it has one."""
        raise HornbeamTypeError(
            f"{self.describe()} works on values, before the graph: it cannot be called inside of a traced "
            "function, such as the call() of a subclassed model in fit(). Build a functional or Sequential "
            "model, or apply the layer to the data first: dataset.map(...)"
        )

    def compute_output_spec(self, inputs: Any) -> Any:
        """The symbolic output of a call on symbolic `inputs`."""
        shape = self.compute_output_shape(tree.map_structure(lambda x: tuple(x.shape), inputs))
        return KerasTensor(shape, self.output_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output for an input of the given shape. Subclasses write it."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute_output_shape(input_shape)")

    @property
    def output_dtype(self) -> str:
        """Dtype of the output in a model."""
        raise NotImplementedError(f"{type(self).__name__} does not define output_dtype")

    def get_build_config(self) -> dict[str, Any]:
        """Nothing depends on the input's shape."""
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing to do."""


def as_bytes(values: Any, where: str, encoding: str = "utf-8") -> np.ndarray:
    """Strings as an object array of bytes in UTF-8; bytes that come in are read in `encoding`.

    Raises HornbeamTypeError for numbers and for missing values.
    """
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if not holds_strings(array):
        raise HornbeamTypeError(
            f"{where} takes strings, it got {array.dtype}{list(array.shape)}. Whole numbers are looked up by "
            "IntegerLookup"
        )
    given = array.reshape(-1).tolist()
    kinds = set(map(type, given))
    if kinds == {str}:
        flat = [item.encode("utf-8", STRAY_BYTES) for item in given]
    elif kinds == {bytes} and encoding == "utf-8":
        flat = given
    else:
        flat = [token_bytes(item, where, encoding) for item in given]
    return object_array(flat, array.shape)


def no_strings(values: Any, where: str) -> None:
    """Raise HornbeamTypeError for strings."""
    if holds_strings(values):
        raise HornbeamTypeError(strings_refused(where, values))


def token_bytes(item: Any, where: str, encoding: str) -> bytes:
    """One string as `as_bytes` has them."""
    if isinstance(item, bytes):
        return item if encoding == "utf-8" else item.decode(encoding).encode("utf-8", STRAY_BYTES)
    if isinstance(item, str):
        return item.encode("utf-8", STRAY_BYTES)
    if item is None or type(item).__name__ == "NAType" or (isinstance(item, float) and item != item):
        raise HornbeamTypeError(f"{where}: the strings have missing values ({item}): fill them first")
    raise HornbeamTypeError(f"{where} takes strings, among them is {item!r} ({type(item).__name__})")


def text_of(token: bytes) -> str:
    """A token as text."""
    return token.decode("utf-8", STRAY_BYTES)


def object_array(items: Sequence[Any], shape: Any) -> np.ndarray:
    """Strings or bytes as an object array of the given shape."""
    made = np.empty(len(items), object)
    made[:] = items
    return made.reshape(shape)


def encode_rows(
    values: np.ndarray, rows: np.ndarray, count: int, depth: int, mode: str, weights: np.ndarray | None = None
) -> np.ndarray:
    """Whole numbers as one vector a row, (count, depth): "multi_hot" 1 where a number occurs, "count" how
    often; int64, or with weights how often times the number's weight.

    values, rows: the numbers and the rows that they stand in. Numbers outside of [0, depth) are left out.
    """
    inside = (values >= 0) & (values < depth)
    places, counts = np.unique(rows[inside] * depth + values[inside], return_counts=True)
    made = np.zeros(count * depth, np.int64 if weights is None else weights.dtype)
    made[places] = 1 if mode == "multi_hot" else counts
    if weights is not None:
        made[places] *= weights[places % depth]
    return made.reshape(count, depth)


def encode_array(values: np.ndarray, depth: int, mode: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Whole numbers (..., n) as vectors: (..., n, depth) for "one_hot", where n = 1 is dropped, else one for
    each row, as of `encode_rows`.

    An array of rank 1 is one row, as in Keras.
    """
    if values.ndim == 0:
        values = values.reshape(1)
    if mode == "one_hot":
        if values.ndim > 1 and values.shape[-1] == 1:
            values = values[..., 0]
        return (values[..., None] == np.arange(depth)).astype(np.int64)
    *lead, width = values.shape
    count = int(np.prod(lead, dtype=np.int64))
    rows = np.repeat(np.arange(count), width)
    made = encode_rows(values.reshape(-1), rows, count, depth, mode, weights)
    return made.reshape(*lead, depth)
