"""`Hashing` and `HashedCrossing`: features to bins by portable hashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import dtype_policies, ops
from hornbeam._internal.typing import ArrayLike, ShapeTree, Tree
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.dtype_policies.policy import DTypePolicyLike
from hornbeam.ir.types import HornbeamTypeError, ShapeError, is_integer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.preprocessing._hashing.decimals import decimal_buckets
from hornbeam.layers.preprocessing._hashing.fingerprints import combine, fingerprint64
from hornbeam.layers.preprocessing.categories import encode
from hornbeam.layers.preprocessing.host import HostLayer, as_bytes, check_sparse, encode_array, sparse_if
from hornbeam.layers.preprocessing.index_lookup import buckets, salt_of

# TensorFlow's key for crosses of features.
CROSS_KEY = np.uint64(0xDECAFCAFFE)


def _as_array(values: ArrayLike) -> np.ndarray:
    return np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)


@exported("keras.layers")
class Hashing(HostLayer):
    """Map strings or integers to bins: `y = hash(x) mod num_bins`.

    An integer is hashed by its decimal digits. The hash is FarmHash's Fingerprint64, or with a salt
    SipHash-2-4 under that key: the values equal those of TensorFlow. The layer runs on the host, in NumPy: a
    model runs it before its compiled part. Inside a traced function it takes integers.

    Shapes: x of strings or numbers (fractions are truncated), of any shape -> the same shape, or vectors of
    num_bins.

    Args:
        num_bins: Number of bins.
        mask_value: Value that is mapped to bin 0, which leaves num_bins - 1 bins for other values.
        salt: One or two integers that seed SipHash64; FarmHash64 is used by default.
        output_mode: "int", "one_hot", "multi_hot" (bins that occur in a row) or "count" (number of
            occurrences).
        sparse: Whether vectors are sparse tensors, which hold the elements that are not 0. In compiled
            functions they are dense.
        **kwargs: `dtype` of the output, int64 by default for "int"; other arguments of `Layer`.

    Raises:
        ValueError: If `num_bins` is below 1, the mode unknown, the dtype does not fit the mode, or the salt
            is invalid.

    Example:
        >>> np.asarray(hornbeam.layers.Hashing(3)([["A"], ["B"], ["C"], ["D"], ["E"]])).ravel().tolist()
        [1, 0, 1, 1, 2]
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else floatx()
        super().__init__(**kwargs)
        self.num_bins = check_int("num_bins", num_bins, minimum=1, where="Hashing")
        self.mask_value = mask_value
        self.salt = salt_of("Hashing", salt)
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"), where="Hashing"
        )
        self.sparse = check_sparse("Hashing", sparse, self.output_mode)
        if output_mode == "int" and not is_integer(self.output_dtype):
            raise ValueError(f'Hashing: output_mode="int" needs an integer dtype, got {self.output_dtype!r}')
        self.built = True

    @property
    def output_dtype(self) -> str:
        return dtype_policies.get(self.dtype_policy).compute_dtype

    def call(self, inputs: Tree) -> Tensor:
        values = _as_array(inputs)
        outputs = self._bins(values)
        if self.output_mode != "int":
            outputs = encode_array(outputs, self.num_bins, self.output_mode)
        return sparse_if(self.sparse, as_tensor(outputs.astype(self.output_dtype)))

    def _bins(self, values: np.ndarray) -> np.ndarray:
        tokens, is_mask = self._tokens(values)
        has_mask = self.mask_value is not None and self.num_bins > 1
        flat_bins = buckets(tokens.reshape(-1).tolist(), self.num_bins - has_mask, self.salt)
        bins = flat_bins.reshape(values.shape)
        return np.where(is_mask, 0, bins + 1) if has_mask else bins

    def in_graph(self, inputs: Tree) -> Tensor:
        has_mask = self.mask_value is not None and self.num_bins > 1
        bins = decimal_buckets(inputs, self.num_bins - has_mask, self.salt)
        if has_mask:
            bins = ops.where(inputs == self.mask_value, 0, bins + 1)
        if self.output_mode == "int":
            return ops.cast(bins, self.output_dtype)
        return encode(bins, self.num_bins, self.output_mode, self.output_dtype)

    def _tokens(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bytes to hash, and booleans that mark the mask value."""
        if holds_strings(values):
            tokens = as_bytes(values, self.describe())
            mask = self.mask_value.encode() if isinstance(self.mask_value, str) else self.mask_value
            return tokens, tokens == mask
        integers = values.astype(np.int64)
        digits = np.array([b"%d" % value for value in integers.reshape(-1).tolist()], object)
        return digits.reshape(values.shape), values == self.mask_value

    def compute_output_shape(self, input_shape: ShapeTree) -> ShapeTree:
        """Return the input's shape; for vectors, num_bins replaces or follows the last axis.

        Args:
            input_shape: Sizes of the input.
        """
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
            return (*shape, self.num_bins)
        return (*shape[:-1], self.num_bins)


@exported("keras.layers")
class HashedCrossing(HostLayer):
    """Cross features: `y = hash(x1, x2, ...) mod num_bins`, with the values of TensorFlow.

    A cross distinguishes cases that single features cannot, such as place and time of day together. The layer
    runs on the host, in NumPy; inside a traced function it takes integers.

    Calls take a list of two or more arrays of strings or integers, all of shape (), (batch,) or (batch, 1).

    Args:
        num_bins: Number of bins.
        output_mode: "int" or "one_hot".
        sparse: Whether vectors are sparse tensors, which hold the elements that are not 0. In compiled
            functions they are dense.
        name: Name of the layer, generated by default.
        dtype: Dtype of the output, int64 by default for "int".
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If there are fewer than two inputs.
        ShapeError: If shapes differ or have another form.
        HornbeamTypeError: If an input has fractions.

    Example:
        >>> layer = hornbeam.layers.HashedCrossing(num_bins=5)
        >>> np.asarray(layer([np.array(["A", "B", "A"]), np.array([101, 101, 102])])).tolist()
        [1, 4, 3]
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: DTypePolicyLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype or ("int64" if output_mode == "int" else None), **kwargs)
        self.num_bins = check_int("num_bins", num_bins, minimum=1, where="HashedCrossing")
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot"), where="HashedCrossing"
        )
        self.sparse = check_sparse("HashedCrossing", sparse, self.output_mode)
        self.built = True

    @property
    def output_dtype(self) -> str:
        return dtype_policies.get(self.dtype_policy).compute_dtype

    def call(self, inputs: Tree) -> Tensor:
        arrays = [_as_array(x) for x in self._require_list(inputs)]
        self._check_shapes([x.shape for x in arrays])
        hashes = np.full(arrays[0].size, CROSS_KEY)
        for array in arrays:
            hashes = combine(hashes, self._fingerprints(array.reshape(-1)))
        bins = (hashes % np.uint64(self.num_bins)).astype(np.int64).reshape(arrays[0].shape)
        if self.output_mode == "one_hot":
            bins = encode_array(bins, self.num_bins, "one_hot")
        return sparse_if(self.sparse, as_tensor(bins.astype(self.output_dtype)))

    def in_graph(self, inputs: Tree) -> Tensor:
        tensors = [as_tensor(x) for x in self._require_list(inputs)]
        self._check_shapes([x.shape for x in tensors])
        hashes = ops.full(tensors[0].shape, CROSS_KEY, dtype="uint64")
        for x in tensors:
            if not is_integer(x.dtype):
                raise HornbeamTypeError(f"{self.describe()} crosses integers here, got {x.dtype}")
            hashes = combine(hashes, ops.cast(ops.cast(x, "int64"), "uint64"))
        bins = ops.cast(hashes % np.uint64(self.num_bins), "int64")
        if self.output_mode == "one_hot":
            return encode(bins, self.num_bins, "one_hot", self.output_dtype)
        return ops.cast(bins, self.output_dtype)

    def _fingerprints(self, values: np.ndarray) -> np.ndarray:
        if holds_strings(values):
            return fingerprint64(as_bytes(values, self.describe()).tolist())
        if values.dtype.kind not in "iu":
            raise HornbeamTypeError(
                f"{self.describe()} crosses strings and integers, got {values.dtype}: "
                "map numbers to bins first, with Discretization"
            )
        return values.astype(np.int64).view(np.uint64)

    def _require_list(self, inputs: Tree) -> Tree:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(f"{self.describe()} takes a list of at least two inputs, got {inputs!r:.100}")
        return inputs

    def _check_shapes(self, shapes: list[Any]) -> None:
        first = tuple(shapes[0])
        if len(first) > 2 or (len(first) == 2 and first[1] != 1) or any(tuple(s) != first for s in shapes):
            raise ShapeError(
                f"{self.describe()}: all inputs must have one shape, which is (), (batch,) or (batch, 1), "
                f"got {', '.join(str(tuple(shape)) for shape in shapes)}"
            )

    def compute_output_shape(self, input_shape: ShapeTree) -> ShapeTree:
        """Return the shape of one input; for vectors, num_bins replaces or follows the last axis.

        Args:
            input_shape: List of the inputs' shapes.
        """
        self._check_shapes(list(self._require_list(input_shape)))
        shape = tuple(input_shape[0])
        if self.output_mode == "int":
            return shape
        return (*(shape[:-1] if len(shape) > 1 else shape), self.num_bins)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }
