"""Numbers and clauses about a layer in its model, by the names that templates use.

`FACTS` holds those of one expression; the others are properties of `Facts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


class Facts:
    """The facts of a layer as attributes; `template.format_map(facts)` computes those that it names."""

    def __init__(self, context: LayerContext) -> None:
        self.context = context
        self.layer = context.layer

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getattr__(self, name: str) -> Any:
        if name not in FACTS:
            raise AttributeError(f"no fact {name!r}")
        return FACTS[name](self)

    @property
    def input_values(self) -> str:
        count = size_of(self.context.input[1:]) if self.context.input else None
        return "the values" if count is None else count_of(count, "value")

    def _spatial(self, shape: Shape) -> tuple[int | None, ...]:
        first = getattr(self.layer, "data_format", "channels_last") == "channels_first"
        return tuple(shape[2:] if first else shape[1:-1])

    def _channels(self, shape: Shape) -> int | None:
        if len(shape) < 2:
            return None
        first = getattr(self.layer, "data_format", "channels_last") == "channels_first"
        return shape[1] if first else shape[-1]

    @property
    def activation(self) -> str:
        """The effect of the layer's activation, as the end of a sentence."""
        effect = activation_effect(getattr(self.layer, "activation", None))
        return f"; then {effect}" if effect else ""

    @property
    def own_activation(self) -> str:
        """The effect of a layer that is an activation."""
        layer = self.layer
        if isinstance(layer, layers.LeakyReLU):
            return f"keeps positive values, and {layer.negative_slope:g} of negative ones"
        if isinstance(layer, layers.PReLU):
            count = count_of(layer.alpha.type.size, "factor")
            return f"keeps positive values, and a learned fraction of negative ones ({count})"
        if isinstance(layer, layers.ELU):
            return f"keeps positive values; below 0 it is {layer.alpha:g} × (exp(x) - 1)"
        name = type(layer).__name__
        effect = activation_effect(getattr(layer, "activation", None)) or activation_effect(name.lower())
        return effect or f"{name} is applied"

    @property
    def stride_clause(self) -> str:
        parts = []
        if max(self.layer.strides) > 1:
            parts.append(f"with stride {grid(self.layer.strides)}")
        if max(self.layer.dilation_rate) > 1:
            parts.append(f"with dilation {grid(self.layer.dilation_rate)}")
        return " " + " and ".join(parts) if parts else ""

    @property
    def fewer_values(self) -> str:
        before, after = size_of(self.context.input[1:]), size_of(self.context.output[1:])
        return f"{integer(before)} values become {integer(after)}" if before and after else "fewer values"

    @property
    def window(self) -> str:
        sizes = getattr(self.layer, "kernel_size", None) or self.layer.pool_size
        return f"{grid(sizes)} {self.units}"

    @property
    def channels_of_a_filter(self) -> str:
        count, groups = self._channels(self.context.input), self.layer.groups
        channels = count_of(None if count is None else count // groups, "channel")
        return channels if groups == 1 or count is None else f"{channels} of {integer(count)}"

    @property
    def windows(self) -> str:
        """The number of windows along each axis, and the values at each position."""
        layer = self.layer
        windows = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
        strides, dilations = layer.strides or windows, getattr(layer, "dilation_rate", (1,) * len(windows))
        padded = layer.padding in ("same", "causal")
        sums = self._axis_sums(
            lambda size, result, k, s, d: window_count(size, result, k, s, d, padded),
            windows,
            strides,
            dilations,
        )
        causal = " (zeros before the first step only)" if layer.padding == "causal" else ""
        return f"{sums}{causal}, {self.output_channel_values} at each position"

    @property
    def transposed_windows(self) -> str:
        layer = self.layer
        paddings = layer.output_padding or (None,) * layer.rank
        sums = self._axis_sums(
            lambda size, result, k, s, d, p: transposed_size(
                size, result, k, s, d, layer.padding == "same", p
            ),
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            paddings,
        )
        return f"{sums}, {self.output_channel_values} at each position"

    def _axis_sums(self, write: Callable[..., str], *settings: Sequence[Any]) -> str:
        """Write the arithmetic of each spatial axis from its size, its result and settings."""
        if not self.context.inputs or not self.context.outputs:
            return _UNKNOWN
        sizes, results = self._spatial(self.context.input), self._spatial(self.context.output)
        return along_axes([write(*values) for values in zip(sizes, results, *settings, strict=True)])

    @property
    def shared_weights(self) -> str:
        layer = self.layer
        return integer(math.prod(layer.kernel.shape) if layer.built else 0)

    @property
    def dense_weights_clause(self) -> str:
        """The weights of a Dense in place of a convolution."""
        sizes = (*self.context.input[1:], *self.context.output[1:])
        if self._channels(self.context.input) is None or None in sizes:
            return ""
        return f"; a Dense between the same shapes would have {integer(math.prod(sizes))}"  # type: ignore[arg-type]

    @property
    def depthwise_savings(self) -> str:
        count = self._channels(self.context.input)
        if count is None:
            return ""
        depthwise = math.prod(self.layer.kernel_size) * count * self.layer.depth_multiplier
        return f" ({integer(depthwise)} weights instead of {integer(depthwise * count)})"

    @property
    def separable_savings(self) -> str:
        layer, count = self.layer, self._channels(self.context.input) or 0
        window, inner = math.prod(layer.kernel_size), count * layer.depth_multiplier
        split, full = window * inner + inner * layer.filters, window * count * layer.filters
        return f"{integer(split)} weights instead of {integer(full)}"

    @property
    def flatten_clause(self) -> str:
        """The values that a Flatten would pass on in place of global pooling."""
        positions = size_of(self._spatial(self.context.input))
        count = self._channels(self.context.input)
        known = positions is not None and count is not None
        return f"; a Flatten would pass on {integer(positions * count)} values" if known else ""  # type: ignore[operator]

    @property
    def _border_pairs(self) -> Sequence[tuple[int, int]]:
        amounts = self.layer.cropping if self.is_cropping else self.layer.padding
        return (amounts,) if self.layer.rank == 1 else amounts

    @property
    def bordered(self) -> str:
        sign = "-" if self.is_cropping else "+"

        def write(size: int | None, result: int | None, pair: tuple[int, int]) -> str:
            if size is None:
                return _UNKNOWN
            return equals(f"{integer(size)} {sign} {pair[0]} {sign} {pair[1]}", result)

        return self._axis_sums(write, self._border_pairs)

    @property
    def _factors(self) -> Sequence[int]:
        size = self.layer.size
        return size if isinstance(size, (tuple, list)) else (size,)

    @property
    def upsampled(self) -> str:
        def write(size: int | None, result: int | None, factor: int) -> str:
            return _UNKNOWN if size is None else equals(f"{integer(size)} × {factor}", result)

        return self._axis_sums(write, self._factors)

    @property
    def at_positions(self) -> str:
        """The positions at which a Dense is applied, if its input has several."""
        rows = size_of(self.context.input[1:-1]) if len(self.context.input) > 2 else 1
        return "" if rows == 1 else f", at each of {count_of(rows, 'position')} with the same weights"

    @property
    def answer(self) -> str:
        one = self.layer.units == 1
        return "one number" if one else f"{integer(self.layer.units)} numbers, one a class or target"

    @property
    def linear_clause(self) -> str:
        """A warning about two Dense layers without an activation between them."""
        linear = not activation_effect(self.layer.activation)
        follows = any(isinstance(consumer, layers.Dense) for consumer in self.context.consumers)
        return (
            "; without an activation it is one product with the following Dense" if linear and follows else ""
        )

    @property
    def embedded(self) -> str:
        left = f"{product(self.context.input[1:])} × {integer(self.layer.output_dim)}"
        return equals(left, size_of(self.context.output[1:]))

    @property
    def _key_count(self) -> int | None:
        inputs = self.context.inputs
        return inputs[1][1] if len(inputs) > 1 and len(inputs[1]) > 1 else self._step_count

    @property
    def attention_weights(self) -> str:
        sizes = (self._head_count, self._step_count, self._key_count)
        return equals(product(sizes), size_of(sizes))

    @property
    def state_clause(self) -> str:
        """The size of the state, and the sums of a step by gate."""
        units = getattr(self.layer.cell, "units", None)
        if not units:
            return "?"
        gates, names = {
            "LSTM": (4, "input, forget and output gate, candidate"),
            "GRU": (3, "update gate, reset gate, candidate"),
            "SimpleRNN": (1, "the new state"),
        }.get(type(self.layer).__name__, (1, "the output of its cell"))
        sums = equals(f"{gates} × {integer(units)}", gates * units)
        return f"{integer(units)}: {sums} sums a step ({names})"

    @property
    def bidirectional_output(self) -> str:
        units = getattr(getattr(self.layer.forward_layer, "cell", None), "units", None)
        if self.layer.merge_mode != "concat" or units is None:
            return self.output
        return f"{equals(f'{units} + {units}', 2 * units)} values at the end: {self.output}"

    @property
    def normalized_channels(self) -> str:
        axis = self.layer.axis if isinstance(self.layer.axis, int) else self.layer.axis[0]
        return count_of(self.context.input[axis] if self.context.input else None, "channel")

    @property
    def momentum_clause(self) -> str:
        keep = self.layer.momentum
        if keep >= 1:
            return ""
        return f", which average about 1 / (1 - {keep:g}) = {1 / (1 - keep):.3g} updates"

    @property
    def learned_clause(self) -> str:
        if not self.layer.weights:
            return ""
        shift = " and shift" if getattr(self.layer, "beta", None) is not None else ""
        return f"; then a learned scale{shift}"

    @property
    def dropped(self) -> str:
        """The values or channels that a dropout sets to 0."""
        spatial = "Spatial" in type(self.layer).__name__
        unit = "channels" if spatial else "values"
        count = size_of(self.context.input[1:]) if self.context.input else None
        if spatial:
            count = self._channels(self.context.input)
        if count is None:
            return unit
        rate = self.layer.rate
        return f"about {rate:g} × {integer(count)} = {integer(round(rate * count))} {unit}"

    @property
    def rescaled_clause(self) -> str:
        rate = self.layer.rate
        if rate >= 1:
            return ""
        return f"; the others are multiplied by 1 / (1 - {rate:g}) = {1 / (1 - rate):.4g}"

    @property
    def noise(self) -> str:
        layer, rate = self.layer, getattr(self.layer, "rate", 0)
        if isinstance(layer, layers.GaussianNoise):
            return f"adds noise of deviation {layer.stddev:g}"
        if isinstance(layer, layers.GaussianDropout):
            return f"multiplies by noise around 1 (rate {rate:g})"
        if isinstance(layer, layers.AlphaDropout):
            return f"sets a fraction of {rate:g} to the negative limit of selu, keeping mean and variance"
        return "adds a penalty on the values to the loss"

    @property
    def merged_output(self) -> str:
        same = len(set(self.context.inputs)) == 1
        return f"{self.output}, same as the inputs" if same else self.output

    @property
    def concatenated(self) -> str:
        axis = self.layer.axis
        widths = [shape[axis] for shape in self.context.inputs]
        total = self.context.output[axis] if self.context.output else None
        return equals(" + ".join("?" if width is None else integer(width) for width in widths), total)

    @property
    def scale(self) -> str:
        scale = self.layer.scale
        return f"{scale:.6g}" if isinstance(scale, (int, float)) else "its scale"

    @property
    def offset_clause(self) -> str:
        offset = self.layer.offset
        return f" + {offset:.6g}" if isinstance(offset, (int, float)) and offset else ""

    @property
    def own_description(self) -> str:
        """The first line of the docstring of a layer without a template."""
        kind = type(self.layer)
        lines = (kind.__doc__ or "").strip().splitlines()
        if lines and not module_of(kind).startswith("hornbeam.layers.layer"):
            return f"{lines[0].rstrip('.')} ({kind.__name__})"
        return f"a layer of the class {kind.__name__}; no description is available"


FACTS: dict[str, Callable[[Facts], Any]] = {
    # shapes
    "input": lambda f: shape_text(f.context.input) if f.context.input else "?",
    "inputs": lambda f: " and ".join(map(shape_text, f.context.inputs)) or "?",
    "output": lambda f: shape_text(f.context.output) if f.context.output else "?",
    "unchanged": lambda f: f"{f.output}, unchanged" if f.context.output else "unchanged",
    "input_product": lambda f: equals(product(f.context.input[1:]), size_of(f.context.output[1:])),
    "output_product": lambda f: equals(product(f.context.output[1:]), size_of(f.context.output[1:])),
    "input_steps": lambda f: count_of(f._step_count, "step"),
    "queries": lambda f: count_of(f._step_count, "query", "queries"),
    "features": lambda f: count_of(f.context.input[-1] if f.context.input else None, "input"),
    "feature_values": lambda f: count_of(f.context.input[-1] if f.context.input else None, "value"),
    "_step_count": lambda f: f.context.input[1] if len(f.context.input) > 1 else None,
    "input_channels": lambda f: count_of(f._channels(f.context.input), "channel"),
    "output_channel_values": lambda f: count_of(f._channels(f.context.output), "value"),
    "positions": lambda f: count_of(size_of(f._spatial(f.context.input)), "position"),
    "input_grid": lambda f: grid(f._spatial(f.context.input)),
    "kind": lambda f: type(f.layer).__name__,
    # conditions
    "is_last": lambda f: not f.context.consumers,
    "is_pointwise_convolution": lambda f: math.prod(f.layer.kernel_size) == 1,
    "is_cropping": lambda f: hasattr(f.layer, "cropping"),
    "is_gated": lambda f: type(f.layer).__name__ in ("LSTM", "GRU"),
    "returns_sequences": lambda f: bool(f.layer.return_sequences),
    "is_nearest": lambda f: getattr(f.layer, "interpolation", "nearest") == "nearest",
    "scales_bytes": lambda f: f.scale == f"{1 / 255:.6g}",
    "is_permutation": lambda f: isinstance(f.layer, layers.Permute),
    # clauses
    "extreme_or_mean": lambda f: "largest value" if "Max" in type(f.layer).__name__ else "mean",
    # windows
    "units": lambda f: {1: "steps", 2: "pixels", 3: "voxels"}.get(getattr(f.layer, "rank", 2), "positions"),
    "strides": lambda f: grid(f.layer.strides),
    "output_grid": lambda f: grid(f.layer.output_size),
    "filters": lambda f: count_of(f.layer.filters, "filter"),
    "mixtures": lambda f: count_of(f.layer.filters, "linear combination"),
    "filters_a_channel": lambda f: count_of(f.layer.depth_multiplier, "filter"),
    "separable_channels": lambda f: integer((f._channels(f.context.input) or 0) * f.layer.depth_multiplier),
    "channel_values": lambda f: count_of(f._channels(f.context.input), "value"),
    "border": lambda f: ", ".join(f"{low} and {high}" for low, high in f._border_pairs),
    "scale_factors": lambda f: grid(f._factors),
    "interpolation": lambda f: str(getattr(f.layer, "interpolation", "nearest")),
    # products
    "weighted_sums": lambda f: count_of(f.layer.units, "weighted sum"),
    "all_features": lambda f: (
        f.features if f.context.input and f.context.input[-1] == 1 else f"all {f.features}"
    ),
    "units_text": lambda f: integer(f.layer.units),
    "new_features": lambda f: count_of(f.layer.units, "feature"),
    "equation": lambda f: str(f.layer.equation),
    "table_rows": lambda f: integer(f.layer.input_dim),
    "last_code": lambda f: integer(f.layer.input_dim - 1),
    "embedding_width": lambda f: count_of(f.layer.output_dim, "number"),
    "mask_clause": lambda f: "; 0 is padding and is masked" if f.layer.mask_zero else "",
    # attention and recurrence
    "heads": lambda f: count_of(f._head_count, "head"),
    "_head_count": lambda f: int(getattr(f.layer, "num_heads", None) or f.layer.num_query_heads),
    "head_size": lambda f: int(getattr(f.layer, "key_dim", None) or f.layer.head_dim),
    "key_steps": lambda f: count_of(f._key_count, "step"),
    "attention_score": lambda f: (
        "tanh(q + k) summed" if isinstance(f.layer, layers.AdditiveAttention) else "the product q·k"
    ),
    "recurrent_inputs": lambda f: count_of(
        f.context.input[-1] if len(f.context.input) > 2 else None, "value"
    ),
    "recurrent_steps": lambda f: count_of(f._step_count if len(f.context.input) > 2 else None, "step"),
    "direction_clause": lambda f: ", from the end" if f.layer.go_backwards else "",
    "returned": lambda f: "every step's state" if f.layer.return_sequences else "the last state",
    "frames": lambda f: count_of(f.context.input[1] if f.context.input else None, "frame"),
    "cell_filters": lambda f: count_of(f.layer.cell.filters, "filter"),
    "cell_window": lambda f: grid(f.layer.cell.kernel_size),
    "cell_sums": lambda f: equals(f"4 × {f.layer.cell.filters}", 4 * f.layer.cell.filters),
    "returned_frames": lambda f: "every frame" if f.layer.return_sequences else "the last state",
    "inner_kind": lambda f: type(f.layer.forward_layer).__name__,
    "merge_mode": lambda f: repr(f.layer.merge_mode),
    # normalization and noise
    "groups": lambda f: int(getattr(f.layer, "groups", 1)),
    "wrapped": lambda f: str(f.layer.layer.name),
    "power_iterations": lambda f: count_of(f.layer.power_iterations, "power iteration"),
    # merging and preprocessing
    "merged_tensors": lambda f: count_of(len(f.context.inputs), "tensor"),
    "axis": lambda f: str(f.layer.axis),
    "similarity": lambda f: "cosine" if f.layer.normalize else "dot product",
    "axes": lambda f: str(f.layer.axes),
    "dims": lambda f: str(tuple(f.layer.dims)),
    "repetitions": lambda f: integer(f.layer.n),
    "repeated_size": lambda f: integer(size_of(f.context.output[1:]) or 0),
    "dtype": lambda f: str(f.layer.dtype),
    "mask_value": lambda f: f"{f.layer.mask_value:g}",
    # other layers
    "inner_layers": lambda f: count_of(len(f.layer.layers), "layer"),
}
