"""Configs of quantization: the mode, and how weights and inputs are quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hornbeam._internal.formatting import brief
from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_int, check_number
from hornbeam.core.configurable import own_arguments
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.typing import Self
from hornbeam.dtype_policies import QUANTIZATION_MODES
from hornbeam.quantizers.quantizer import AbsMaxQuantizer, Quantizer


@exported("keras.quantizers")
class QuantizationConfig:
    """Base of the configs that `model.quantize(config=...)` takes: use the class of a mode.

    Args:
        weight_quantizer: Quantizer of the weights; that of the mode by default.
        activation_quantizer: Quantizer of the inputs of layers; None leaves them as floats.
    """

    def __init__(
        self,
        weight_quantizer: Quantizer | Config | None = None,
        activation_quantizer: Quantizer | Config | None = None,
    ) -> None:
        self.weight_quantizer: Any = deserialize(weight_quantizer)
        self.activation_quantizer: Any = deserialize(activation_quantizer)

    @property
    def mode(self) -> str:
        """Mode of quantization, such as "int8"."""
        raise NotImplementedError(
            "QuantizationConfig has no mode: use Int8QuantizationConfig or another of its subclasses"
        )

    @property
    def policy_mode(self) -> str:
        """Mode as dtype policies have it, with its sizes: "int4/128"."""
        return self.mode

    def get_config(self) -> Config:
        """Return the arguments of the constructor as plain values."""
        return {
            "weight_quantizer": serialize(self.weight_quantizer),
            "activation_quantizer": serialize(self.activation_quantizer),
            **own_arguments(self, QuantizationConfig),
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Build the config that plain values describe.

        Args:
            config: Dict of arguments.
        """
        return cls(**config)


@exported("keras.quantizers")
class Int8QuantizationConfig(QuantizationConfig):
    """Config of weights of 8 bits.

    Args:
        weight_quantizer: Quantizer of the weights, to int8; the largest absolute value of each output by
            default.
        activation_quantizer: Quantizer of the inputs of layers; the largest absolute value of each row by
            default. None leaves them as floats, so that only the weights are quantized.

    Raises:
        ValueError: If the weights would not be int8.

    Example:
        >>> model.quantize(config=Int8QuantizationConfig(activation_quantizer=None))  # doctest: +SKIP
    """

    def __init__(
        self,
        weight_quantizer: Quantizer | Config | None = None,
        activation_quantizer: Quantizer | Config | str | None = "default",
    ) -> None:
        chosen = AbsMaxQuantizer() if activation_quantizer == "default" else activation_quantizer
        super().__init__(weight_quantizer, chosen)  # type: ignore[arg-type]
        _check_int8(self)

    @property
    def mode(self) -> str:
        """ "int8"."""
        return "int8"


@exported("keras.quantizers")
class Int4QuantizationConfig(QuantizationConfig):
    """Config of weights of 4 bits, two in a byte.

    Args:
        weight_quantizer: Quantizer of the weights, to integers in [-8, 7]; only without blocks.
        activation_quantizer: Quantizer of the inputs of layers; by default they stay floats. Only without
            blocks.
        block_size: Number of inputs that share a scale and a zero point; None or -1 for one scale for each
            output, without a zero point.

    Raises:
        ValueError: If the arguments do not go together.

    Example:
        >>> model.quantize(config=Int4QuantizationConfig(block_size=64))  # doctest: +SKIP
    """

    def __init__(
        self,
        weight_quantizer: Quantizer | Config | None = None,
        activation_quantizer: Quantizer | Config | str | None = "default",
        block_size: int | None = 128,
    ) -> None:
        chosen = None if activation_quantizer == "default" else activation_quantizer
        super().__init__(weight_quantizer, chosen)  # type: ignore[arg-type]
        if block_size is not None:
            _check_group("block_size", block_size, "Int4QuantizationConfig")
        self.block_size = block_size
        has_own = self.weight_quantizer is not None or self.activation_quantizer is not None
        if block_size not in (None, -1) and has_own:
            raise ValueError(
                "Int4QuantizationConfig: quantizers of your own go without blocks: pass block_size=None, got "
                f"block_size={block_size}"
            )
        _check_int8(self)
        value_range = tuple(getattr(self.weight_quantizer, "value_range", (-8, 7)))
        if value_range != (-8, 7):
            raise ValueError(
                "Int4QuantizationConfig: the weight_quantizer must have value_range=(-8, 7), got "
                f"{value_range}"
            )

    @property
    def mode(self) -> str:
        """ "int4"."""
        return "int4"

    @property
    def policy_mode(self) -> str:
        """Mode with the block size, -1 for none: "int4/128"."""
        return f"int4/{-1 if self.block_size is None else self.block_size}"


@exported("keras.quantizers")
class Float8QuantizationConfig(QuantizationConfig):
    """Config of products in float8: inputs and weights are rounded to e4m3, gradients to e5m2.

    Example:
        >>> model.quantize(config=Float8QuantizationConfig())  # doctest: +SKIP
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def mode(self) -> str:
        """ "float8"."""
        return "float8"

    def get_config(self) -> Config:
        """Return an empty dict: there are no arguments."""
        return {}


class CalibratedConfig(QuantizationConfig):
    """Base of the configs of modes that look at data: texts or tokens, and the blocks of the model."""

    def __init__(
        self,
        dataset: Iterable[Any] | None,
        tokenizer: Callable[..., Any] | Any,
        *,
        weight_bits: int,
        num_samples: int,
        sequence_length: int,
        group_size: int,
        quantization_layer_structure: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.weight_bits = weight_bits
        self.num_samples = check_int("num_samples", num_samples, minimum=1, where=where)
        self.sequence_length = check_int("sequence_length", sequence_length, minimum=1, where=where)
        self.group_size = _check_group("group_size", group_size, where)
        self.quantization_layer_structure = quantization_layer_structure

    @property
    def policy_mode(self) -> str:
        """Mode with its sizes: "gptq/4/128"."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def dtype_policy_string(self) -> str:
        """Return the mode with its sizes, which the name of a dtype policy begins with."""
        return self.policy_mode

    def get_config(self) -> Config:
        """Return the arguments of the constructor as plain values, without the data and the layers."""
        return {
            "dataset": None,
            "tokenizer": None,
            "weight_bits": self.weight_bits,
            "num_samples": self.num_samples,
            "sequence_length": self.sequence_length,
            "group_size": self.group_size,
            # Layers of the model, needed for calibration alone, as the data are.
            "quantization_layer_structure": None,
            **own_arguments(self, CalibratedConfig),
        }


@exported("keras.quantizers")
class GPTQConfig(CalibratedConfig):
    """Config of GPTQ: each weight is rounded so that later ones make up for the error, on the model's inputs.

    Args:
        dataset: Texts, or arrays of token ids.
        tokenizer: Object with `tokenize(text)` that returns token ids; it is not used for arrays.
        weight_bits: Bits of a weight: 2, 3, 4 or 8.
        num_samples: Number of sequences that are cut from the data.
        per_channel: Whether each output has its own scale.
        sequence_length: Tokens of a sequence.
        hessian_damping: Part of the mean of the diagonal that is added to it, from 0 to 1.
        group_size: Number of inputs that share a scale and a zero point, -1 for all.
        symmetric: Whether the zero point is the middle of the range.
        activation_order: Whether the inputs with the largest squares are quantized first.
        quantization_layer_structure: Dict with the layers before the blocks, "pre_block_layers", and the
            blocks, "sequential_blocks"; by default what `model.get_quantization_layer_structure` returns.

    Raises:
        ValueError: If a number is out of range.

    Source: Frantar et al. 2023, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers.

    Example:
        >>> config = GPTQConfig(texts, tokenizer, num_samples=64)  # doctest: +SKIP
        >>> model.quantize(config=config)  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: Iterable[Any] | None,
        tokenizer: Callable[..., Any] | Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            dataset,
            tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            sequence_length=sequence_length,
            group_size=group_size,
            quantization_layer_structure=quantization_layer_structure,
        )
        if weight_bits not in (2, 3, 4, 8):
            raise ValueError(f"GPTQConfig: weight_bits must be 2, 3, 4 or 8, got {weight_bits}")
        self.per_channel = per_channel
        self.hessian_damping = check_number(
            "hessian_damping", hessian_damping, minimum=0, maximum=1, where="GPTQConfig"
        )
        self.symmetric = symmetric
        self.activation_order = activation_order

    @property
    def mode(self) -> str:
        """ "gptq"."""
        return "gptq"


@exported("keras.quantizers")
class AWQConfig(CalibratedConfig):
    """Config of AWQ: weights of inputs with large values are scaled up before they are rounded to 4 bits.

    Args:
        dataset: Texts, or arrays of token ids.
        tokenizer: Object with `tokenize(text)` that returns token ids; it is not used for arrays.
        weight_bits: Bits of a weight: 4.
        num_samples: Number of sequences that are cut from the data.
        sequence_length: Tokens of a sequence.
        group_size: Number of inputs that share a scale and a zero point, -1 for all.
        num_grid_points: Number of exponents that are tried for the scales of the inputs.
        quantization_layer_structure: Dict with the layers before the blocks, "pre_block_layers", and the
            blocks, "sequential_blocks"; by default what `model.get_quantization_layer_structure` returns.

    Raises:
        ValueError: If a number is out of range.

    Source: Lin et al. 2024, AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration.

    Example:
        >>> model.quantize(config=AWQConfig(texts, tokenizer, num_samples=64))  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: Iterable[Any] | None,
        tokenizer: Callable[..., Any] | Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        if weight_bits != 4:
            raise ValueError(f"AWQConfig: weight_bits must be 4, got {weight_bits}")
        super().__init__(
            dataset,
            tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            sequence_length=sequence_length,
            group_size=group_size,
            quantization_layer_structure=quantization_layer_structure,
        )
        self.num_grid_points = check_int("num_grid_points", num_grid_points, minimum=1, where="AWQConfig")

    @property
    def mode(self) -> str:
        """ "awq"."""
        return "awq"


def resolve_config(mode: str | None, config: QuantizationConfig | str | None) -> QuantizationConfig:
    """Return the config for the arguments of `quantize`: the one given, or the default of the mode.

    Raises:
        ValueError: If there is neither, the mode is unknown, or the two contradict each other.
    """
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None and mode not in QUANTIZATION_MODES:
        raise ValueError(f"unknown quantization mode {mode!r}: the modes are {', '.join(QUANTIZATION_MODES)}")
    if config is None:
        if mode is None:
            raise ValueError(
                f"quantize() needs a mode ({', '.join(QUANTIZATION_MODES)}) or a config, such as "
                "Int8QuantizationConfig()"
            )
        if mode in ("gptq", "awq"):
            raise ValueError(
                f"{mode} looks at data: pass config={mode.upper()}Config(dataset, tokenizer, ...)"
            )
        defaults = {
            "int8": Int8QuantizationConfig,
            "int4": Int4QuantizationConfig,
            "float8": Float8QuantizationConfig,
        }
        return defaults[mode]()
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"config must be a config of hornbeam.quantizers, such as Int8QuantizationConfig(), got "
            f"{brief(config)}"
        )
    if mode is not None and config.mode != mode:
        raise ValueError(
            f"the mode is {mode!r}, but the config is one of {config.mode!r}: leave out the mode"
        )
    return config


def _check_int8(config: QuantizationConfig) -> None:
    dtype = getattr(config.weight_quantizer, "output_dtype", "int8")
    if dtype != "int8":
        raise ValueError(
            f"{type(config).__name__}: the weight_quantizer must have output_dtype='int8', got {dtype!r}"
        )


def _check_group(name: str, size: int, where: str) -> int:
    if size == -1:
        return size
    return check_int(name, size, minimum=1, where=where)
