"""For extensions: base classes of layers, and equations that describe them."""

from hornbeam.config import standard_data_format as standard_data_format
from hornbeam.layers.attention_equations import attention_equations as attention_equations
from hornbeam.layers.attention_equations import projected_shape as projected_shape
from hornbeam.layers.attention_equations import projection_equation as projection_equation
from hornbeam.layers.conv import _Conv
from hornbeam.layers.einsum_dense import einsum_letters as einsum_letters
from hornbeam.layers.einsum_dense import einsum_shapes as einsum_shapes
from hornbeam.layers.merging import _Merge
from hornbeam.layers.pooling import _Pooling
from hornbeam.layers.pooling_global import _GlobalPooling
from hornbeam.layers.rnn_cell_base import DropoutMasks as DropoutMasks

# Bases of the layers that share their arguments.
Conv = _Conv
GlobalPooling = _GlobalPooling
Merge = _Merge
Pooling = _Pooling
