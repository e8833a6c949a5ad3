"""Expected rank, sizes and dtype of a layer's inputs, and their check with hints for the fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam import tree
from hornbeam._internal.typing import DTypeLike, ShapeLike, Tree
from hornbeam.core.registry import exported
from hornbeam.ir.types import HornbeamTypeError, ShapeError, dtype_name


@exported("keras")
@exported("keras.layers")
class InputSpec:
    """Rank, shape and dtype that an input must have. None means any.

    Args:
        dtype: Name of the dtype.
        shape: Sizes, None for any.
        ndim: Rank.
        max_ndim: Largest rank.
        min_ndim: Smallest rank.
        axes: Sizes by axis, such as {-1: 784}.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be missing or added.
        name: Name of the input, for dicts of inputs.
        optional: Whether the input may be None.

    Raises:
        ValueError: If `axes` has an axis outside the rank.

    Example:
        >>> layer.input_spec = InputSpec(min_ndim=2, axes={-1: 784})  # doctest: +SKIP
    """

    # Advice for an input of lower rank, in place of the general one.
    _low_rank_hint: str | None = None

    def __init__(
        self,
        dtype: DTypeLike | None = None,
        shape: ShapeLike | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype_name(dtype) if dtype is not None else None
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.optional = optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        limit = self.ndim if self.ndim is not None else self.max_ndim
        if limit is not None and any(axis >= limit for axis in self.axes):
            raise ValueError(f"InputSpec axes {self.axes} do not exist in rank {limit}")

    def __repr__(self) -> str:
        shown = {key: value for key, value in self.get_config().items() if value}
        return f"InputSpec({', '.join(f'{key}={value}' for key, value in shown.items())})"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = (
            "dtype",
            "shape",
            "ndim",
            "max_ndim",
            "min_ndim",
            "axes",
            "allow_last_axis_squeeze",
            "name",
            "optional",
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Rebuild the spec that a config describes.

        Args:
            config: Result of `get_config`.
        """
        return cls(**config)


def check_inputs(
    specs: InputSpec | Sequence[InputSpec] | Mapping[str, InputSpec] | None, inputs: Tree, where: str
) -> None:
    """Check the inputs of a layer against its `input_spec`; `where` names the layer.

    Raises ShapeError that names the layer, what it expects, what it received, and the likely fix.
    """
    if specs is None:
        return
    specs = tree.flatten(specs)
    if isinstance(inputs, dict) and all(spec.name in inputs for spec in specs):
        values = [inputs[spec.name] for spec in specs]
    else:
        values = tree.flatten(inputs)
    if len(values) != len(specs):
        raise ShapeError(f"{where} expects {len(specs)} input(s), got {len(values)}: {_shapes(values)}")
    for spec, value in zip(specs, values, strict=True):
        if value is None and spec.optional:
            continue
        if not hasattr(value, "shape"):
            raise HornbeamTypeError(f"{where} expects a tensor, got {type(value).__name__}: {value!r}")
        problem = _problem(spec, tuple(value.shape))
        if problem:
            expected, hint = problem
            raise ShapeError(f"{where} expects an input {expected}, got shape {tuple(value.shape)}.{hint}")
        if spec.dtype is not None and value.dtype != spec.dtype:
            raise HornbeamTypeError(f"{where} expects an input of dtype {spec.dtype}, got {value.dtype}")


def _shapes(values: list[Any]) -> list[Any]:
    return [tuple(x.shape) if hasattr(x, "shape") else x for x in values]


def _problem(spec: InputSpec, shape: tuple[int | None, ...]) -> tuple[str, str] | None:
    """Return what was expected and a hint, or None if `shape` fits."""
    rank = len(shape)
    expected = spec.shape
    if expected is not None and spec.allow_last_axis_squeeze:
        if rank == len(expected) - 1 and expected[-1] == 1:
            expected = expected[:-1]
        elif rank == len(expected) + 1 and shape[-1] == 1:
            shape = shape[:-1]
            rank -= 1
    if spec.ndim is not None and not spec.allow_last_axis_squeeze and rank != spec.ndim:
        return f"of rank {spec.ndim}{_layout(spec.ndim)}", _rank_hint(spec, rank, spec.ndim)
    if spec.max_ndim is not None and rank > spec.max_ndim:
        return f"of rank {spec.max_ndim} at most", _rank_hint(spec, rank, spec.max_ndim)
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return f"of rank {spec.min_ndim} at least", _rank_hint(spec, rank, spec.min_ndim)
    for axis, size in spec.axes.items():
        if size is not None and (axis >= rank or axis < -rank or shape[axis] not in (size, None)):
            return f"with size {size} on axis {axis}", _axis_hint(size, axis, shape)
    if expected is not None and (
        len(expected) != rank
        or any(w is not None and s is not None and w != s for w, s in zip(expected, shape, strict=True))
    ):
        return f"of shape {expected}", _axis_hint(None, -1, shape)
    return None


_LAYOUTS = {
    3: " (batch, steps, channels)",
    4: " (batch, height, width, channels)",
    5: " (batch, depth, height, width, channels)",
}


def _layout(rank: int) -> str:
    return _LAYOUTS.get(rank, "")


def _rank_hint(spec: InputSpec, rank: int, expected: int) -> str:
    if rank < expected and spec._low_rank_hint is not None:
        return f" {spec._low_rank_hint}"
    if rank == expected - 1:
        return " One axis is missing: for one channel add it with x[..., None], for one sample with x[None]"
    if rank < expected:
        return (
            f" {expected - rank} axes are missing: reshape the data, or put a Reshape layer before this one"
        )
    return " The input has too many axes: put a Flatten, Reshape or pooling layer before this one"


def _axis_hint(size: int | None, axis: int, shape: tuple[int | None, ...]) -> str:
    if size is not None and len(shape) > 2 and axis in (-1, len(shape) - 1) and shape[1] == size:
        return ' The channels seem to be on axis 1: pass data_format="channels_first", or transpose the data'
    if size is not None and len(shape) > 2 and size == _product(shape[1:]):
        return " Put a Flatten layer before this one"
    return " The layer was built for another shape: create a new layer, or fix the data"


def _product(sizes: tuple[int | None, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size or 0
    return total
