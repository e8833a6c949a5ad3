"""Quantization as every layer has it: its mode, and errors for layers that cannot be quantized."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam.dtype_policies import DTypePolicy, Int4DTypePolicy
from hornbeam.layers.tracking import Tracked
from hornbeam.quantizers.configs import Int4QuantizationConfig, QuantizationConfig, resolve_config


def checked_quantize(quantize: Callable[..., None]) -> Callable[..., None]:
    """Wrap `quantize` to resolve mode and config, check the layer, and let it replace its weights."""

    @functools.wraps(quantize)
    def quantize_once(
        self: Any, mode: str | None = None, config: QuantizationConfig | str | None = None, **kwargs: Any
    ) -> None:
        resolved = resolve_config(mode, config)
        self._check_quantizable(resolved.mode)
        locked, self._hb_locked = self._hb_locked, False
        try:
            quantize(self, mode=resolved.mode, config=resolved, **kwargs)
        finally:
            self._hb_locked = locked
            Tracked.changes += 1
            Tracked.replacements += 1

    return quantize_once


class QuantizationMethods:
    """Part of `Layer`: layers that can be quantized override `quantize` and the methods of the modes."""

    dtype_policy: DTypePolicy
    call: Callable[..., Any]
    built: bool
    _is_quantized = False

    @property
    def path(self) -> str:
        """Names of the enclosing layers and of this one, joined by "/"."""
        raise NotImplementedError

    @property
    def compute_dtype(self) -> str:
        """Dtype in which `call` computes."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the layer's path and class, for messages."""
        raise NotImplementedError

    @property
    def quantization_mode(self) -> str | None:
        """Format of the weights: "int8", "int4", "float8", "gptq" or "awq"; None if they are not."""
        return self.dtype_policy.at(self.path).quantization_mode

    def quantize(
        self,
        mode: str | None = None,
        config: QuantizationConfig | str | None = None,
        *,
        type_check: bool = True,
    ) -> None:
        """Replace the weights by quantized ones, and compute with them from now on.

        Dense, EinsumDense, Embedding and ReversibleEmbedding can be quantized. A subclass computes in ways
        that its base does not know, and is refused.

        Args:
            mode: "int8", "int4", "float8", "gptq" or "awq".
            config: Config of `hornbeam.quantizers`, instead of the mode or beside it.
            type_check: Whether subclasses are refused.

        Raises:
            NotImplementedError: If the layer, or the mode for it, has no quantized form.
            ValueError: If the layer is not built, is quantized already, or the arguments are invalid.
        """
        raise self._no_quantized_form("quantize")

    def quantized_build(
        self, input_shape: ShapeTree, mode: str, config: QuantizationConfig | None = None
    ) -> None:
        """Create the weights of a quantized layer.

        Args:
            input_shape: Shape of the weight.
            mode: Mode of quantization.
            config: Config of the mode.

        Raises:
            NotImplementedError: If the layer has no quantized form.
        """
        raise self._no_quantized_form("quantized_build")

    def quantized_call(self, *args: Any, **kwargs: Any) -> Tree:
        """Compute the outputs with quantized weights, in the place of `call`.

        Args:
            *args: Arguments of `call`.
            **kwargs: Arguments of `call`.

        Raises:
            NotImplementedError: If the layer has no quantized form.
        """
        return getattr(self, f"_{self.quantization_mode}_call")(*args, **kwargs)

    def _int8_call(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_quantized_form("_int8_call")

    def _int4_call(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_quantized_form("_int4_call")

    def _float8_call(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_quantized_form("_float8_call")

    def _gptq_call(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_quantized_form("_gptq_call")

    def _awq_call(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_quantized_form("_awq_call")

    def _call_of_mode(self) -> Callable[..., Any]:
        """Return the method that computes the outputs."""
        return self.call if self.quantization_mode is None else self.quantized_call

    def _no_quantized_form(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"{self.describe()} has no quantized form: it does not have a `{method}` method implemented. "
            "Dense, EinsumDense, Embedding and ReversibleEmbedding have one (no subclasses of them, unless "
            "type_check=False); other layers keep a policy such as 'float32'"
        )

    def _check_quantizable(self, mode: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.describe()} is not built: call it on data, or build(input_shape), before quantize()"
            )
        if self._is_quantized:
            raise ValueError(
                f"{self.describe()} is quantized already ({self.dtype_policy.at(self.path).name}): quantize "
                "a layer with float weights"
            )
        if mode == "int8" and self.compute_dtype == "float16":
            raise ValueError(
                f"{self.describe()} computes in float16, which sums of products of int8 overflow: use the "
                "policy 'mixed_bfloat16' or 'float32' before quantize('int8')"
            )

    def _quantize_for(self, policy: DTypePolicy) -> None:
        """Quantize the weights of a built layer that gets a policy which quantizes."""
        mode = policy.quantization_mode
        if mode is None or not self.__dict__.get("built") or self._is_quantized:
            return
        if mode in ("gptq", "awq"):
            raise ValueError(
                f"{self.describe()}: {policy.name!r} cannot be set as a policy, as {mode.upper()} looks at "
                "data: use model.quantize(config=...)"
            )
        config = None
        if isinstance(policy, Int4DTypePolicy):
            config = Int4QuantizationConfig(block_size=policy.block_size)
        self.quantize(mode, config)
