"""For extensions: reading and writing of untrusted files."""

import h5py
import numpy as np

from hornbeam.errors import ModelFileError
from hornbeam.saving import formats as _formats
from hornbeam.saving import weights as _weights
from hornbeam.saving.files import how_to_raise as _how_to_raise
from hornbeam.saving.files import max_text_bytes as _max_text_bytes
from hornbeam.saving.files import parse_json as _parse_json
from hornbeam.saving.files import replace_file as replace_file
from hornbeam.saving.hdf5 import checked_dataset as _checked_dataset
from hornbeam.saving.hdf5 import names_at as names_at
from hornbeam.saving.hdf5 import values_of as _values_of
from hornbeam.saving.legacy import keras1_names as _keras1_names

# Class of a layer -> argument of Keras 1 -> present one, "" for an argument that was removed.
KERAS1_ARGUMENTS = _keras1_names.ARGUMENTS
# What is done about the name of a model's file, or of one of weights, without a suffix that tells the format.
MODEL_NAMES = (_formats, "without_suffix")
WEIGHTS_NAMES = (_weights, "without_suffix")


def parse_json(text: bytes, source: str) -> object:
    """Parse JSON without duplicate keys, of the length that a model's texts may have.

    Args:
        text: The JSON text.
        source: Name of the text in error messages.

    Raises:
        ModelFileError: For text that is too long, has a key twice, or is not JSON.
    """
    if len(text) > _max_text_bytes():
        raise ModelFileError(f"{source} has {len(text):,} bytes, which is too long. {_how_to_raise('text')}")
    return _parse_json(text, source)


def read_array(store: h5py.File, name: str) -> np.ndarray | None:
    """Read the dataset at a name, None if there is none.

    Args:
        store: Open HDF5 file.
        name: Path in the file.

    Raises:
        ModelFileError: If it is in another file, or would take far more memory than is stored.
    """
    dataset = _checked_dataset(store, name)
    return None if dataset is None else _values_of(dataset)
