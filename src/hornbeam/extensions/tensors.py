"""For extensions: conversions of arguments, sparse tensors, dtypes and shapes."""

from hornbeam.core import sparse as sparse
from hornbeam.core import variable as variable
from hornbeam.core.convert import as_tensor as as_tensor
from hornbeam.core.convert import unify as unify
from hornbeam.ir import types as types
from hornbeam.ir.types import dtype_name as dtype_name
from hornbeam.ir.types import is_float as is_float
from hornbeam.ir.types import is_integer as is_integer
from hornbeam.ops._common import shape_of as shape_of
