"""Mistakes that are found before the first step. Every error says what was expected, what came, and the
likely fix."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam.config import max_epochs, max_steps_per_epoch
from hornbeam.ir.node import Node
from hornbeam.ir.types import HornbeamTypeError, ShapeError

_CHUNK = 1 << 20


def refuse(text: str) -> None:
    """Raises ValueError."""
    raise ValueError(text)


# What is done about a training that could be computed and will hardly be worth it. `hornbeam run` says a line
# and goes on: its scripts were written for a library that does not ask.
on_warning: Callable[[str], None] = refuse

_SPARSE = ("sparse_categorical_crossentropy", "categorical_generalized_cross_entropy")
_CATEGORICAL = ("categorical_crossentropy", "categorical_focal_crossentropy")
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")


def check_step_signature(step: Callable[..., Any], name: str) -> None:
    """Raises TypeError for a step of the user's that wants more than a batch, as Keras on JAX has it."""
    needed = [
        p.name
        for p in inspect.signature(step).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        raise TypeError(
            f"{name}({', '.join(needed)}) is how Keras has it on JAX, where variables are handed through. "
            f"Here {name}(data) is one for all engines: self(x, training=True), hornbeam.gradients(loss, "
            "self.trainable_variables), self.optimizer.apply(gradients, self.trainable_variables), and a "
            "dict of logs"
        )


# -- arguments -------------------------------------------------------------------------------------


def batch_size(value: Any, name: str = "batch_size") -> int:
    """The batch size, 32 for None."""
    return 32 if value is None else check_int(name, value, 1)


def optional_steps(value: Any, name: str) -> int | None:
    return None if value is None else check_int(name, value, 1)


def limited_steps(steps: int | None, available: int | None) -> int | None:
    """`steps`, or fewer where `config.set_max_steps_per_epoch` says so. available: steps of one pass."""
    most = max_steps_per_epoch()
    wanted = steps if steps is not None else available
    return most if most is not None and (wanted is None or wanted > most) else steps


def limited_epochs(epochs: int) -> int:
    """`epochs`, or fewer, with a warning, where `config.set_max_epochs` says so."""
    most = max_epochs()
    if most is None or most >= epochs:
        return epochs
    warnings.warn(f"fit() makes {most} of {epochs} epochs: config.set_max_epochs({most})", stacklevel=4)
    return most


def split_fraction(value: Any) -> float:
    """validation_split as a fraction, 0 for none. Raises ValueError outside [0, 1)."""
    if not value:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ValueError(f"validation_split must be a fraction such as 0.2, got {value!r}")
    if not 0 < value < 1:
        hint = f": for {value:g} percent write {value / 100:g}" if 1 < value < 100 else ""
        raise ValueError(f"validation_split must lie between 0 and 1, got {value}{hint}")
    return float(value)


def validation_epochs(value: Any) -> Any:
    """validation_freq as a predicate's argument: a whole number or a collection of epoch numbers."""
    if isinstance(value, (list, tuple, set)):
        return {check_int("validation_freq", epoch, 1) for epoch in value}
    return check_int("validation_freq", value, 1)


def class_weights(value: Any) -> Mapping[int, float] | None:
    """class_weight, a dict. Raises ValueError for anything else."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(
            f"class_weight must be a dict {{class number: weight}}, got {type(value).__name__}: write "
            "dict(enumerate(weights)) for a list of weights"
        )
    for key, weight in value.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            raise ValueError(f"the keys of class_weight must be class numbers, got {key!r}")
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not number or not 0 <= weight < np.inf:
            raise ValueError(f"class_weight[{key}] must be a number that is not negative, got {weight!r}")
    return value


def validation_pair(value: Any) -> Any:
    """validation_data as packed data or a stream. Raises ValueError for tuples of another length."""
    if isinstance(value, list) and len(value) in (2, 3):
        value = tuple(value)
    if isinstance(value, tuple) and not 1 <= len(value) <= 3:
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got a tuple of {len(value)}"
        )
    if isinstance(value, np.ndarray):
        raise ValueError("validation_data must be (x, y), got one array")
    return value


# -- values ----------------------------------------------------------------------------------------


def check_finite(structure: Any, what: str) -> None:
    """Raise ValueError that names the first sample with a NaN or an infinite value."""
    for path, array in tree.flatten_with_path(structure):
        if array is None or array.dtype.kind not in "fV":
            continue
        row = _first_bad_row(array)
        if row is not None:
            label = what + "".join(f"[{part!r}]" for part in path)
            kind = "NaN" if np.isnan(np.asarray(array[row], np.float64)).any() else "an infinite value"
            raise ValueError(
                f"{label} contains {kind}, first in sample {row}: one such value makes all weights NaN. "
                f"Remove or "
                "replace it, for example with np.nan_to_num"
            )


def _first_bad_row(array: np.ndarray) -> int | None:
    """Index of the first sample that is not finite. A sum tells for a whole chunk at once."""
    rows = max(1, _CHUNK // max(array[0].size if len(array) else 1, 1))
    for start in range(0, len(array), rows):
        chunk = array[start : start + rows]
        with np.errstate(all="ignore"):
            if array.dtype.itemsize >= 4 and np.isfinite(np.add.reduce(chunk, axis=None)):
                continue
        bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if bad.any():
            return start + int(bad.argmax())
    return None


def check_sample_weight(structure: Any, count: int) -> None:
    """Raise for weights that are not finite or do not have one entry a sample."""
    for path, array in tree.flatten_with_path(structure):
        if array is None:
            continue
        label = "sample_weight" + "".join(f"[{part!r}]" for part in path)
        if array.ndim == 0 or len(array) != count:
            raise ShapeError(
                f"{label} has shape {array.shape}, there are {count:,} samples: give one weight per sample"
            )
        if array.dtype.kind not in "fiub":
            raise HornbeamTypeError(f"{label} must hold numbers, got dtype {array.dtype}")
    check_finite(structure, "sample_weight")


# -- inputs of the model ---------------------------------------------------------------------------


def check_inputs(x: Any, inputs: Any, where: str) -> list[Any]:
    """Compare data with the symbolic `inputs` (in the model's structure) that it is for. Returns the arrays
    in the order of the inputs.

    Raises ValueError for missing names and wrong numbers, ShapeError for shapes.
    """
    wanted = tree.flatten(inputs)
    if isinstance(x, dict):
        names = list(inputs) if isinstance(inputs, dict) else [tensor.name for tensor in wanted]
        absent = [name for name in names if name not in x]
        if absent and not (len(x) == len(wanted) == 1):
            raise ValueError(
                f"{where}: x has no entry for the input {absent[0]!r}.{nearest(str(absent[0]), map(str, x))} "
                f"x has: {', '.join(map(str, x))}; the model's inputs: {', '.join(map(str, names))}"
            )
        given = (
            [x[name] for name in sorted(names)]
            if isinstance(inputs, dict)
            else [x.get(name) for name in names]
        )
        given = list(x.values()) if absent else given
    else:
        given = tree.flatten(x)
    if len(given) != len(wanted):
        listed = ", ".join(tensor.name for tensor in wanted)
        got = f"{len(given)} arrays" if len(given) != 1 else "one array"
        raise ValueError(f"{where} has {len(wanted)} input(s) ({listed}), x holds {got}")
    for array, tensor in zip(given, wanted, strict=True):
        if array is not None:
            problem = input_problem(tuple(array.shape), tuple(tensor.shape))
            if problem:
                raise ShapeError(
                    f"{where}: input {tensor.name!r} expects shape {tuple(tensor.shape)}, got "
                    f"{tuple(array.shape)}. {problem}"
                )
    return given


def check_input_values(layers: Iterable[Any], given: Sequence[Any], inputs: Any) -> None:
    """Show arrays to the layers that read them as they come."""
    arrays = {id(tensor): x for x, tensor in zip(given, tree.flatten(inputs), strict=True)}
    for layer in layers:
        for tensor in {id(x) for call in layer._inbound for x in call.inputs} & set(arrays):
            check_values(layer, arrays[tensor])


def check_values(layer: Any, x: Any) -> None:
    """Doubt what a layer refuses that has a `check_values`."""
    if hasattr(layer, "check_values") and isinstance(x, np.ndarray):
        try:
            layer.check_values(x)
        except ValueError as error:
            on_warning(str(error))


def input_problem(given: tuple[int, ...], wanted: tuple[int | None, ...]) -> str | None:
    """What to do about a shape that an input does not take, or None. A last axis of size 1 may be there or
    not."""
    given_free, wanted_free = given[1:], wanted[1:]
    if len(given_free) == len(wanted_free) and _fits(given_free, wanted_free):
        return None
    if (
        wanted_free[-1:] == (1,)
        and len(given_free) == len(wanted_free) - 1
        and _fits(given_free, wanted_free[:-1])
    ):
        return None
    if (
        given_free[-1:] == (1,)
        and len(wanted_free) == len(given_free) - 1
        and _fits(given_free[:-1], wanted_free)
    ):
        return None
    if len(given) == len(wanted) - 1 and _fits(given, wanted_free):
        return "That is one sample without a batch axis: add it with x[None]"
    if len(given_free) < len(wanted_free):
        if None not in wanted_free and np.prod(given_free) == np.prod(wanted_free):  # type: ignore[arg-type]
            return f"Reshape the data: x.reshape({('-1', *map(str, wanted_free))})".replace("'", "")
        return f"{len(wanted_free) - len(given_free)} axis (or more) is missing"
    if None not in wanted_free and np.prod(given_free) == np.prod(wanted_free):  # type: ignore[arg-type]
        if sorted(given_free) == sorted(wanted_free):  # type: ignore[type-var]
            return "The axes seem to be in another order: np.transpose or np.moveaxis puts them right"
        return f"Reshape the data (x.reshape({('-1', *map(str, wanted_free))})), or begin the model with "
        "Flatten".replace("'", "")
    return "Change the data, or the Input of the model"


def _fits(given: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


# -- losses against outputs ------------------------------------------------------------------------


def loss_kind(loss: Any) -> str | None:
    """ "sparse", "categorical" or "binary" for our cross-entropies, else None."""
    name = _function_of(loss)
    if name in _SPARSE:
        return "sparse"
    if name in _CATEGORICAL:
        return "categorical"
    return "binary" if name in _BINARY else None


def loss_axis(loss: Any) -> int:
    """The axis of the classes of one of our cross-entropies."""
    return int(_option(loss, "axis", -1))


def _function_of(loss: Any) -> str:
    fn: Any = getattr(loss, "fn", None)
    return fn.__name__ if getattr(fn, "__module__", "").startswith("hornbeam.losses") else ""


def _option(loss: Any, name: str, default: Any) -> Any:
    return getattr(loss, "options", {}).get(name, default)


def last_activation(node: Node) -> str | None:
    """What the last layer does, as far as the graph tells: "softmax", "sigmoid", "tanh", "linear" (a
    weighted sum with
    a weight that is trained), or None."""
    node = _through(node)
    named = {"softmax": "softmax", "logistic": "sigmoid", "tanh": "tanh"}
    if node.name in named:
        return named[node.name]
    if node.name == "add":
        parts = [_through(part) for part in node.inputs]
        if any(_is_weighted_sum(part) for part in parts) and any(part.primitive is None for part in parts):
            return "linear"
    return "linear" if _is_weighted_sum(node) else None


def _through(node: Node) -> Node:
    while node.name in ("convert", "reshape", "broadcast", "transpose"):
        node = node.inputs[0]
    return node


def _is_weighted_sum(node: Node) -> bool:
    return node.name in ("dot_general", "conv") and _through(node.inputs[1]).primitive is None


def check_activation(loss: Any, prediction: Any, where: str) -> None:
    """Compare a cross-entropy's `from_logits` with the activation that made the prediction.

    Doubts softmax or sigmoid with from_logits=True, scores with from_logits=False, and a softmax over one
    unit. Raises ValueError for classes that are compared with one unit.
    """
    act = last_activation(prediction.node)
    layer = prediction.node.scope
    at = f"{where} (layer {layer!r})" if layer else where
    kind = loss_kind(loss)
    units = prediction.shape[-1] if prediction.shape else 1
    if act == "softmax" and units == 1 and _function_of(loss):
        on_warning(
            f"{at} ends in a softmax over 1 unit, which is always 1. For yes or no use Dense(1, "
            f"activation='sigmoid') "
            "with binary_crossentropy, for classes one unit each"
        )
    if kind in ("sparse", "categorical") and units == 1:
        raise ValueError(
            f"{at} has 1 unit, but {loss.name} compares classes: use one unit per class, or "
            f"binary_crossentropy with "
            "a sigmoid for yes or no"
        )
    if kind is None or act is None:
        return
    from_logits = bool(_option(loss, "from_logits", False))
    if from_logits and act in ("softmax", "sigmoid"):
        on_warning(
            f"{at} ends in a {act}, but the loss {loss.name} has from_logits=True and would apply it a "
            f"second time: "
            f"remove the activation, or write from_logits=False"
        )
    if (
        not from_logits
        and act in ("linear", "tanh")
        and _function_of(loss) != "categorical_generalized_cross_entropy"
    ):
        name = "sigmoid" if kind == "binary" else "softmax"
        range_ = "negative values too" if act == "tanh" else "any numbers (logits)"
        on_warning(
            f"{at} gives {range_}, but the loss {loss.name} expects probabilities: add activation='{name}' "
            f"to the last "
            f"layer, or write {_class_name(loss)}(from_logits=True)"
        )


def _class_name(loss: Any) -> str:
    words = _function_of(loss).split("_")
    return "".join(word.capitalize() for word in words)


# -- targets ---------------------------------------------------------------------------------------


def check_labels(loss: Any, y: np.ndarray, prediction: tuple[int, ...], where: str) -> None:
    """Look at all target values of a cross-entropy.

    prediction: the shape of the output. Raises ValueError for labels that its units cannot mean.
    """
    kind = loss_kind(loss)
    if kind is None or y.size == 0 or y.dtype.kind not in "fiub":
        return
    if kind == "sparse":
        _check_sparse(loss, y, prediction[loss_axis(loss)], where)
    elif kind == "binary":
        low, high = y.min(), y.max()
        if low < 0 or high > 1:
            raise ValueError(
                f"{where}: binary_crossentropy expects targets between 0 and 1, y has values from {low:g} "
                f"to {high:g}"
                + (": turn -1 and 1 into 0 and 1 with (y + 1) / 2" if (low, high) == (-1, 1) else "")
                + (
                    f": for {int(high) + 1} classes use sparse_categorical_crossentropy and {int(high) + 1} "
                    f"units with softmax"
                    if low >= 0 and high > 1 and high == int(high)
                    else ""
                )
            )
    elif kind == "categorical":
        _check_one_hot(y, where, _option(loss, "axis", -1))


def _check_sparse(loss: Any, y: np.ndarray, units: int, where: str) -> None:
    ignored = _option(loss, "ignore_class", None)
    values = y if ignored is None else y[y != ignored]
    if values.size == 0:
        return
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        bad = values[values != np.floor(values)][0]
        raise ValueError(f"{where}: {loss.name} expects class numbers (whole numbers), y contains {bad:g}")
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ValueError(
            f"{where}: y contains the label {low}; class numbers go from 0 to {units - 1}"
            + ("" if ignored is not None else f". To leave samples out, write ignore_class={low} in the loss")
        )
    if high >= units:
        hint = (
            " Labels that begin at 1 need y - 1"
            if low >= 1 and high == units
            else f" Use {high + 1} units, or check the labels"
        )
        raise ValueError(
            f"{where}: y contains the label {high}, the output has {units} units for the classes 0 to "
            f"{units - 1}.{hint}"
        )


def _check_one_hot(y: np.ndarray, where: str, axis: int) -> None:
    zero_one = bool(((y == 0) | (y == 1)).all())
    if zero_one:
        counts = y.sum(axis=axis)
        if (counts > 1).any():
            row = int(np.argwhere(np.atleast_1d(counts > 1))[0][0])
            on_warning(
                f"{where}: y is not one-hot: sample {row} has {int(np.atleast_1d(counts)[row].max())} ones. "
                "For several classes at once use a sigmoid with binary_crossentropy"
            )
    elif y.dtype.kind in "iu":
        raise ValueError(
            f"{where}: categorical_crossentropy expects one-hot rows of zeros and ones, y holds whole "
            f"numbers from {y.min()} to "
            f"{y.max()}: make them one-hot with utils.to_categorical"
        )


def check_class_weight(
    weights: Mapping[int, float], loss: Any, prediction: tuple[int, ...], where: str
) -> None:
    """Raise ValueError for class numbers that the output does not have."""
    kind = loss_kind(loss)
    if kind is None:
        return
    classes = max(prediction[-1], 2)
    wrong = [key for key in weights if not 0 <= key < classes]
    if wrong:
        raise ValueError(
            f"{where}: class_weight has the class {wrong[0]}, the output knows the classes 0 to {classes - 1}"
        )


def debugging(debug_nans: Any, run_eagerly: bool) -> bool:
    """The argument debug_nans of fit(). Raises ValueError where steps are not compiled."""
    if debug_nans not in (True, False):
        raise ValueError(f"debug_nans must be True or False, got {debug_nans!r}")
    if debug_nans and run_eagerly:
        raise ValueError("debug_nans follows a compiled step back: compile without run_eagerly=True for it")
    return bool(debug_nans)
