"""For extensions: reading and writing of untrusted files."""

from hornbeam.saving import formats as formats
from hornbeam.saving import weights as weights
from hornbeam.saving.arrays import arrays_in as arrays_in
from hornbeam.saving.files import how_to_raise as how_to_raise
from hornbeam.saving.files import max_text_bytes as max_text_bytes
from hornbeam.saving.files import parse_json as parse_json
from hornbeam.saving.files import replace_file as replace_file
from hornbeam.saving.files import to_storable as to_storable
from hornbeam.saving.hdf5 import checked_dataset as checked_dataset
from hornbeam.saving.hdf5 import names_at as names_at
from hornbeam.saving.hdf5 import values_of as values_of
from hornbeam.saving.legacy import keras1_names as _keras1_names

# Class of a layer -> argument of Keras 1 -> present one, "" for an argument that was removed.
KERAS1_ARGUMENTS = _keras1_names.ARGUMENTS
