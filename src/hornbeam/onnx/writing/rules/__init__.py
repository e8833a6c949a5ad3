"""Rules that find ONNX's operators in a graph: for each primitive those that are tried, in order.

The first rule that matches decides. Nodes that none matches are written by the table of the ONNX Runtime
engine, composites by what they are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hornbeam.onnx.writing.rules import activations, composites, products, sequences, windows
from hornbeam.onnx.writing.rules.matching import Match as Match
from hornbeam.onnx.writing.rules.matching import Rule

# The rules of other primitives are for float32, which all runtimes compute.
FOR_ANY_DTYPE = ("gather", "reshape", "reverse")
RULES: Mapping[str, Sequence[Rule]] = {
    "add": (
        products.dense_with_bias,
        products.convolution_with_bias,
        products.image_normalization,
        products.scale_and_shift,
        activations.softplus,
    ),
    "attention": (sequences.attention,),
    "conv": (products.convolution,),
    "conv_input_grad": (products.convolution,),
    "div": (products.quantized_dense, windows.mean, windows.average_pool, activations.softsign),
    "dot_general": (products.dense,),
    "gather": (sequences.embedding,),
    "gelu": (composites.gelu,),
    "group_norm": (composites.group_norm,),
    "gru": (sequences.gru,),
    "layer_norm": (composites.layer_norm,),
    "log_softmax": (composites.log_softmax,),
    "logistic": (composites.sigmoid,),
    "lstm": (sequences.lstm,),
    "max": (activations.hard_sigmoid, activations.clip),
    "max_pool": (windows.max_pool,),
    "min": (activations.hard_sigmoid, activations.clip),
    "mul": (
        activations.hard_silu,
        activations.hard_sigmoid,
        activations.selu,
        windows.mean,
        windows.average_pool,
    ),
    "reduce_max": (composites.reduce_max,),
    "reduce_min": (composites.reduce_min,),
    "relu": (activations.clip,),
    "resample": (windows.interpolated,),
    "reshape": (windows.nearest_resize, windows.reduction_with_kept_dims, sequences.column),
    "reverse": (sequences.turned_twice,),
    "rms_norm": (composites.rms_norm,),
    "select": (activations.hard_sigmoid, activations.clip, activations.leaky_relu, activations.elu),
    "silu": (composites.silu,),
    "softmax": (composites.softmax,),
    "sub": (activations.prelu,),
}
# With these before the others, batch normalizations keep their own weights.
KEPT_NORMALIZATION: Mapping[str, Sequence[Rule]] = {"add": (products.batch_normalization, *RULES["add"])}
