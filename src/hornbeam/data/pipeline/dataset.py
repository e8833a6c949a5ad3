"""`Dataset`: a pipeline of elements, with the names and semantics of `tf.data.Dataset`."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam._internal.formatting import brief
from hornbeam._internal.typing import DTypeLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.data import elements as e
from hornbeam.data.pipeline import iterators, sources
from hornbeam.data.pipeline import stages as s
from hornbeam.data.pipeline import transforms as t
from hornbeam.data.pipeline.prefetch import resolve_workers
from hornbeam.ir.types import numpy_dtype
from hornbeam.random import host_bits, host_key

# For num_parallel_calls: one worker a processor; for buffer_size: prefetch where it pays.
AUTOTUNE = -1
# Results of `cardinality()` for infinite datasets, and for those whose length is only known by iterating.
INFINITE_CARDINALITY = s.INFINITE
UNKNOWN_CARDINALITY = s.UNKNOWN


class Dataset:
    """Pipeline of elements that are computed during iteration.

    Elements are arrays, numbers and strings, alone or in tuples and dicts. Every method returns a new
    Dataset. Nothing runs before iteration, and a Dataset can be iterated any number of times. Loops and
    functions receive Tensors, and `Strings` for text; `as_numpy_iterator()` yields NumPy arrays. Functions
    receive the parts of a tuple as separate arguments. They may use `hornbeam.ops`, layers and NumPy. The
    order of elements does not depend on the number of workers; errors name the step and the element. `fit`,
    `evaluate` and `predict` accept Datasets of batches.

    Datasets are created by the class methods (`from_tensor_slices`, `from_generator`, `range`, ...).

    Args:
        stage: Last stage of the pipeline, internal.

    Attributes:
        class_names: Names of the classes, on results of the folder loaders.
        file_paths: Paths of the files, on results of the folder loaders.
        bad_files: Reasons by path of files that cannot be read, on results of `images_from_folder`.
        report: Sizes, classes and effect of resizing, on results of `images_from_folder`.

    Example:
        >>> dataset = hornbeam.data.Dataset.range(5).map(lambda x: x * x).batch(2)
        >>> [batch.tolist() for batch in dataset.as_numpy_iterator()]
        [[0, 1], [4, 9], [16]]
    """

    # Set by the folder loaders only, as in Keras.
    class_names: list[str] | None
    file_paths: list[str]
    # Set by `images_from_folder`.
    bad_files: dict[str, str]
    report: str

    def __init__(self, stage: s.Stage) -> None:
        if not isinstance(stage, s.Stage):
            raise TypeError(
                f"Dataset.from_tensor_slices makes a dataset of arrays, from_generator of a generator; got "
                f"{brief(stage)}"
            )
        self._stage = stage
        self._spec: Any = None

    def _then(self, stage: s.Stage) -> Dataset:
        return type(self)(stage)

    # -- properties and iteration --------------------------------------------------------------------------

    @property
    def element_spec(self) -> Tree:
        """Structure of the elements, with a TensorSpec for every part.

        After `map` and similar methods the first element is computed to find it.
        """
        if self._spec is None:
            self._spec = self._stage.spec()
        return self._spec

    def cardinality(self) -> Tensor:
        """Return the number of elements, INFINITE_CARDINALITY (-1) or UNKNOWN_CARDINALITY (-2)."""
        return as_tensor(np.int64(self._stage.count()))

    def __len__(self) -> int:
        """Return the number of elements. Raises TypeError if it is infinite or unknown."""
        count = self._stage.count()
        if count < 0:
            reason = "is infinite" if count == INFINITE_CARDINALITY else "is only known by iterating"
            raise TypeError(f"{self!r} has no len(): its number of elements {reason}")
        return count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Dataset {' > '.join(self._stage.pipeline_names())}>"

    def _repr_html_(self) -> str:
        from hornbeam.data.pipeline.dataset_html import dataset_html

        return dataset_html(self, self._stage.pipeline_names(), self._stage.count())

    def __iter__(self) -> Iterator[Any]:
        return map(e.for_user, self._stage.run())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements as NumPy arrays and numbers, and Python strings."""
        return self._stage.run()

    def _orders(self) -> list[list[int]]:
        """Return the seed and the number of passes so far of each shuffle in the pipeline."""
        return [[stage.seed, stage.passes] for stage in self._stage.shuffles()]

    def _set_orders(self, orders: list[list[int]]) -> None:
        """Continue the shuffles from saved `_orders()`. Raises ValueError for another pipeline."""
        stages = list(self._stage.shuffles())
        if len(stages) != len(orders):
            raise ValueError(f"{self!r} has {len(stages)} shuffles, but the saved state has {len(orders)}")
        for stage, (seed, passes) in zip(stages, orders, strict=True):
            stage.seed, stage.passes = seed, passes

    def _shard_lengths(self) -> list[list[int]]:
        """Return the numbers of elements that each source knows of its shards, -1 for unknown ones."""
        return [source.lengths for source in self._stage.shard_sources()]

    def _set_shard_lengths(self, lengths: list[list[int]]) -> None:
        """Use saved `_shard_lengths()`. Raises ValueError for other files."""
        sources = list(self._stage.shard_sources())
        if [len(source.lengths) for source in sources] != [len(known) for known in lengths]:
            raise ValueError(
                f"{self!r} reads {sum(len(source.lengths) for source in sources)} shards, but the saved "
                f"state has {sum(map(len, lengths))}"
            )
        for source, known in zip(sources, lengths, strict=True):
            source.lengths = [int(length) for length in known]

    def get_single_element(self, name: str | None = None) -> Tree:
        """Return the only element.

        Args:
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If the dataset is empty or has more than one element.
        """
        elements = list(itertools.islice(self, 2))
        if len(elements) != 1:
            number = "none" if not elements else "more"
            raise ValueError(f"{self!r} must have exactly one element, but it has {number}")
        return elements[0]

    def reduce(
        self, initial_state: Tree, reduce_func: Callable[[Any, Any], Any], name: str | None = None
    ) -> Tree:
        """Fold the elements into a state: `state = reduce_func(state, element)`.

        Args:
            initial_state: State before the first element.
            reduce_func: Function of the state and an element that returns the new state.
            name: Accepted for compatibility with tf.data, unused.

        Returns:
            The last state.
        """
        state = e.for_user(e.as_element(initial_state))
        for element in self:
            state = e.for_user(e.as_element(reduce_func(state, element)))
        return state

    # -- sources -------------------------------------------------------------------------------------------

    from_tensor_slices = classmethod(sources.from_tensor_slices)
    from_tensors = classmethod(sources.from_tensors)
    from_generator = classmethod(sources.from_generator)
    list_files = classmethod(sources.list_files)
    zip = classmethod(sources.zip)
    choose_from_datasets = classmethod(sources.choose_from_datasets)
    sample_from_datasets = classmethod(sources.sample_from_datasets)

    @classmethod
    def range(cls, *args: int, output_type: DTypeLike = "int64", name: str | None = None) -> Dataset:
        """Create a dataset of integers, with the arguments of Python's `range`.

        Args:
            *args: `stop`, or `start, stop`, or `start, stop, step`.
            output_type: Dtype of the elements.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If an argument is not an integer.
        """
        numbers = np.arange(
            *(check_int("range", arg) for arg in args), dtype=numpy_dtype(e.spec_dtype(output_type))
        )
        return cls(s.Slices(numbers, f"range({', '.join(str(int(a)) for a in args)})"))

    @classmethod
    def random(
        cls, seed: int | None = None, rerandomize_each_iteration: bool | None = None, name: str | None = None
    ) -> Dataset:
        """Create an infinite dataset of random integers from 0 to 2**32 - 1 (int64).

        Args:
            seed: Seed of the numbers; drawn from the global seed if None.
            rerandomize_each_iteration: Whether every pass draws new numbers.
            name: Accepted for compatibility with tf.data, unused.
        """
        start, passes = sources.seed_or_default(seed), itertools.count()

        def run() -> Iterator[Any]:
            number = next(passes) if rerandomize_each_iteration else 0
            for block in itertools.count():
                yield from host_bits(host_key(start, number, block), 256).astype(np.int64)

        return cls(s.IteratorSource(run, "random", INFINITE_CARDINALITY, e.TensorSpec((), "int64")))

    # -- selection and order ---------------------------------------------------------------------------------

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Dataset:
        """Return the elements in random order, each drawn from a buffer of the next `buffer_size` elements.

        Args:
            buffer_size: Size of the buffer. If it is at least the size of the dataset, all orders are
                equally likely.
            seed: Seed of the order; drawn from the global seed if None. Equal seeds give equal orders.
            reshuffle_each_iteration: Whether every pass has a new order.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `buffer_size` is not an integer of at least 1.
        """
        size = check_int("buffer_size", buffer_size, minimum=1)
        return self._then(
            s.Shuffle(self._stage, size, sources.seed_or_default(seed), reshuffle_each_iteration is not False)
        )

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """Repeat the dataset.

        Args:
            count: Number of passes; None or -1 for an infinite dataset.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `count` is not an integer of at least -1.
        """
        times = None if count is None else check_int("count", count, minimum=-1)
        return self._then(s.Repeat(self._stage, None if times == -1 else times))

    def take(self, count: int, name: str | None = None) -> Dataset:
        """Return the first elements.

        Args:
            count: Number of elements; -1 for all.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `count` is not an integer of at least -1.
        """
        stop = check_int("count", count, minimum=-1)
        return self._then(s.Subsequence(self._stage, 0, None if stop == -1 else stop, 1, f"take({stop})"))

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """Return the elements after the first `count`.

        Args:
            count: Number of elements to skip; -1 for all.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `count` is not an integer of at least -1.
        """
        start = check_int("count", count, minimum=-1)
        stop = 0 if start == -1 else None
        return self._then(s.Subsequence(self._stage, max(start, 0), stop, 1, f"skip({start})"))

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Return every `num_shards`-th element, beginning with element `index`.

        Args:
            num_shards: Number of shards.
            index: Index of this shard, from 0 to `num_shards` - 1.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `index` is out of bounds.
        """
        number, start = check_int("num_shards", num_shards, minimum=1), check_int("index", index, minimum=0)
        if start >= number:
            raise ValueError(f"index must be below num_shards={number}, got {start}")
        return self._then(s.Subsequence(self._stage, start, None, number, f"shard({number}, {start})"))

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Cache the elements of the first complete pass, in memory or in a file.

        Args:
            filename: Path of the cache file (.npz); "" for memory. An existing file is read instead of the
                dataset: delete it when the dataset changes.
            name: Accepted for compatibility with tf.data, unused.
        """
        if not str(filename):
            return self._then(s.MemoryCache(self._stage))
        from hornbeam.data.pipeline.cache import FileCache

        return self._then(FileCache(self._stage, str(filename)))

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """Compute elements ahead of their use, in a thread.

        Args:
            buffer_size: Number of elements to compute ahead; AUTOTUNE (-1) prefetches only where it pays.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `buffer_size` is not an integer of at least -1.
        """
        depth = check_int("buffer_size", buffer_size, minimum=-1)
        return self._then(s.Prefetch(self._stage, None if depth == AUTOTUNE else depth))

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """Return the elements of this dataset, followed by those of another.

        Args:
            dataset: Dataset to append.
            name: Accepted for compatibility with tf.data, unused.
        """
        sources.require_dataset(dataset, "concatenate")
        return self._then(t.Concatenate(self._stage, dataset._stage))

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements for which `predicate(element)` is true.

        Args:
            predicate: Function of an element.
            name: Accepted for compatibility with tf.data, unused.
        """
        return self._then(t.Filter(self._stage, predicate))

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements before the first one for which `predicate(element)` is false.

        Args:
            predicate: Function of an element.
            name: Accepted for compatibility with tf.data, unused.
        """
        return self._then(t.Filter(self._stage, predicate, until=True))

    def unique(self, name: str | None = None) -> Dataset:
        """Return the elements (numbers, arrays or strings) without repetitions.

        Args:
            name: Accepted for compatibility with tf.data, unused.
        """
        stage = t.IteratorTransform(
            self._stage, iterators.without_repetitions, "unique", lambda _: s.UNKNOWN, lambda spec: spec
        )
        return self._then(stage)

    def ignore_errors(self, log_warning: bool = False, name: str | None = None) -> Dataset:
        """Drop the elements whose `map` function raises an error.

        It must follow the `map` that may fail.

        Args:
            log_warning: Whether to warn of each dropped element, with its step and index.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If the previous step is not a `map`.
        """
        return self._then(t.IgnoreErrors(self._stage, log_warning))

    # -- transformations -------------------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        synchronous: bool | None = None,
        use_unbounded_threadpool: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Apply a function to every element.

        Functions of batches are faster than functions of single elements: `batch(32).map(f)`.

        Args:
            map_func: Function of an element that returns an array, or a tuple, list or dict of arrays. A list
                becomes a tuple.
            num_parallel_calls: Number of threads; AUTOTUNE (-1) uses one a processor if calls are slow
                enough.
            deterministic: Accepted for compatibility with tf.data: the order is always kept.
            synchronous: Accepted for compatibility with tf.data, unused.
            use_unbounded_threadpool: Accepted for compatibility with tf.data, unused.
            name: Accepted for compatibility with tf.data, unused.

        Example:
            >>> dataset = hornbeam.data.Dataset.range(3).map(lambda x: (x, 10 * x))
            >>> [(int(a), int(b)) for a, b in dataset]
            [(0, 0), (1, 10), (2, 20)]
        """
        return self._then(t.Map(self._stage, map_func, resolve_workers(num_parallel_calls)))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Combine consecutive elements into batches, along a new first axis.

        Args:
            batch_size: Number of elements in a batch.
            drop_remainder: Whether to drop a last batch that is smaller.
            num_parallel_calls: Accepted for compatibility with tf.data, unused.
            deterministic: Accepted for compatibility with tf.data, unused.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `batch_size` is not an integer of at least 1.
        """
        size = check_int("batch_size", batch_size, minimum=1)
        return self._then(t.Batch(self._stage, size, bool(drop_remainder)))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Tree = None,
        padding_values: Tree = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Combine consecutive elements of different shapes into batches, padded at their ends.

        Args:
            batch_size: Number of elements in a batch.
            padded_shapes: Shape to pad to, None for sizes that are the largest of the batch; one for all
                parts or in the structure of the elements.
            padding_values: Value to pad with, 0 (or "" for text) if None; one for all parts or in the
                structure of the elements.
            drop_remainder: Whether to drop a last batch that is smaller.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `batch_size` is not an integer of at least 1.
        """

        def stack(elements: list[Any]) -> Tree:
            return e.stack_padded(elements, padded_shapes, padding_values)

        size = check_int("batch_size", batch_size, minimum=1)
        return self._then(t.Batch(self._stage, size, bool(drop_remainder), stack, "padded_batch"))

    def unbatch(self, name: str | None = None) -> Dataset:
        """Split batches into their rows.

        Args:
            name: Accepted for compatibility with tf.data, unused.
        """
        return self._then(t.Unbatch(self._stage))

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Return pairs (index, element).

        Args:
            start: Index of the first element.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `start` is not an integer.
        """
        first = check_int("start", start)

        def add_index(run: Iterator[Any]) -> Iterator[Any]:
            return ((np.int64(index), element) for index, element in builtins.enumerate(run, first))

        index = e.TensorSpec((), "int64")
        stage = t.IteratorTransform(self._stage, add_index, "enumerate", spec=lambda spec: (index, spec))
        return self._then(stage)

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Return windows of consecutive elements, each a Dataset.

        Tuples and dicts become tuples and dicts of datasets.

        Args:
            size: Number of elements in a window.
            shift: Elements from the beginning of one window to the next; `size` if None.
            stride: Elements from one item of a window to the next.
            drop_remainder: Whether to drop windows with fewer than `size` elements.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `size`, `shift` or `stride` is not an integer of at least 1.

        Example:
            >>> windows = hornbeam.data.Dataset.range(4).window(2, shift=1, drop_remainder=True)
            >>> [w.tolist() for w in windows.flat_map(lambda w: w.batch(2)).as_numpy_iterator()]
            [[0, 1], [1, 2], [2, 3]]
        """
        length, step = check_int("size", size, minimum=1), check_int("stride", stride, minimum=1)
        offset = length if shift is None else check_int("shift", shift, minimum=1)

        def cut_windows(run: Iterator[Any]) -> Iterator[Any]:
            return iterators.windows(type(self), run, length, offset, step, drop_remainder)

        def count(source_count: int) -> int:
            return iterators.window_count(source_count, length, offset, step, drop_remainder)

        return self._then(t.IteratorTransform(self._stage, cut_windows, f"window({length})", count))

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """Map every element to a dataset, and concatenate these datasets.

        Args:
            map_func: Function of an element that returns a Dataset.
            name: Accepted for compatibility with tf.data, unused.
        """
        return self._then(t.Interleave(self._stage, map_func, 1, 1, "flat_map"))

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Map every element to a dataset, and interleave these datasets.

        Args:
            map_func: Function of an element that returns a Dataset.
            cycle_length: Number of datasets that are open at a time; 4 if None or AUTOTUNE (-1).
            block_length: Number of consecutive elements of a dataset; 1 if None.
            num_parallel_calls: Checked, otherwise unused: elements are computed in one thread.
            deterministic: Accepted for compatibility with tf.data: the order is always kept.
            name: Accepted for compatibility with tf.data, unused.

        Raises:
            ValueError: If `cycle_length` or `block_length` is not an integer of at least 1.
        """
        resolve_workers(num_parallel_calls)
        cycle = 4 if cycle_length in (None, AUTOTUNE) else check_int("cycle_length", cycle_length, minimum=1)
        block = 1 if block_length is None else check_int("block_length", block_length, minimum=1)
        return self._then(t.Interleave(self._stage, map_func, cycle, block))

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """Return `transformation_func(self)`.

        Args:
            transformation_func: Function of a Dataset that returns a Dataset.

        Raises:
            TypeError: If the function returns something else.
        """
        dataset = transformation_func(self)
        sources.require_dataset(dataset, "apply")
        return dataset

    def with_options(self, options: object, name: str | None = None) -> Dataset:
        """Return this dataset unchanged.

        Args:
            options: Accepted for compatibility with tf.data: threads and order are decided by Hornbeam.
            name: Accepted for compatibility with tf.data, unused.
        """
        return self
