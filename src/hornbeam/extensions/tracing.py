"""For extensions: traces, symbolic sizes, graphs of lazy values and their derivatives."""

from hornbeam.core.lazy import acquire_graph as acquire_graph
from hornbeam.core.lazy import release_graph as release_graph
from hornbeam.core.lazy import retain_graph as retain_graph
from hornbeam.core.lazy import value_of as value_of
from hornbeam.core.scopes import current_stateless_scope as current_stateless_scope
from hornbeam.core.symbolic import symbolic_call as symbolic_call
from hornbeam.core.variable import current_variable_tracer as current_variable_tracer
from hornbeam.core.variable import eager_scope as eager_scope
from hornbeam.ir import autodiff as autodiff
from hornbeam.ir.node import Node as Node
from hornbeam.ir.node import leaf as leaf
from hornbeam.ir.primitive import ones_like as ones_like
from hornbeam.ir.primitive import zeros_like as zeros_like
from hornbeam.ir.sizes import SymbolicSize as SymbolicSize
from hornbeam.ir.sizes import in_symbolic_trace as in_symbolic_trace
from hornbeam.ir.sizes import is_unknown as is_unknown
from hornbeam.ir.trace import current_level as current_level
from hornbeam.ir.trace import is_constant as is_constant
from hornbeam.ir.types import TensorType as TensorType
