"""`model.summary()`: each layer's output, parameters, work, memory and how much of the input it sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hornbeam import tree
from hornbeam.ir.types import TensorType, itemsize
from hornbeam.symbolic import KerasTensor
from hornbeam.tensor import Tensor
from hornbeam.transforms import trace_function

_WINDOWED = (
    "Conv",
    "DepthwiseConv",
    "SeparableConv",
    "MaxPooling",
    "AveragePooling",
    "MaxPool",
    "AveragePool",
)
_WHOLE = ("Flatten", "Dense", "Global")


@dataclass
class Row:
    """What the summary says of one layer. `flops` and `activations` are for one sample; None is unknown."""

    name: str
    kind: str
    output: str
    params: int
    trainable: bool
    flops: int | None
    receptive: str
    activations: int | None
    connected: tuple[str, ...]
    depth: int = 0


@dataclass
class _Field:
    """Receptive field along one spatial axis: `size` pixels of the input, steps of `jump` pixels."""

    size: int = 1
    jump: int = 1
    whole: bool = False

    def __str__(self) -> str:
        return "all" if self.whole else f"{self.size}"


def summarize(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a table of the model's layers.

    Output volume (without the batch), parameters, FLOPs of one sample's forward pass (a multiply-add is two),
    receptive field in input pixels along each spatial axis, and bytes of the output for one sample. For a
    model whose layers have not been called on symbolic inputs only names and parameters are known.

    line_length: width in characters. print_fn: what gets the text, `print` by default. expand_nested: list
    the layers of inner models. show_trainable: a column that says whether a layer is trained. layer_range:
    first and last name. Raises ValueError if the model has no weights yet.
    """
    if positions is not None:
        raise ValueError("positions is not used: columns are as wide as their contents")
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built: its shapes are not known. Start it with an Input, call it "
            "on data, "
            "or build(input_shape)"
        )
    rows = _in_range(list(rows_of(model, expand_nested)), layer_range)
    text = _render(model, rows, line_length, show_trainable)
    (print_fn or print)(text)


def rows_of(model: Any, expand_nested: bool = False, depth: int = 0) -> Iterator[Row]:
    """One row a layer, in the order of the model's layers."""
    fields: dict[int, _Field] = {}
    for layer in model.layers:
        call = _call_in(layer, model)
        field = _receptive_field(layer, call, fields) if call is not None else None
        outputs = (
            [x for x in tree.flatten(call.outputs) if isinstance(x, KerasTensor)] if call is not None else []
        )
        outputs = outputs or _input_outputs(layer)
        for x in outputs:
            fields[id(x)] = field or _Field()
        shapes = ", ".join(_volume(x.shape) for x in outputs) or "?"
        yield Row(
            name=layer.name,
            kind=type(layer).__name__,
            output=shapes,
            params=sum(v.type.size for v in layer.weights),
            trainable=bool(layer.trainable),
            flops=_flops(layer, call) if call is not None else (0 if _is_input(layer) else None),
            receptive=_shown(field, outputs),
            activations=_bytes(outputs),
            connected=tuple(dict.fromkeys(_producer(x) for x in call.inputs)) if call is not None else (),
            depth=depth,
        )
        if expand_nested and hasattr(layer, "layers"):
            yield from rows_of(layer, expand_nested, depth + 1)


def _is_input(layer: Any) -> bool:
    return type(layer).__name__ == "InputLayer"


def _input_outputs(layer: Any) -> list[Any]:
    """The symbolic tensor that an InputLayer stands for."""
    if not _is_input(layer):
        return []
    return [x for x in tree.flatten(layer.output) if isinstance(x, KerasTensor)]


def _call_in(layer: Any, model: Any) -> Any:
    """The first recorded call of the layer; a shared layer is shown once."""
    calls = [call for call in layer._inbound if call.inputs]
    return calls[0] if calls else None


def _producer(x: KerasTensor) -> str:
    operation = x.history.operation if x.history is not None else None
    return getattr(operation, "name", None) or getattr(operation, "__name__", "") or x.name or "input"


def _volume(shape: Sequence[int | None]) -> str:
    inner = shape[1:]
    return "×".join("?" if size is None else str(size) for size in inner) or "scalar"


def _bytes(outputs: Sequence[KerasTensor]) -> int | None:
    sizes = [x.shape[1:] for x in outputs]
    if not sizes or any(None in shape for shape in sizes):
        return None
    return sum(math.prod(x.shape[1:]) * itemsize(x.dtype) for x in outputs)


def _flops(layer: Any, call: Any) -> int | None:
    """FLOPs of one sample, read off the graph that the call makes; None if its sizes are not known."""
    if any(None in x.shape[1:] for x in call.inputs):
        return None

    def stand_in(x: Any) -> Any:
        return TensorType((1, *x.shape[1:]), x.dtype) if isinstance(x, KerasTensor) else x

    args, kwargs = tree.map_structure(stand_in, (list(call.args), call.kwargs))
    kwargs.pop("training", None)
    graph = trace_function(lambda *a, **k: _tensors(layer(*a, **k)), args, kwargs).graph
    total = 0
    for node in graph.nodes:
        assert node.primitive is not None
        total += node.primitive.cost([n.type for n in node.inputs], node.type, **node.params)[0]
    return total


def _tensors(result: Any) -> list[Tensor]:
    return [x for x in tree.flatten(result) if isinstance(x, Tensor)]


def _receptive_field(layer: Any, call: Any, fields: dict[int, _Field]) -> _Field:
    before = [fields.get(id(x), _Field()) for x in call.inputs]
    field = _Field(
        max(f.size for f in before), max(f.jump for f in before), any(f.whole for f in before)
    ) if before else _Field()  # fmt: skip
    kind = type(layer).__name__
    if kind.startswith(_WHOLE) and any(len(x.shape) > 2 for x in call.inputs):
        return _Field(field.size, field.jump, whole=kind != "Dense" or field.whole)
    if kind.startswith(_WINDOWED) and not kind.endswith("Transpose"):
        window = _first(getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", 1))
        stride = _first(getattr(layer, "strides", None) or window)
        dilation = _first(getattr(layer, "dilation_rate", 1))
        return _Field(field.size + (window - 1) * dilation * field.jump, field.jump * stride, field.whole)
    return field


def _first(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) else int(value)


def _shown(field: _Field | None, outputs: Sequence[KerasTensor]) -> str:
    if field is None:
        return ""
    return str(field) if field.whole or any(len(x.shape) > 2 for x in outputs) else "all"


def _in_range(rows: list[Row], layer_range: Sequence[str] | None) -> list[Row]:
    if layer_range is None:
        return rows
    names = [row.name for row in rows]
    missing = [name for name in layer_range if name not in names]
    if len(layer_range) != 2 or missing:
        raise ValueError(
            f"layer_range must hold the names of the first and the last layer, got {list(layer_range)}"
        )
    return rows[names.index(layer_range[0]) : names.index(layer_range[1]) + 1]


# -- text ----------------------------------------------------------------------------------------------------


def _render(model: Any, rows: Sequence[Row], line_length: int | None, show_trainable: bool) -> str:
    sequential = all(len(row.connected) <= 1 for row in rows)
    header = ["layer (type)", "output", "params", "FLOPs", "sees", "memory"]
    lines = [
        [
            "  " * row.depth + f"{row.name} ({row.kind})",
            row.output,
            f"{row.params:,}",
            "?" if row.flops is None else _count(row.flops),
            row.receptive,
            "?" if row.activations is None else _size(row.activations),
        ]
        for row in rows
    ]
    if not sequential:
        header.append("after")
        for line, row in zip(lines, rows, strict=True):
            line.append(", ".join(row.connected))
    if show_trainable:
        header.append("trained")
        for line, row in zip(lines, rows, strict=True):
            line.append("yes" if row.trainable else "no")
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    numeric = {2, 3, 4, 5}

    def show(line: Sequence[str]) -> str:
        cells = [
            c.rjust(w) if i in numeric else c.ljust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        text = "  ".join(cells).rstrip()
        return text if line_length is None else text[:line_length]

    rule = "─" * min(sum(widths) + 2 * (len(widths) - 1), line_length or 10_000)
    body = [f'Model "{model.name}"', rule, show(header), rule, *map(show, lines), rule, *_totals(model, rows)]
    return "\n".join(body)


def _totals(model: Any, rows: Sequence[Row]) -> list[str]:
    trained = sum(v.type.size for v in model.trainable_weights)
    total = sum(v.type.size for v in model.weights)
    nbytes = sum(v.type.nbytes for v in model.weights)
    lines = [f"{total:,} parameters ({_size(nbytes)}), {trained:,} of them trained"]
    top = [row for row in rows if row.depth == 0]
    if top and all(row.flops is not None and row.activations is not None for row in top):
        flops = sum(row.flops or 0 for row in top)
        memory = sum(row.activations or 0 for row in top)
        lines.append(f"one sample: {_count(flops)}FLOPs forward, {_size(memory)} of activations")
    lines.append("sees: pixels of the input, along each axis, that one output value depends on")
    return lines


def _count(number: int) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number} "


def _size(nbytes: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} B"
