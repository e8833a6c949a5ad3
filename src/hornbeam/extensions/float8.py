"""For extensions: float8 dtypes, which engines lack."""

from hornbeam.quantizers.float8 import FORMATS as FORMATS
from hornbeam.quantizers.float8 import round_to_float8 as round_to_float8
