"""Layers that run on the host, in NumPy, before the graph: their inputs or outputs may be strings.

A graph holds numbers. Thus a model with such layers is cut in two: the layers up to the last of them are run
on each batch, and the rest is compiled as usual (see `training/host_inputs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops, tree
from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam.core.symbolic import KerasTensor, holds_strings, record_call, strings_refused
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import HornbeamTypeError
from hornbeam.layers.layer import Layer

# Error handler by which bytes that are not UTF-8 survive a round trip through str.
STRAY_BYTES = "surrogateescape"


class HostLayer(Layer):
    """A layer whose `call` computes on arrays with values, outside of any graph.

    On symbolic tensors the call is recorded, with the result of `compute_output_spec`.
    """

    takes_strings = True

    @property
    def on_host(self) -> bool:
        """True if a model runs this layer before its compiled part."""
        return True

    def __call__(self, inputs: Tree, **kwargs: Any) -> Tensor | Any:
        """Apply the layer to arrays, lists or symbolic tensors. `training` and `mask` are ignored."""
        unknown = set(kwargs) - {"training", "mask"}
        if unknown:
            raise TypeError(f"{self.describe()} takes one input, got {', '.join(sorted(unknown))} as well")
        leaves = tree.flatten(inputs)
        if not self.takes_strings:
            for x in leaves:
                refuse_strings(x, self.describe())
        if any(isinstance(x, KerasTensor) for x in leaves):
            call, outputs = record_call(self, (inputs,), {}, self.compute_output_spec(inputs))
            self._hb_inbound = (*self._hb_inbound, call)
            return outputs
        if not self.on_host:
            return super().__call__(inputs)
        if any(isinstance(x, Tensor) and x.node.level for x in leaves):
            return self.in_graph(inputs)
        return self.call(inputs)

    def in_graph(self, inputs: Tree) -> Tree:
        """Compute the layer on tensors without values. Layers that cannot do so raise HornbeamTypeError.

        Args:
            inputs: Inputs of the call.
        """
        raise HornbeamTypeError(
            f"{self.describe()} works on values, before the graph: it cannot be called inside a traced "
            "function, such as the call() of a subclassed model in fit(). Build a functional or Sequential "
            "model, or apply the layer to the data first: dataset.map(...)"
        )

    def compute_output_spec(self, inputs: Tree) -> Tree:
        """Return the symbolic output of a call on symbolic tensors.

        Args:
            inputs: Symbolic tensors.
        """
        shape = self.compute_output_shape(tree.map_structure(lambda x: tuple(x.shape), inputs))
        return KerasTensor(shape, self.output_dtype)

    def compute_output_shape(self, input_shape: ShapeTree) -> ShapeTree:
        """Return the output's shape. Subclasses define it.

        Args:
            input_shape: Sizes of the input, None where unknown.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define compute_output_shape(input_shape)")

    @property
    def output_dtype(self) -> str:
        """Dtype of the output in a model."""
        raise NotImplementedError(f"{type(self).__name__} does not define output_dtype")

    def get_build_config(self) -> dict[str, Any]:
        """Return an empty dict: nothing depends on the input's shape."""
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Do nothing: nothing depends on the input's shape.

        Args:
            config: Ignored.
        """


def as_bytes(values: Tree, where: str, encoding: str = "utf-8") -> np.ndarray:
    """Convert strings to an object array of bytes in UTF-8; bytes are decoded by `encoding` first.

    Raises HornbeamTypeError for numbers and for missing values.
    """
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if not holds_strings(array):
        raise HornbeamTypeError(
            f"{where} takes strings, got {array.dtype}{list(array.shape)}. IntegerLookup looks up integers"
        )
    items = array.reshape(-1).tolist()
    types = set(map(type, items))
    if types == {str}:
        flat = [item.encode("utf-8", STRAY_BYTES) for item in items]
    elif types == {bytes} and encoding == "utf-8":
        flat = items
    else:
        flat = [token_bytes(item, where, encoding) for item in items]
    return object_array(flat, array.shape)


def refuse_strings(values: Tree, where: str) -> None:
    """Raise HornbeamTypeError for strings."""
    if holds_strings(values):
        raise HornbeamTypeError(strings_refused(where, values))


def token_bytes(item: object, where: str, encoding: str) -> bytes:
    """Convert one string as `as_bytes` does."""
    if isinstance(item, bytes):
        return item if encoding == "utf-8" else item.decode(encoding).encode("utf-8", STRAY_BYTES)
    if isinstance(item, str):
        return item.encode("utf-8", STRAY_BYTES)
    if item is None or type(item).__name__ == "NAType" or (isinstance(item, float) and item != item):
        raise HornbeamTypeError(f"{where}: the strings have missing values ({item}): fill them first")
    raise HornbeamTypeError(f"{where} takes strings, got {item!r} ({type(item).__name__})")


def text_of(token: bytes) -> str:
    """Decode a token."""
    return token.decode("utf-8", STRAY_BYTES)


def object_array(items: Sequence[Any], shape: Sequence[int]) -> np.ndarray:
    """Convert strings or bytes to an object array of the given shape."""
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape)


def encode_rows(
    values: np.ndarray, rows: np.ndarray, count: int, depth: int, mode: str, weights: np.ndarray | None = None
) -> np.ndarray:
    """Encode integers as one vector a row, (count, depth).

    "multi_hot" is 1 where an integer occurs, "count" its number of occurrences; int64, or with weights
    multiplied by the weight of each integer. values, rows: integers and the rows that they belong to.
    Integers outside of [0, depth) are ignored.
    """
    inside = (values >= 0) & (values < depth)
    cells, counts = np.unique(rows[inside] * depth + values[inside], return_counts=True)
    vectors = np.zeros(count * depth, np.int64 if weights is None else weights.dtype)
    vectors[cells] = 1 if mode == "multi_hot" else counts
    if weights is not None:
        vectors[cells] *= weights[cells % depth]
    return vectors.reshape(count, depth)


def check_sparse(where: str, sparse: bool, output_mode: str) -> bool:
    """Return `sparse`. Raises ValueError for indices, of which few are 0."""
    if sparse and output_mode == "int":
        raise ValueError(
            f'{where}: sparse=True is for vectors: use output_mode="one_hot", "multi_hot" or "count"'
        )
    return bool(sparse)


def sparse_if(sparse: bool, outputs: Tensor) -> Tensor:
    """Return vectors as a sparse tensor, if `sparse` is set; inside compiled functions they are dense."""
    return ops.convert_to_tensor(outputs, sparse=True) if sparse else outputs


def encode_array(values: np.ndarray, depth: int, mode: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Encode integers (..., n) as vectors.

    "one_hot" gives (..., n, depth), where n = 1 is dropped, other modes one vector for each row as
    `encode_rows`. An array of rank 1 is one row, as in Keras.
    """
    if values.ndim == 0:
        values = values.reshape(1)
    if mode == "one_hot":
        if values.ndim > 1 and values.shape[-1] == 1:
            values = values[..., 0]
        return (values[..., None] == np.arange(depth)).astype(np.int64)
    *leading, width = values.shape
    count = int(np.prod(leading, dtype=np.int64))
    rows = np.repeat(np.arange(count), width)
    vectors = encode_rows(values.reshape(-1), rows, count, depth, mode, weights)
    return vectors.reshape(*leading, depth)
