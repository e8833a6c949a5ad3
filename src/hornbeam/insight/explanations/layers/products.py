"""Layers that multiply by what they learn: dense, embedding, attention, recurrent."""

from __future__ import annotations

from hornbeam import layers
from hornbeam.insight.arithmetic import equals, number, product, size_of, volume
from hornbeam.insight.explanations.activations import says
from hornbeam.insight.explanations.layers.context import (
    LayerContext,
    LayerDescription,
    grid,
    plural,
    then,
    values,
)


def dense(place: LayerContext) -> LayerDescription:
    layer = place.layer
    given = place.into[-1] if place.into else None
    rows = size_of(place.into[1:-1]) if len(place.into) > 2 else 1
    at = "" if rows == 1 else f", at each of {plural(rows, 'place')} alike"
    one = layer.units == 1
    inputs = f"{'all ' if given != 1 else ''}{plural(given, 'input')}"
    does = f"{plural(layer.units, 'weighted sum')} of {inputs}{at}{then(layer)}"
    if place.is_last:
        why = (
            f"the answer: {'one number' if one else f'{number(layer.units)} numbers, one a class or target'}"
        )
        without = f"the model would end with {volume(place.into)}, which is not what the loss compares with"
    else:
        why = f"puts the {plural(given, 'input')} together to {plural(layer.units, 'feature')}" + (
            "; without an activation it is one product with the Dense behind"
            if not says(layer.activation) and any(isinstance(part, layers.Dense) for part in place.behind)
            else ""
        )
        without = (
            f"the next layer reads the {plural(given, 'value')} themselves: one bend fewer in the function"
        )
    return LayerDescription(
        does, f"the last axis of {volume(place.into)} becomes {number(layer.units)}", why, without
    )


def einsum(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"the product {place.layer.equation} with its kernel{then(place.layer)}",
        f"{volume(place.into)} becomes {volume(place.out)} by the equation",
        "a Dense over axes of your choice: heads of attention, projections of several axes at once",
        "the layer behind gets the axes as they were",
    )


def embedding(place: LayerContext) -> LayerDescription:
    layer = place.layer
    return LayerDescription(
        f"looks up each of {values(place.into)} in a table of {number(layer.input_dim)} rows; each row is "
        f"{plural(layer.output_dim, 'number')} that are learned"
        + ("; 0 means nothing and is masked" if layer.mask_zero else ""),
        equals(f"{product(place.into[1:])} × {number(layer.output_dim)}", size_of(place.out[1:]))
        + " numbers",
        "numbers of words or categories have no order: rows that are used alike become alike",
        f"the layers behind would read the codes 0 ... {number(layer.input_dim - 1)} as sizes, as if the "
        "largest were the most",
    )


# -- attention and recurrence -------------------------------------------------------------------------------


def attention_heads(place: LayerContext) -> LayerDescription:
    layer = place.layer
    heads = getattr(layer, "num_heads", None) or layer.num_query_heads
    size = getattr(layer, "key_dim", None) or layer.head_dim
    steps = place.into[1] if len(place.into) > 1 else None
    keys = place.given[1][1] if len(place.given) > 1 and len(place.given[1]) > 1 else steps
    table = equals(f"{product((heads, steps, keys))}", size_of((heads, steps, keys)))
    return LayerDescription(
        f"{plural(heads, 'head')} of {number(size)} numbers: each of {plural(steps, 'step')} asks all "
        f"{plural(keys, 'step')} and takes a mean of their values, weighed by softmax(q·k / √{size})",
        f"{volume(place.into)} as it came in, behind {table} weights of attention",
        "any step reaches any other in one layer, and what it looks at depends on what is there",
        "steps would not hear of each other here; the cost that goes is the one that grows with steps × "
        "steps",
    )


def attention_plain(place: LayerContext) -> LayerDescription:
    layer = place.layer
    steps = place.into[1] if len(place.into) > 1 else None
    how = "tanh(q + k) summed" if isinstance(layer, layers.AdditiveAttention) else "the product q·k"
    return LayerDescription(
        f"each of {plural(steps, 'query', 'queries')} takes a mean of the values, weighed by the softmax "
        f"of {how}",
        f"one value for each query: {volume(place.out)}",
        "looks up by likeness instead of by place",
        "the queries would go on without what they look up",
    )


_GATES = {
    "LSTM": (4, "input, forget, output gate and candidate"),
    "GRU": (3, "update gate, reset gate and candidate"),
    "SimpleRNN": (1, "the new state"),
}


def recurrent(place: LayerContext) -> LayerDescription:
    layer = place.layer
    steps, width = (place.into[1], place.into[-1]) if len(place.into) > 2 else (None, None)
    units = getattr(layer.cell, "units", None)
    gates, names = _GATES.get(type(layer).__name__, (1, "what its cell computes"))
    every = "every step's state" if layer.return_sequences else "the last state"
    return LayerDescription(
        f"reads {plural(steps, 'step')} of {plural(width, 'number')} one after the other"
        + (", from the end" if layer.go_backwards else "")
        + f" and keeps a state of {'?' if units is None else number(units)}"
        + (f": {equals(f'{gates} × {number(units)}', gates * units)} sums a step ({names})" if units else "")
        + f"; gives {every}",
        f"{volume(place.out)}: {every}",
        "order counts, and texts of any length fit; the gates decide what is kept for later"
        if gates > 1
        else "order counts, and texts of any length fit",
        "the steps go on without memory of each other"
        if layer.return_sequences
        else f"the layer behind gets {volume(place.into)}, all steps, instead of one summary",
    )


def convolutional_recurrence(place: LayerContext) -> LayerDescription:
    cell = place.layer.cell
    steps = place.into[1] if place.into else None
    return LayerDescription(
        f"an LSTM whose state is a picture: {plural(steps, 'frame')} through "
        f"{plural(cell.filters, 'filter')} of "
        f"{grid(cell.kernel_size)}, {equals(f'4 × {cell.filters}', 4 * cell.filters)} sums at each place",
        f"{volume(place.out)}: {'every frame' if place.layer.return_sequences else 'the last state'}",
        "keeps where things are while it remembers what they did",
        "frames go on without memory of each other",
    )


def both_ways(place: LayerContext) -> LayerDescription:
    layer = place.layer
    inner = layer.forward_layer
    units = getattr(getattr(inner, "cell", None), "units", None)
    joined = layer.merge_mode
    shape = volume(place.out)
    if joined == "concat" and units is not None:
        shape = f"{equals(f'{units} + {units}', 2 * units)} numbers at the end: {volume(place.out)}"
    return LayerDescription(
        f"two {type(inner).__name__} layers, one from the front and one from the back, joined by {joined!r}",
        shape,
        "each step knows what comes before it and what comes after",
        f"a plain {type(inner).__name__} needs half the weights and time, and knows only what came before",
    )


def each_step(place: LayerContext) -> LayerDescription:
    from hornbeam.insight.explanations.layers.table import describe

    inner = place.layer.layer
    step = LayerContext(
        inner,
        tuple((s[0], *s[2:]) for s in place.given),
        tuple((s[0], *s[2:]) for s in place.made),
        place.behind,
    )
    words = describe(step)
    steps = place.into[1] if len(place.into) > 1 else None
    return LayerDescription(
        f"at each of {plural(steps, 'step')} alike: {words.operation}",
        f"{plural(steps, 'step')}, each: {words.output}",
        words.purpose,
        words.removal,
    )
