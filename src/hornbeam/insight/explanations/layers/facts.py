"""Numbers and clauses about a layer in its model, by the names that templates use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import layers
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

    # -- shapes ----------------------------------------------------------------------------------------------

    @property
    def input(self) -> str:
        return shape_text(self.context.input) if self.context.input else "?"

    @property
    def inputs(self) -> str:
        return " and ".join(map(shape_text, self.context.inputs)) or "?"

    @property
    def output(self) -> str:
        return shape_text(self.context.output) if self.context.output else "?"

    @property
    def unchanged(self) -> str:
        return f"{self.output}, unchanged" if self.context.output else "unchanged"

    @property
    def input_values(self) -> str:
        count = size_of(self.context.input[1:]) if self.context.input else None
        return "the values" if count is None else count_of(count, "value")

    @property
    def input_product(self) -> str:
        return equals(product(self.context.input[1:]), size_of(self.context.output[1:]))

    @property
    def output_product(self) -> str:
        return equals(product(self.context.output[1:]), size_of(self.context.output[1:]))

    @property
    def input_steps(self) -> str:
        return count_of(self._step_count, "step")

    @property
    def queries(self) -> str:
        return count_of(self._step_count, "query", "queries")

    @property
    def features(self) -> str:
        return count_of(self.context.input[-1] if self.context.input else None, "input")

    @property
    def feature_values(self) -> str:
        return count_of(self.context.input[-1] if self.context.input else None, "value")

    @property
    def _step_count(self) -> int | None:
        return self.context.input[1] if len(self.context.input) > 1 else None

    def _spatial(self, shape: Shape) -> tuple[int | None, ...]:
        first = getattr(self.layer, "data_format", "channels_last") == "channels_first"
        return tuple(shape[2:] if first else shape[1:-1])

    def _channels(self, shape: Shape) -> int | None:
        if len(shape) < 2:
            return None
        first = getattr(self.layer, "data_format", "channels_last") == "channels_first"
        return shape[1] if first else shape[-1]

    @property
    def input_channels(self) -> str:
        return count_of(self._channels(self.context.input), "channel")

    @property
    def output_channel_values(self) -> str:
        return count_of(self._channels(self.context.output), "value")

    @property
    def positions(self) -> str:
        return count_of(size_of(self._spatial(self.context.input)), "position")

    @property
    def input_grid(self) -> str:
        return grid(self._spatial(self.context.input))

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    # -- conditions ------------------------------------------------------------------------------------------

    @property
    def is_last(self) -> bool:
        return not self.context.consumers

    @property
    def is_pointwise_convolution(self) -> bool:
        return math.prod(self.layer.kernel_size) == 1

    @property
    def is_cropping(self) -> bool:
        return hasattr(self.layer, "cropping")

    @property
    def is_gated(self) -> bool:
        return type(self.layer).__name__ in ("LSTM", "GRU")

    @property
    def returns_sequences(self) -> bool:
        return bool(self.layer.return_sequences)

    @property
    def is_nearest(self) -> bool:
        return getattr(self.layer, "interpolation", "nearest") == "nearest"

    @property
    def scales_bytes(self) -> bool:
        return self.scale == f"{1 / 255:.6g}"

    @property
    def is_permutation(self) -> bool:
        return isinstance(self.layer, layers.Permute)

    # -- clauses ---------------------------------------------------------------------------------------------

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
    def extreme_or_mean(self) -> str:
        return "largest value" if "Max" in type(self.layer).__name__ else "mean"

    # -- windows ---------------------------------------------------------------------------------------------

    @property
    def units(self) -> str:
        return {1: "steps", 2: "pixels", 3: "voxels"}.get(getattr(self.layer, "rank", 2), "positions")

    @property
    def window(self) -> str:
        sizes = getattr(self.layer, "kernel_size", None) or self.layer.pool_size
        return f"{grid(sizes)} {self.units}"

    @property
    def strides(self) -> str:
        return grid(self.layer.strides)

    @property
    def output_grid(self) -> str:
        return grid(self.layer.output_size)

    @property
    def filters(self) -> str:
        return count_of(self.layer.filters, "filter")

    @property
    def mixtures(self) -> str:
        return count_of(self.layer.filters, "linear combination")

    @property
    def filters_a_channel(self) -> str:
        return count_of(self.layer.depth_multiplier, "filter")

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
        own = math.prod(self.layer.kernel_size) * count * self.layer.depth_multiplier
        return f" ({integer(own)} weights instead of {integer(own * count)})"

    @property
    def separable_savings(self) -> str:
        layer, count = self.layer, self._channels(self.context.input) or 0
        window, inner = math.prod(layer.kernel_size), count * layer.depth_multiplier
        split, full = window * inner + inner * layer.filters, window * count * layer.filters
        return f"{integer(split)} weights instead of {integer(full)}"

    @property
    def separable_channels(self) -> str:
        return integer((self._channels(self.context.input) or 0) * self.layer.depth_multiplier)

    @property
    def flatten_clause(self) -> str:
        """The values that a Flatten would pass on in place of global pooling."""
        positions = size_of(self._spatial(self.context.input))
        count = self._channels(self.context.input)
        known = positions is not None and count is not None
        return f"; a Flatten would pass on {integer(positions * count)} values" if known else ""  # type: ignore[operator]

    @property
    def channel_values(self) -> str:
        return count_of(self._channels(self.context.input), "value")

    @property
    def border(self) -> str:
        return ", ".join(f"{low} and {high}" for low, high in self._border_pairs)

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
    def scale_factors(self) -> str:
        return grid(self._factors)

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
    def interpolation(self) -> str:
        return str(getattr(self.layer, "interpolation", "nearest"))

    # -- products --------------------------------------------------------------------------------------------

    @property
    def weighted_sums(self) -> str:
        return count_of(self.layer.units, "weighted sum")

    @property
    def all_features(self) -> str:
        return self.features if self.context.input and self.context.input[-1] == 1 else f"all {self.features}"

    @property
    def at_positions(self) -> str:
        """The positions at which a Dense is applied, if its input has several."""
        rows = size_of(self.context.input[1:-1]) if len(self.context.input) > 2 else 1
        return "" if rows == 1 else f", at each of {count_of(rows, 'position')} with the same weights"

    @property
    def units_text(self) -> str:
        return integer(self.layer.units)

    @property
    def answer(self) -> str:
        one = self.layer.units == 1
        return "one number" if one else f"{integer(self.layer.units)} numbers, one a class or target"

    @property
    def new_features(self) -> str:
        return count_of(self.layer.units, "feature")

    @property
    def linear_clause(self) -> str:
        """A warning about two Dense layers without an activation between them."""
        linear = not activation_effect(self.layer.activation)
        follows = any(isinstance(consumer, layers.Dense) for consumer in self.context.consumers)
        return (
            "; without an activation it is one product with the following Dense" if linear and follows else ""
        )

    @property
    def equation(self) -> str:
        return str(self.layer.equation)

    @property
    def table_rows(self) -> str:
        return integer(self.layer.input_dim)

    @property
    def last_code(self) -> str:
        return integer(self.layer.input_dim - 1)

    @property
    def embedding_width(self) -> str:
        return count_of(self.layer.output_dim, "number")

    @property
    def embedded(self) -> str:
        left = f"{product(self.context.input[1:])} × {integer(self.layer.output_dim)}"
        return equals(left, size_of(self.context.output[1:]))

    @property
    def mask_clause(self) -> str:
        return "; 0 is padding and is masked" if self.layer.mask_zero else ""

    # -- attention and recurrence ----------------------------------------------------------------------------

    @property
    def heads(self) -> str:
        return count_of(self._head_count, "head")

    @property
    def _head_count(self) -> int:
        return int(getattr(self.layer, "num_heads", None) or self.layer.num_query_heads)

    @property
    def head_size(self) -> int:
        return int(getattr(self.layer, "key_dim", None) or self.layer.head_dim)

    @property
    def _key_count(self) -> int | None:
        inputs = self.context.inputs
        return inputs[1][1] if len(inputs) > 1 and len(inputs[1]) > 1 else self._step_count

    @property
    def key_steps(self) -> str:
        return count_of(self._key_count, "step")

    @property
    def attention_weights(self) -> str:
        sizes = (self._head_count, self._step_count, self._key_count)
        return equals(product(sizes), size_of(sizes))

    @property
    def attention_score(self) -> str:
        return "tanh(q + k) summed" if isinstance(self.layer, layers.AdditiveAttention) else "the product q·k"

    @property
    def recurrent_inputs(self) -> str:
        return count_of(self.context.input[-1] if len(self.context.input) > 2 else None, "value")

    @property
    def recurrent_steps(self) -> str:
        return count_of(self._step_count if len(self.context.input) > 2 else None, "step")

    @property
    def direction_clause(self) -> str:
        return ", from the end" if self.layer.go_backwards else ""

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
    def returned(self) -> str:
        return "every step's state" if self.layer.return_sequences else "the last state"

    @property
    def frames(self) -> str:
        return count_of(self.context.input[1] if self.context.input else None, "frame")

    @property
    def cell_filters(self) -> str:
        return count_of(self.layer.cell.filters, "filter")

    @property
    def cell_window(self) -> str:
        return grid(self.layer.cell.kernel_size)

    @property
    def cell_sums(self) -> str:
        return equals(f"4 × {self.layer.cell.filters}", 4 * self.layer.cell.filters)

    @property
    def returned_frames(self) -> str:
        return "every frame" if self.layer.return_sequences else "the last state"

    @property
    def inner_kind(self) -> str:
        return type(self.layer.forward_layer).__name__

    @property
    def merge_mode(self) -> str:
        return repr(self.layer.merge_mode)

    @property
    def bidirectional_output(self) -> str:
        units = getattr(getattr(self.layer.forward_layer, "cell", None), "units", None)
        if self.layer.merge_mode != "concat" or units is None:
            return self.output
        return f"{equals(f'{units} + {units}', 2 * units)} values at the end: {self.output}"

    # -- normalization and noise -----------------------------------------------------------------------------

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
    def groups(self) -> int:
        return int(getattr(self.layer, "groups", 1))

    @property
    def learned_clause(self) -> str:
        if not self.layer.weights:
            return ""
        shift = " and shift" if getattr(self.layer, "beta", None) is not None else ""
        return f"; then a learned scale{shift}"

    @property
    def wrapped(self) -> str:
        return str(self.layer.layer.name)

    @property
    def power_iterations(self) -> str:
        return count_of(self.layer.power_iterations, "power iteration")

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
            return f"sets a fraction of {rate:g} to the negative limit of selu, keeping mean and deviation"
        return "adds a penalty on the values to the loss"

    # -- merging and preprocessing ---------------------------------------------------------------------------

    @property
    def merged_tensors(self) -> str:
        return count_of(len(self.context.inputs), "tensor")

    @property
    def merged_output(self) -> str:
        same = len(set(self.context.inputs)) == 1
        return f"{self.output}, same as the inputs" if same else self.output

    @property
    def axis(self) -> str:
        return str(self.layer.axis)

    @property
    def concatenated(self) -> str:
        axis = self.layer.axis
        widths = [shape[axis] for shape in self.context.inputs]
        total = self.context.output[axis] if self.context.output else None
        return equals(" + ".join("?" if width is None else integer(width) for width in widths), total)

    @property
    def similarity(self) -> str:
        return "cosine" if self.layer.normalize else "dot product"

    @property
    def axes(self) -> str:
        return str(self.layer.axes)

    @property
    def dims(self) -> str:
        return str(tuple(self.layer.dims))

    @property
    def repetitions(self) -> str:
        return integer(self.layer.n)

    @property
    def repeated_size(self) -> str:
        return integer(size_of(self.context.output[1:]) or 0)

    @property
    def dtype(self) -> str:
        return str(self.layer.dtype)

    @property
    def scale(self) -> str:
        scale = self.layer.scale
        return f"{scale:.6g}" if isinstance(scale, (int, float)) else "its scale"

    @property
    def offset_clause(self) -> str:
        offset = self.layer.offset
        return f" + {offset:.6g}" if isinstance(offset, (int, float)) and offset else ""

    @property
    def mask_value(self) -> str:
        return f"{self.layer.mask_value:g}"

    # -- other layers ----------------------------------------------------------------------------------------

    @property
    def inner_layers(self) -> str:
        return count_of(len(self.layer.layers), "layer")

    @property
    def own_description(self) -> str:
        """The first line of the docstring of a layer without a template."""
        kind = type(self.layer)
        lines = (kind.__doc__ or "").strip().splitlines()
        if lines and not kind.__module__.startswith("hornbeam.layers.layer"):
            return f"{lines[0].rstrip('.')} ({kind.__name__})"
        return f"a layer of the class {kind.__name__}; no description is available"
