"""The vocabulary: every primitive of the graph, by family, and the functions that apply them."""

from hornbeam.ir.primitive import PRIMITIVES as PRIMITIVES
from hornbeam.ir.primitive import constant as constant
from hornbeam.ir.primitive import full as full
from hornbeam.ir.primitive import ones_like as ones_like
from hornbeam.ir.primitive import zeros_like as zeros_like
from hornbeam.primitives.elementwise import *
from hornbeam.primitives.reduce import *
from hornbeam.primitives.shape import *
from hornbeam.primitives.index import *
from hornbeam.primitives.contract import *
from hornbeam.primitives.window import *
from hornbeam.primitives.linalg import *
from hornbeam.primitives.random import *
from hornbeam.primitives.random import bernoulli as bernoulli
from hornbeam.primitives.control import *
from hornbeam.primitives.complex_numbers import *
from hornbeam.primitives.eigen import *
from hornbeam.primitives.composite import *
from hornbeam.primitives.normalization import *
from hornbeam.primitives.recurrent import *
from hornbeam.primitives.attention import *

# Imported for their effect: they register rules for complex numbers.
from hornbeam.primitives import complex_linalg as complex_linalg
from hornbeam.primitives import complex_order as complex_order
