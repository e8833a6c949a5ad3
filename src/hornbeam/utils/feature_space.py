"""`FeatureSpace`: the columns of a table as one vector for each row."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import layers, ops
from hornbeam._internal.naming import nearest, unique_name
from hornbeam._internal.validation import check_choice
from hornbeam.core import registry
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import STRING, KerasTensor, holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.data.frames import frame_columns, is_frame
from hornbeam.layers import Layer
from hornbeam.layers.call import is_array

# Where Keras keeps the parts: what files call them.
_MODULE = "keras.src.layers.preprocessing.feature_space"
# Rows that a preprocessor is shown at once.
BATCH = 32

Columns = dict[str, Any]


@exported(_MODULE)
class Feature:
    """How one column is prepared: its dtype, the layer that prepares it, and "int", "one_hot" or "float"
    for what comes out.
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        self.dtype = dtype
        given = isinstance(preprocessor, dict)
        self.preprocessor = registry.deserialize(preprocessor) if given else preprocessor
        self.output_mode = check_choice(
            "output_mode", output_mode, ("int", "one_hot", "float"), where="Feature"
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        preprocessor = registry.serialize(self.preprocessor)
        return {"dtype": self.dtype, "preprocessor": preprocessor, "output_mode": self.output_mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Feature:
        """The feature that a config describes."""
        return cls(**config)


@exported(_MODULE)
class Cross:
    """Several columns as one: their prepared values are hashed together into `crossing_dim` bins."""

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = check_choice("output_mode", output_mode, ("int", "one_hot"), where="Cross")

    @property
    def name(self) -> str:
        """The columns' names joined by "_X_"."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cross:
        """The cross that a config describes."""
        return cls(**config)


@exported(_MODULE)
class TFDIdentity(Layer):
    """y = x, under the name that Keras's files have for it."""

    def call(self, x: Tensor) -> Tensor:
        return x


@exported(_MODULE)
class TFDConcat(Layer):
    """Arrays side by side along `axis`, under the name that Keras's files have for it."""

    def __init__(self, axis: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, xs: Any) -> Tensor:
        return ops.concatenate(xs, axis=self.axis)


@exported("keras.utils")
class FeatureSpace(Layer):
    """The columns of a table, each prepared in its way, as one vector for each row.

    features: name -> "float", "float_rescaled", "float_normalized", "float_discretized",
    "integer_categorical", "string_categorical", "integer_hashed", "string_hashed", or what the class
    methods of those names make with arguments of their own, or `FeatureSpace.feature(dtype, layer,
    output_mode)`. crosses: tuples of names (or `FeatureSpace.cross`), hashed together into crossing_dim
    bins. output_mode: "concat", one vector of all features in the order of their names, then of the
    crosses; or "dict". hashing_dim, num_discretization_bins: what features given by a string use.

    `adapt(data)` finds means, bins and vocabularies; then the space is called on tables: dicts of arrays or
    lists, frames, or in `dataset.map`. A row is a dict of single values. For models there are get_inputs()
    and get_encoded_features(): symbolic inputs for the columns, and the vector made of them.

    Raises ValueError for unknown features or columns that are not there, or if it has not been adapted.

    >>> space = hornbeam.utils.FeatureSpace({"age": "float_normalized", "town": "string_categorical"})
    >>> table = {"age": [20.0, 40.0], "town": ["Ulm", "Bonn"]}
    >>> space.adapt(table); np.asarray(space(table)).tolist()
    [[-1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """

    # Symbolic tensors, and what is described elsewhere: no state.
    _untracked = frozenset({"features", "inputs", "encoded_features", "crosses_by_name"})
    # It may stand in a file by itself, without a model around it.
    saved_alone = True

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Iterable[Any] | None = None,
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
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(cross) for cross in crosses or ()]
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
        """Columns to be hashed together."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of your own prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """A number as it is."""
        name = name or unique_name("float")
        return Feature("float32", TFDIdentity(dtype="float32", name=f"{name}_preprocessor"), "float")

    @classmethod
    def float_rescaled(
        cls, scale: builtins.float = 1.0, offset: builtins.float = 0.0, name: str | None = None
    ) -> Feature:
        """A number times scale plus offset."""
        name = name or unique_name("float_rescaled")
        return Feature("float32", layers.Rescaling(scale, offset, name=f"{name}_preprocessor"), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """A number in units of the standard deviation from the mean."""
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
        """A number by the bin that it lies in: num_bins that are found, or those of bin_boundaries."""
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
        """A whole number that stands for a class."""
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
        """A string that stands for a class."""
        name = name or unique_name("string_categorical")
        layer = layers.StringLookup(max_tokens, num_oov_indices, name=f"{name}_preprocessor")
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """A string by its hash, for more classes than a vocabulary should hold."""
        name = name or unique_name("string_hashed")
        return Feature("string", layers.Hashing(num_bins, name=f"{name}_preprocessor"), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """A whole number by its hash."""
        name = name or unique_name("integer_hashed")
        return Feature("int32", layers.Hashing(num_bins, name=f"{name}_preprocessor"), output_mode)

    def _feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            return registry.deserialize(value)
        kinds = {
            "float": {},
            "float_rescaled": {},
            "float_normalized": {},
            "float_discretized": {"num_bins": self.num_discretization_bins},
            "integer_categorical": {},
            "string_categorical": {},
            "integer_hashed": {"num_bins": self.hashing_dim},
            "string_hashed": {"num_bins": self.hashing_dim},
        }
        if value not in kinds:
            raise ValueError(
                f"FeatureSpace: column {name!r} has the unknown kind {value!r}.{nearest(str(value), kinds)} "
                f"There are {', '.join(kinds)}"
            )
        made: Feature = getattr(self, value)(name=name, **kinds[value])
        return made

    def _cross(self, cross: Any) -> Cross:
        made = registry.deserialize(cross) if isinstance(cross, dict) else cross
        if not isinstance(made, Cross):
            made = Cross(made, self.crossing_dim)
        absent = [name for name in made.feature_names if name not in self.features]
        if absent:
            raise ValueError(
                f"FeatureSpace: the cross {made.name} names the column {absent[0]!r}, which is no feature."
                f"{nearest(absent[0], self.features)}"
            )
        return made

    # -- adapting ----------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Find means, bins and vocabularies.

        dataset: a dict of arrays or lists, a frame, or an iterable (a Dataset) of dicts, rows or batches.
        Raises ValueError for missing columns and other data.
        """
        wanted = [name for name, layer in self.preprocessors.items() if _adaptable(layer)]
        batches: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for table in _tables(dataset):
            for name in wanted:
                batches[name].append(_as_column(self._column(table, name)))
        for name in wanted:
            self.preprocessors[name].adapt(_regrouped(batches[name]))
        self._adapted = True
        self._finish()

    def _column(self, table: Columns, name: str) -> Any:
        if name not in table:
            raise ValueError(
                f"FeatureSpace: the data have no column {name!r}.{nearest(name, map(str, table))} They have: "
                f"{', '.join(map(str, table))}"
            )
        return table[name]

    def _finish(self) -> None:
        """Make the layers that depend on what was found: one-hot encoders, and what puts all together."""
        if self.encoded_features is not None:
            return
        if not self._adapted and any(_adaptable(layer) for layer in self.preprocessors.values()):
            raise ValueError("FeatureSpace: call adapt(data) before it is used")
        self._adapted = True
        prepared = self._prepare(self.inputs)
        modes = {name: feature.output_mode for name, feature in self.features.items()}
        modes.update({cross.name: cross.output_mode for cross in self.crosses})
        for name in self._order():
            if modes[name] == "one_hot":
                self.one_hot_encoders[name] = self._encoder(name, prepared[name].dtype)
        if self.output_mode == "concat":
            self.concat = TFDConcat(axis=-1)
        self.encoded_features = self._merged(prepared)
        self.built = True

    def _encoder(self, name: str, dtype: str) -> Layer:
        layer = self.preprocessors.get(name) or self.crossers[name]
        if not dtype.startswith("int"):
            raise ValueError(
                f'FeatureSpace: {name!r} has output_mode="one_hot", so its layer must give whole numbers; it '
                f"gives {dtype}"
            )
        if isinstance(layer, (layers.IntegerLookup, layers.StringLookup)):
            count = layer.vocabulary_size()
        elif isinstance(layer, layers.CategoryEncoding):
            count = layer.num_tokens
        elif isinstance(layer, layers.Discretization):
            count = layer.num_bins or len(layer.bin_boundaries or ()) + 1
        elif isinstance(layer, (layers.Hashing, layers.HashedCrossing)):
            count = layer.num_bins
        else:
            raise ValueError(
                f'FeatureSpace: {name!r} has output_mode="one_hot", but how many values '
                f'{type(layer).__name__} can give is not known: use output_mode="int"'
            )
        return layers.CategoryEncoding(count, output_mode="multi_hot")

    # -- encoding ----------------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, KerasTensor]:
        """A symbolic input (None, 1) for each column, by name."""
        self._finish()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """The vector, or the dict of vectors, that is made of the symbolic inputs."""
        self._finish()
        return self.encoded_features

    def _order(self) -> list[str]:
        return [*sorted(self.features), *sorted(self.crosses_by_name)]

    def _prepare(self, columns: Columns) -> Columns:
        """Every column through its layer, and the crosses of those."""
        made = {name: self.preprocessors[name](columns[name]) for name in self.features}
        for cross in self.crosses:
            made[cross.name] = self.crossers[cross.name]([made[name] for name in cross.feature_names])
        return made

    def _merged(self, prepared: Columns) -> Any:
        parts = {
            name: self.one_hot_encoders[name](prepared[name])
            if name in self.one_hot_encoders
            else prepared[name]
            for name in self._order()
        }
        if self.concat is None:
            return parts
        for name, part in parts.items():
            if part.dtype == STRING or part.dtype.startswith("int"):
                raise ValueError(
                    f"FeatureSpace: {name!r} gives {part.dtype}, which is not encoded, so it cannot stand in "
                    'one vector with the others: use output_mode="dict"'
                )
        return self.concat(list(parts.values()))

    def __call__(self, data: Any) -> Any:
        """The vectors (rows, size) of a table, or of a row of single values (size,)."""
        self._finish()
        table = _table(data)
        if table is None:
            raise ValueError(
                f"FeatureSpace: it is called on a dict of columns or a frame, got {type(data).__name__}"
            )
        given = {name: self._column(table, name) for name in self.features}
        single = all(np.ndim(value) == 0 for value in given.values() if not isinstance(value, KerasTensor))
        symbolic = any(isinstance(value, KerasTensor) for value in given.values())
        columns = {
            name: value
            if isinstance(value, Tensor) and value.ndim > 1
            else _typed(value, self.features[name])
            for name, value in given.items()
        }
        merged = self._merged(self._prepare(columns))
        if symbolic or not single:
            return merged
        return {k: v[0] for k, v in merged.items()} if isinstance(merged, dict) else merged[0]

    # -- configs and files -------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "features": registry.serialize(self.features),
            "output_mode": self.output_mode,
            "crosses": registry.serialize(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        """The shapes that the layers of the columns were built with."""
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layers of the columns; their values are loaded after this."""
        for name, shapes in config.items():
            layer = self.preprocessors[name]
            if shapes and not layer.built:
                layer.build_from_config(shapes)
        self._adapted = True
        self.built = True

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the space, with all that it has found, to a `.keras` file; `models.load_model` reads it."""
        from hornbeam.saving import save_model

        self._finish()
        save_model(self, filepath)

    def save_own_variables(self, store: Any) -> None:
        """Nothing: the layers of the columns have the values."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing."""


# -- tables -------------------------------------------------------------------------------------------------


def _adaptable(layer: Any) -> bool:
    """Whether a layer has something to find that it was not given."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is not None
    if isinstance(layer, layers.TextVectorization):
        layer = layer._lookup_layer
    return hasattr(layer, "adapt") and not getattr(layer, "_fixed", False)


def _table(data: Any) -> Columns | None:
    """A dict or a frame as a dict of columns, or None for something else."""
    if isinstance(data, Mapping):
        return dict(data)
    return frame_columns(data) if is_frame(data) else None


def _tables(data: Any) -> Iterator[Columns]:
    """What `adapt` is given as dicts of columns."""
    table = _table(data)
    if table is not None:
        yield table
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)) or is_array(data):
        raise ValueError(
            "FeatureSpace.adapt takes a dict of columns, a frame, or a Dataset of dicts, got "
            f"{type(data).__name__}"
        )
    number = 0
    for number, batch in enumerate(data, 1):  # noqa: B007
        table = _table(batch[0] if isinstance(batch, tuple) else batch)
        if table is None:
            raise ValueError(
                f"FeatureSpace.adapt: the data must give dicts of columns, got {type(batch).__name__}"
            )
        yield table
    if not number:
        raise ValueError("FeatureSpace.adapt got no data")


def _as_column(values: Any) -> np.ndarray:
    """Values (rows,) or one value as a column (rows, 1)."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    return array.reshape(-1, 1) if array.ndim < 2 else array


def _regrouped(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Batches as they came, but for single rows and whole columns: of those BATCH rows at a time."""
    if len(batches) > 1 and max(map(len, batches)) > 1:
        yield from batches
        return
    whole = np.concatenate(batches)
    for start in range(0, len(whole), BATCH):
        yield whole[start : start + BATCH]


def _typed(values: Any, feature: Feature) -> Any:
    """A column, floats in the feature's dtype."""
    array = _as_column(values)
    if feature.dtype == STRING or holds_strings(array):
        return array
    return array.astype(feature.dtype) if feature.dtype.startswith("float") else array
