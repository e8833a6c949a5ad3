"""`Dataset`: a pipeline of elements, with the names and semantics of `tf.data.Dataset`."""

from __future__ import annotations

import builtins
import collections
import glob
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.data import elements as e
from hornbeam.data.pipeline import stages as s
from hornbeam.data.pipeline import transforms as m
from hornbeam.data.pipeline.prefetch import workers_for
from hornbeam.ir.types import numpy_dtype
from hornbeam.random import host_bits, host_key, make_default_seed

# For num_parallel_calls and buffer_size: as many as there are processors; ahead where it pays.
AUTOTUNE = -1
# What `cardinality()` says of datasets without an end, and of those whose length shows when they are run.
INFINITE_CARDINALITY = s.INFINITE
UNKNOWN_CARDINALITY = s.UNKNOWN


class Dataset:
    """Elements that are made while one iterates: arrays, numbers and strings, alone or in tuples and dicts.

    Every method returns a new Dataset; nothing runs until somebody iterates, which can be done any number of
    times. Loops and functions see Tensors, and `Strings` for text; `as_numpy_iterator()` gives NumPy arrays.
    Functions get the parts of a tuple as arguments of their own. They may use `hornbeam.ops`, layers and
    NumPy. Elements come in the same order for any number of workers; errors say at which step and element
    they happened. `fit`, `evaluate` and `predict` take Datasets of batches.

    >>> dataset = hornbeam.data.Dataset.range(5).map(lambda x: x * x).batch(2)
    >>> [batch.tolist() for batch in dataset.as_numpy_iterator()]
    [[0, 1], [4, 9], [16]]
    """

    # What the functions for folders found: on their results only, as in Keras.
    class_names: list[str] | None
    file_paths: list[str]
    # On those of `images_from_folder`: files that cannot be read and why, and what was done to the others.
    bad_files: dict[str, str]
    report: str

    def __init__(self, stage: s.Stage) -> None:
        self._stage = stage
        self._spec: Any = None

    def _then(self, stage: s.Stage) -> Dataset:
        return type(self)(stage)

    # -- looking at it -------------------------------------------------------------------------------------

    @property
    def element_spec(self) -> Any:
        """The structure of the elements, with a TensorSpec for every part.

        After `map` and the like it is that of the first element, which is made for it.
        """
        if self._spec is None:
            self._spec = self._stage.spec()
        return self._spec

    def cardinality(self) -> Tensor:
        """The number of elements, or INFINITE_CARDINALITY (-1), or UNKNOWN_CARDINALITY (-2)."""
        return as_tensor(np.int64(self._stage.count()))

    def __len__(self) -> int:
        """The number of elements. Raises TypeError if there is no end, or if it is not known."""
        count = self._stage.count()
        if count < 0:
            state = (
                "has no end" if count == INFINITE_CARDINALITY else "has a length that shows when it is run"
            )
            raise TypeError(f"{self!r} {state}: there is no len()")
        return count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        names, stage = [], self._stage
        while stage.before:
            names.append(stage.name)
            stage = stage.source
        return f"<Dataset {' > '.join([stage.name, *reversed(names)])}>"

    def __iter__(self) -> Iterator[Any]:
        return map(e.presented, self._stage.run())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as NumPy arrays and numbers, and Python strings."""
        return self._stage.run()

    def _orders(self) -> list[list[int]]:
        """Of each shuffle in the pipeline, seed and number of passes so far."""
        return [[stage.seed, stage.passes] for stage in self._stage.shuffles()]

    def _set_orders(self, orders: list[list[int]]) -> None:
        """Let shuffles go on as those with the given `_orders()`. Raises ValueError for another pipeline."""
        stages = list(self._stage.shuffles())
        if len(stages) != len(orders):
            raise ValueError(f"{self!r} shuffles {len(stages)} times, the one before did {len(orders)} times")
        for stage, (seed, passes) in zip(stages, orders, strict=True):
            stage.seed, stage.passes = seed, passes

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element. Raises ValueError if there is none, or another."""
        found = list(itertools.islice(self, 2))
        if len(found) != 1:
            raise ValueError(f"{self!r} must have one element, but it has {'none' if not found else 'more'}")
        return found[0]

    def reduce(
        self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None
    ) -> Any:
        """`state = reduce_func(state, element)` for all elements, from `initial_state` on; the last state."""
        state = e.presented(e.element_of(initial_state))
        for element in self:
            state = e.presented(e.element_of(reduce_func(state, element)))
        return state

    # -- sources -------------------------------------------------------------------------------------------

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Dataset:
        """The rows of arrays: along the first axis, which must be of one length in all of them.

        tensors: an array, or a tuple or dict of them; a list is one array. Arrays are not copied.
        """
        return cls(s.Slices(e.element_of(tensors)))

    @classmethod
    def from_tensors(cls, tensors: Any, name: str | None = None) -> Dataset:
        """One element: `tensors`, whole."""
        element = e.element_of(tensors)
        return cls(s.Listed(lambda: iter([element]), "from_tensors", 1, e.spec_of(element)))

    @classmethod
    def from_generator(
        cls,
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Sequence[Any] | None = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What `generator(*args)`, called for every pass, gives.

        output_signature: TensorSpecs that elements are to fit, or the older output_types and output_shapes;
        without them elements are taken as they come.
        """
        if not callable(generator):
            raise TypeError(
                f"from_generator needs a function that returns a generator, got {type(generator).__name__}: "
                "pass the function itself, without calling it"
            )
        spec = _signature(output_types, output_shapes, output_signature)

        def run() -> Iterator[Any]:
            for item in generator(*(args or ())):
                element = e.element_of(item)
                yield element if spec is None else e.fitted(element, spec)

        return cls(s.Listed(run, "from_generator", UNKNOWN_CARDINALITY, spec))

    @classmethod
    def range(cls, *args: Any, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Whole numbers, as Python's `range(stop)`, `range(start, stop)` or `range(start, stop, step)`."""
        numbers = np.arange(
            *(check_int("range", arg) for arg in args), dtype=numpy_dtype(e.spec_dtype(output_type))
        )
        return cls(s.Slices(numbers, f"range({', '.join(str(int(a)) for a in args)})"))

    @classmethod
    def random(
        cls, seed: int | None = None, rerandomize_each_iteration: bool | None = None, name: str | None = None
    ) -> Dataset:
        """Random whole numbers from 0 to 2**32 - 1 (int64), without end."""
        start, passes = _seed(seed), itertools.count()

        def run() -> Iterator[Any]:
            number = next(passes) if rerandomize_each_iteration else 0
            for block in itertools.count():
                yield from host_bits(host_key(start, number, block), 256).astype(np.int64)

        return cls(s.Listed(run, "random", INFINITE_CARDINALITY, e.TensorSpec((), "int64")))

    @classmethod
    def list_files(
        cls, file_pattern: Any, shuffle: bool | None = None, seed: int | None = None, name: str | None = None
    ) -> Dataset:
        """Names of the files that match a pattern such as "pictures/*/*.jpg", or one of several.

        shuffle: in a new order every pass (the default), or sorted. Raises ValueError if there are none.
        """
        patterns = e.element_of(file_pattern)
        patterns = [patterns] if isinstance(patterns, (str, bytes)) else patterns.tolist()
        names = [p.decode() if isinstance(p, bytes) else p for p in patterns]
        found = sorted({path for pattern in names for path in glob.glob(pattern)})
        if not found:
            raise ValueError(f"no file matches {', '.join(map(repr, names))}")
        files = cls(s.Slices(e.plain(found), "list_files"))
        return files if shuffle is False else files.shuffle(len(found), seed)

    @classmethod
    def zip(cls, *args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Elements of several datasets side by side: `zip(a, b)`, or a tuple or dict of datasets."""
        given = datasets if datasets is not None else args[0] if len(args) == 1 else args
        given = tuple(given) if isinstance(given, list) else given
        parts = e.parts_of(given)
        for part in parts:
            _require_dataset(part, "zip")

        def pack(elements: tuple[Any, ...]) -> Any:
            taken = iter(elements)
            return e.each(lambda _: next(taken), given)

        return cls(m.Zip(tuple(part._stage for part in parts), pack))

    @classmethod
    def choose_from_datasets(
        cls, datasets: Sequence[Dataset], choice_dataset: Dataset, stop_on_empty_dataset: bool = True
    ) -> Dataset:
        """For every number in `choice_dataset`, the next element of the dataset of that number."""
        for dataset in datasets:
            _require_dataset(dataset, "choose_from_datasets")

        def run() -> Iterator[Any]:
            runs = [dataset.as_numpy_iterator() for dataset in datasets]
            ended: set[int] = set()
            for choice in choice_dataset.as_numpy_iterator():
                try:
                    element = next(runs[int(choice)])
                except StopIteration:
                    ended.add(int(choice))
                    if stop_on_empty_dataset or len(ended) == len(runs):
                        return
                    continue
                yield element

        return cls(s.Listed(run, "choose_from_datasets", UNKNOWN_CARDINALITY, datasets[0].element_spec))

    @classmethod
    def sample_from_datasets(
        cls,
        datasets: Sequence[Dataset],
        weights: Any = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:
        """Elements of several datasets, each drawn from one at random: all alike, or by `weights`."""
        shares = np.ones(len(datasets)) if weights is None else np.asarray(weights, float)
        if shares.shape != (len(datasets),) or (shares < 0).any() or not shares.sum():
            raise ValueError(
                f"weights must be {len(datasets)} numbers that are not negative, got {weights!r}"
            )
        edges = np.cumsum(shares / shares.sum())
        draws = cls.random(seed, rerandomize_each_iteration)

        def choices() -> Iterator[Any]:
            for word in draws.as_numpy_iterator():
                yield min(int(np.searchsorted(edges, word / 2**32, "right")), len(edges) - 1)

        chosen = cls(s.Listed(choices, "choices", INFINITE_CARDINALITY))
        return cls.choose_from_datasets(datasets, chosen, stop_on_empty_dataset)

    # -- which elements, in which order ----------------------------------------------------------------------

    def shuffle(
        self,
        buffer_size: Any,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Dataset:
        """The elements in random order, each drawn from the next `buffer_size` that are left.

        With a buffer of the dataset's size or more every order is equally likely. reshuffle_each_iteration:
        another order every pass. The same seed gives the same orders.
        """
        size = check_int("buffer_size", buffer_size, minimum=1)
        return self._then(s.Shuffle(self._stage, size, _seed(seed), reshuffle_each_iteration is not False))

    def repeat(self, count: Any = None, name: str | None = None) -> Dataset:
        """The dataset `count` times, or without end (None, -1)."""
        times = None if count is None else check_int("count", count, minimum=-1)
        return self._then(s.Repeat(self._stage, None if times == -1 else times))

    def take(self, count: Any, name: str | None = None) -> Dataset:
        """The first `count` elements; all of them for -1."""
        stop = check_int("count", count, minimum=-1)
        return self._then(s.Part(self._stage, 0, None if stop == -1 else stop, 1, f"take({stop})"))

    def skip(self, count: Any, name: str | None = None) -> Dataset:
        """What is left after the first `count` elements; nothing for -1."""
        start = check_int("count", count, minimum=-1)
        stop = 0 if start == -1 else None
        return self._then(s.Part(self._stage, max(start, 0), stop, 1, f"skip({start})"))

    def shard(self, num_shards: Any, index: Any, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element, from number `index` on."""
        number, start = check_int("num_shards", num_shards, minimum=1), check_int("index", index, minimum=0)
        if start >= number:
            raise ValueError(f"index must be below num_shards={number}, got {start}")
        return self._then(s.Part(self._stage, start, None, number, f"shard({number}, {start})"))

    def cache(self, filename: Any = "", name: str | None = None) -> Dataset:
        """Keep the elements of the first whole pass: in memory, or in the file `filename` (.npz).

        A file that is there already is read instead of the dataset: delete it when the dataset changes.
        """
        if not str(filename):
            return self._then(s.Kept(self._stage))
        from hornbeam.data.pipeline.cache import FileCache

        return self._then(FileCache(self._stage, str(filename)))

    def prefetch(self, buffer_size: Any, name: str | None = None) -> Dataset:
        """Make up to `buffer_size` elements ahead of their use, in a thread. AUTOTUNE: where that pays."""
        depth = check_int("buffer_size", buffer_size, minimum=-1)
        return self._then(s.Prefetch(self._stage, None if depth == AUTOTUNE else depth))

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """These elements, then those of `dataset`."""
        _require_dataset(dataset, "concatenate")
        return self._then(m.Concatenate(self._stage, dataset._stage))

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which `predicate(element)` is true."""
        return self._then(m.Filter(self._stage, predicate))

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements before the first for which `predicate(element)` is false."""
        return self._then(m.Filter(self._stage, predicate, until=True))

    def unique(self, name: str | None = None) -> Dataset:
        """The elements, numbers or strings, without those that came before."""

        def change(run: Iterator[Any]) -> Iterator[Any]:
            seen: set[Any] = set()
            for element in run:
                key = element if isinstance(element, (str, bytes)) else (element.shape, element.tobytes())
                if key not in seen:
                    seen.add(key)
                    yield element

        return self._then(
            m.Changed(self._stage, change, "unique", lambda _: UNKNOWN_CARDINALITY, lambda spec: spec)
        )

    def ignore_errors(self, log_warning: bool = False, name: str | None = None) -> Dataset:
        """The elements that can be made: those whose `map` function fails are left out.

        log_warning: warn of each, with its place. Stands right after the `map` that may fail.
        """
        return self._then(m.Sound(self._stage, log_warning))

    # -- what they are made of -------------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        synchronous: bool | None = None,
        use_unbounded_threadpool: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """`map_func(element)` for every element; it returns an array, or a tuple or dict of them.

        num_parallel_calls: threads that call it (AUTOTUNE: one a processor, if calls take long enough).
        The order stays the same, whatever `deterministic` says. Batches are faster than single elements:
        `batch(32).map(f)`.

        >>> dataset = hornbeam.data.Dataset.range(3).map(lambda x: (x, 10 * x))
        >>> [(int(a), int(b)) for a, b in dataset]
        [(0, 0), (1, 10), (2, 20)]
        """
        return self._then(m.Map(self._stage, map_func, workers_for(num_parallel_calls)))

    def batch(
        self,
        batch_size: Any,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """`batch_size` elements as one, with a new first axis; drop_remainder: without a shorter last one."""
        return self._then(
            m.Batch(self._stage, check_int("batch_size", batch_size, minimum=1), bool(drop_remainder))
        )

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Batches of elements of different sizes, filled up at their ends.

        padded_shapes: sizes to fill up to, None for that of the largest of the batch. padding_values: 0, or
        "", if None. Both for all parts or in the structure of the elements.
        """

        def make(elements: list[Any]) -> Any:
            return e.padded_batch_of(elements, padded_shapes, padding_values)

        size = check_int("batch_size", batch_size, minimum=1)
        return self._then(m.Batch(self._stage, size, bool(drop_remainder), make, "padded_batch"))

    def unbatch(self, name: str | None = None) -> Dataset:
        """The rows of the elements, one by one."""
        return self._then(m.Unbatch(self._stage))

    def enumerate(self, start: Any = 0, name: str | None = None) -> Dataset:
        """(number, element), from `start` on."""
        first = check_int("start", start)

        def change(run: Iterator[Any]) -> Iterator[Any]:
            return ((np.int64(number), element) for number, element in builtins.enumerate(run, first))

        spec = e.TensorSpec((), "int64")
        return self._then(m.Changed(self._stage, change, "enumerate", spec=lambda below: (spec, below)))

    def window(
        self,
        size: Any,
        shift: Any = None,
        stride: Any = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Datasets of `size` elements, each `shift` (None: `size`) further; `stride`: every so many of them.

        Tuples and dicts become tuples and dicts of datasets.

        >>> windows = hornbeam.data.Dataset.range(4).window(2, shift=1, drop_remainder=True)
        >>> [w.tolist() for w in windows.flat_map(lambda w: w.batch(2)).as_numpy_iterator()]
        [[0, 1], [1, 2], [2, 3]]
        """
        length, step = check_int("size", size, minimum=1), check_int("stride", stride, minimum=1)
        moved = length if shift is None else check_int("shift", shift, minimum=1)

        def change(run: Iterator[Any]) -> Iterator[Any]:
            return _windows(type(self), run, length, moved, step, drop_remainder)

        def count(below: int) -> int:
            if below < 0:
                return below
            return (
                max(-(-(below - (length - 1) * step) // moved), 0) if drop_remainder else -(-below // moved)
            )

        return self._then(m.Changed(self._stage, change, f"window({length})", count))

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements of the datasets that `map_func(element)` returns, one dataset after the other."""
        return self._then(m.Interleave(self._stage, map_func, 1, 1, "flat_map"))

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: Any = None,
        block_length: Any = None,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """The elements of the datasets that `map_func(element)` returns: `block_length` (1) of each of
        `cycle_length` (4) of them in turn."""
        workers_for(num_parallel_calls)
        cycle = 4 if cycle_length in (None, AUTOTUNE) else check_int("cycle_length", cycle_length, minimum=1)
        block = 1 if block_length is None else check_int("block_length", block_length, minimum=1)
        return self._then(m.Interleave(self._stage, map_func, cycle, block))

    # -- the rest --------------------------------------------------------------------------------------------

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """`transformation_func(self)`. Raises TypeError unless that is a Dataset."""
        made = transformation_func(self)
        _require_dataset(made, "apply")
        return made

    def with_options(self, options: Any, name: str | None = None) -> Dataset:
        """This dataset: what options of tf.data ask for (threads, order) is decided here already."""
        return self


def _windows(
    cls: type[Dataset], run: Iterator[Any], size: int, shift: int, stride: int, whole_only: bool
) -> Iterator[Any]:
    span = (size - 1) * stride + 1
    held: collections.deque[Any] = collections.deque(itertools.islice(run, span))
    while held:
        taken = list(held)[::stride]
        if len(taken) == size or not whole_only:
            yield e.together(lambda column: cls(_column(column)), taken)
        if shift >= span:
            held.clear()
            next(itertools.islice(run, shift - span, shift - span), None)
            held.extend(itertools.islice(run, span))
        else:
            for _ in range(min(shift, len(held))):
                held.popleft()
            held.extend(itertools.islice(run, shift))


def _column(values: Sequence[Any]) -> s.Stage:
    kept = list(values)
    return s.Listed(lambda: iter(kept), "window", len(kept), e.spec_of(kept[0]))


def _signature(types: Any, shapes: Any, signature: Any) -> Any:
    """TensorSpecs from the newer or the older arguments of from_generator."""
    if signature is not None:
        return e.each(lambda spec: e.TensorSpec(_sizes(spec.shape), spec.dtype), signature)
    if types is None:
        return None
    if shapes is None:
        return e.each(lambda dtype: e.TensorSpec(None, dtype), types)
    if not isinstance(types, (tuple, dict)):
        return e.TensorSpec(_sizes(shapes), types)
    if isinstance(types, dict):
        return {key: _signature(types[key], shapes[key], None) for key in types}
    return tuple(_signature(*pair, None) for pair in zip(types, shapes, strict=True))


def _sizes(shape: Any) -> Any:
    return None if shape is None else tuple(None if size is None else int(size) for size in shape)


def _seed(seed: Any) -> int:
    return make_default_seed() if seed is None else check_int("seed", seed, minimum=0)


def _require_dataset(value: Any, what: str) -> None:
    if not isinstance(value, Dataset):
        raise TypeError(f"{what} takes Datasets, got {type(value).__name__}")
