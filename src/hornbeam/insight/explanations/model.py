"""`model.explain()`: what each layer does in this model, what it costs, and what it is there for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.symbolic import KerasTensor, SymbolicCall
from hornbeam.insight.ablation import CannotGo, parameters_without
from hornbeam.insight.arithmetic import number, percent, volume, weight_sum
from hornbeam.insight.explanations.explanation import Explanation, Section
from hornbeam.insight.explanations.layers import LayerContext, LayerDescription, describe
from hornbeam.insight.receptive_field import calls_of
from hornbeam.insight.summary import Row, Trace, _count, _size, rows_of
from hornbeam.layers import InputLayer

# Larger models are not copied once a layer in order to count what would be left.
COPIED_LAYERS, COPIED_PARAMETERS = 60, 20_000_000


def explain(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    expand_nested: bool = False,
    ablate: bool = False,
    batch_size: int = 32,
    epochs: int = 1,
    seeds: int = 3,
    samples: int | None = 4000,
) -> Explanation:
    """What each layer of a model does, costs and is put for: the function behind `Model.explain`, which says
    what the arguments are, what it returns and raises.

    >>> print(hornbeam.insight.explain(model))  # doctest: +SKIP
    """
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built: its shapes are not known. Start it with an Input, call it "
            "on data, or build(input_shape)"
        )
    if ablate and (x is None or y is None):
        raise ValueError("explain(ablate=True) trains anew without each layer: it needs data, x= and y=")
    trace = Trace(model)
    rows = list(rows_of(model, trace, expand_nested))
    places = list(places_of(model, expand_nested))
    seconds, timed = _seconds(model, places, x, y, batch_size)
    costs = _Costs(rows, trace.flops, seconds)
    total = sum(weight.type.size for weight in model.weights)
    entries = [
        _entries(place, row, costs, _consequence(model, place.layer, total) if row.depth == 0 else "")
        for place, row in zip(places, rows, strict=True)
    ]
    if x is not None:
        seen = _on_data(model, x, batch_size)
        for place, parts in zip(places, entries, strict=True):
            if id(place.layer) in seen:
                parts.insert(1, ("on data", seen[id(place.layer)]))
    closing, extra = [*_closing(model, rows, trace, total), timed], {}
    if ablate:
        from hornbeam.insight.ablation import ablations

        found = ablations(model, x, y, batch_size=batch_size, epochs=epochs, seeds=seeds, samples=samples)
        extra["ablations"] = found.layers
        closing.append(found.sentence)
        for place, parts in zip(places, entries, strict=True):
            if place.layer.name in found.layers:
                parts.append(("measured", found.layers[place.layer.name].sentence))
    notes = [
        Section(f"{row.name} ({row.kind})  {_through(place)}", tuple(parts), row.depth)
        for place, row, parts in zip(places, rows, entries, strict=True)
    ]
    return Explanation(f'Model "{model.name}", layer by layer', notes, closing, extra)


def places_of(
    model: Any, expand_nested: bool = False, outside: tuple[Any, ...] = ()
) -> Iterator[LayerContext]:
    """Every layer with its shapes and neighbours, in the order of the summary's rows.

    outside: what takes the outputs of the model, where it stands in another one.
    """
    calls = calls_of(model) or []
    trace = Trace(model) if not calls else None
    made_by: dict[int, list[SymbolicCall]] = {}
    readers: dict[int, list[Any]] = {}
    for call in calls:
        made_by.setdefault(id(call.operation), []).append(call)
        for x in call.inputs:
            if x.history is not None:
                readers.setdefault(id(x.history.operation), []).append(call.operation)
    for layer in model.layers:
        own = made_by.get(id(layer), [])
        if own:
            given = tuple(x.shape for x in own[0].inputs)
            made = tuple(x.shape for x in tree.flatten(own[0].outputs) if isinstance(x, KerasTensor))
            behind = tuple(readers.get(id(layer), ())) or outside
        else:
            given = _built_for(layer)
            made = tuple(shape for shape, _ in trace.shapes_of(layer)) if trace is not None else ()
            behind = (None,)  # a model without a graph: not known
        yield LayerContext(layer, given, made, behind)
        if expand_nested and hasattr(layer, "layers"):
            yield from places_of(layer, expand_nested, behind)


def _built_for(layer: Any) -> tuple[tuple[int | None, ...], ...]:
    """The shapes that a layer was built for."""
    if layer._build_shapes is None:
        return ()
    found: list[tuple[int | None, ...]] = []
    tree.map_shape_structure(found.append, list(layer._build_shapes.shapes.values()))
    return tuple(found)


def _through(place: LayerContext) -> str:
    """28×28×1 → 26×26×32."""
    sides = [", ".join(map(volume, side)) for side in (place.given, place.made)]
    return " → ".join(side for side in sides if side)


# -- costs --------------------------------------------------------------------------------------------------


class _Costs:
    """What all layers cost together, so that each can have its share."""

    def __init__(self, rows: Sequence[Row], flops: int | None, seconds: Mapping[str, float] | None) -> None:
        outer = [row for row in rows if row.depth == 0 and row.kind != "InputLayer"]
        self.flops = flops
        self.seconds = seconds
        self.total_seconds = sum(seconds[row.name] for row in outer) if seconds is not None else 0.0
        self.params = sum(row.params for row in outer)
        known = [row.memory for row in outer if row.memory is not None]
        self.memory = sum(known) if len(known) == len(outer) else 0

    def of(self, row: Row) -> str:
        """One sentence: time or work, and memory."""
        parts = []
        if self.seconds is not None and row.name in self.seconds:
            taken = self.seconds[row.name]
            parts.append(f"{percent(taken, self.total_seconds) or 'no'} of the layers' measured time")
        if row.flops:
            share = percent(row.flops, self.flops or 0)
            parts.append(f"{_count(row.flops)}FLOPs a sample" + (f", {share} of all" if share else ""))
        elif row.flops == 0 and not parts:
            parts.append("no arithmetic to speak of")
        if row.memory is not None:
            share = percent(row.memory, self.memory)
            parts.append(f"{_size(row.memory)} of output" + (f", {share} of all" if share else ""))
        return "; ".join(parts) or "not known before sizes are"


def _seconds(
    model: Any, places: Sequence[LayerContext], x: Any, y: Any, batch_size: int
) -> tuple[dict[str, float] | None, str]:
    """Measured seconds a step of each layer, by name, if that can be; and a sentence on what costs are.

    Raises what `Model.profile` raises, but for engines that have no profiles.
    """
    if x is None:
        return None, "Costs are counted. With data, explain(x, y), time is measured."
    targets = y if model.compiled else None
    try:
        profile = model.profile(x, targets, batch_size=batch_size, steps=5)
    except NotImplementedError as error:
        return None, f"Costs are counted, time could not be measured: {error}"
    found = {}
    for place in places:
        # A layer for strings, before the graph, has no path in it.
        paths = {part._path for part in (place.layer, *place.layer._flatten_layers()) if part._path}
        found[place.layer.name] = sum(
            time.seconds
            for time in profile.layers
            if time.name in paths or any(time.name.startswith(path + "/") for path in paths)
        )
    what = "prediction" if targets is None else "training"
    size = min(batch_size, len(tree.flatten(x)[0]))
    return found, f"Time is that of {profile.steps} steps of {what} with {size} samples."


def _on_data(model: Any, x: Any, batch_size: int) -> dict[int, str]:
    """What layers give for the first batch, in inference, by id of the layer; only floating-point values."""
    from hornbeam.diagnostics.capture import layer_values

    batch = tree.map_structure(lambda part: np.asarray(part)[:batch_size], x)
    found: dict[int, str] = {}
    for value in layer_values(model, batch):
        if value.output.dtype.kind == "f" and value.output.size and value.layer is not model:
            found.setdefault(id(value.layer), _spread(value.output.astype("float32"), value.layer))
    return found


def _spread(values: np.ndarray, layer: Any) -> str:
    """Mean, deviation, and what is 0."""
    text = f"mean {values.mean():.3g}, deviation {values.std():.3g}"
    zeros = float((values == 0).mean())
    if zeros >= 0.01:
        text += f", {zeros:.0%} of the values are 0"
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" and values.ndim > 2 else -1
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    silent = int((~(values != 0).any(axis=others)).sum())
    if silent:
        text += f"; {number(silent)} of {number(values.shape[axis])} channels are 0 throughout"
    return text


# -- sentences ----------------------------------------------------------------------------------------------


def _entries(place: LayerContext, row: Row, costs: _Costs, consequence: str) -> list[tuple[str, str]]:
    words: LayerDescription = describe(place)
    entries = [("does", words.operation), ("volume", words.output)]
    if isinstance(place.layer, InputLayer):
        return [*entries, ("why", words.purpose)]
    if row.params:
        share = percent(row.params, costs.params)
        entries.append(("weights", f"{weight_sum(place.layer.weights)}, {share} of all{_frozen(row)}"))
    entries.append(("costs", costs.of(row)))
    if row.sees:
        entries.append(("sees", _sees(row.sees, place)))
    return [*entries, ("why", words.purpose), ("without", words.removal + consequence)]


def _frozen(row: Row) -> str:
    return {"no": "; not trained", "in part": "; trained in part"}.get(row.trained, "")


def _sees(field: str, place: LayerContext) -> str:
    if field == "all":
        return "every value depends on the whole input"
    if field == "?":
        return "what of the input, is not known"
    axes = max(len(place.out) - 2, 0)
    sizes = field if "×" in field or axes < 2 else "×".join([field] * axes)
    return f"every value depends on {sizes} positions of the input"


def _consequence(model: Any, layer: Any, total: int) -> str:
    """What the model would be without a layer: its parameters instead of `total`, or why that is no model."""
    large = len(model.layers) > COPIED_LAYERS or total > COPIED_PARAMETERS
    if large or isinstance(layer, InputLayer) or calls_of(model) is None:
        return ""
    try:
        left = parameters_without(model, layer)
    except CannotGo as reason:
        return f". It cannot go: {reason}"
    if left == total:
        return ""
    return f". The model would have {number(left)} parameters instead of {number(total)}"


def _closing(model: Any, rows: Sequence[Row], trace: Trace, total: int) -> list[str]:
    trained = sum(weight.type.size for weight in model.trainable_weights)
    first = f"All together: {number(total)} parameters, {number(trained)} of them trained"
    if trace.flops is not None:
        first += f"; {_count(trace.flops)}FLOPs for one sample"
    heavy = max((row for row in rows if row.depth == 0), key=lambda row: row.params, default=None)
    lines = [first + "."]
    if heavy is not None and total and heavy.params * 2 > total:
        lines.append(f"{percent(heavy.params, total)} of the parameters are in {heavy.name}.")
    return lines
