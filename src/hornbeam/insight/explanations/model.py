"""`model.explain()`: operation, cost and purpose of each layer in its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from hornbeam import tree
from hornbeam._internal.formatting import byte_size, with_unit
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_model
from hornbeam.core.symbolic import KerasTensor, SymbolicCall
from hornbeam.errors import NotRemovableError
from hornbeam.insight.ablation import parameters_without
from hornbeam.insight.arithmetic import integer, parameter_sum, percent, shape_text
from hornbeam.insight.explanations.layers import LayerContext, describe
from hornbeam.layers import InputLayer, Layer
from hornbeam.layers.shapes import build_shapes
from hornbeam.layers.weights import flatten_layers
from hornbeam.models import Model
from hornbeam.models.receptive_field import calls_of
from hornbeam.models.summary import Row, Trace, rows_of
from hornbeam.visualization.explanation import Explanation, Section

# Larger models are not copied once a layer to count the parameters that would remain.
COPIED_LAYERS, COPIED_PARAMETERS = 60, 20_000_000


def explain(
    model: Model,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    expand_nested: bool = False,
    ablate: bool = False,
    batch_size: int = 32,
    epochs: int = 1,
    seeds: int = 3,
    samples: int | None = 4000,
) -> Explanation:
    """Explain the operation, cost and purpose of each layer, as `Model.explain`.

    Args:
        model: Built model.
        x: Inputs; with them time and outputs of layers are measured.
        y: Targets; with them the time of training steps is measured.
        expand_nested: True to explain the layers of models inside.
        ablate: True to retrain the model without each layer.
        batch_size: Samples in a batch.
        epochs: Epochs of each retraining.
        seeds: Number of retrainings of each variant.
        samples: Most samples that retraining uses, None for all.

    Returns:
        The explanation, with a section for each layer.

    Raises:
        ValueError: If the model is not built, or with `ablate` if it is not compiled or has no data.

    Example:
        >>> print(hornbeam.insight.explain(model))  # doctest: +SKIP
    """
    check_model(model, where="explain")
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so its shapes are not known: begin it with an Input, call "
            "it on data, or call build(input_shape)"
        )
    if ablate and (x is None or y is None):
        raise ValueError(
            "explain(ablate=True) retrains the model without each layer: it needs data, x= and y="
        )
    trace = Trace(model)
    rows = list(rows_of(model, trace, expand_nested))
    contexts = list(contexts_of(model, expand_nested))
    seconds, timing = _seconds(model, contexts, x, y, batch_size)
    costs = _Costs(rows, trace.flops, seconds)
    total = sum(weight.type.size for weight in model.weights)
    entries = [
        _entries(context, row, costs, _consequence(model, context.layer, total) if row.depth == 0 else "")
        for context, row in zip(contexts, rows, strict=True)
    ]
    if x is not None:
        statistics = _output_statistics(model, x, batch_size)
        for context, parts in zip(contexts, entries, strict=True):
            if id(context.layer) in statistics:
                parts.insert(1, ("on data", statistics[id(context.layer)]))
    closing, extra = [*_closing(model, rows, trace, total), timing], {}
    if ablate:
        from hornbeam.insight.ablation import ablations

        measured = ablations(model, x, y, batch_size=batch_size, epochs=epochs, seeds=seeds, samples=samples)
        extra["ablations"] = measured.layers
        closing.append(measured.sentence)
        for context, parts in zip(contexts, entries, strict=True):
            if context.layer.name in measured.layers:
                parts.append(("measured", measured.layers[context.layer.name].sentence))
    sections = [
        Section(f"{row.name} ({row.kind})  {_shapes(context)}", tuple(parts), row.depth)
        for context, row, parts in zip(contexts, rows, entries, strict=True)
    ]
    return Explanation(f'Model "{model.name}", layer by layer', sections, closing, extra)


def contexts_of(
    model: Model, expand_nested: bool = False, consumers: tuple[Any, ...] = ()
) -> Iterator[LayerContext]:
    """Yield every layer with its shapes and consumers, in the order of the summary's rows.

    `consumers` read the outputs of the model where it is part of another one.
    """
    calls = calls_of(model) or []
    trace = Trace(model) if not calls else None
    calls_by_layer: dict[int, list[SymbolicCall]] = {}
    readers: dict[int, list[Any]] = {}
    for call in calls:
        calls_by_layer.setdefault(id(call.callee), []).append(call)
        for x in call.inputs:
            if x.history is not None:
                readers.setdefault(id(x.history.callee), []).append(call.callee)
    for layer in model.layers:
        layer_calls = calls_by_layer.get(id(layer), [])
        if layer_calls:
            first = layer_calls[0]
            inputs = tuple(x.shape for x in first.inputs)
            outputs = tuple(x.shape for x in tree.flatten(first.result) if isinstance(x, KerasTensor))
            reads = tuple(readers.get(id(layer), ())) or consumers
        else:
            inputs = _input_shapes(layer)
            outputs = tuple(shape for shape, _ in trace.shapes_of(layer)) if trace is not None else ()
            reads = (None,)  # unknown: the model has no graph
        yield LayerContext(layer, inputs, outputs, reads)
        if expand_nested and hasattr(layer, "layers"):
            yield from contexts_of(cast("Model", layer), expand_nested, reads)


def _input_shapes(layer: Layer) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes for which a layer was built."""
    shapes: list[tuple[int | None, ...]] = []
    tree.map_shape_structure(shapes.append, list(build_shapes(layer).values()))
    return tuple(shapes)


def _shapes(context: LayerContext) -> str:
    """Return the shapes of inputs and outputs: 28×28×1 → 26×26×32."""
    sides = [", ".join(map(shape_text, shapes)) for shapes in (context.inputs, context.outputs)]
    return " → ".join(side for side in sides if side)


# -- costs --------------------------------------------------------------------------------------------------


class _Costs:
    """Costs of all layers together, from which each layer's proportion follows."""

    def __init__(self, rows: Sequence[Row], flops: int | None, seconds: Mapping[str, float] | None) -> None:
        outer = [row for row in rows if row.depth == 0 and row.kind != "InputLayer"]
        self.flops = flops
        self.seconds = seconds
        self.total_seconds = sum(seconds[row.name] for row in outer) if seconds is not None else 0.0
        self.params = sum(row.params for row in outer)
        known = [row.memory for row in outer if row.memory is not None]
        self.memory = sum(known) if len(known) == len(outer) else 0

    def of(self, row: Row) -> str:
        """Return a sentence about time or FLOPs, and memory."""
        parts = []
        if self.seconds is not None and row.name in self.seconds:
            part = percent(self.seconds[row.name], self.total_seconds)
            parts.append(f"{part or 'no'} of the layers' measured time")
        if row.flops:
            part = percent(row.flops, self.flops or 0)
            parts.append(f"{with_unit(row.flops)}FLOPs a sample" + (f", {part} of all" if part else ""))
        elif row.flops == 0 and not parts:
            parts.append("hardly any arithmetic")
        if row.memory is not None:
            part = percent(row.memory, self.memory)
            parts.append(f"{byte_size(row.memory)} of output" + (f", {part} of all" if part else ""))
        return "; ".join(parts) or "not known before sizes are"


def _seconds(
    model: Model, contexts: Sequence[LayerContext], x: Tree, y: Tree, batch_size: int
) -> tuple[dict[str, float] | None, str]:
    """Return the measured seconds of each layer in a step, by name, or None, and a sentence about costs.

    Raises what `Model.profile` raises, except for engines without profiles.
    """
    if x is None:
        return None, "Costs are counted. With data, explain(x, y), time is measured."
    targets = y if model.compiled else None
    try:
        profile = model.profile(x, targets, batch_size=batch_size, steps=5)
    except NotImplementedError as error:
        return None, f"Costs are counted, time could not be measured: {error}"
    seconds = {}
    for context in contexts:
        # A layer for strings, before the graph, has no path in it.
        paths = {part._path for part in (context.layer, *flatten_layers(context.layer)) if part._path}
        seconds[context.layer.name] = sum(
            time.seconds
            for time in profile.layers
            if time.name in paths or any(time.name.startswith(path + "/") for path in paths)
        )
    kind = "prediction" if targets is None else "training"
    size = min(batch_size, len(tree.flatten(x)[0]))
    return seconds, f"Time is that of {profile.steps} steps of {kind} with {size} samples."


def _output_statistics(model: Model, x: Tree, batch_size: int) -> dict[int, str]:
    """Describe the floating-point outputs of layers for the first batch in inference, by id of the layer."""
    from hornbeam.diagnostics.capture import layer_values

    batch = tree.map_structure(lambda part: np.asarray(part)[:batch_size], x)
    texts: dict[int, str] = {}
    for value in layer_values(model, batch):
        if value.output.dtype.kind == "f" and value.output.size and value.layer is not model:
            texts.setdefault(id(value.layer), _statistics(value.output.astype("float32"), value.layer))
    return texts


def _statistics(values: np.ndarray, layer: Layer) -> str:
    """Return mean, deviation, and the proportion of zeros."""
    text = f"mean {values.mean():.3g}, std {values.std():.3g}"
    zeros = float((values == 0).mean())
    if zeros >= 0.01:
        text += f", {zeros:.0%} of the values are 0"
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" and values.ndim > 2 else -1
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    silent = int((~(values != 0).any(axis=others)).sum())
    if silent:
        text += f"; {integer(silent)} of {integer(values.shape[axis])} channels are 0 throughout"
    return text


# -- sentences ----------------------------------------------------------------------------------------------


def _entries(context: LayerContext, row: Row, costs: _Costs, consequence: str) -> list[tuple[str, str]]:
    description = describe(context)
    entries = [("does", description.operation), ("output", description.output)]
    if isinstance(context.layer, InputLayer):
        return [*entries, ("why", description.purpose)]
    if row.params:
        part = percent(row.params, costs.params)
        entries.append(("weights", f"{parameter_sum(context.layer.weights)}, {part} of all{_frozen(row)}"))
    entries.append(("cost", costs.of(row)))
    if row.receptive_field:
        entries.append(("field", _field_text(row.receptive_field, context)))
    return [*entries, ("why", description.purpose), ("without", description.removal + consequence)]


def _frozen(row: Row) -> str:
    return {"no": "; not trainable", "in part": "; trainable in part"}.get(row.trained, "")


def _field_text(field: str, context: LayerContext) -> str:
    if field == "all":
        return "every value depends on the whole input"
    if field == "?":
        return "the receptive field is not known"
    axes = max(len(context.output) - 2, 0)
    sizes = field if "×" in field or axes < 2 else "×".join([field] * axes)
    return f"every value depends on {sizes} positions of the input"


def _consequence(model: Model, layer: Layer, total: int) -> str:
    """Return the parameters of the model without a layer, or the reason why it cannot be removed."""
    large = len(model.layers) > COPIED_LAYERS or total > COPIED_PARAMETERS
    if large or isinstance(layer, InputLayer) or calls_of(model) is None:
        return ""
    try:
        remaining = parameters_without(model, layer)
    except NotRemovableError as reason:
        return f". It cannot be removed: {reason}"
    if remaining == total:
        return ""
    return f". The model would have {integer(remaining)} parameters instead of {integer(total)}"


def _closing(model: Model, rows: Sequence[Row], trace: Trace, total: int) -> list[str]:
    trainable = sum(weight.type.size for weight in model.trainable_weights)
    first = f"In total: {integer(total)} parameters, {integer(trainable)} of them trainable"
    if trace.flops is not None:
        first += f"; {with_unit(trace.flops)}FLOPs for one sample"
    largest = max((row for row in rows if row.depth == 0), key=lambda row: row.params, default=None)
    lines = [first + "."]
    if largest is not None and total and largest.params * 2 > total:
        lines.append(f"{percent(largest.params, total)} of the parameters are in {largest.name}.")
    return lines
