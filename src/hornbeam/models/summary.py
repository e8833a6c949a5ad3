"""`model.summary()`: output, parameters, FLOPs, receptive field and memory of each layer.

The model is traced once on one sample. A hook records the outputs of every layer and the nodes that its call
created, so Sequential, functional and subclassed models are summarized alike, and the counts are those of the
graph that runs.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hornbeam import tree
from hornbeam._internal.formatting import byte_size, shortened, with_unit
from hornbeam._internal.terminal import columns as terminal_columns
from hornbeam._internal.terminal import folded, in_ipython, paint, shortened_inside, uses_color
from hornbeam.core.jit import trace_function
from hornbeam.core.symbolic import STRING, KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.distribution.processes import print_once
from hornbeam.errors import ConcretizationError
from hornbeam.ir.node import serial
from hornbeam.ir.primitive import node_cost
from hornbeam.ir.types import TensorType, itemsize
from hornbeam.layers import InputLayer, Layer
from hornbeam.layers.context import layer_call_hook
from hornbeam.layers.network import Network
from hornbeam.layers.shapes import build_shapes
from hornbeam.layers.tracking import sublayers
from hornbeam.models.receptive_field import NO_POSITIONS, ReceptiveFields, calls_of

Shape = tuple[int | None, ...]


@dataclass
class Row:
    """One layer in the summary. `flops` and `memory` are for one sample; None is unknown."""

    name: str
    kind: str
    output: str
    params: int
    trained: str
    flops: int | None
    memory: int | None
    receptive_field: str = ""
    after: tuple[str, ...] = ()
    depth: int = 0
    built: bool = True


def summarize(
    model: Network,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    hint: bool = True,
) -> None:
    """Print a table of the model's layers, as wide as the terminal or COLUMNS; without, nothing is dropped.

    Its columns are the output shape (without the batch), parameters, FLOPs of one sample's forward pass in
    all calls of the layer (a multiply-add is two), receptive field in input positions along each spatial
    axis, and bytes of the output for one sample. "?" depends on unknown sizes. `Model.summary` describes the
    arguments. hint: False omits the lines about `explain` and hidden columns.
    """
    if positions is not None:
        raise ValueError("positions is not supported: columns are as wide as their contents")
    trace = Trace(model)
    rows = _in_range(list(rows_of(model, trace, expand_nested)), layer_range)
    if print_fn is not None:
        print_fn(_render(model, rows, trace, line_length, show_trainable))
        return
    asked = os.environ.get("COLUMNS", "")
    width = line_length or terminal_columns() or (int(asked) or None if asked.isdecimal() else None)
    print_once(_render(model, rows, trace, width, show_trainable, uses_color(), hint))
    if hint:
        _suggest_explain(width)


# True once the line about `explain` was printed.
_suggested = False


def _suggest_explain(width: int | None) -> None:
    """Name `explain`, once per process and only where a person reads: files and pipes get the table alone."""
    global _suggested
    if not _suggested and (terminal_columns() is not None or in_ipython()):
        _suggested = True
        text = "model.explain() says what each layer is for"
        print_once(paint(folded(text, width, "  "), "dim", uses_color()))


# -- the traced model
# -----------------------------------------------------------------------------------------------


@dataclass
class _Call:
    """Outputs of a layer in one call, and the range of node numbers that it created."""

    outputs: list[Tensor]
    span: tuple[int, int]


@dataclass
class Trace:
    """One forward pass of the model, without values. `flops` is None if sizes of inputs are unknown."""

    model: Network
    calls: dict[int, list[_Call]] = field(default_factory=dict)
    flops: int | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        sample = _sample(self.model) if self.model.built else None
        if sample is None:
            return
        self.batch, args, kwargs = sample
        try:
            with layer_call_hook(self._hb_record):
                traced = trace_function(lambda *a, **k: _tensors(self.model(*a, **k)), args, kwargs)
        except ConcretizationError:  # a model that reads values runs only eagerly
            self.calls.clear()
            return
        self._nodes = [(node.uid, node_cost(node)[0]) for node in traced.graph.nodes]
        self.flops = sum(cost for _, cost in self._nodes) // self.batch

    def _hb_record(self, layer: Layer, run: Callable[[], Any]) -> Any:
        start = serial()
        outputs = run()
        self.calls.setdefault(id(layer), []).append(_Call(_tensors(outputs), (start, serial())))
        return outputs

    def flops_of(self, layer: Layer) -> int | None:
        """Return the FLOPs of one sample in all calls of a layer."""
        if self.flops is None:
            return None
        spans = [call.span for call in self.calls.get(id(layer), ())]
        costs = (cost for uid, cost in self._nodes if any(low < uid < high for low, high in spans))
        return sum(costs) // self.batch

    def shapes_of(self, layer: Layer) -> list[tuple[Shape, str]]:
        """Return shape and dtype of the outputs of the layer's first call."""
        calls = self.calls.get(id(layer))
        return [(x.shape, x.dtype) for x in calls[0].outputs] if calls else []


def _sample(model: Network) -> tuple[int, list[Any], dict[str, Any]] | None:
    """Return the types of one sample, or of a batch of fixed size; None if sizes are unknown."""
    inputs = model._compiled_inputs()
    if inputs is not None:
        args, kwargs = [tree.map_structure(lambda x: (x.shape, x.dtype), inputs)], {}
    elif built_for := build_shapes(model):
        shapes = {name.removesuffix("_shape"): shape for name, shape in built_for.items()}
        dtype = model.compute_dtype
        specs = {name: tree.map_shape_structure(lambda s: (s, dtype), s) for name, s in shapes.items()}
        first, *_ = specs
        args, kwargs = [specs.pop(first)], specs
    else:
        return None
    batches: set[int] = set()

    def concrete(part: Any) -> Any:
        if isinstance(part, tuple) and len(part) == 2 and isinstance(part[1], str):
            shape, dtype = part
            batches.add(shape[0] if shape and shape[0] is not None and inputs is not None else 1)
            return TensorType((max(batches), *shape[1:]), dtype)
        return None

    args, kwargs = tree.traverse(concrete, args), tree.traverse(concrete, kwargs)
    types = [x for x in tree.flatten((args, kwargs)) if isinstance(x, TensorType)]
    if len(batches) != 1 or any(None in t.shape for t in types):
        return None
    return batches.pop(), args, kwargs


def _tensors(result: Any) -> list[Tensor]:
    return [x for x in tree.flatten(result) if isinstance(x, Tensor)]


# -- rows ----------------------------------------------------------------------------------------------------


def rows_of(model: Network, trace: Trace, expand_nested: bool = False, depth: int = 0) -> Iterator[Row]:
    """Yield a row for each layer, in the order of the model's layers."""
    calls = calls_of(model) or []
    fields = ReceptiveFields()
    fields.follow(calls)
    for layer in model.layers:
        layer_calls = [call for call in calls if call.callee is layer]
        symbols = [
            x for call in layer_calls[:1] for x in tree.flatten(call.result) if isinstance(x, KerasTensor)
        ]
        shapes = [(x.shape, x.dtype) for x in symbols] or trace.shapes_of(layer)
        yield Row(
            name=layer.name,
            kind=type(layer).__name__,
            output=", ".join(_shape_text(shape) for shape, _ in shapes) or "?",
            params=sum(v.type.size for v in layer.weights),
            trained=_trained(layer),
            flops=0 if isinstance(layer, InputLayer) else trace.flops_of(layer),
            memory=_bytes(shapes),
            receptive_field=_field_text(fields, symbols),
            after=tuple(dict.fromkeys(_producer(x) for call in layer_calls for x in call.inputs)),
            depth=depth,
            built=layer.built,
        )
        if expand_nested and hasattr(layer, "layers"):
            yield from rows_of(cast("Network", layer), trace, expand_nested, depth + 1)


def _field_text(fields: ReceptiveFields, symbols: Sequence[KerasTensor]) -> str:
    field = fields.of(symbols[0]) if symbols else NO_POSITIONS
    return "" if field == NO_POSITIONS else str(field)


def _trained(layer: Layer) -> str:
    if not layer.weights:
        return ""
    if not layer.trainable_weights:
        return "no"
    return "in part" if _has_frozen_parts(layer) else "yes"


def _has_frozen_parts(layer: Layer) -> bool:
    parts = [part for part in sublayers(layer) if getattr(part, "weights", ())]
    return any(not part.trainable or _has_frozen_parts(part) for part in parts)


def _producer(x: KerasTensor) -> str:
    operation = x.history.callee if x.history is not None else None
    return getattr(operation, "name", None) or getattr(operation, "__name__", "") or x.name or "input"


def _shape_text(shape: Shape) -> str:
    return "×".join("?" if size is None else str(size) for size in shape[1:]) or "scalar"


def _bytes(shapes: Sequence[tuple[Shape, str]]) -> int | None:
    if not shapes or any(None in shape[1:] or dtype == STRING for shape, dtype in shapes):
        return None
    return sum(math.prod(size or 1 for size in shape[1:]) * itemsize(dtype) for shape, dtype in shapes)


def _in_range(rows: list[Row], layer_range: Sequence[str] | None) -> list[Row]:
    if layer_range is None:
        return rows
    if len(layer_range) != 2:
        raise ValueError(
            f"layer_range must hold two names, of the first and the last layer, got {layer_range!r}"
        )
    matches = []
    for pattern in layer_range:
        indices = [i for i, row in enumerate(rows) if row.name == pattern or re.fullmatch(pattern, row.name)]
        if not indices:
            raise ValueError(
                f"layer_range: no layer is named {pattern!r}; the layers are {[row.name for row in rows]}"
            )
        matches.append(indices)
    return rows[matches[0][0] : matches[1][-1] + 1]


# -- text ----------------------------------------------------------------------------------------------------

# Characters of a layer's name, with its type, and of other texts that are kept when columns are narrow.
_SHORTEST_NAME, _SHORTEST_TEXT = 14, 12
# Where a name would be shorter than this, it is shown without the type.
_SHORTEST_BESIDE_TYPE = 12


@dataclass(frozen=True)
class _Column:
    head: str
    cells: list[str]
    numeric: bool = False

    @property
    def width(self) -> int:
        return max(map(len, [self.head, *self.cells]))


def _columns(rows: Sequence[Row], show_trainable: bool) -> list[_Column]:
    columns = [
        _Column(_LAYER, [_layer_text(row) for row in rows]),
        _Column("output", [row.output for row in rows]),
        _Column("params", [f"{row.params:,}" if row.built else "?" for row in rows], numeric=True),
        _Column(
            "FLOPs",
            ["?" if row.flops is None else with_unit(row.flops).strip() for row in rows],
            numeric=True,
        ),
        _Column("field", [row.receptive_field for row in rows], numeric=True),
        _Column(
            "memory", ["?" if row.memory is None else byte_size(row.memory) for row in rows], numeric=True
        ),
    ]
    if not any(row.receptive_field not in ("", "?") for row in rows):
        del columns[4]
    if any(len(row.after) > 1 for row in rows):
        columns.append(_Column("after", [", ".join(row.after) for row in rows]))
    if show_trainable:
        columns.append(_Column("trained", [row.trained for row in rows]))
    return columns


_LAYER = "layer (type)"


def _layer_text(row: Row, width: int | None = None) -> str:
    """Return a layer's name and type: the type is shortened first, then the name in the middle."""
    text = "  " * row.depth + f"{row.name} ({row.kind})"
    if width is None or len(text) <= width:
        return text
    indent = "  " * row.depth
    room = width - len(indent) - len(" ()")
    kind = shortened(row.kind, max(room - len(row.name), min(len(row.kind), 7)))
    if room - len(kind) < min(len(row.name), _SHORTEST_BESIDE_TYPE):
        return indent + shortened_inside(row.name, max(width - len(indent), 3))
    return indent + f"{shortened_inside(row.name, max(room - len(kind), 3))} ({kind})"


def _table_width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + 2 * (len(columns) - 1)


def _fitted(columns: list[_Column], rows: Sequence[Row], width: int) -> tuple[list[_Column], list[str]]:
    """Return the columns that fit `width`, and the heads of those that were dropped.

    Memory and FLOPs are dropped first. Then names are shortened, then receptive fields are dropped, then
    long lists of outputs and of preceding layers are cut.
    """
    dropped: list[str] = []

    def drop(head: str) -> None:
        nonlocal columns
        if _table_width(columns) > width and any(column.head == head for column in columns):
            columns = [column for column in columns if column.head != head]
            dropped.append(head)

    def narrow(head: str, shortest: int, cells: Callable[[int], list[str]]) -> None:
        nonlocal columns
        excess = _table_width(columns) - width
        at = next((i for i, column in enumerate(columns) if column.head == head), None)
        if at is not None and excess > 0:
            column = columns[at]
            size = max(column.width - excess, min(shortest, column.width))
            columns = [*columns[:at], _Column(head, cells(size)), *columns[at + 1 :]]

    drop("memory")
    drop("FLOPs")
    narrow("after", _SHORTEST_TEXT, lambda size: [shortened(", ".join(row.after), size) for row in rows])
    narrow(_LAYER, _SHORTEST_NAME, lambda size: [_layer_text(row, size) for row in rows])
    drop("field")
    narrow("output", _SHORTEST_TEXT, lambda size: [shortened(row.output, size) for row in rows])
    return columns, dropped


def _render(
    model: Network,
    rows: Sequence[Row],
    trace: Trace,
    width: int | None,
    show_trainable: bool,
    colored: bool = False,
    hint: bool = True,
) -> str:
    columns = _columns(rows, show_trainable)
    full_width = _table_width(columns)
    dropped: list[str] = []
    if width is not None:
        columns, dropped = _fitted(columns, rows, width)
    widths = [column.width for column in columns]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if column.numeric else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        text = "  ".join(parts).rstrip()
        return text if width is None else shortened(text, width)

    table = [line(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    table_width = _table_width(columns)
    rule = paint("─" * (table_width if width is None else min(table_width, width)), "dim", colored)
    head = line([column.head for column in columns])
    notes = _notes(columns, dropped if hint else (), full_width)
    return "\n".join(
        [
            paint(f'Model "{model.name}"', "heading", colored),
            rule,
            head,
            rule,
            *table,
            rule,
            *(folded(text, width, "  ") for text in totals(model, rows, trace)),
            *(paint(folded(text, width, "  "), "dim", colored) for text in (notes if model.built else ())),
        ]
    )


def totals(model: Network, rows: Sequence[Row], trace: Trace) -> list[str]:
    """Return sentences about the parameters, FLOPs and activations of the model."""
    if not model.built:
        return ["not built: sizes are known once it is called on data, or built by build(input_shape)"]
    trained = sum(v.type.size for v in model.trainable_weights)
    total = sum(v.type.size for v in model.weights)
    nbytes = sum(v.type.nbytes for v in model.weights)
    lines = [f"{total:,} parameters ({byte_size(nbytes)}), {trained:,} of them trained"]
    memory = [row.memory for row in rows if row.depth == 0 and row.kind != "InputLayer"]
    if trace.flops is not None and None not in memory:
        kept = sum(nbytes or 0 for nbytes in memory)
        lines.append(f"one sample: {with_unit(trace.flops)}FLOPs forward, {byte_size(kept)} of activations")
    return lines


def _notes(columns: Sequence[_Column], dropped: Sequence[str], full_width: int) -> list[str]:
    """Return the legend, and the way to see columns that do not fit."""
    lines = []
    if any(column.head == "field" for column in columns):
        lines.append("field: receptive field, the input positions along each axis on which a value depends")
    if dropped:
        *first, last = sorted(dropped, key=str.lower)
        names = f"{', '.join(first)} and {last}" if first else last
        lines.append(f"hidden: {names} of each layer; summary(line_length={full_width}) shows them")
    return lines
