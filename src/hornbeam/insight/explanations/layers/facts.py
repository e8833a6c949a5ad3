"""Numbers and clauses about a layer in its model, by the names that templates use.

Those of one expression, which templates alone use, are in the table `FACTS`; others are methods of `Facts`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from hornbeam import layers
from hornbeam._internal.origin import module_of
from hornbeam.insight.arithmetic import (
    Shape,
    along_axes,
    count_of,
    equals,
    grid,
    integer,
    product,
    shape_text,
    size_of,
    transposed_size,
    window_count,
)
from hornbeam.insight.explanations.activations import activation_effect
from hornbeam.insight.explanations.layers.context import LayerContext

_UNKNOWN = "depends on the input"


class Facts(Formatter):
    """A formatter of templates about a layer, in which names in braces are facts, or begin with `layer`.

    `{layer.units: feature}` is a count with its noun, "1 feature" or "3 features"; `{steps: query/queries}`
    has a plural of its own. `{layer.strides:×}` joins sizes.
    """

    def __init__(self, context: LayerContext) -> None:
        self.context = context
        self.layer = context.layer

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key in FACTS:
            return FACTS[str(key)](self)
        fact = getattr(self, str(key))
        return fact() if inspect.ismethod(fact) else fact

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.startswith(" "):
            return count_of(value, *format_spec[1:].split("/"))
        return grid(value) if format_spec == "×" else str(super().format_field(value, format_spec))

    def holds(self, condition: str) -> bool:
        """Return the value of a condition, which a template names."""
        return bool(self.get_field(condition, (), {})[0])

    # -- shapes ------------------------------------------------------------------------------------

    def kind(self) -> str:
        return type(self.layer).__name__

    def input(self) -> str:
        return shape_text(self.context.input) if self.context.input else "?"

    def output(self) -> str:
        return shape_text(self.context.output) if self.context.output else "?"

    def input_values(self) -> str:
        count = size_of(self.context.input[1:]) if self.context.input else None
        return "the values" if count is None else count_of(count, "value")

    def steps(self) -> int | None:
        return self.context.input[1] if len(self.context.input) > 1 else None

    def _channels_first(self) -> bool:
        return getattr(self.layer, "data_format", "channels_last") == "channels_first"

    def _spatial(self, shape: Shape) -> tuple[int | None, ...]:
        return tuple(shape[2:] if self._channels_first() else shape[1:-1])

    def spatial(self) -> tuple[int | None, ...]:
        return self._spatial(self.context.input)

    def positions(self) -> int | None:
        return size_of(self.spatial())

    def channels(self, shape: Shape | None = None) -> int | None:
        """Return the number of channels of a shape, by default that of the input."""
        shape = self.context.input if shape is None else shape
        if len(shape) < 2:
            return None
        return shape[1] if self._channels_first() else shape[-1]

    # -- activations -------------------------------------------------------------------------------

    def activation(self) -> str:
        """Return the effect of the layer's activation, as the end of a sentence."""
        effect = activation_effect(getattr(self.layer, "activation", None))
        return f"; then {effect}" if effect else ""

    def own_activation(self) -> str:
        """Return the effect of a layer that is an activation."""
        layer = self.layer
        if isinstance(layer, layers.LeakyReLU):
            return f"keeps positive values, and {layer.negative_slope:g} of negative ones"
        if isinstance(layer, layers.PReLU):
            count = count_of(layer.alpha.type.size, "factor")
            return f"keeps positive values, and a learned fraction of negative ones ({count})"
        if isinstance(layer, layers.ELU):
            return f"keeps positive values; below 0 it is {layer.alpha:g} × (exp(x) - 1)"
        name = self.kind()
        effect = activation_effect(getattr(layer, "activation", None)) or activation_effect(name.lower())
        return effect or f"{name} is applied"

    # -- windows -----------------------------------------------------------------------------------

    def stride_clause(self) -> str:
        parts = []
        if max(self.layer.strides) > 1:
            parts.append(f"with stride {grid(self.layer.strides)}")
        if max(self.layer.dilation_rate) > 1:
            parts.append(f"with dilation {grid(self.layer.dilation_rate)}")
        return " " + " and ".join(parts) if parts else ""

    def fewer_values(self) -> str:
        before, after = size_of(self.context.input[1:]), size_of(self.context.output[1:])
        return f"{integer(before)} values become {integer(after)}" if before and after else "fewer values"

    def _window_sizes(self) -> Sequence[int]:
        return getattr(self.layer, "kernel_size", None) or self.layer.pool_size

    def window(self) -> str:
        units = {1: "steps", 2: "pixels", 3: "voxels"}.get(getattr(self.layer, "rank", 2), "positions")
        return f"{grid(self._window_sizes())} {units}"

    def channels_of_a_filter(self) -> str:
        count, groups = self.channels(), self.layer.groups
        channels = count_of(None if count is None else count // groups, "channel")
        return channels if groups == 1 or count is None else f"{channels} of {integer(count)}"

    def windows(self) -> str:
        """Return the number of windows along each axis, and the values at each position."""
        layer, windows = self.layer, self._window_sizes()
        strides, dilations = layer.strides or windows, getattr(layer, "dilation_rate", (1,) * len(windows))
        padded = layer.padding in ("same", "causal")
        sums = self._axis_sums(
            lambda size, result, k, s, d: window_count(size, result, k, s, d, padded),
            windows,
            strides,
            dilations,
        )
        causal = " (zeros before the first step only)" if layer.padding == "causal" else ""
        return f"{sums}{causal}, {self._at_each_position()}"

    def transposed_windows(self) -> str:
        layer = self.layer
        same, paddings = layer.padding == "same", layer.output_padding or (None,) * layer.rank
        sums = self._axis_sums(
            lambda size, result, k, s, d, p: transposed_size(size, result, k, s, d, same, p),
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            paddings,
        )
        return f"{sums}, {self._at_each_position()}"

    def _at_each_position(self) -> str:
        return f"{count_of(self.channels(self.context.output), 'value')} at each position"

    def _axis_sums(self, write: Callable[..., str], *settings: Sequence[Any]) -> str:
        """Write the arithmetic of each spatial axis from its size, its result and settings."""
        if not self.context.inputs or not self.context.outputs:
            return _UNKNOWN
        sizes, results = self.spatial(), self._spatial(self.context.output)
        return along_axes([write(*values) for values in zip(sizes, results, *settings, strict=True)])

    def dense_weights_clause(self) -> str:
        """Return the weights of a Dense in place of a convolution."""
        sizes = (*self.context.input[1:], *self.context.output[1:])
        if self.channels() is None or None in sizes:
            return ""
        return f"; a Dense between the same shapes would have {integer(math.prod(sizes))}"  # type: ignore[arg-type]

    def depthwise_savings(self) -> str:
        count = self.channels()
        if count is None:
            return ""
        depthwise = math.prod(self.layer.kernel_size) * count * self.layer.depth_multiplier
        return f" ({integer(depthwise)} weights instead of {integer(depthwise * count)})"

    def separable_channels(self) -> int:
        multiplier: int = self.layer.depth_multiplier
        return (self.channels() or 0) * multiplier

    def separable_savings(self) -> str:
        window, filters = math.prod(self.layer.kernel_size), self.layer.filters
        inner, full = self.separable_channels(), window * (self.channels() or 0) * filters
        split = window * inner + inner * filters
        return f"{integer(split)} weights instead of {integer(full)}"

    def flatten_clause(self) -> str:
        """Return the values that a Flatten would pass on in place of global pooling."""
        positions, count = self.positions(), self.channels()
        known = positions is not None and count is not None
        return f"; a Flatten would pass on {integer(positions * count)} values" if known else ""  # type: ignore[operator]

    def is_cropping(self) -> bool:
        return hasattr(self.layer, "cropping")

    def _border_pairs(self) -> Sequence[tuple[int, int]]:
        amounts = self.layer.cropping if self.is_cropping() else self.layer.padding
        return (amounts,) if self.layer.rank == 1 else amounts

    def bordered(self) -> str:
        sign = "-" if self.is_cropping() else "+"

        def write(size: int | None, result: int | None, pair: tuple[int, int]) -> str:
            if size is None:
                return _UNKNOWN
            return equals(f"{integer(size)} {sign} {pair[0]} {sign} {pair[1]}", result)

        return self._axis_sums(write, self._border_pairs())

    def factors(self) -> Sequence[int]:
        size = self.layer.size
        return size if isinstance(size, (tuple, list)) else (size,)

    def upsampled(self) -> str:
        def write(size: int | None, result: int | None, factor: int) -> str:
            return _UNKNOWN if size is None else equals(f"{integer(size)} × {factor}", result)

        return self._axis_sums(write, self.factors())

    # -- products ----------------------------------------------------------------------------------

    def at_positions(self) -> str:
        """Return the positions at which a Dense is applied, if its input has several."""
        rows = size_of(self.context.input[1:-1]) if len(self.context.input) > 2 else 1
        return "" if rows == 1 else f", at each of {count_of(rows, 'position')} with the same weights"

    def linear_clause(self) -> str:
        """Return a warning about two Dense layers without an activation between them."""
        linear = not activation_effect(self.layer.activation)
        follows = any(isinstance(consumer, layers.Dense) for consumer in self.context.consumers)
        text = "; without an activation it is one product with the following Dense"
        return text if linear and follows else ""

    def answer(self) -> str:
        units = self.layer.units
        return "one number" if units == 1 else f"{integer(units)} numbers, one a class or target"

    def embedded(self) -> str:
        left = f"{product(self.context.input[1:])} × {integer(self.layer.output_dim)}"
        return equals(left, size_of(self.context.output[1:]))

    # -- attention and recurrence ------------------------------------------------------------------

    def heads(self) -> int:
        return int(getattr(self.layer, "num_heads", None) or self.layer.num_query_heads)

    def keys(self) -> int | None:
        inputs = self.context.inputs
        return inputs[1][1] if len(inputs) > 1 and len(inputs[1]) > 1 else self.steps()

    def attention_weights(self) -> str:
        sizes = (self.heads(), self.steps(), self.keys())
        return equals(product(sizes), size_of(sizes))

    def state_clause(self) -> str:
        """Return the size of the state, and the sums of a step by gate."""
        units = getattr(self.layer.cell, "units", None)
        if not units:
            return "?"
        gates, names = {
            "LSTM": (4, "input, forget and output gate, candidate"),
            "GRU": (3, "update gate, reset gate, candidate"),
            "SimpleRNN": (1, "the new state"),
        }.get(self.kind(), (1, "the output of its cell"))
        sums = equals(f"{gates} × {integer(units)}", gates * units)
        return f"{integer(units)}: {sums} sums a step ({names})"

    def bidirectional_output(self) -> str:
        units = getattr(getattr(self.layer.forward_layer, "cell", None), "units", None)
        if self.layer.merge_mode != "concat" or units is None:
            return self.output()
        return f"{equals(f'{units} + {units}', 2 * units)} values at the end: {self.output()}"

    # -- normalization and noise -------------------------------------------------------------------

    def normalized_channels(self) -> str:
        axis = self.layer.axis if isinstance(self.layer.axis, int) else self.layer.axis[0]
        return count_of(self.context.input[axis] if self.context.input else None, "channel")

    def momentum_clause(self) -> str:
        keep = self.layer.momentum
        return f", which average about 1 / (1 - {keep:g}) = {1 / (1 - keep):.3g} updates" if keep < 1 else ""

    def learned_clause(self) -> str:
        if not self.layer.weights:
            return ""
        shift = " and shift" if getattr(self.layer, "beta", None) is not None else ""
        return f"; then a learned scale{shift}"

    def dropped(self) -> str:
        """Return the values or channels that a dropout sets to 0."""
        if "Spatial" in self.kind():
            unit, count = "channels", self.channels()
        else:
            unit, count = "values", size_of(self.context.input[1:]) if self.context.input else None
        if count is None:
            return unit
        rate = self.layer.rate
        return f"about {rate:g} × {integer(count)} = {integer(round(rate * count))} {unit}"

    def rescaled_clause(self) -> str:
        rate = self.layer.rate
        return f"; the others are multiplied by 1 / (1 - {rate:g}) = {1 / (1 - rate):.4g}" if rate < 1 else ""

    # -- others ------------------------------------------------------------------------------------

    def merged_output(self) -> str:
        same = len(set(self.context.inputs)) == 1
        return f"{self.output()}, same as the inputs" if same else self.output()

    def concatenated(self) -> str:
        axis = self.layer.axis
        widths = [shape[axis] for shape in self.context.inputs]
        total = self.context.output[axis] if self.context.output else None
        return equals(" + ".join("?" if width is None else integer(width) for width in widths), total)

    def scale(self) -> str:
        scale = self.layer.scale
        return f"{scale:.6g}" if isinstance(scale, (int, float)) else "its scale"

    def offset_clause(self) -> str:
        offset = self.layer.offset
        return f" + {offset:.6g}" if isinstance(offset, (int, float)) and offset else ""

    def own_description(self) -> str:
        """Return the first line of the docstring of a layer without a template."""
        kind = type(self.layer)
        lines = (kind.__doc__ or "").strip().splitlines()
        if lines and not module_of(kind).startswith("hornbeam.layers.layer"):
            return f"{lines[0].rstrip('.')} ({kind.__name__})"
        return f"a layer of the class {kind.__name__}; no description is available"


FACTS: dict[str, Callable[[Facts], Any]] = {
    # shapes
    "inputs": lambda f: " and ".join(map(shape_text, f.context.inputs)) or "?",
    "input_count": lambda f: len(f.context.inputs),
    "unchanged": lambda f: f"{f.output()}, unchanged" if f.context.output else "unchanged",
    "input_product": lambda f: equals(product(f.context.input[1:]), size_of(f.context.output[1:])),
    "output_product": lambda f: equals(product(f.context.output[1:]), size_of(f.context.output[1:])),
    "output_size": lambda f: size_of(f.context.output[1:]) or 0,
    "width": lambda f: f.context.input[-1] if f.context.input else None,
    "is_last": lambda f: not f.context.consumers,
    "inner_layers": lambda f: len(f.layer.layers),
    # windows
    "is_pointwise": lambda f: math.prod(f.layer.kernel_size) == 1,
    "shared_weights": lambda f: math.prod(f.layer.kernel.shape) if f.layer.built else 0,
    "extreme_or_mean": lambda f: "largest value" if "Max" in f.kind() else "mean",
    "border": lambda f: ", ".join(f"{low} and {high}" for low, high in f._border_pairs()),
    "is_nearest": lambda f: getattr(f.layer, "interpolation", "nearest") == "nearest",
    # products
    "reads_one": lambda f: f.context.input[-1:] == (1,),
    "last_code": lambda f: f.layer.input_dim - 1,
    "mask_clause": lambda f: "; 0 is padding and is masked" if f.layer.mask_zero else "",
    # attention and recurrence
    "head_size": lambda f: int(getattr(f.layer, "key_dim", None) or f.layer.head_dim),
    "is_gated": lambda f: f.kind() in ("LSTM", "GRU"),
    "direction_clause": lambda f: ", from the end" if f.layer.go_backwards else "",
    "returned": lambda f: "every step's state" if f.layer.return_sequences else "the last state",
    "cell_sums": lambda f: equals(f"4 × {f.layer.cell.filters}", 4 * f.layer.cell.filters),
    "inner_kind": lambda f: type(f.layer.forward_layer).__name__,
    # others
    "similarity": lambda f: "cosine" if f.layer.normalize else "dot product",
    "scales_bytes": lambda f: f.scale() == f"{1 / 255:.6g}",
}
