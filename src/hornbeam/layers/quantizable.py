"""Base of layers that can be quantized: their weights in the format of a mode."""

from __future__ import annotations

from typing import Any, ClassVar

from hornbeam import dtype_policies, ops
from hornbeam._internal.typing import Config, ShapeTree
from hornbeam.core.registry import deserialize
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import InitializerLike
from hornbeam.core.variable import Variable, eager_scope
from hornbeam.dtype_policies import AWQDTypePolicy, GPTQDTypePolicy, Int4DTypePolicy
from hornbeam.layers.layer import Layer
from hornbeam.layers.low_rank import LowRankLayer
from hornbeam.layers.tracking import Tracked
from hornbeam.quantizers.configs import CalibratedConfig, Int4QuantizationConfig, QuantizationConfig
from hornbeam.quantizers.formats import Grouped, Int4, Int8, WeightLayout
from hornbeam.quantizers.quantizer import AbsMaxQuantizer

# Modes in which the float weight is replaced as soon as the layer is quantized.
_REPLACING = ("int8", "int4")


class QuantizableLayer(LowRankLayer):
    """A layer declares its weights by `_layouts`; everything else about their storage is done here."""

    # Modes that the class has, with the attributes that hold its weights, in the order of a file.
    _files: ClassVar[dict[str, list[str]]]
    # Name of the zero points in GPTQ and AWQ.
    _zero_name = "kernel_zero"
    quantization_config: QuantizationConfig | None
    _formats: tuple[Any, ...] = ()

    def _take_quantization(self, config: QuantizationConfig | Config | None) -> None:
        """Keep the argument `quantization_config` of a constructor."""
        self.quantization_config = deserialize(config)
        self.inputs_quantizer: Any = None

    def _layouts(self, shape: tuple[int, ...]) -> list[WeightLayout]:
        """Return the layouts of the weights of the layer, the main one first."""
        raise NotImplementedError

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """Attributes that hold the weights, in the order of a file, for each mode."""
        files: dict[str | None, list[str]] = {None: []}
        files.update(self._files)
        return files

    # -- building and quantizing -----------------------------------------------------------------------------

    def _add_main_weight(self, shape: tuple[int, ...], initializer: InitializerLike = None) -> None:
        """Create the main weight in `build`: in floats, or in the format of the layer's policy."""
        mode, name = self.quantization_mode, self._main_name
        if mode is not None:
            self.quantized_build(shape, mode, self.quantization_config)
        if mode in (None, "float8"):
            weight = self.add_weight(
                shape,
                getattr(self, f"{name}_initializer") if initializer is None else initializer,
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                name=name,
            )
            setattr(self, f"_{name}", weight)

    def quantized_build(
        self, input_shape: ShapeTree, mode: str, config: QuantizationConfig | None = None
    ) -> None:
        """Create the weights of the layer in the format of a mode.

        Args:
            input_shape: Shape of the main weight.
            mode: Mode of quantization.
            config: Config of the mode; None for what the layer's policy says.

        Raises:
            NotImplementedError: If the layer does not have the mode.
        """
        self._check_mode(mode)
        layouts = self._layouts(tuple(input_shape))
        if mode == "int8":
            self._formats = tuple(Int8(self, layout, config) for layout in layouts)
        elif mode == "int4":
            block_size = self._block_size(config)
            self._formats = tuple(
                # Files of Keras have the zero points of a second weight in the dtype of the layer.
                Int4(self, layout, config, block_size, None if index else "int8", not index)
                for index, layout in enumerate(layouts)
            )
        elif mode in ("gptq", "awq"):
            bits, group_size = self._group_sizes(config)
            self._formats = (Grouped(self, layouts[0], mode, bits, group_size, self._zero_name),)
        else:
            self._build_float8()
        if config is not None:
            self.inputs_quantizer = config.activation_quantizer
        else:
            self.inputs_quantizer = self._default_inputs_quantizer(mode)
        self._is_quantized = True

    def _build_float8(self) -> None:
        raise NotImplementedError

    def _default_inputs_quantizer(self, mode: str) -> Any:
        return AbsMaxQuantizer() if mode == "int8" else None

    def _check_mode(self, mode: str) -> None:
        if mode not in self._files:
            raise NotImplementedError(
                f"{self.describe()} cannot be quantized in mode {mode!r}: its modes are "
                f"{', '.join(self._files)}"
            )

    def _block_size(self, config: QuantizationConfig | None) -> int | None:
        policy, size = self.dtype_policy.at(self.path), None
        if isinstance(config, Int4QuantizationConfig):
            size = config.block_size
        elif isinstance(policy, Int4DTypePolicy):
            size = policy.block_size
        return None if size == -1 else size

    def _group_sizes(self, config: QuantizationConfig | None) -> tuple[int, int]:
        """Return the bits of a weight and the group size of GPTQ or AWQ."""
        policy = self.dtype_policy.at(self.path)
        source: Any = config if isinstance(config, CalibratedConfig) else policy
        if not isinstance(source, (CalibratedConfig, GPTQDTypePolicy, AWQDTypePolicy)):
            raise ValueError(
                f"{self.describe()}: GPTQ and AWQ need their sizes: a GPTQConfig or AWQConfig, or a policy "
                f"such as 'gptq/4/128_from_float32', got {policy.name!r}"
            )
        return source.weight_bits, source.group_size

    def quantize(
        self,
        mode: str | None = None,
        config: QuantizationConfig | str | None = None,
        *,
        type_check: bool = True,
    ) -> None:
        """Replace the weights by quantized ones, and compute with them from now on.

        GPTQ and AWQ only create their variables here: `model.quantize` computes their values from data.

        Args:
            mode: "int8", "int4", "float8", "gptq" or "awq".
            config: Config of `hornbeam.quantizers`, instead of the mode or beside it.
            type_check: Whether subclasses are refused.

        Raises:
            NotImplementedError: If the layer does not have the mode, or is a subclass.
            ValueError: If the layer is not built, is quantized already, or the arguments are invalid.
        """
        assert mode is not None  # `checked_quantize` resolves both
        assert isinstance(config, QuantizationConfig)
        if type_check and "_keras_module" not in type(self).__dict__:
            raise self._no_quantized_form("quantize")
        self._check_mode(mode)
        layouts = self._layouts(self._main_variable.shape)
        replaced: list[Any] = []
        if mode in _REPLACING:
            replaced = [ops.convert_to_tensor(getattr(self, layout.attribute).value) for layout in layouts]
            for layout in layouts:
                delattr(self, layout.attribute)
        source_policy = self.dtype_policy.at(self.path)
        self.quantization_config = config
        with self._hb_scope(), eager_scope():
            self.quantized_build(layouts[0].shape, mode, config)
            for format, value in zip(self._formats, replaced, strict=False):
                format.write(format.encode(value))
        if source_policy.quantization_mode is None:
            self.dtype_policy = dtype_policies.get(f"{config.policy_mode}_from_{source_policy.name}")

    def calibrate(self, *parts: Tensor) -> None:
        """Take the result of GPTQ or AWQ in the place of the float weight.

        Args:
            *parts: Integers (outputs, inputs), scales and zero points (outputs, groups), group of each input,
                and for AWQ the scales of the inputs.
        """
        (format,) = self._formats
        assert isinstance(format, Grouped)
        self._hb_locked = False
        try:
            format.write(format.encoded(*parts))
            format.set_calibrated(True)
            delattr(self, format.layout.attribute)
        finally:
            self._hb_locked = True
            Tracked.changes += 1
            Tracked.replacements += 1

    # -- the weight as floats, and in files ------------------------------------------------------------------

    def _decoded(self) -> Any:
        """Return the main weight as it is multiplied, without low-rank factors."""
        return self._formats[0].decode() if self._formats else self._main_variable

    def _main_weight(self) -> Any:
        """Return the value of `layer.kernel`: the integers that are stored, floats with low-rank factors."""
        if not self._formats:
            return super()._main_weight()
        if not self.lora_enabled:
            return self._formats[0].integers()
        weight = self._decoded()
        return ops.cast(weight + self._lora_change(), weight.dtype)

    def _has_main_weight(self) -> bool:
        return bool(self._formats) or super()._has_main_weight()

    def _main_shape(self) -> tuple[int, ...]:
        return self._formats[0].layout.shape if self._formats else self._main_variable.shape

    def _stored_weights(self, merged: bool = True) -> dict[Variable, Tensor]:
        stored = super()._stored_weights(merged)
        names = self.variable_serialization_spec.get(self.quantization_mode, [])
        ordered = [getattr(self, name, None) for name in names]
        first = {v: stored[v] for v in ordered if isinstance(v, Variable)}
        return {**first, **stored}

    def _merged(self, stored: dict[Variable, Tensor]) -> dict[Variable, Tensor]:
        if not self._formats:
            return super()._merged(stored)
        return {**stored, **self._formats[0].encode(self._main_weight())}


def is_quantizable(layer: Layer) -> bool:
    """Return whether a layer has weights that `quantize` replaces."""
    return isinstance(layer, QuantizableLayer)
