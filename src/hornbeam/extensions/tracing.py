"""For extensions: what is running, graphs of lazy values and their derivatives, sizes that are not known."""

from collections.abc import Sequence

import numpy as np

from hornbeam.core.lazy import GraphHolder as GraphHolder
from hornbeam.core.lazy import retain_graph as retain_graph
from hornbeam.core.lazy import value_of as _value_of
from hornbeam.core.symbolic import compute_output_spec as compute_output_spec
from hornbeam.core.variable import eager_scope as eager_scope
from hornbeam.core.variable import set_assignment_observer as set_assignment_observer
from hornbeam.ir.autodiff import gradients as _gradients
from hornbeam.ir.node import Node as Node
from hornbeam.ir.node import leaf as _leaf
from hornbeam.ir.primitive import ones_like as _ones_like
from hornbeam.ir.sizes import in_symbolic_trace as _in_symbolic_trace
from hornbeam.ir.sizes import is_unknown as is_unknown
from hornbeam.ir.trace import current_level as _current_level
from hornbeam.ir.trace import is_constant as _is_constant
from hornbeam.ir.types import TensorType as _TensorType
from hornbeam.ir.types import is_float as _is_float
from hornbeam.layers.context import current_context as _current_context
from hornbeam.layers.context import is_shapes_only as _is_shapes_only


class Running:
    """State of the code that is running, as functions without arguments."""

    # The number of open traces, 0 in eager code.
    traces = staticmethod(_current_level)
    # True while types are inferred for symbolic tensors.
    is_symbolic = staticmethod(_in_symbolic_trace)
    # The context of the outermost call of a layer, or None.
    layer_call = staticmethod(_current_context)
    # True while the model of a file is built.
    is_loading = staticmethod(_is_shapes_only)


def own_leaf(node: Node) -> Node:
    """Return a leaf with the value of a constant, which equal numbers share; any other node as it is.

    A source of gradients needs one: other uses of the same number would count, too.
    """
    if node.level or not _is_constant(node):
        return node
    return _leaf((None, np.array(_value_of(node))), _TensorType(tuple(node.shape), node.dtype))


def gradients(
    outputs: Sequence[Node], cotangents: Sequence[Node] | None, sources: Sequence[Node]
) -> list[Node | None]:
    """Compute cotangents of sources from those of outputs.

    Args:
        outputs: Nodes to differentiate; those that are not floats have no derivative.
        cotangents: Cotangent of each output. Ones if None.
        sources: Nodes to differentiate with respect to.

    Returns:
        One node for each of `sources`, None if the outputs do not depend on it.
    """
    each = map(_ones_like, outputs) if cotangents is None else cotangents
    floats = [(node, ct) for node, ct in zip(outputs, each, strict=True) if _is_float(node.dtype)]
    return _gradients([node for node, _ in floats], [ct for _, ct in floats], sources)
