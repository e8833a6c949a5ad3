"""Dtype policies of layers whose weights are quantized: a mode, and the policy that the layer had before."""

from __future__ import annotations

from typing import Any

from hornbeam.core.registry import exported
from hornbeam.dtype_policies.policy import DTypePolicy, dtype_policy, dtypes_of

QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")


@exported("keras.dtype_policies")
class QuantizedDTypePolicy(DTypePolicy):
    """Policy of a quantized layer, such as "int8_from_float32".

    A layer with such a policy has quantized weights from the start. `layer.quantize(mode)` quantizes the
    weights of an existing layer and gives it the policy.

    Args:
        mode: "int8", "int4" or "float8"; GPTQ and AWQ have policies of their own.
        source_name: Name of the policy by which the layer computes otherwise, such as "mixed_bfloat16";
            `floatx` by default.

    Raises:
        ValueError: If a name is unknown, or for int8 with float16, which overflows.

    Example:
        >>> QuantizedDTypePolicy("int8", "float32").name
        'int8_from_float32'
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        if mode not in QUANTIZATION_MODES:
            raise ValueError(
                f"unknown quantization mode {mode!r}: the modes are {', '.join(QUANTIZATION_MODES)}"
            )
        self._mode = mode
        self._source_name = dtype_policy().name if source_name is None else source_name
        self._compute_dtype, self._variable_dtype = dtypes_of(self._source_name)
        if mode == "int8" and self._compute_dtype == "float16":
            raise ValueError(
                "int8 with float16: sums of products of int8 overflow float16. Use 'mixed_bfloat16' or "
                "'float32' as the source"
            )
        self._name = f"{self._mode_with_sizes()}_from_{self._source_name}"

    def _mode_with_sizes(self) -> str:
        """Return the mode as names and configs have it, such as "int4/128"."""
        return self._mode

    @property
    def quantization_mode(self) -> str:
        """The format of quantized weights, such as "int8"."""
        return self._mode

    @property
    def source_name(self) -> str:
        """Name of the policy by which the layer computes otherwise."""
        return self._source_name

    def get_config(self) -> dict[str, Any]:
        """Return the config `{"mode": ..., "source_name": ...}`."""
        return {"mode": self._mode_with_sizes(), "source_name": self._source_name}


@exported("keras.dtype_policies")
class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Policy of a layer that multiplies in float8, with the largest values of past steps as its scales.

    Args:
        mode: "float8".
        source_name: Name of the policy by which the layer computes otherwise; `floatx` by default.
        amax_history_length: Number of past steps whose largest values determine a scale.

    Raises:
        TypeError: If the length is no integer.
        ValueError: If a name is unknown.

    Example:
        >>> QuantizedFloat8DTypePolicy("float8", "float32", amax_history_length=16).name
        'float8_from_float32'
    """

    default_amax_history_length = 1024

    def __init__(
        self,
        mode: str,
        source_name: str | None = None,
        amax_history_length: int = default_amax_history_length,
    ) -> None:
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(f"amax_history_length must be an integer, got {amax_history_length!r}")
        self._amax_history_length = amax_history_length

    @property
    def amax_history_length(self) -> int:
        """Number of past steps whose largest values determine a scale."""
        return self._amax_history_length

    def get_config(self) -> dict[str, Any]:
        """Return the config with `amax_history_length`."""
        return {**super().get_config(), "amax_history_length": self._amax_history_length}

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and other._amax_history_length == self._amax_history_length  # type: ignore[attr-defined]

    __hash__ = QuantizedDTypePolicy.__hash__


class _SizedDTypePolicy(QuantizedDTypePolicy):
    """Policy whose mode has sizes behind slashes, such as "gptq/4/128"."""

    form: tuple[str, ...]

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        name, *parts = mode.split("/")
        try:
            self._sizes = tuple(map(int, parts))
        except ValueError:
            self._sizes = ()
        if name != self.form[0] or len(self._sizes) != len(self.form) - 1:
            raise ValueError(f"{type(self).__name__}: mode must be {'/'.join(self.form)!r}, got {mode!r}")
        if self._sizes[-1] < -1 or self._sizes[-1] == 0:
            raise ValueError(
                f"{type(self).__name__}: {self.form[-1]} must be a positive integer, or -1 for one group, "
                f"got {self._sizes[-1]} in {mode!r}"
            )
        super().__init__(name, source_name)

    @property
    def mode(self) -> str:
        """The same as `quantization_mode`."""
        return self._mode

    def _mode_with_sizes(self) -> str:
        return "/".join(map(str, (self._mode, *self._sizes)))


@exported("keras.dtype_policies")
class Int4DTypePolicy(_SizedDTypePolicy):
    """Policy of a layer with weights of 4 bits, such as "int4/128_from_float32".

    Args:
        mode: "int4/" and the block size: the number of values that share a scale and a zero point, -1 for one
            scale for each output.
        source_name: Name of the policy by which the layer computes otherwise; `floatx` by default.

    Raises:
        ValueError: If the mode has another form.

    Example:
        >>> Int4DTypePolicy("int4/128", "float32").block_size
        128
    """

    form = ("int4", "<block_size>")

    @property
    def block_size(self) -> int:
        """Number of values that share a scale, -1 for one scale for each output."""
        return self._sizes[0]


@exported("keras.dtype_policies")
class GPTQDTypePolicy(_SizedDTypePolicy):
    """Policy of a layer that GPTQ quantizes, such as "gptq/4/128_from_float32".

    Args:
        mode: "gptq/", the bits of a weight (2, 3, 4 or 8), "/" and the group size: the number of inputs that
            share a scale and a zero point, -1 for all.
        source_name: Name of the policy by which the layer computes otherwise; `floatx` by default.

    Raises:
        ValueError: If the mode has another form, or for other numbers of bits.

    Example:
        >>> GPTQDTypePolicy("gptq/4/128", "float32").weight_bits
        4
    """

    form: tuple[str, ...] = ("gptq", "<weight_bits>", "<group_size>")
    bits: tuple[int, ...] = (2, 3, 4, 8)

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        super().__init__(mode, source_name)
        if self.weight_bits not in self.bits:
            raise ValueError(
                f"{type(self).__name__}: weight_bits must be {' or '.join(map(str, self.bits))}, got "
                f"{self.weight_bits} in {mode!r}"
            )

    @property
    def weight_bits(self) -> int:
        """Bits of a weight."""
        return self._sizes[0]

    @property
    def group_size(self) -> int:
        """Number of inputs that share a scale, -1 for all."""
        return self._sizes[1]


@exported("keras.dtype_policies")
class AWQDTypePolicy(GPTQDTypePolicy):
    """Policy of a layer that AWQ quantizes, such as "awq/4/128_from_float32".

    Args:
        mode: "awq/4/" and the group size: the number of inputs that share a scale and a zero point, -1 for
            all.
        source_name: Name of the policy by which the layer computes otherwise; `floatx` by default.

    Raises:
        ValueError: If the mode has another form.

    Example:
        >>> AWQDTypePolicy("awq/4/128", "float32").group_size
        128
    """

    form = ("awq", "<weight_bits>", "<group_size>")
    bits = (4,)


def quantized_policy(name: str) -> DTypePolicy:
    """Return the policy of a name such as "int8_from_float32" or "gptq/4/128_from_mixed_bfloat16".

    Raises:
        ValueError: If the name has another form.
    """
    mode, from_, source_name = name.partition("_from_")
    if not from_ or not source_name:
        if mode in ("int8", "int4"):
            return DTypePolicy(mode)
        raise ValueError(
            f"the name of a policy that quantizes has the form 'int8_from_float32', got {name!r}"
        )
    if mode.startswith("float8"):
        return QuantizedFloat8DTypePolicy(mode, source_name)
    if mode.startswith("gptq"):
        return GPTQDTypePolicy(mode, source_name)
    if mode.startswith("awq"):
        return AWQDTypePolicy(mode, source_name)
    return (Int4DTypePolicy if "/" in mode else QuantizedDTypePolicy)(mode, source_name)
