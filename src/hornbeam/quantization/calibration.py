"""`calibrate`: a model in int8 from a trained one and sample data, and what that costs in accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import layers, tree
from hornbeam._internal.formatting import brief
from hornbeam._internal.intervals import check_level
from hornbeam._internal.typing import Tree
from hornbeam.evaluation.comparison import CANNOT_TELL, Comparison, compare
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.layers import Layer
from hornbeam.layers.quantizable import is_quantizable
from hornbeam.layers.weights import flatten_layers
from hornbeam.models import Functional, Model, Sequential, clone_model
from hornbeam.quantization.scales import input_scales
from hornbeam.quantization.selection import FORMS, LayerSelection, folded_weights, select
from hornbeam.training.array_data import ArrayData
from hornbeam.training.sources import make_data
from hornbeam.training.steps import host_part, training_state

CALIBRATED, DYNAMIC = "int8", "int8, inputs scaled in each call"


@dataclass(frozen=True, repr=False)
class Calibration(EvaluationReport):
    """A model in int8, and what it costs.

    Args:
        model: The quantized model.
        size: Bytes of its weights.
        float_size: Bytes of the weights of the float model.
        layers: What became of each layer with a matrix or a kernel, by its path: "int8", "int8, inputs scaled
            in each call", or "float32: " and the reason.
        changed: Predictions whose largest output is another one, of `count`; None if outputs are no scores of
            classes.
        count: Predictions that were compared.
        comparison: Int8 beside float on the validation data, None without them.
    """

    model: Model
    size: int
    float_size: int
    layers: Mapping[str, str]
    changed: int | None
    count: int
    comparison: Comparison | None

    def headline(self) -> str:
        """Return the size, and the difference in the main metric with its interval."""
        count = sum(form.startswith("int8") for form in self.layers.values())
        text = (
            f"{count} of {len(self.layers)} layers are in int8; weights take {self.size / 1000:,.0f} kB in "
            f"place of {self.float_size / 1000:,.0f} kB ({self.float_size / self.size:.1f} times less)"
        )
        return text if self.comparison is None else f"{text}. {self._cost()}"

    def _cost(self) -> str:
        assert self.comparison is not None
        main, n, level = self.comparison.main, self.comparison.n, self.comparison.level
        d = self.comparison[main]
        if d.verdict == CANNOT_TELL:
            verdict = f"{n:,} samples cannot tell whether int8 or float32 has the better {main}"
        else:
            verdict = f"int8 is {d.verdict} than float32 by {main}"
        interval = f", {level:.0%} interval {d.interval}" if d.interval else ""
        return f"{verdict}: {d.a:.4f} and {d.b:.4f}, difference {d.value:+.4f}{interval}"

    def tables(self) -> list[Table]:
        """Return the table of the metrics, if there were validation data."""
        return [] if self.comparison is None else self.comparison.tables()

    def remarks(self) -> list[str]:
        """Return how many predictions changed, which layers stayed floats, and doubts about intervals."""
        lines = []
        if self.changed is not None:
            share = f"{self.changed:,} of {self.count:,} predictions ({self.changed / self.count:.2%})"
            lines.append(f"{share} have another class than in float32")
        if self.comparison is None:
            lines.append("what this costs in accuracy is unknown: pass validation_data=(x, y)")
        lines += [f"{path}: {form}" for path, form in self.layers.items() if form != CALIBRATED]
        return [*lines, *(self.comparison.remarks() if self.comparison else [])]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, texts, lists and dicts, without the model."""
        return {
            "size": self.size,
            "float_size": self.float_size,
            "layers": dict(self.layers),
            "changed": self.changed,
            "count": self.count,
            "comparison": self.comparison.as_dict() if self.comparison else None,
        }


def calibrate(
    model: Model,
    data: Tree,
    validation_data: tuple[Any, Any] | None = None,
    *,
    batch_size: int | None = None,
    level: float = 0.95,
) -> Calibration:
    """Quantize a trained model to int8, with scales from sample data, and say what that costs.

    Weights of Dense, Conv1D, Conv2D, DepthwiseConv1D and DepthwiseConv2D are rounded with a scale for each
    output, after the batch normalization that follows is folded in. Their inputs are rounded with one scale
    for each layer, that with the least squared error on the data. Dense and EinsumDense inside of other
    layers, such as attention, and embeddings are quantized as `model.quantize("int8")` does it. All else
    stays as it is, and the report names what has weights that stay floats.

    The model itself does not change. The quantized one predicts, and is saved, loaded and exported like any
    other; it is not made for training.

    Args:
        model: Trained model, functional or Sequential.
        data: A few hundred inputs like those to come: an array, a structure of arrays, or a Dataset, whose
            targets are not read. Training data will do.
        validation_data: Inputs and targets that neither training nor `data` has seen. Both models predict
            them, with the metrics that the model was compiled with (see `hornbeam.evaluation.compare`).
        batch_size: Samples in a batch, 32 by default.
        level: Confidence level of the intervals.

    Returns:
        The quantized model, `.model`, and the report.

    Raises:
        TypeError: If `model` is no model.
        ValueError: If it is a subclassed model, has nothing to quantize, is not compiled but there are
            validation data, or the data hold no batch or infinite values.

    Example:
        >>> result = hornbeam.quantization.calibrate(model, x[:256], (x_test, y_test))  # doctest: +SKIP
        >>> result.model.save("digits_int8.keras")  # doctest: +SKIP
    """
    _check(model, validation_data)
    check_level(level)
    selection = select(model)
    scales = input_scales(model, _batches(model, data, batch_size), selection.targets)
    for layer in [layer for layer in selection.targets if layer not in scales]:
        del selection.targets[layer]
        selection.reasons[layer] = "the data did not reach it"
    small, forms = _converted(model, selection, scales)
    if not any(form.startswith("int8") for form in forms.values()):
        named = "; ".join(f"{path}: {form}" for path, form in forms.items()) or "it has no matrix or kernel"
        raise ValueError(f"calibrate(): {model.name!r} has no layer to quantize: {named}")
    comparison = None
    if validation_data is not None:
        x, y = validation_data
        comparison = compare(small, model, x, y, batch_size=batch_size, level=level)
        comparison = dataclasses.replace(comparison, names=("int8", "float32"))
    inputs = data if validation_data is None else validation_data[0]
    changed, count = _changed(model, small, inputs, batch_size)
    return Calibration(small, _bytes(small), _bytes(model), forms, changed, count, comparison)


def _check(model: Any, validation_data: Any) -> None:
    if not isinstance(model, Model):
        raise TypeError(f"calibrate() takes a model, got {brief(model)}")
    if not isinstance(model, (Functional, Sequential)):
        raise ValueError(
            f"calibrate() replaces layers, for which {type(model).__name__} must be functional or "
            "Sequential. model.quantize('int8') takes subclassed models, too"
        )
    if not model.built:
        raise ValueError(
            "calibrate() takes a trained model, and this one is not built: call it on data first"
        )
    if validation_data is None:
        return
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError(f"calibrate(): validation_data must be a pair (x, y), got {brief(validation_data)}")
    if not model.compiled:
        raise ValueError(
            "calibrate(): the model has no metrics to report: compile(loss, metrics=['accuracy']) it, or "
            "pass no validation_data"
        )


def _batches(model: Any, data: Any, batch_size: int | None) -> Iterator[Any]:
    """Yield the inputs of the data in batches."""
    source = make_data(data, None, None, batch_size, "predict", run_host_layers=host_part(model))
    if isinstance(source, ArrayData):
        for part in source.epoch(None):
            for rows in part:
                yield source.table.take(rows).x
    else:
        for batch in source.epoch(None):
            yield batch.x


def _converted(
    model: Model, selection: LayerSelection, scales: Mapping[Layer, float]
) -> tuple[Model, dict[str, str]]:
    """Return the model with quantized layers, and what became of each layer."""
    copies: list[tuple[Layer, Any]] = []

    def convert(layer: Any) -> Layer:
        if layer in selection.folded:
            return layers.Identity(name=layer.name)
        config = layer.get_config()
        if layer not in selection.targets:
            copy = type(layer).from_config(config)
        else:
            config["use_bias"] = layer.use_bias or selection.targets[layer] is not None
            copy = FORMS[type(layer)].from_config(_without(config, "quantization_config"))
        copies.append((layer, copy))
        return copy

    clone = clone_model(model, clone_function=convert, recursive=True)
    forms: dict[str, str] = {}
    for layer, copy in copies:
        if layer in selection.targets:
            copy._take_float_weights(*folded_weights(layer, selection.targets[layer]), scales[layer])
            forms[layer.path] = CALIBRATED
            continue
        copy.set_weights(layer.get_weights())
        if layer in selection.reasons:
            forms[layer.path] = _quantized_inside(copy) or f"float32: {selection.reasons[layer]}"
    training_state(clone).forget_steps()
    return clone, forms


def _without(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}


def _quantized_inside(layer: Layer) -> str:
    """Quantize the layers in `layer`, or itself, as `model.quantize` does; "" if none can be."""
    parts = [part for part in flatten_layers(layer) if is_quantizable(part) and not part._is_quantized]
    floats = []
    for part in parts:
        try:
            part.quantize("int8")
        except (NotImplementedError, ValueError):
            floats.append(part.name)
    if len(floats) == len(parts):
        return ""
    return f"{DYNAMIC}; in float32: {', '.join(floats)}" if floats else DYNAMIC


def _changed(model: Model, small: Model, inputs: Any, batch_size: int | None) -> tuple[int | None, int]:
    """Return how many predictions have another class, and how many there are."""
    before, after = (tree.flatten(m.predict(inputs, batch_size, verbose=0)) for m in (model, small))
    if len(before) != 1 or before[0].ndim != 2:
        return None, len(before[0])
    first, second = np.asarray(before[0], "float32"), np.asarray(after[0], "float32")
    if first.shape[1] == 1:
        return None, len(first)
    return int((first.argmax(1) != second.argmax(1)).sum()), len(first)


def _bytes(model: Model) -> int:
    return sum(np.asarray(weight).nbytes for weight in model.weights)
