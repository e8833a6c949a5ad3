"""For extensions: elements of datasets."""

from hornbeam.data import elements as elements
from hornbeam.data.composite import Composite as Composite
from hornbeam.data.elements import as_part as as_part
from hornbeam.data.elements import for_user as for_user
from hornbeam.data.elements import is_text as is_text
from hornbeam.data.elements import map_parts as map_parts
from hornbeam.data.pipeline.transforms import IteratorTransform as IteratorTransform
