"""Activations, as the operators that ONNX has for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hornbeam.export.patterns import activations
from hornbeam.onnx.emitter.values import Value, elementwise
from hornbeam.onnx.writing.rules.matching import rule_of


def apply(operator: str, x: Value, *others: Value | None, **attributes: Any) -> Value:
    """An operator on the elements of x."""
    operands = [x, *others]
    return x.emitter.node(operator, operands, x.dtype, x.shape, x.stored_shape, order=x.order, **attributes)


def _per_element(operator: str) -> Callable[..., Value]:
    return lambda x, **attributes: apply(operator, x, **attributes)


def _clip(x: Value, low: float, high: float) -> Value:
    if (low, high) == (0, math.inf):
        return apply("Relu", x)
    return apply("Clip", x, *(x.like(n) if math.isfinite(n) else None for n in (low, high)))


clip = rule_of(activations.clip, _clip)
hard_sigmoid = rule_of(activations.hard_sigmoid, _per_element("HardSigmoid"))
hard_silu = rule_of(activations.hard_silu, _per_element("HardSwish"))
leaky_relu = rule_of(activations.leaky_relu, _per_element("LeakyRelu"))
prelu = rule_of(activations.prelu, lambda x, alpha: elementwise("PRelu", x, alpha))
elu = rule_of(activations.elu, _per_element("Elu"))
selu = rule_of(activations.selu, _per_element("Selu"))
softplus = rule_of(activations.softplus, _per_element("Softplus"))
softsign = rule_of(activations.softsign, _per_element("Softsign"))
