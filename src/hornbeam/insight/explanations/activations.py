"""What activations do to a number, in a few words."""

from __future__ import annotations

from typing import Any

_WORDS = {
    "relu": "relu keeps what is positive and sets the rest to 0",
    "relu6": "relu6 keeps what lies between 0 and 6 and cuts the rest",
    "leaky_relu": "leaky_relu keeps what is positive and a fraction of the rest",
    "elu": "elu keeps what is positive and lets the rest run out at -1",
    "selu": "selu keeps mean 0 and deviation 1 from layer to layer",
    "celu": "celu keeps what is positive and lets the rest run out smoothly",
    "gelu": "gelu keeps large values, and small ones in part",
    "silu": "silu (x × sigmoid(x)) keeps large values, and small ones in part",
    "mish": "mish keeps large values, and small ones in part",
    "sigmoid": "sigmoid squeezes each sum into 0 ... 1",
    "hard_sigmoid": "hard_sigmoid cuts a straight line to 0 ... 1",
    "hard_silu": "hard_silu keeps large values, by straight lines and a parabola",
    "tanh": "tanh squeezes each sum into -1 ... 1",
    "hard_tanh": "hard_tanh cuts at -1 and 1",
    "softsign": "softsign squeezes each sum into -1 ... 1, slowly",
    "softplus": "softplus is a smooth relu, always positive",
    "squareplus": "squareplus is a smooth relu, always positive",
    "softmax": "softmax makes them probabilities that add up to 1",
    "log_softmax": "log_softmax makes them logarithms of probabilities",
    "log_sigmoid": "log_sigmoid gives logarithms of probabilities",
    "sparsemax": "sparsemax makes them probabilities, many of them exactly 0",
    "exponential": "exp makes each sum positive, growing without bound",
    "glu": "glu lets one half of the values gate the other",
    "threshold": "threshold keeps what lies above a bound",
    "hard_shrink": "hard_shrink sets small values to 0",
    "soft_shrink": "soft_shrink draws all values towards 0, small ones onto it",
    "tanh_shrink": "tanh_shrink takes tanh(x) away from x",
    "sparse_plus": "sparse_plus is a smooth relu that reaches 0",
}
_WORDS |= {"swish": _WORDS["silu"], "hard_swish": _WORDS["hard_silu"]}


def says(activation: Any) -> str:
    """LayerDescription for an activation (a function or its name); "" for none and for `linear`."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    if activation is None or name == "linear":
        return ""
    return _WORDS.get(name, f"{name or type(activation).__name__} bends them")
