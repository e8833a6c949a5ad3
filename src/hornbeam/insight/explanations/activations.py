"""Effects of activations, in a few words."""

from __future__ import annotations

from hornbeam._internal.typing import ActivationLike

# Name of the function -> effect, after the name.
EFFECTS = {
    "relu": "keeps positive values and sets the others to 0",
    "relu6": "keeps values between 0 and 6 and clips the others",
    "leaky_relu": "keeps positive values and a fraction of the others",
    "elu": "keeps positive values and saturates the others at -1",
    "selu": "keeps mean 0 and standard deviation 1 from layer to layer",
    "celu": "keeps positive values and saturates the others smoothly",
    "gelu": "keeps large values, and small ones in part",
    "silu": "(x × sigmoid(x)) keeps large values, and small ones in part",
    "mish": "keeps large values, and small ones in part",
    "sigmoid": "maps each value to (0, 1)",
    "hard_sigmoid": "clips a line to [0, 1]",
    "hard_silu": "keeps large values, by lines and a parabola",
    "tanh": "maps each value to (-1, 1)",
    "hard_tanh": "clips at -1 and 1",
    "softsign": "maps each value to (-1, 1), slowly",
    "softplus": "is a smooth relu, always positive",
    "squareplus": "is a smooth relu, always positive",
    "softmax": "maps them to probabilities with sum 1",
    "log_softmax": "maps them to logarithms of probabilities",
    "log_sigmoid": "maps each value to the logarithm of a probability",
    "sparsemax": "maps them to probabilities, many of them exactly 0",
    "exponential": "makes each value positive, without a bound",
    "glu": "gates one half of the values by the other",
    "threshold": "keeps values above a threshold",
    "hard_shrink": "sets small values to 0",
    "soft_shrink": "moves all values towards 0, small ones onto it",
    "tanh_shrink": "subtracts tanh(x) from x",
    "sparse_plus": "is a smooth relu that reaches 0",
}
EFFECTS |= {"swish": EFFECTS["silu"], "hard_swish": EFFECTS["hard_silu"]}


def activation_effect(activation: ActivationLike) -> str:
    """Return a clause about an activation (a function or its name); "" for None and `linear`."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    if activation is None or name == "linear":
        return ""
    if name in EFFECTS:
        return f"{name} {EFFECTS[name]}"
    return f"{name or type(activation).__name__} is applied"
