"""The base of all losses: values per sample, weights and masks, one reduction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hornbeam import ops, tree
from hornbeam._internal.call_errors import ArgumentChecks
from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.typing import Config, DTypeLike, Tree
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike, TensorTree
from hornbeam.ir.types import dtype_name
from hornbeam.losses.shapes import as_weights, same_rank

if TYPE_CHECKING:
    from typing import TypeAlias

    LossLike: TypeAlias = str | Config | "Loss" | Callable[..., Any]

MODULE = "keras.losses"
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


@exported(MODULE)
class Loss(ArgumentChecks):
    """Base class of losses: `call(y_true, y_pred)` returns one value per sample (or per step).

    Values that the mask of the predictions excludes do not count, neither in the numerator nor in the
    denominator.

    Args:
        name: Name of the loss.
        reduction: "sum_over_batch_size" (or "mean"): the sum of the weighted values divided by their number.
            "sum". "mean_with_sample_weight": divided by the sum of the weights. "none" or None: the values as
            they are.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> class Sum(Loss):
        ...     def call(self, y_true, y_pred): return ops.sum(ops.abs(y_true - y_pred), axis=-1)
        >>> float(Sum()([[0.0, 1.0]], [[0.5, 1.0]]))
        0.5
    """

    # True if y_true holds class indices, which are not converted to the dtype of the loss.
    integer_labels = False
    _called_with = "y_true, y_pred"

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: DTypeLike | None = None,
    ) -> None:
        if reduction not in REDUCTIONS:
            known = ", ".join(repr(r) for r in REDUCTIONS)
            raise ValueError(f"unknown reduction {reduction!r}; known: {known}")
        self.name = name or to_snake_case(type(self).__name__)
        self.reduction = reduction
        self._dtype = dtype_name(getattr(dtype, "compute_dtype", dtype) or floatx())

    @property
    def dtype(self) -> str:
        """Dtype of the arithmetic of the loss, `floatx` unless given."""
        return self._dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Compute values of shape (batch, ...) for targets and predictions; subclasses define it.

        Args:
            y_true: Tensor of targets.
            y_pred: Tensor of predictions.

        Returns:
            Tensor (batch, ...).
        """
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def __call__(
        self, y_true: TensorTree, y_pred: TensorTree, sample_weight: TensorLike | None = None
    ) -> Tensor:
        """Compute the reduced loss.

        Args:
            y_true: Tensor of targets.
            y_pred: Tensor of predictions, with a mask or without.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, that multiplies
                them.

        Returns:
            Scalar tensor, or with reduction "none" the weighted values.

        Raises:
            ShapeError: If targets, predictions or weights do not fit each other.
        """
        mask = getattr(y_pred, "_keras_mask", None)
        predictions = _each_array(self._prediction, y_pred)
        targets = _each_array(self._target, y_true)
        values: Any = self.call(targets, predictions)
        if values is None:
            raise ValueError(f"the loss {self.name!r} returned None: is a `return` missing?")
        values = ops.convert_to_tensor(values)
        own_mask = values._keras_mask
        if own_mask is not None:
            mask = own_mask if mask is None else ops.logical_and(mask, own_mask)
        return reduce_weighted(ops.cast(values, self._dtype), sample_weight, mask, self.reduction, self.name)

    def _prediction(self, x: TensorLike) -> Tensor:
        return ops.cast(ops.convert_to_tensor(x), self._dtype)

    def _target(self, x: TensorLike) -> Tensor:
        x = ops.convert_to_tensor(x)
        return x if self.integer_labels else self._prediction(x)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal loss is built."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the loss that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Loss.
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name} reduction={self.reduction}>"


class LossFunctionWrapper(Loss):
    """Loss made from a function `fn(y_true, y_pred, **options)` that returns one value per sample.

    Targets (batch,) with predictions (batch, 1) reach the function as (batch, 1), as in Keras.

    Args:
        fn: Function of targets and predictions.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.
        **options: Further arguments of `fn`.

    Example:
        >>> LossFunctionWrapper(lambda y_true, y_pred: ops.abs(y_true - y_pred), name="mine")
        <LossFunctionWrapper name=mine reduction=sum_over_batch_size>
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DTypeLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.options = options

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        config = {"fn": self.fn} if type(self) is LossFunctionWrapper else {}
        return {**super().get_config(), **config, **self.options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        arguments = {key: registry.deserialize(value) for key, value in config.items()}
        if isinstance(arguments.get("fn"), str):
            arguments["fn"] = registry.resolve(arguments["fn"], MODULE, "loss")
        return cls(**arguments)


def _each_array(convert: Callable[[Any], Tensor], structure: TensorTree) -> Tree:
    """Apply `convert` to the arrays of a structure; nested lists of numbers are one array."""
    if isinstance(structure, (list, tuple)) and all(
        isinstance(x, (bool, int, float)) for x in tree.flatten(structure)
    ):
        return convert(structure)
    return tree.map_structure(convert, structure)


def reduce_weighted(
    values: Tensor,
    sample_weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    reduction: str | None = "mean",
    name: str = "loss",
) -> Tensor:
    """Weight `values`, exclude those that `mask` (bool, True counts) excludes, and reduce.

    A scalar is the value of each entry of the mask, or of each weight. Raises ShapeError if weights or mask
    do not fit the values.
    """
    entries = sample_weight if mask is None else mask
    if entries is not None and not values.shape:
        values = ops.broadcast_to(values, ops.shape(entries))
    weights: Tensor | None = None
    if mask is not None:
        present = ops.cast(mask, "bool")
        weights = ops.cast(present, values.dtype)
        if reduction in ("mean", "sum_over_batch_size"):
            # Every present value counts for (all / present), so that dividing by all makes the mean of the
            # present.
            scale = ops.divide_no_nan(weights.size, ops.sum(weights))
            weights = ops.where(present, ops.cast(scale, values.dtype), 0.0)
        weights = as_weights(weights, values.shape, "mask", name)
    if sample_weight is not None:
        sample_weights = as_weights(
            ops.cast(sample_weight, values.dtype), values.shape, "sample_weight", name
        )
        weights = sample_weights if weights is None else weights * sample_weights
    if weights is not None:
        values = values * weights
    if reduction in ("none", None) or not values.shape:
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        return ops.divide_no_nan(total, ops.sum(weights))
    return total / values.size if values.size else total
