"""`FeatureSpace`: the columns of a table, encoded as one vector for each row."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from hornbeam import layers
from hornbeam._internal.naming import nearest, unique_name
from hornbeam._internal.typing import Config, Tree
from hornbeam._internal.validation import check_choice
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import STRING, KerasTensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self
from hornbeam.data.frames import check_present
from hornbeam.layers import Layer
from hornbeam.models.feature_space.definitions import Cross, Feature
from hornbeam.models.feature_space.encoders import TFDConcat, TFDIdentity, needs_adapt, one_hot_encoder
from hornbeam.models.feature_space.tables import (
    Columns,
    as_column,
    as_columns,
    cast_column,
    iterate_tables,
    rebatch,
)


@exported("keras.utils")
class FeatureSpace(Layer):
    """Encoder of the columns of a table, each by its own layer, into one vector for each row.

    `adapt(data)` computes means, bins and vocabularies. Then the space is called on tables: dicts of arrays
    or lists, frames, or in `dataset.map`. A row is a dict of single values. For models, `get_inputs()`
    returns symbolic inputs for the columns, and `get_encoded_features()` the vector computed from them.

    Args:
        features: Name -> kind of each column: "float", "float_rescaled", "float_normalized",
            "float_discretized", "integer_categorical", "string_categorical", "integer_hashed" or
            "string_hashed"; or the result of the class method of that name, with its arguments; or
            `FeatureSpace.feature(dtype, layer, output_mode)`.
        output_mode: "concat" for one vector of all features in the order of their names, followed by the
            crosses; or "dict".
        crosses: Tuples of names, or `FeatureSpace.cross`, which are hashed together.
        crossing_dim: Number of bins of crosses that are tuples.
        hashing_dim: Number of bins of "integer_hashed" and "string_hashed".
        num_discretization_bins: Number of bins of "float_discretized".
        name: Name of the layer.

    Raises:
        ValueError: For unknown kinds or missing columns, or if it has not been adapted.

    Example:
        >>> space = hornbeam.utils.FeatureSpace({"age": "float_normalized", "town": "string_categorical"})
        >>> table = {"age": [20.0, 40.0], "town": ["Ulm", "Bonn"]}
        >>> space.adapt(table); np.asarray(space(table)).tolist()
        [[-1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """

    # Symbolic tensors, and attributes that other ones describe: no state.
    _untracked = frozenset({"features", "inputs", "encoded_features", "crosses_by_name"})
    # It can be saved without a model around it.
    saved_alone = True

    def __init__(
        self,
        features: Mapping[str, str | Feature | Config],
        output_mode: str = "concat",
        crosses: Iterable[Sequence[str] | Cross | Config] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise ValueError("FeatureSpace: features must name at least one column")
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = check_choice("output_mode", output_mode, ("concat", "dict"), where="FeatureSpace")
        self.features = {key: self._as_feature(key, value) for key, value in features.items()}
        self.crosses = [self._as_cross(cross) for cross in crosses or ()]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        self.inputs = {
            key: layers.Input((1,), dtype=feature.dtype, name=key) for key, feature in self.features.items()
        }
        self.preprocessors = {key: feature.preprocessor for key, feature in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, Any] = {}
        self.concat: Any = None
        self.encoded_features: Any = None
        self._adapted = False

    # -- kinds of features -------------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Define columns to be hashed together.

        Args:
            feature_names: Names of the columns.
            crossing_dim: Number of bins.
            output_mode: "int" or "one_hot".
        """
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Layer, output_mode: str) -> Feature:
        """Define a column with a custom layer.

        Args:
            dtype: Dtype of the column, "string" for text.
            preprocessor: Layer that encodes the column.
            output_mode: "int", "one_hot" or "float".
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Define a column of numbers, used as they are.

        Args:
            name: Prefix of the layer's name.
        """
        name = name or unique_name("float")
        return Feature("float32", TFDIdentity(dtype="float32", name=f"{name}_preprocessor"), "float")

    @classmethod
    def float_rescaled(
        cls, scale: builtins.float = 1.0, offset: builtins.float = 0.0, name: str | None = None
    ) -> Feature:
        """Define a column of numbers, rescaled as x * scale + offset.

        Args:
            scale: Factor.
            offset: Number to add.
            name: Prefix of the layer's name.
        """
        name = name or unique_name("float_rescaled")
        return Feature("float32", layers.Rescaling(scale, offset, name=f"{name}_preprocessor"), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Define a column of numbers, standardized to mean 0 and standard deviation 1.

        Args:
            name: Prefix of the layer's name.
        """
        name = name or unique_name("float_normalized")
        return Feature("float32", layers.Normalization(axis=-1, name=f"{name}_preprocessor"), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int | None,
        bin_boundaries: Sequence[builtins.float] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Define a column of numbers, encoded by their bin.

        Args:
            num_bins: Number of bins, whose boundaries `adapt` computes; None with `bin_boundaries`.
            bin_boundaries: Boundaries of the bins.
            output_mode: "int" or "one_hot".
            name: Prefix of the layer's name.
        """
        name = name or unique_name("float_discretized")
        layer = layers.Discretization(bin_boundaries, num_bins, name=f"{name}_preprocessor")
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Define a column of integers that stand for classes, encoded by a vocabulary.

        Args:
            max_tokens: Maximum size of the vocabulary; None for no limit.
            num_oov_indices: Number of indices for values outside of the vocabulary.
            output_mode: "int" or "one_hot".
            name: Prefix of the layer's name.
        """
        name = name or unique_name("integer_categorical")
        layer = layers.IntegerLookup(max_tokens, num_oov_indices, name=f"{name}_preprocessor")
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Define a column of strings that stand for classes, encoded by a vocabulary.

        Args:
            max_tokens: Maximum size of the vocabulary; None for no limit.
            num_oov_indices: Number of indices for values outside of the vocabulary.
            output_mode: "int" or "one_hot".
            name: Prefix of the layer's name.
        """
        name = name or unique_name("string_categorical")
        layer = layers.StringLookup(max_tokens, num_oov_indices, name=f"{name}_preprocessor")
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Define a column of strings, encoded by their hash: for more classes than a vocabulary should hold.

        Args:
            num_bins: Number of bins.
            output_mode: "int" or "one_hot".
            name: Prefix of the layer's name.
        """
        name = name or unique_name("string_hashed")
        return Feature("string", layers.Hashing(num_bins, name=f"{name}_preprocessor"), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Define a column of integers, encoded by their hash.

        Args:
            num_bins: Number of bins.
            output_mode: "int" or "one_hot".
            name: Prefix of the layer's name.
        """
        name = name or unique_name("integer_hashed")
        return Feature("int32", layers.Hashing(num_bins, name=f"{name}_preprocessor"), output_mode)

    def _as_feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            return registry.deserialize(value)
        arguments = {
            "float": {},
            "float_rescaled": {},
            "float_normalized": {},
            "float_discretized": {"num_bins": self.num_discretization_bins},
            "integer_categorical": {},
            "string_categorical": {},
            "integer_hashed": {"num_bins": self.hashing_dim},
            "string_hashed": {"num_bins": self.hashing_dim},
        }
        if value not in arguments:
            raise ValueError(
                f"FeatureSpace: column {name!r} has the unknown kind {value!r}, expected one of "
                f"{', '.join(arguments)}.{nearest(str(value), arguments)}"
            )
        feature: Feature = getattr(self, value)(name=name, **arguments[value])
        return feature

    def _as_cross(self, value: Any) -> Cross:
        cross = registry.deserialize(value) if isinstance(value, dict) else value
        if not isinstance(cross, Cross):
            cross = Cross(cross, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            raise ValueError(
                f"FeatureSpace: the cross {cross.name} names the column {unknown[0]!r}, which is not a "
                f"feature.{nearest(unknown[0], self.features)}"
            )
        return cross

    # -- adapting ----------------------------------------------------------------------------------------

    def adapt(self, dataset: Tree) -> None:
        """Compute means, bins and vocabularies.

        Args:
            dataset: Dict of arrays or lists, frame, or iterable (a Dataset) of dicts, rows or batches.

        Raises:
            ValueError: For missing columns or values, and data of other types.
        """
        names = [name for name, layer in self.preprocessors.items() if needs_adapt(layer)]
        batches: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for table in iterate_tables(dataset):
            for name in names:
                column = as_column(self._column(table, name))
                check_present(column, name)
                batches[name].append(column)
        for name in names:
            self.preprocessors[name].adapt(rebatch(batches[name]))
        self._adapted = True
        self._finalize()

    def _column(self, table: Columns, name: str) -> Any:
        if name not in table:
            raise ValueError(
                f"FeatureSpace: the data have no column {name!r}, only {', '.join(map(str, table))}."
                f"{nearest(name, map(str, table))}"
            )
        return table[name]

    def _finalize(self) -> None:
        """Create the layers that depend on the adapted state: one-hot encoders and the concatenation."""
        if self.encoded_features is not None:
            return
        if not self._adapted and any(needs_adapt(layer) for layer in self.preprocessors.values()):
            raise ValueError("FeatureSpace: call adapt(data) before using it")
        self._adapted = True
        encoded = self._encode(self.inputs)
        modes = {name: feature.output_mode for name, feature in self.features.items()}
        modes.update({cross.name: cross.output_mode for cross in self.crosses})
        for name in self._output_names():
            if modes[name] == "one_hot":
                layer = self.preprocessors.get(name) or self.crossers[name]
                self.one_hot_encoders[name] = one_hot_encoder(name, layer, encoded[name].dtype)
        if self.output_mode == "concat":
            self.concat = TFDConcat(axis=-1)
        self.encoded_features = self._merge(encoded)
        self.built = True

    # -- encoding ----------------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, KerasTensor]:
        """Return a symbolic input (None, 1) for each column, by name."""
        self._finalize()
        return self.inputs

    def get_encoded_features(self) -> KerasTensor | dict[str, KerasTensor]:
        """Return the vector, or the dict of vectors, that is computed from the symbolic inputs."""
        self._finalize()
        return self.encoded_features

    def _output_names(self) -> list[str]:
        return [*sorted(self.features), *sorted(self.crosses_by_name)]

    def _encode(self, columns: Columns) -> Columns:
        """Apply the layer of each column, and the crosses."""
        encoded = {name: self.preprocessors[name](columns[name]) for name in self.features}
        for cross in self.crosses:
            parts = [encoded[name] for name in cross.feature_names]
            encoded[cross.name] = self.crossers[cross.name](parts)
        return encoded

    def _merge(self, encoded: Columns) -> Any:
        parts = {
            name: self.one_hot_encoders[name](encoded[name])
            if name in self.one_hot_encoders
            else encoded[name]
            for name in self._output_names()
        }
        if self.concat is None:
            return parts
        for name, part in parts.items():
            if part.dtype == STRING or part.dtype.startswith("int"):
                raise ValueError(
                    f"FeatureSpace: {name!r} is {part.dtype}, not encoded, so it cannot be concatenated with "
                    'the other features: use output_mode="dict"'
                )
        return self.concat(list(parts.values()))

    def __call__(self, data: Tree) -> Tensor | dict[str, Tensor]:
        """Encode a table as vectors (rows, size), or a row of single values as (size,)."""
        self._finalize()
        table = as_columns(data)
        if table is None:
            raise ValueError(
                f"FeatureSpace must be called on a dict of columns or a frame, got {type(data).__name__}"
            )
        values = {name: self._column(table, name) for name in self.features}
        single = all(np.ndim(value) == 0 for value in values.values() if not isinstance(value, KerasTensor))
        symbolic = any(isinstance(value, KerasTensor) for value in values.values())
        columns = {
            name: value
            if isinstance(value, Tensor) and value.ndim > 1
            else cast_column(value, name, self.features[name])
            for name, value in values.items()
        }
        merged = self._merge(self._encode(columns))
        if symbolic or not single:
            return merged
        return {k: v[0] for k, v in merged.items()} if isinstance(merged, dict) else merged[0]

    # -- configs and files -------------------------------------------------------------------------------

    def get_config(self) -> Config:
        return {
            "features": registry.serialize(self.features),
            "output_mode": self.output_mode,
            "crosses": registry.serialize(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**config)

    def get_build_config(self) -> Config:
        """Return the shapes that the layers of the columns were built with."""
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: Config) -> None:
        """Build the layers of the columns; their values are loaded afterwards.

        Args:
            config: Result of `get_build_config`.
        """
        for name, shapes in config.items():
            layer = self.preprocessors[name]
            if shapes and not layer.built:
                layer.build_from_config(shapes)
        self._adapted = True
        self.built = True

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Save the space with its adapted state to a `.keras` file; `models.load_model` loads it.

        Args:
            filepath: File to write.
        """
        from hornbeam.saving import save_model

        self._finalize()
        save_model(self, filepath)  # type: ignore[arg-type]  # saved as a model is

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Do nothing: the layers of the columns hold the values.

        Args:
            store: Unused.
        """

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Do nothing.

        Args:
            store: Unused.
        """
