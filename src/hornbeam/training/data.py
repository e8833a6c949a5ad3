"""What `fit`, `evaluate` and `predict` accept as data, as one of two things: arrays in memory, or a stream
of batches."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.convert import as_tensor, from_torch
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.data import INFINITE_CARDINALITY
from hornbeam.data.frames import frame_to_array
from hornbeam.data.pipeline.py_dataset import Order, PyDataset
from hornbeam.data.splits.split import class_ids
from hornbeam.engines import Engine, locally
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name
from hornbeam.training.batches import rows_for
from hornbeam.training.data_cursor import DataCursor
from hornbeam.training.host_inputs import RunHostLayers

# -- (x, y, sample_weight) -------------------------------------------------------------------------


@exported("keras.utils")
def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a `train_step` gets as `data`: `x` alone, `(x, y)`, or `(x, y, sample_weight)`."""
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


@exported("keras.utils")
def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` out of what a `train_step` gets, None for what is not there.

    Raises ValueError for tuples of more than three.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3 or not data:
        raise ValueError(f"data must be x, (x,), (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")
    return (*data, None, None)[:3]


# -- arrays ----------------------------------------------------------------------------------------


ENCODE = (
    "models compute with numbers, encode them first (layers.TextVectorization, StringLookup or Hashing, in "
    "dataset.map or at the front of a functional or Sequential model; for labels StringLookup)"
)


def as_array(value: Any, what: str) -> np.ndarray:
    """One array of the user's, without a copy where it is one. `what` names it in errors: "x", "y['a']".

    Raises HornbeamTypeError for strings, ragged lists, complex numbers and what is no array.
    """
    if isinstance(value, Tensor):
        if value.symbolic:
            raise HornbeamTypeError(f"{what} is the symbolic {value!r}: data must be arrays with values")
        return value.numpy()
    if hasattr(value, "detach"):  # torch, possibly on a device or with gradients
        value = from_torch(value)
    elif not isinstance(value, np.ndarray) and hasattr(value, "to_numpy"):  # pandas, polars
        value = frame_to_array(value, what)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__array__"):
        raise HornbeamTypeError(f"{what} must be an array, got {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        raise HornbeamTypeError(f"{what} holds strings ({_sample(array)}): {ENCODE}")
    if array.dtype == object:
        raise HornbeamTypeError(
            f"{what} has dtype object ({_sample(array)}): its items differ in shape or are not numbers. Pad "
            f"or resize them to one shape, then np.stack them; as for strings, {ENCODE}"
        )
    if array.dtype.kind == "M" or array.dtype.kind == "m" or array.dtype.kind == "c":
        raise HornbeamTypeError(
            f"{what} has dtype {array.dtype}, which models do not take: convert it to numbers first"
        )
    dtype_name(array.dtype)
    return array


def _sample(array: np.ndarray) -> str:
    flat = array.reshape(-1)
    return f"such as {flat[0]!r}"[:60] if flat.size else "empty"


def as_arrays(structure: Any, what: str) -> Any:
    """Every leaf of a structure as an array; a nested list of Python numbers is one array."""
    if structure is None:
        return None
    if isinstance(structure, (list, tuple, dict)):
        structure = tree.traverse(lambda part: _from_numbers(part, what), structure)
    flat = [
        None if leaf is None else as_array(leaf, what + "".join(f"[{part!r}]" for part in path))
        for path, leaf in tree.flatten_with_path(structure)
    ]
    return tree.pack_sequence_as(structure, flat)


def _from_numbers(part: Any, what: str) -> np.ndarray | None:
    """A list of Python numbers, or nested ones, as an array; None for other parts."""
    if not isinstance(part, (list, tuple)):
        return None
    leaves = tree.flatten(part)
    if leaves and all(isinstance(leaf, str) for leaf in leaves):
        raise HornbeamTypeError(f"{what} is a list of strings: {ENCODE}")
    if not leaves or not all(isinstance(leaf, (bool, int, float, np.number)) for leaf in leaves):
        return None
    try:
        return as_tensor(part).numpy()
    except ShapeError as error:
        raise ShapeError(
            f"{what} has a list whose items differ in length: pad them to one, as pad_sequences does"
        ) from error


def leaves_of(structure: Any) -> list[np.ndarray]:
    """The arrays of a structure, without the Nones."""
    return [leaf for leaf in tree.flatten(structure) if leaf is not None]


def types_of(structure: Any, batch: int | None = None) -> Any:
    """The structure with TensorTypes for its arrays; `batch` replaces the first size."""

    def type_of(array: Any) -> Any:
        if array is None:
            return None
        shape = array.shape if batch is None else (batch, *array.shape[1:])
        return TensorType(tuple(shape), dtype_name(array.dtype))

    return tree.map_structure(type_of, structure)


def rows_of(structure: Any, rows: Any) -> Any:
    """The structure with the given rows (a slice or an index array) of its arrays."""
    return tree.map_structure(lambda array: None if array is None else array[rows], structure)


def check_lengths(**parts: Any) -> int:
    """The common number of samples. Raises ShapeError that shows the differing lengths, ValueError for no
    samples."""
    lengths: dict[str, int] = {}
    for name, structure in parts.items():
        for path, leaf in tree.flatten_with_path(structure):
            if leaf is not None:
                label = name + "".join(f"[{part!r}]" for part in path)
                if leaf.ndim == 0:
                    raise ShapeError(
                        f"{label} is a single number: data need a first axis of samples, as in "
                        f"np.array([...])"
                    )
                lengths[label] = leaf.shape[0]
    if len(set(lengths.values())) > 1:
        shown = [f"{label} has {length:,}" for label, length in lengths.items()]
        more = ", ... A list of arrays is several inputs: np.stack makes one" if len(shown) > 6 else ""
        raise ShapeError(f"all data must have the same number of samples: {', '.join(shown[:6])}{more}")
    count = next(iter(lengths.values()), 0)
    if count == 0:
        raise ValueError(f"there are no samples: {', '.join(lengths) or 'x'} is empty")
    return count


class ArrayData:
    """Arrays in memory, taken in batches of row numbers.

    data: packed (x, y, sample_weight). rows: the row numbers that take part, None for all. order: a function
    that
    gives a permutation of n, or None to keep the order; `by_batch` moves whole batches only.
    """

    in_memory = True
    # Whether it starts over by itself for ever.
    endless = False
    # Whether all rows of the arrays take part.
    whole = True

    def __init__(
        self,
        data: Any,
        batch_size: int,
        rows: np.ndarray | None = None,
        order: Order | None = None,
        by_batch: bool = False,
    ) -> None:
        self.data = data
        self.arrays = leaves_of(data)
        self.batch_size = batch_size
        self.rows = rows
        self.order = order
        self.by_batch = by_batch
        self.samples: int | None = len(self.arrays[0]) if rows is None else len(rows)
        self._rest: list[np.ndarray] = []
        self.cursor = DataCursor()
        self._placed: tuple[Any, list[Any]] | None = None

    def buffers(self, engine: Engine) -> list[Any]:
        """The arrays as buffers of `engine`, put there once."""
        if self._placed is None or self._placed[0] is not engine:
            self._placed = engine, [rows_for(engine, array) for array in self.arrays]
        return self._placed[1]

    @property
    def steps(self) -> int | None:
        assert self.samples is not None
        return -(-self.samples // self.batch_size)

    def types(self, batch: int) -> Any:
        return types_of(self.data, batch)

    def first_batch(self) -> Any:
        return rows_of(self.data, slice(0, min(self.batch_size, len(self.arrays[0]))))

    def _permuted(self) -> np.ndarray:
        assert self.samples is not None
        count, size = self.samples, self.batch_size
        if self.order is None:
            order = np.arange(count)
        elif self.by_batch:
            starts = np.arange(0, count, size)[self.order(-(-count // size))]
            order = np.concatenate([np.arange(start, min(start + size, count)) for start in starts])
        else:
            order = self.order(count)
        return (order if self.rows is None else self.rows[order]).astype(np.int64, copy=False)

    def _pass(self) -> list[np.ndarray]:
        """Row numbers of one pass, as matrices (steps, batch): the full batches, then what is left over."""
        self.cursor.begin_pass()
        order, size = self._permuted(), self.batch_size
        full = len(order) // size
        parts = [order[: full * size].reshape(full, size)] if full else []
        if len(order) > full * size:
            parts.append(order[None, full * size :])
        return parts

    def rewind(self) -> None:
        """Begin with the first batch again."""
        self._rest = []
        self.cursor.reset()

    def epoch(self, steps: int | None = None) -> Iterator[np.ndarray]:
        """Row numbers of an epoch: the next `steps` batches, starting over as often as needed, or all of a
        pass. What was left over by `steps`, or by `seek`, comes first."""
        if steps is None:
            parts, self._rest = self._rest or self._pass(), []
            yield from parts
            return
        while steps:
            if not self._rest:
                self._rest = self._pass()
            part = self._rest.pop(0)
            if len(part) > steps:
                self._rest.insert(0, part[steps:])
                part = part[:steps]
            steps -= len(part)
            yield part

    @property
    def description(self) -> dict[str, Any]:
        """What must be the same for a training that goes on in the middle of a pass."""
        return {"samples": self.samples, "batch_size": self.batch_size}

    @property
    def at_end(self) -> bool:
        """Whether the present pass has no more batches."""
        return not self._rest

    def position(self) -> dict[str, Any]:
        """Where in the data the batches end that were used; see `DataCursor`."""
        rows = None if self.rows is None else self.rows.astype(np.uint32)  # a split was drawn, once
        return {**self.cursor.position(at_end=self.cursor.consumed_in_pass == self.steps), "rows": rows}

    def _has(self, rows: np.ndarray) -> bool:
        """Whether a checkpoint's rows may be those of a split of these data."""
        assert self.rows is not None
        return rows.shape == self.rows.shape and bool((rows < len(self.arrays[0])).all())

    def seek(self, position: dict[str, Any]) -> None:
        """Go on behind the batches that were used when `position` was asked for. Global random states are
        then as they were after the draws for those batches."""
        rows = position["rows"]
        if (rows is None) != (self.rows is None) or (rows is not None and not self._has(rows)):
            raise ValueError("the training that goes on was one of other rows of the data")
        skip = self.cursor.seek(position)
        self._rest = []
        if rows is not None:
            self.rows = rows.astype(np.int64)
        if skip is None:
            return
        if self.steps is not None and skip > self.steps:
            raise ValueError(f"a pass over the data has {self.steps} batches, where {skip} were used before")
        left = skip
        for part in self._pass():
            if len(part) > left:
                self._rest.append(part[left:])
            left = max(left - len(part), 0)
        self.cursor.mark_skipped(skip)


class TableData(ArrayData):
    """A Dataset that is `count` rows of arrays in memory, in an order of its own for every pass."""

    def __init__(
        self,
        data: Any,
        batch_size: int,
        count: int,
        order: Callable[[], Iterator[int]],
        endless: bool,
        source: Any = None,
    ) -> None:
        super().__init__(data, batch_size)
        self.cursor = DataCursor(source)
        self.samples, self.endless = count, endless
        self.whole = count == len(self.arrays[0])
        self._order = order

    def _permuted(self) -> np.ndarray:
        assert self.samples is not None
        return np.fromiter(itertools.islice(self._order(), self.samples), np.int64, self.samples)


# -- streams ---------------------------------------------------------------------------------------


class StreamData:
    """Batches from something that is iterated: a Dataset, ours or TensorFlow's, a PyDataset, a
    generator, a DataLoader.

    class_weight: applied to every batch. run_host_layers: what the model's layers for strings make of x.
    """

    in_memory = False

    def __init__(
        self,
        source: Any,
        shuffle: Order | None = None,
        class_weight: Mapping[int, float] | None = None,
        run_host_layers: RunHostLayers | None = None,
    ) -> None:
        self.source = source
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.run_host_layers = run_host_layers
        numbered = isinstance(source, PyDataset)  # may be an iterator too, but can start again
        self.once = not numbered and hasattr(source, "__next__") and iter(source) is source
        self.samples: int | None = None
        self.batch_size: int | None = None
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self.exhausted = False
        self.cursor = DataCursor(source)
        # How many batches were given out; with a thread that reads ahead, more than were used.
        self._produced = 0

    @property
    def endless(self) -> bool:
        """Whether the source says that it has no end."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches is None
        return hasattr(self.source, "cardinality") and int(self.source.cardinality()) == INFINITE_CARDINALITY

    @property
    def steps(self) -> int | None:
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:
            return None

    def _start(self) -> Iterator[Any]:
        self.cursor.begin_pass(self._produced)
        if isinstance(self.source, PyDataset):
            return self.source._batches(self.shuffle)
        if hasattr(self.source, "as_numpy_iterator"):  # our Dataset, and TensorFlow's
            return self.source.as_numpy_iterator()
        return iter(self.source)

    def first_batch(self) -> Any:
        """The first batch, which stays in the stream."""
        if not self._peeked:
            item = self._next()
            if item is None:
                raise ValueError("the data hold no batch: the generator or dataset is empty")
            self._peeked.append(self._converted(item))
        return self._peeked[0]

    def rewind(self) -> None:
        """Begin with the first batch again, if the source can."""
        if not self.once:
            self._iterator = None
            self._peeked = []
            self._produced = 0
            self.cursor.reset()

    @property
    def description(self) -> dict[str, Any]:
        """See `ArrayData.description`."""
        return {"batches": self.steps}

    @property
    def at_end(self) -> bool:
        """See `ArrayData.at_end`."""
        return self._iterator is None and not self._peeked

    def position(self) -> dict[str, Any]:
        """See `ArrayData.position`."""
        return self.cursor.position(self.at_end, self._produced)

    def seek(self, position: dict[str, Any]) -> None:
        """See `ArrayData.seek`. Batches that were used are made again and thrown away.

        Raises ValueError if there are fewer of them.
        """
        self.rewind()
        skip = self.cursor.seek(position)
        if skip is None:
            return
        if not self._peeked:
            self._begin()
        for number in range(skip):
            if self._peeked:
                self._peeked.pop()
            elif self._next() is None:
                raise ValueError(f"the data end after {number} batches, where {skip} were used before")
        self._produced = skip
        self.cursor.mark_skipped(skip)

    def _next(self) -> Any:
        """What the source gives next, None at its end."""
        with locally():
            self._begin()
            assert self._iterator is not None
            return next(self._iterator, None)

    def _begin(self) -> None:
        if self._iterator is None:
            self._iterator = self._start()

    def epoch(self, steps: int | None = None) -> Generator[Any, None, None]:
        """The batches of an epoch: `steps` of them from where the stream stands, or the rest of it."""
        taken = 0
        while steps is None or taken < steps:
            if self._peeked:
                taken += 1
                self._produced += 1
                yield self._peeked.pop()
                continue
            if self._iterator is None and self.once and self.exhausted:
                return
            item = self._next()
            if item is None:
                self._iterator = None
                self.exhausted = True
                if steps is None or self.once or taken == 0:
                    return
                continue
            taken += 1
            self._produced += 1
            yield self._converted(item)
        if steps is not None and steps == self.steps:
            self._iterator = None

    def _converted(self, item: Any) -> Any:
        x, y, sample_weight = unpack_x_y_sample_weight(item)
        x = as_arrays(x if self.run_host_layers is None else self.run_host_layers(x), "x")
        y = as_arrays(y, "y")
        sample_weight = as_arrays(sample_weight, "sample_weight")
        try:
            check_lengths(x=x, y=y, sample_weight=sample_weight)
        except ShapeError as error:
            raise ShapeError(f"{error}. Data must come in batches: is .batch(32) missing?") from None
        if self.class_weight is not None:
            sample_weight = apply_class_weight(self.class_weight, y, sample_weight)
        return pack_x_y_sample_weight(x, y, sample_weight)


# -- class weights ---------------------------------------------------------------------------------


def apply_class_weight(class_weight: Mapping[int, float], y: Any, sample_weight: Any) -> np.ndarray:
    """Weights of the samples: that of their class (1 for classes not named), times `sample_weight`.

    Raises ValueError for several outputs and for targets that are not labels.
    """
    if not isinstance(y, np.ndarray):
        raise ValueError(
            "class_weight works for models with one output; for several give sample_weight for each"
        )
    bad = [key for key in class_weight if isinstance(key, bool) or not isinstance(key, (int, np.integer))]
    if bad:
        raise ValueError(f"the keys of class_weight must be class numbers, got {bad[0]!r}")
    classes = class_ids(y)
    if classes is None:
        raise ValueError(
            f"class_weight needs y of class numbers or one-hot rows, got {y.dtype} of shape {y.shape}"
        )
    weights = np.ones(len(classes), dtype=np.float32)
    for number, weight in class_weight.items():
        weights[classes == number] = weight
    return weights if sample_weight is None else weights * np.asarray(sample_weight).reshape(-1)


def warn_unused(**arguments: Any) -> None:
    """Say that arguments have no effect with a stream of batches."""
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        warnings.warn(
            f"{', '.join(given)} has no effect here: the data come in batches already", stacklevel=5
        )
