"""LoRA: a frozen weight plus the product of two small trained matrices."""

from __future__ import annotations

from typing import Any

from hornbeam import initializers, ops
from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_int
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import InitializerLike
from hornbeam.core.variable import Variable, eager_scope
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.tracking import Tracked


class MainWeight:
    """The attribute `layer.kernel` of a layer that holds the variable as `layer._kernel`.

    It is the variable itself, or a tensor where low-rank factors are added or two integers are in a byte. A
    subclass that assigns a variable of its own to `self.kernel` replaces it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if not layer._has_main_weight():
            raise AttributeError(
                f"{layer.describe()} has no {self._name} yet: call the layer on data, or build(input_shape)"
            )
        return layer._main_weight()


class LowRankLayer(TensorLayer):
    """Base of layers whose main weight W takes low-rank factors: `W + lora_alpha / lora_rank * A @ B`.

    A has the shape of W with the last axis replaced by the rank, B is (rank, last axis of W).

    Source: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models.
    """

    # Name of the main weight, which is held as `_kernel` or `_embeddings`.
    _main_name = "kernel"

    def __init__(self, lora_rank: int | None = None, lora_alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if lora_rank is not None:
            check_int("lora_rank", lora_rank, minimum=1, where=type(self).__name__)
        self.lora_rank: Any = lora_rank
        self.lora_alpha: Any = lora_alpha if lora_alpha is not None else lora_rank
        self.lora_enabled = False
        self._lora_initializer: Any = None

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: InitializerLike = "he_uniform",
        b_initializer: InitializerLike = "zeros",
    ) -> None:
        """Freeze the main weight and train a change of low rank: `W + lora_alpha / rank * A @ B`.

        Compile the model after this, so that its optimizer trains the new weights. A saved file has the sum
        in the place of the weight.

        Args:
            rank: Number of columns of A and rows of B.
            lora_alpha: Numerator of the factor of the change; `rank` by default, for a factor of 1.
            a_initializer: Initializer of A.
            b_initializer: Initializer of B; with zeros the layer computes at first what it did before.

        Raises:
            ValueError: If the layer is not built, has factors already, or has a constraint on the weight.
            NotImplementedError: If the layer is quantized by GPTQ or AWQ.
        """
        check_int("rank", rank, minimum=1, where=self.describe())
        if not self.built:
            raise ValueError(
                f"{self.describe()} is not built: build it, or call it on data, before enable_lora()"
            )
        if self.lora_enabled:
            raise ValueError(f"{self.describe()}: LoRA is enabled already, with rank {self.lora_rank}")
        self._hb_locked = False
        try:
            self._add_lora(rank, lora_alpha, a_initializer, b_initializer)
        finally:
            self._hb_locked = True
            Tracked.replacements += 1

    def _build_lora(self) -> None:
        """Create the factors that the constructor asked for, at the end of `build`."""
        if self.lora_rank is not None:
            self._add_lora(self.lora_rank, self.lora_alpha, "he_uniform", "zeros")

    def _add_lora(
        self, rank: int, alpha: float | None, a_initializer: InitializerLike, b_initializer: InitializerLike
    ) -> None:
        name = self._main_name
        if self.quantization_mode in ("gptq", "awq"):
            raise NotImplementedError(
                f"{self.describe()}: LoRA does not go with {self.quantization_mode}; int8 and int4 take it"
            )
        if getattr(self, f"{name}_constraint") is not None:
            raise ValueError(
                f"{self.describe()}: LoRA keeps no constraint on a weight. Remove the argument "
                f"{name}_constraint"
            )
        shape = self._main_shape()
        regularizer = getattr(self, f"{name}_regularizer")
        # Small changes underflow in 16 bits.
        factors = [
            self.add_weight(size, initializer, "float32", regularizer=regularizer, name=f"lora_{name}_{part}")
            for part, size, initializer in (
                ("a", (*shape[:-1], rank), a_initializer),
                ("b", (rank, shape[-1]), b_initializer),
            )
        ]
        setattr(self, f"lora_{name}_a", factors[0])
        setattr(self, f"lora_{name}_b", factors[1])
        self._lora_initializer = initializers.get(a_initializer)
        self._main_variable.trainable = False
        self.lora_rank = rank
        self.lora_alpha = alpha if alpha is not None else rank
        self.lora_enabled = True

    def _has_main_weight(self) -> bool:
        return f"_{self._main_name}" in self.__dict__

    @property
    def _main_variable(self) -> Variable:
        return getattr(self, f"_{self._main_name}")

    def _plain_weight(self) -> Any:
        """Return the main weight without the change; a subclass may have set `layer.kernel` to its own."""
        own = self.__dict__.get(self._main_name)
        return self._main_variable if own is None else own

    def _main_shape(self) -> tuple[int, ...]:
        """Shape of the main weight as it is multiplied."""
        return self._main_variable.shape

    @property
    def _lora_factors(self) -> tuple[Variable, Variable]:
        name = self._main_name
        return getattr(self, f"lora_{name}_a"), getattr(self, f"lora_{name}_b")

    @property
    def _lora_scale(self) -> float:
        return float(self.lora_alpha / self.lora_rank)

    def _lora_change(self) -> Tensor:
        """Return what the factors add to the main weight, in its shape."""
        a, b = self._lora_factors
        return ops.matmul(a, b) * self._lora_scale

    def _main_weight(self) -> Any:
        """Return the value of `layer.kernel`: the variable, or the sum of it and the change."""
        weight = self._main_variable
        return ops.cast(weight + self._lora_change(), weight.dtype) if self.lora_enabled else weight

    # -- training and files ----------------------------------------------------------------------------------

    def _is_frozen(self, variable: Variable) -> bool:
        return self.lora_enabled and variable is self._main_variable

    def _stored_weights(self, merged: bool = True) -> dict[Variable, Tensor]:
        stored = super()._stored_weights(merged)
        if not (merged and self.lora_enabled):
            return stored
        factors = set(self._lora_factors)  # a set compares variables by identity
        return self._merged({v: value for v, value in stored.items() if v not in factors})

    def _merged(self, stored: dict[Variable, Tensor]) -> dict[Variable, Tensor]:
        """Return values to store in which the main weight includes the change."""
        return {**stored, self._main_variable: self._main_weight()}

    def _on_weights_loaded(self) -> None:
        """Start with no change again: the loaded weight has it. A is drawn anew, as zeros would not train."""
        if self.lora_enabled:
            a, b = self._lora_factors
            with eager_scope():
                a.assign(self._lora_initializer(a.shape, dtype="float32"))
                b.assign(ops.zeros(b.shape))

    def get_config(self) -> Config:
        config = super().get_config()
        if self.lora_rank is not None:
            config.update({"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha})
        return config
