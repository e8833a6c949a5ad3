"""For extensions: operations that have no public name."""

from hornbeam.ops import recurrent as recurrent
from hornbeam.ops.attention import masked_attention as masked_attention
from hornbeam.ops.image.warping import homography as homography
from hornbeam.ops.operation_classes import operation_class as operation_class
from hornbeam.primitives import complex_ as complex_
