"""For extensions: conversions, sparse tensors, parts of datasets, operations without a public name."""

from hornbeam.core.convert import as_tensor as as_tensor
from hornbeam.data.composite import Composite as Composite
from hornbeam.data.elements import map_parts as map_parts
from hornbeam.ops.attention import masked_attention as masked_attention
from hornbeam.ops.image.warping import homography as homography
from hornbeam.ops.operation_classes import operation_class as operation_class
from hornbeam.ops.recurrent import gru as gru
from hornbeam.ops.recurrent import lstm as lstm
from hornbeam.primitives import complex_ as complex_
