"""Columns and crosses of a `FeatureSpace`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_choice
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.layers import Layer

# Module of these classes in Keras's files.
KERAS_MODULE = "keras.src.layers.preprocessing.feature_space"


@exported(KERAS_MODULE)
class Feature:
    """Preprocessing of one column.

    Args:
        dtype: Dtype of the column, "string" for text.
        preprocessor: Layer that encodes the column, or its config.
        output_mode: "int", "one_hot" or "float": kind of the encoded values.
    """

    def __init__(self, dtype: str, preprocessor: Layer | Config, output_mode: str) -> None:
        self.dtype = dtype
        is_config = isinstance(preprocessor, dict)
        self.preprocessor: Any = registry.deserialize(preprocessor) if is_config else preprocessor
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot", "float"), where="Feature"
        )

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        preprocessor = registry.serialize(self.preprocessor)
        return {"dtype": self.dtype, "preprocessor": preprocessor, "output_mode": self.output_mode}

    @classmethod
    def from_config(cls, config: Config) -> Feature:
        """Create a feature from its config.

        Args:
            config: Result of `get_config`.
        """
        return cls(**config)


@exported(KERAS_MODULE)
class Cross:
    """Cross of several columns: their encoded values are hashed together into bins.

    Args:
        feature_names: Names of the columns.
        crossing_dim: Number of bins.
        output_mode: "int" or "one_hot".
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = check_choice("output_mode", output_mode, ("int", "one_hot"), where="Cross")

    @property
    def name(self) -> str:
        """Names of the columns joined by "_X_"."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Config) -> Cross:
        """Create a cross from its config.

        Args:
            config: Result of `get_config`.
        """
        return cls(**config)
