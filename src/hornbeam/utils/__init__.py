"""Helpers around training, with Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
from hornbeam.config import disable_interactive_logging as disable_interactive_logging
from hornbeam.config import enable_interactive_logging as enable_interactive_logging
from hornbeam.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from hornbeam.core.registry import custom_object_scope as custom_object_scope
from hornbeam.core.registry import get_custom_objects as get_custom_objects
from hornbeam.core.registry import get_registered_name as get_registered_name
from hornbeam.core.registry import get_registered_object as get_registered_object
from hornbeam.core.registry import register_keras_serializable as register_keras_serializable
from hornbeam.core.registry import serialize
from hornbeam.random import set_random_seed as set_random_seed
from hornbeam.utils import legacy as legacy
from hornbeam.utils.arrays import normalize as normalize
from hornbeam.utils.arrays import pad_sequences as pad_sequences
from hornbeam.utils.arrays import to_categorical as to_categorical
from hornbeam.utils.session import clear_session as clear_session
from hornbeam.utils.session import deserialize_keras_object as deserialize_keras_object
from hornbeam.utils.session import get_source_inputs as get_source_inputs
from hornbeam.utils.session import is_keras_tensor as is_keras_tensor
from hornbeam.utils.session import standardize_dtype as standardize_dtype

if TYPE_CHECKING:
    from hornbeam.data.folders.audio_directory import (
        audio_dataset_from_directory as audio_dataset_from_directory,
    )
    from hornbeam.data.folders.image_directory import (
        image_dataset_from_directory as image_dataset_from_directory,
    )
    from hornbeam.data.folders.text_directory import (
        text_dataset_from_directory as text_dataset_from_directory,
    )
    from hornbeam.data.folders.timeseries import (
        timeseries_dataset_from_array as timeseries_dataset_from_array,
    )
    from hornbeam.data.pipeline.py_dataset import PyDataset as PyDataset
    from hornbeam.data.splits.split_dataset import split_dataset as split_dataset
    from hornbeam.datasets.files import get_file as get_file
    from hornbeam.models.feature_space import FeatureSpace as FeatureSpace
    from hornbeam.training.packing import pack_x_y_sample_weight as pack_x_y_sample_weight
    from hornbeam.training.packing import unpack_x_y_sample_weight as unpack_x_y_sample_weight
    from hornbeam.utils import bounding_boxes as bounding_boxes
    from hornbeam.utils.config import Config as Config
    from hornbeam.utils.images import array_to_img as array_to_img
    from hornbeam.utils.images import img_to_array as img_to_array
    from hornbeam.utils.images import load_img as load_img
    from hornbeam.utils.images import save_img as save_img
    from hornbeam.utils.progbar import Progbar as Progbar
    from hornbeam.visualization.model_graph import model_to_dot as model_to_dot
    from hornbeam.visualization.model_graph import plot_model as plot_model

    Sequence = PyDataset

CustomObjectScope = custom_object_scope
serialize_keras_object = serialize

# Imported on first access: they need extras, or modules of higher layers.
_LAZY = {
    "Config": "config",
    "FeatureSpace": "hornbeam.models.feature_space",
    "Progbar": "progbar",
    "PyDataset": "hornbeam.data.pipeline.py_dataset",
    "array_to_img": "images",
    "audio_dataset_from_directory": "hornbeam.data.folders.audio_directory",
    "get_file": "hornbeam.datasets.files",
    "image_dataset_from_directory": "hornbeam.data.folders.image_directory",
    "img_to_array": "images",
    "load_img": "images",
    "model_to_dot": "hornbeam.visualization.model_graph",
    "pack_x_y_sample_weight": "hornbeam.training.packing",
    "plot_model": "hornbeam.visualization.model_graph",
    "save_img": "images",
    "split_dataset": "hornbeam.data.splits.split_dataset",
    "text_dataset_from_directory": "hornbeam.data.folders.text_directory",
    "timeseries_dataset_from_array": "hornbeam.data.folders.timeseries",
    "unpack_x_y_sample_weight": "hornbeam.training.packing",
}

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(
        __name__, _LAZY, modules=("bounding_boxes",), aliases={"Sequence": "PyDataset"}
    )
    __all__ += [
        "CustomObjectScope",
        "clear_session",
        "custom_object_scope",
        "deserialize_keras_object",
        "disable_interactive_logging",
        "enable_interactive_logging",
        "get_custom_objects",
        "get_registered_name",
        "get_registered_object",
        "get_source_inputs",
        "is_interactive_logging_enabled",
        "is_keras_tensor",
        "legacy",
        "normalize",
        "pad_sequences",
        "register_keras_serializable",
        "serialize_keras_object",
        "set_random_seed",
        "standardize_dtype",
        "to_categorical",
    ]
