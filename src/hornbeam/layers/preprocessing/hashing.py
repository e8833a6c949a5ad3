"""`Hashing` and `HashedCrossing`: features sorted into bins by hashes that are the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import dtype_policies, ops
from hornbeam._internal.validation import check_choice, check_int, check_unsupported
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import HornbeamTypeError, ShapeError, is_integer
from hornbeam.layers.preprocessing.categories import encode
from hornbeam.layers.preprocessing.decimals import decimal_buckets
from hornbeam.layers.preprocessing.fingerprints import combine, fingerprint64
from hornbeam.layers.preprocessing.host import HostLayer, as_bytes, encode_array
from hornbeam.layers.preprocessing.index_lookup import buckets, salt_of

# TensorFlow's key for crosses of features.
CROSS_KEY = np.uint64(0xDECAFCAFFE)


def _as_array(values: Any) -> np.ndarray:
    return np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)


@exported("keras.layers")
class Hashing(HostLayer):
    """Strings or whole numbers as bins: y = hash(x) mod num_bins; a number is hashed by its decimal digits.

    The hash is FarmHash's Fingerprint64, or with a salt (a number or two) SipHash-2-4 under that key: the
    same values as in TensorFlow. mask_value: what goes to bin 0 and leaves num_bins - 1 for the rest.
    output_mode: "int"; "one_hot", "multi_hot" (which bins occur in a row), "count" (how often). dtype: of
    the output, int64 for "int".

    x: strings or numbers of any shape (fractions are dropped) -> the same shape, or vectors of num_bins. The
    layer runs on the host, in NumPy: a model runs it before its compiled part. Inside of a traced function it
    takes whole numbers.

    Raises ValueError for num_bins below 1, unknown modes, a dtype that does not fit the mode, or a bad salt.

    >>> np.asarray(hornbeam.layers.Hashing(3)([["A"], ["B"], ["C"], ["D"], ["E"]])).ravel().tolist()
    [1, 0, 1, 1, 2]
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        check_unsupported("Hashing", "tensors are dense", sparse=sparse)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else floatx()
        super().__init__(**kwargs)
        self.num_bins = check_int("num_bins", num_bins, minimum=1, where="Hashing")
        self.mask_value = mask_value
        self.salt = salt_of("Hashing", salt)
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"), where="Hashing"
        )
        self.sparse = sparse
        if output_mode == "int" and not is_integer(self.output_dtype):
            raise ValueError(f'Hashing: output_mode="int" needs an integer dtype, got {self.output_dtype!r}')
        self.built = True

    @property
    def output_dtype(self) -> str:
        return dtype_policies.get(self.dtype_policy).compute_dtype

    def call(self, inputs: Any) -> Tensor:
        values = _as_array(inputs)
        found = self._bins(values)
        if self.output_mode != "int":
            found = encode_array(found, self.num_bins, self.output_mode)
        return as_tensor(found.astype(self.output_dtype))

    def _bins(self, values: np.ndarray) -> np.ndarray:
        tokens, masked = self._tokens(values)
        masks = self.mask_value is not None and self.num_bins > 1
        found = buckets(tokens.reshape(-1).tolist(), self.num_bins - masks, self.salt).reshape(values.shape)
        return np.where(masked, 0, found + 1) if masks else found

    def in_graph(self, inputs: Any) -> Tensor:
        masks = self.mask_value is not None and self.num_bins > 1
        found = decimal_buckets(inputs, self.num_bins - masks, self.salt)
        if masks:
            found = ops.where(inputs == self.mask_value, 0, found + 1)
        if self.output_mode == "int":
            return ops.cast(found, self.output_dtype)
        return encode(found, self.num_bins, self.output_mode, self.output_dtype)

    def _tokens(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is hashed, and where the mask value stands."""
        if holds_strings(values):
            tokens = as_bytes(values, self.describe())
            mask = self.mask_value.encode() if isinstance(self.mask_value, str) else self.mask_value
            return tokens, tokens == mask
        whole = values.astype(np.int64)
        digits = np.array([b"%d" % value for value in whole.reshape(-1).tolist()], object)
        return digits.reshape(values.shape), values == self.mask_value

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, or with vectors num_bins in place of (or behind) the last axis."""
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
            return (*shape, self.num_bins)
        return (*shape[:-1], self.num_bins)


@exported("keras.layers")
class HashedCrossing(HostLayer):
    """Several features as one: y = hash(x1, x2, ...) mod num_bins, the same values as in TensorFlow.

    A cross tells apart what single features cannot, such as place and time of day together. output_mode:
    "int" or "one_hot".

    inputs: a list of two or more arrays of strings or whole numbers, all of shape (), (batch,) or (batch, 1)
    -> the same shape, or vectors of num_bins. The layer runs on the host, in NumPy; inside of a traced
    function it takes whole numbers.

    Raises ValueError for fewer than two inputs, ShapeError for shapes that differ or are others, and
    HornbeamTypeError for fractions.

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
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        check_unsupported("HashedCrossing", "tensors are dense", sparse=sparse)
        super().__init__(name=name, dtype=dtype or ("int64" if output_mode == "int" else None), **kwargs)
        self.num_bins = check_int("num_bins", num_bins, minimum=1, where="HashedCrossing")
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot"), where="HashedCrossing"
        )
        self.sparse = sparse
        self.built = True

    @property
    def output_dtype(self) -> str:
        return dtype_policies.get(self.dtype_policy).compute_dtype

    def call(self, inputs: Any) -> Tensor:
        arrays = [_as_array(x) for x in self._several(inputs)]
        self._check([x.shape for x in arrays])
        found = np.full(arrays[0].size, CROSS_KEY)
        for array in arrays:
            found = combine(found, self._words(array.reshape(-1)))
        bins = (found % np.uint64(self.num_bins)).astype(np.int64).reshape(arrays[0].shape)
        if self.output_mode == "one_hot":
            bins = encode_array(bins, self.num_bins, "one_hot")
        return as_tensor(bins.astype(self.output_dtype))

    def in_graph(self, inputs: Any) -> Tensor:
        tensors = [as_tensor(x) for x in self._several(inputs)]
        self._check([x.shape for x in tensors])
        found = ops.full(tensors[0].shape, CROSS_KEY, dtype="uint64")
        for x in tensors:
            if not is_integer(x.dtype):
                raise HornbeamTypeError(f"{self.describe()} crosses whole numbers here, it got {x.dtype}")
            found = combine(found, ops.cast(ops.cast(x, "int64"), "uint64"))
        bins = ops.cast(found % np.uint64(self.num_bins), "int64")
        if self.output_mode == "one_hot":
            return encode(bins, self.num_bins, "one_hot", self.output_dtype)
        return ops.cast(bins, self.output_dtype)

    def _words(self, values: np.ndarray) -> np.ndarray:
        if holds_strings(values):
            return fingerprint64(as_bytes(values, self.describe()).tolist())
        if values.dtype.kind not in "iu":
            raise HornbeamTypeError(
                f"{self.describe()} crosses strings and whole numbers, it got {values.dtype}: sort numbers "
                "into bins first, with Discretization"
            )
        return values.astype(np.int64).view(np.uint64)

    def _several(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(f"{self.describe()} takes a list of at least two inputs, got {inputs!r:.100}")
        return inputs

    def _check(self, shapes: list[Any]) -> None:
        first = tuple(shapes[0])
        if len(first) > 2 or (len(first) == 2 and first[1] != 1) or any(tuple(s) != first for s in shapes):
            raise ShapeError(
                f"{self.describe()}: all inputs must have one shape, which is (), (batch,) or (batch, 1); "
                f"they have {', '.join(str(tuple(shape)) for shape in shapes)}"
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of one input, or with vectors num_bins in place of (or behind) its last axis."""
        self._check(list(self._several(input_shape)))
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
