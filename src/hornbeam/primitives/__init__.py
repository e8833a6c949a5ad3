"""The vocabulary: every primitive that a graph can hold, by family, and the functions that apply them to nodes."""

from hornbeam.ir.primitive import PRIMITIVES as PRIMITIVES
from hornbeam.ir.primitive import constant as constant
from hornbeam.ir.primitive import full as full
from hornbeam.ir.primitive import ones_like as ones_like
from hornbeam.ir.primitive import zeros_like as zeros_like
from hornbeam.primitives.elementwise import *  # noqa: F403
from hornbeam.primitives.reduce import *  # noqa: F403
from hornbeam.primitives.shape import *  # noqa: F403
from hornbeam.primitives.index import *  # noqa: F403
from hornbeam.primitives.contract import *  # noqa: F403
from hornbeam.primitives.window import *  # noqa: F403
from hornbeam.primitives.linalg import *  # noqa: F403
from hornbeam.primitives.random import *  # noqa: F403
from hornbeam.primitives.control import *  # noqa: F403
from hornbeam.primitives.composite import *  # noqa: F403
