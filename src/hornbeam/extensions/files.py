"""For extensions: reading and writing of untrusted files."""

from hornbeam.saving import formats as formats
from hornbeam.saving import weights as weights
from hornbeam.saving.arrays import arrays_in as arrays_in
from hornbeam.saving.files import how_to_raise as how_to_raise
from hornbeam.saving.files import max_text_bytes as max_text_bytes
from hornbeam.saving.files import parse_json as parse_json
from hornbeam.saving.files import replace_file as replace_file
from hornbeam.saving.files import staged_file as staged_file
from hornbeam.saving.files import to_storable as to_storable
from hornbeam.saving.hdf5 import checked_dataset as checked_dataset
from hornbeam.saving.hdf5 import names_at as names_at
from hornbeam.saving.hdf5 import values_of as values_of
from hornbeam.saving.legacy.keras1_names import ARGUMENTS as ARGUMENTS
from hornbeam.saving.legacy.keras1_names import DATA_FORMATS as DATA_FORMATS
from hornbeam.saving.legacy.keras1_names import REMOVED as REMOVED
from hornbeam.saving.legacy.keras1_names import SIZES as SIZES
