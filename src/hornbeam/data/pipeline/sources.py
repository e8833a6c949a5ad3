"""Class methods of `Dataset` that create one: of arrays, generators, files, other datasets."""

from __future__ import annotations

import builtins
import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.core.tensor import Tensor
from hornbeam.data import elements as e
from hornbeam.data.pipeline import stages as s
from hornbeam.data.pipeline import transforms as t
from hornbeam.random import make_default_seed

if TYPE_CHECKING:
    from hornbeam._internal.typing import ArrayLike, ShapeLike, Tree
    from hornbeam.data.pipeline.dataset import Dataset


def from_tensor_slices(cls: type[Dataset], tensors: Tree, name: str | None = None) -> Dataset:
    """Create a dataset of the rows of arrays.

    Args:
        tensors: Array, or tuple or dict of arrays with first axes of equal length; a list is one array.
            Arrays are not copied.
        name: Accepted for compatibility with tf.data, unused.
    """
    _check_name("from_tensor_slices", name)
    return cls(s.Slices(e.as_element(tensors)))


def from_tensors(cls: type[Dataset], tensors: Tree, name: str | None = None) -> Dataset:
    """Create a dataset with `tensors` as its only element.

    Args:
        tensors: Array, number or string, or tuple or dict of them.
        name: Accepted for compatibility with tf.data, unused.
    """
    _check_name("from_tensors", name)
    element = e.as_element(tensors)
    return cls(s.IteratorSource(lambda: iter([element]), "from_tensors", 1, e.spec_of(element)))


def from_generator(
    cls: type[Dataset],
    generator: Callable[..., Iterable[Any]],
    output_types: Tree = None,
    output_shapes: Tree = None,
    args: Sequence[Any] | None = None,
    output_signature: Tree = None,
    name: str | None = None,
) -> Dataset:
    """Create a dataset of the elements that a generator function yields.

    Args:
        generator: Function that returns an iterable. It is called as `generator(*args)` for every pass.
        output_types: Dtypes in the structure of the elements (older form of `output_signature`).
        output_shapes: Shapes in the structure of the elements (older form of `output_signature`).
        args: Positional arguments of `generator`.
        output_signature: TensorSpecs that the elements must match. If neither this nor `output_types`
            is given, elements pass unchecked.
        name: Accepted for compatibility with tf.data, unused.

    Raises:
        TypeError: If `generator` is not callable.
    """
    if not callable(generator):
        raise TypeError(
            f"from_generator needs a function that returns a generator, got {type(generator).__name__}: "
            "pass the function itself, without calling it"
        )
    spec = _signature(output_types, output_shapes, output_signature)

    def run() -> Iterator[Any]:
        for item in generator(*(args or ())):
            element = e.as_element(item)
            yield element if spec is None else e.cast_to_spec(element, spec)

    return cls(s.IteratorSource(run, "from_generator", s.UNKNOWN, spec))


def list_files(
    cls: type[Dataset],
    file_pattern: str | Sequence[str] | Tensor,
    shuffle: bool | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Dataset:
    """Create a dataset of the names of files that match glob patterns.

    Args:
        file_pattern: Pattern such as "images/*/*.jpg", or several patterns.
        shuffle: Whether every pass has a new order (default), or the names are sorted (False).
        seed: Seed of the shuffle; drawn from the global seed if None.
        name: Accepted for compatibility with tf.data, unused.

    Raises:
        ValueError: If no file matches.
    """
    patterns = e.as_element(file_pattern)
    patterns = [patterns] if isinstance(patterns, (str, bytes)) else patterns.tolist()
    names = [p.decode() if isinstance(p, bytes) else p for p in patterns]
    paths = sorted({path for pattern in names for path in glob.glob(pattern)})
    if not paths:
        raise ValueError(f"no file matches {', '.join(map(repr, names))}")
    files = cls(s.Slices(e.as_part(paths), "list_files"))
    return files if shuffle is False else files.shuffle(len(paths), seed)


def zip(
    cls: type[Dataset],
    *args: Dataset | tuple[Any, ...] | Mapping[str, Any],
    datasets: Tree = None,
    name: str | None = None,
) -> Dataset:
    """Combine datasets into one whose elements hold an element of each.

    Args:
        *args: Datasets (`zip(a, b)`), or one tuple or dict of datasets.
        datasets: Tuple or dict of datasets, by keyword.
        name: Accepted for compatibility with tf.data, unused.

    Raises:
        TypeError: If a part is not a Dataset.
    """
    structure = datasets if datasets is not None else args[0] if len(args) == 1 else args
    structure = tuple(structure) if isinstance(structure, list) else structure
    parts = e.flatten_parts(structure)
    for part in parts:
        require_dataset(part, "zip")

    def pack(elements: tuple[Any, ...]) -> Tree:
        remaining = iter(elements)
        return e.map_parts(lambda _: next(remaining), structure)

    return cls(t.Zip(tuple(part._stage for part in parts), pack))


def choose_from_datasets(
    cls: type[Dataset],
    datasets: Sequence[Dataset],
    choice_dataset: Dataset,
    stop_on_empty_dataset: bool = True,
) -> Dataset:
    """Interleave datasets in the order that another dataset determines.

    Args:
        datasets: Datasets with elements of one structure.
        choice_dataset: Dataset of indices into `datasets`: each takes the next element of that dataset.
        stop_on_empty_dataset: Whether to end with the first dataset that is exhausted, or to skip it
            (False).
    """
    for dataset in datasets:
        require_dataset(dataset, "choose_from_datasets")

    def run() -> Iterator[Any]:
        runs = [dataset._stage.run() for dataset in datasets]
        exhausted: set[int] = set()
        for choice in choice_dataset._stage.run():
            try:
                element = next(runs[int(choice)])
            except StopIteration:
                exhausted.add(int(choice))
                if stop_on_empty_dataset or len(exhausted) == len(runs):
                    return
                continue
            yield element

    return cls(s.IteratorSource(run, "choose_from_datasets", s.UNKNOWN, datasets[0].element_spec))


def sample_from_datasets(
    cls: type[Dataset],
    datasets: Sequence[Dataset],
    weights: ArrayLike | None = None,
    seed: int | None = None,
    stop_on_empty_dataset: bool = False,
    rerandomize_each_iteration: bool | None = None,
) -> Dataset:
    """Draw each element from one of several datasets at random.

    Args:
        datasets: Datasets with elements of one structure.
        weights: Non-negative weight of each dataset; uniform if None.
        seed: Seed of the draws; drawn from the global seed if None.
        stop_on_empty_dataset: Whether to end with the first dataset that is exhausted.
        rerandomize_each_iteration: Whether every pass draws anew.

    Raises:
        ValueError: If `weights` are negative, all 0, or not one for each dataset.
    """
    rates = np.ones(len(datasets)) if weights is None else np.asarray(weights, float)
    if rates.shape != (len(datasets),) or (rates < 0).any() or not rates.sum():
        raise ValueError(f"weights must be {len(datasets)} non-negative numbers, not all 0, got {weights!r}")
    edges = np.cumsum(rates / rates.sum())
    draws = cls.random(seed, rerandomize_each_iteration)

    def choices() -> Iterator[Any]:
        for word in draws._stage.run():
            yield min(int(np.searchsorted(edges, word / 2**32, "right")), len(edges) - 1)

    choice_dataset = cls(s.IteratorSource(choices, "choices", s.INFINITE))
    return cls.choose_from_datasets(datasets, choice_dataset, stop_on_empty_dataset)


def _signature(types: Any, shapes: Any, signature: Any) -> Any:
    """Return TensorSpecs from the newer or the older arguments of from_generator."""
    if signature is not None:
        return e.map_parts(_as_tensor_spec, signature)
    if types is None:
        return None
    if shapes is None:
        return e.map_parts(lambda dtype: e.TensorSpec(None, dtype), types)
    if not isinstance(types, (tuple, dict)):
        return e.TensorSpec(_sizes(shapes), types)
    if isinstance(types, dict):
        return {key: _signature(types[key], shapes[key], None) for key in types}
    return tuple(_signature(*pair, None) for pair in builtins.zip(types, shapes, strict=True))


def _as_tensor_spec(spec: Any) -> Any:
    if hasattr(spec, "value_type"):  # of composite parts
        return spec
    return e.TensorSpec(_sizes(spec.shape), spec.dtype)


def _sizes(shape: ShapeLike | None) -> tuple[int | None, ...] | None:
    return None if shape is None else tuple(None if size is None else int(size) for size in shape)


def seed_or_default(seed: int | None) -> int:
    """Return a seed, one from the global seed for None."""
    return make_default_seed() if seed is None else check_int("seed", seed, minimum=0)


def require_dataset(value: object, method: str) -> None:
    """Raise TypeError unless the value is a Dataset."""
    if not isinstance(getattr(value, "_stage", None), s.Stage):
        raise TypeError(f"{method} takes Datasets, got {type(value).__name__}")


def _check_name(method: str, name: object) -> None:
    """Raise TypeError for a second array, which would be taken for the unused argument `name`."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{method} takes one structure: several arrays go into one tuple, {method}((x, y))")
