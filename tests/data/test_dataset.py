"""hornbeam.data.Dataset: elements, errors, threads and memory."""

from __future__ import annotations

import collections
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hornbeam as hb
from hornbeam import ops
from hornbeam.data import AUTOTUNE, Dataset, Strings, TensorSpec
from hornbeam.errors import CorruptFileError
from hornbeam.ir.types import HornbeamTypeError, ShapeError


def listed(dataset: Dataset) -> list[Any]:
    return [x.tolist() if hasattr(x, "tolist") else x for x in dataset.as_numpy_iterator()]


# -- elements ----------------------------------------------------------------------------------------------


def test_loops_see_tensors_and_strings() -> None:
    dataset = Dataset.from_tensor_slices(([1.5, 2.5], ["a", "b"], np.array([1, 2], "uint8")))
    number, text, small = next(iter(dataset))
    assert isinstance(number, hb.Tensor)
    assert (number.dtype, number.shape, small.dtype) == ("float32", (), "uint8")
    assert isinstance(text, Strings)
    assert text.numpy() == "a"
    assert text == "a"
    batch = next(iter(dataset.batch(2)))[1]
    assert batch.numpy().tolist() == ["a", "b"]
    assert list(dataset.as_numpy_iterator())[1] == (np.float32(2.5), "b", np.uint8(2))


def test_lists_are_arrays_and_tuples_are_structure() -> None:
    assert listed(Dataset.from_tensor_slices([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert Dataset.from_tensors(([1, 2], {"a": 3})).element_spec == (
        TensorSpec((2,), "int32"),
        {"a": TensorSpec((), "int32")},
    )
    pairs = Dataset.range(2).map(lambda x: [x, 2 * x])  # as in tf.data: a list that a function returns
    assert list(pairs.as_numpy_iterator()) == [(0, 0), (1, 2)]
    assert pairs.element_spec == (TensorSpec((), "int64"), TensorSpec((), "int64"))
    texts = Dataset.range(2).map(lambda x: [x, "a"])
    assert list(texts.as_numpy_iterator()) == [(0, "a"), (1, "a")]


def test_named_tuples_and_dicts_stay() -> None:
    Pair = collections.namedtuple("Pair", ["x", "y"])
    dataset = Dataset.from_tensor_slices(Pair(np.arange(4), {"b": np.arange(4), "a": np.arange(4)})).batch(2)
    element = next(dataset.as_numpy_iterator())
    assert isinstance(element, Pair)
    assert list(element.y) == ["b", "a"]
    assert dataset.element_spec.y["a"] == TensorSpec((None,), "int64")


def test_what_is_no_element() -> None:
    with pytest.raises(HornbeamTypeError, match="tuples and dicts of them, got set"):
        Dataset.from_tensors({1, 2})
    with pytest.raises(ShapeError, match="arrays of one length, got 2, 3"):
        Dataset.from_tensor_slices((np.zeros(2), np.zeros(3)))
    with pytest.raises(ShapeError, match="first axis"):
        Dataset.from_tensor_slices(3)
    with pytest.raises(HornbeamTypeError, match="array of objects such as"):
        Dataset.from_tensor_slices(np.array([1, "a", None], dtype=object))


@pytest.mark.parametrize(
    "column", [np.array(["Ulm", None, "Bonn", np.nan], object), pd.Series(["Ulm", None] * 2)]
)
def test_missing_strings_are_named_by_their_column(column: Any) -> None:
    wanted = r"column 'city' has 2 missing values: fill them first, as in fillna\('\?'\), or drop those rows"
    with pytest.raises(ValueError, match=wanted):
        Dataset.from_tensor_slices(({"age": np.array([1.0, np.nan, 2.0, 3.0]), "city": column}, np.arange(4)))
    with pytest.raises(HornbeamTypeError, match="strings have missing values"):
        Dataset.from_tensor_slices(np.array(["Ulm", np.nan], object))


def test_bytes_keep_their_zeros() -> None:
    dataset = Dataset.from_tensor_slices([b"a\0", b"\0\0"])
    assert list(dataset.as_numpy_iterator()) == [b"a\0", b"\0\0"]


def test_specs() -> None:
    dataset = Dataset.from_tensor_slices((np.zeros((6, 4), "float32"), ["a"] * 6))
    assert dataset.batch(4).element_spec == (TensorSpec((None, 4)), TensorSpec((None,), "string"))
    assert dataset.batch(4, drop_remainder=True).element_spec[0] == TensorSpec((4, 4))
    mapped = dataset.batch(4).map(lambda x, t: (ops.sum(x, axis=-1), t))
    assert mapped.element_spec == (TensorSpec((None,)), TensorSpec((None,), "string"))
    assert mapped.unbatch().element_spec[0] == TensorSpec(())
    assert dataset.window(2).element_spec[0] == TensorSpec((4,))
    assert dataset.padded_batch(2).element_spec[0] == TensorSpec((None, 4))


def test_looking_at_the_spec_changes_nothing() -> None:
    def build_dataset() -> Dataset:
        return Dataset.range(20).shuffle(20, seed=3).map(lambda x: x + 1)

    one, other = build_dataset(), build_dataset()
    assert one.element_spec == TensorSpec((), "int64")
    assert listed(one) == listed(other)


def test_lengths() -> None:
    dataset = Dataset.range(10)
    assert len(dataset.batch(3)) == 4
    assert len(dataset.batch(3, drop_remainder=True)) == 3
    assert int(dataset.repeat().cardinality()) == hb.data.INFINITE_CARDINALITY
    assert int(dataset.filter(lambda x: x > 3).cardinality()) == hb.data.UNKNOWN_CARDINALITY
    assert len(dataset.repeat().take(25)) == 25
    with pytest.raises(TypeError, match="is infinite"):
        len(dataset.repeat())
    with pytest.raises(TypeError, match="is only known by iterating"):
        len(dataset.filter(lambda x: x > 3))
    assert bool(Dataset.range(0))


# -- sources -----------------------------------------------------------------------------------------------


def test_generators() -> None:
    dataset = Dataset.from_generator(
        lambda stop: ((i, str(i)) for i in range(stop)),
        args=(3,),
        output_signature=(TensorSpec((), "float64"), TensorSpec((), "string")),
    )
    assert listed(dataset) == listed(dataset) == [(0.0, "0"), (1.0, "1"), (2.0, "2")]
    assert dataset.element_spec[0].dtype == "float64"
    older = Dataset.from_generator(lambda: [(1, [1, 2])], (int, "float32"), ((), (None,)))
    assert older.element_spec == (TensorSpec((), "int32"), TensorSpec((None,)))
    wrong = Dataset.from_generator(lambda: [[1, 2], [1]], output_signature=TensorSpec((2,), "int32"))
    with pytest.raises(ShapeError, match=r"shape \[2\], got one of \[1\]"):
        list(wrong)
    with pytest.raises(TypeError, match="pass the function itself"):
        Dataset.from_generator(i for i in range(3))  # type: ignore[arg-type]


def test_list_files(tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / f"{name}.txt").write_text(name)
    pattern = str(tmp_path / "*.txt")
    assert [Path(p).stem for p in listed(Dataset.list_files(pattern, shuffle=False))] == ["a", "b", "c"]
    assert sorted(listed(Dataset.list_files(pattern, seed=1))) == listed(Dataset.list_files(pattern, False))
    with pytest.raises(ValueError, match="no file matches"):
        Dataset.list_files(str(tmp_path / "*.png"))


def test_zip_and_sampling() -> None:
    a, b = Dataset.range(3), Dataset.range(10, 15)
    assert listed(Dataset.zip(a, b)) == [(0, 10), (1, 11), (2, 12)]
    assert listed(Dataset.zip({"a": a, "b": (b, a)}))[2] == {"a": 2, "b": (12, 2)}
    assert listed(Dataset.choose_from_datasets([a, b], Dataset.from_tensor_slices([0, 1, 1, 0]))) == [
        0,
        10,
        11,
        1,
    ]
    drawn = Dataset.sample_from_datasets([a.repeat(), b.repeat()], [0.25, 0.75], seed=1).take(2000)
    assert np.mean([x >= 10 for x in listed(drawn)]) == pytest.approx(0.75, abs=0.04)
    with pytest.raises(TypeError, match="zip takes Datasets, got list"):
        Dataset.zip((a, [1]))


# -- functions ---------------------------------------------------------------------------------------------


def test_functions_take_ops_numpy_and_layers() -> None:
    x = np.arange(12, dtype="float32").reshape(4, 3)
    dataset = Dataset.from_tensor_slices((x, np.arange(4))).batch(2)
    mapped = dataset.map(lambda x, y: (np.flip(x, axis=1) + 1, ops.one_hot(y, 4)))
    assert next(mapped.as_numpy_iterator())[0].tolist() == [[3, 2, 1], [6, 5, 4]]
    layer = hb.layers.Rescaling(0.5)
    assert next(dataset.map(lambda x, y: layer(x)).as_numpy_iterator()).tolist() == [
        [0, 0.5, 1],
        [1.5, 2, 2.5],
    ]


def test_labels_are_no_constants_of_compiled_code() -> None:
    """Each label compiled into a program of its own would make this take a minute."""
    dataset = Dataset.range(2000).map(lambda y: ops.one_hot(y, 2000))
    started = time.perf_counter()
    assert sum(row.argmax() for row in dataset.as_numpy_iterator()) == 1999 * 1000
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("workers", [None, 1, 4, AUTOTUNE])
def test_the_order_does_not_depend_on_workers(workers: Any) -> None:
    rng = np.random.default_rng(0)

    def slow(x: Any) -> Any:
        time.sleep(rng.uniform(0, 2e-3))
        return x * 2

    assert listed(Dataset.range(40).map(slow, num_parallel_calls=workers)) == list(range(0, 80, 2))


@pytest.mark.parametrize("workers", [None, 4])
def test_errors_keep_their_type_and_say_where(workers: Any) -> None:
    def fails(x: Any) -> Any:
        if int(x) == 3:
            raise OSError("no such image")
        return x

    dataset = Dataset.range(9).skip(2).map(fails, num_parallel_calls=workers).batch(2).prefetch(2)
    results: list[Any] = []
    with pytest.raises(OSError, match="no such image") as caught:
        results.extend(dataset)
    notes = " ".join(getattr(caught.value, "__notes__", [str(caught.value)]))
    assert "step 3 of the data, map(fails at test_dataset.py:" in notes
    assert "element 1" in notes
    assert listed(Dataset.range(9).map(fails, workers).ignore_errors()) == [0, 1, 2, 4, 5, 6, 7, 8]
    with pytest.warns(UserWarning, match="element dropped: OSError: no such image"):
        listed(Dataset.range(9).map(fails).ignore_errors(log_warning=True))


def test_elements_before_an_error_come() -> None:
    def numbers() -> Any:
        yield from range(5)
        raise OSError("gone")

    dataset, result = Dataset.from_generator(numbers).map(lambda x: x, num_parallel_calls=4), []
    with pytest.raises(OSError, match="gone"):
        result.extend(map(int, dataset))
    assert result == [0, 1, 2, 3, 4]


def test_a_function_cannot_end_a_loop_by_accident() -> None:
    def stops(x: Any) -> Any:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(Dataset.range(3).map(stops))


def test_wrong_arguments_are_refused_at_once() -> None:
    dataset = Dataset.range(3)
    for wrong in (lambda: dataset.batch(0), lambda: dataset.shuffle(0), lambda: dataset.shard(2, 2)):
        with pytest.raises(ValueError, match="must be"):
            wrong()
    with pytest.raises(ValueError, match=r"integer of at least 1, got 2\.5"):
        dataset.batch(2.5)
    with pytest.raises(TypeError, match="map needs a function"):
        dataset.map(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_parallel_calls"):
        dataset.map(lambda x: x, num_parallel_calls=0)
    with pytest.raises(TypeError, match="needs a function that returns a Dataset, got"):
        list(dataset.flat_map(lambda x: x))
    with pytest.raises(ValueError, match="must follow the map"):
        dataset.ignore_errors()


def test_batches_of_different_shapes_say_what_helps() -> None:
    dataset = Dataset.range(4).map(lambda x: np.ones(int(x) + 1))
    with pytest.raises(ShapeError, match=r"\[2\] in element 1\. padded_batch"):
        list(dataset.batch(2))
    padded = dataset.padded_batch(2, padding_values=-1.0)
    assert [b.tolist() for b in padded.as_numpy_iterator()] == [
        [[1, -1], [1, 1]],
        [[1, 1, 1, -1], [1, 1, 1, 1]],
    ]
    wider = Dataset.range(2).map(lambda x: (np.ones(int(x) + 1), "a")).padded_batch(2, ([4], []))
    assert next(wider.as_numpy_iterator())[0].shape == (2, 4)
    nested = Dataset.from_tensors({"a": np.ones(2), "b": (np.ones(1), "x")})
    filled = nested.padded_batch(1, {"a": [3], "b": ([2], [])}, {"a": -1.0, "b": (0.0, "")})
    assert next(filled.as_numpy_iterator())["a"].tolist() == [[1, 1, -1]]
    assert filled.element_spec["b"] == (TensorSpec((None, 2), "float64"), TensorSpec((None,), "string"))
    with pytest.raises(ValueError, match="each of the 3 parts of an element, got 2"):
        list(nested.padded_batch(1, {"a": [3], "b": [2]}))
    with pytest.raises(ShapeError, match="does not fit into padded_shapes"):
        list(dataset.padded_batch(4, [3]))


def test_reduce_and_single_elements() -> None:
    assert int(Dataset.range(5).reduce(np.int64(0), lambda state, x: state + x)) == 10
    pairs = Dataset.range(3).enumerate()
    assert int(pairs.reduce(0, lambda state, pair: state + pair[0] + pair[1])) == 6
    assert int(Dataset.range(1).get_single_element()) == 0
    with pytest.raises(ValueError, match="one element, but it has more"):
        Dataset.range(2).get_single_element()
    assert listed(Dataset.from_tensor_slices([1, 2, 1]).unique()) == [1, 2]
    assert listed(Dataset.range(9).take_while(lambda x: x < 3)) == [0, 1, 2]


@pytest.mark.parametrize(
    "layer", [None, hb.layers.GaussianNoise(1.0, seed=5), hb.layers.Dropout(0.5, seed=5)]
)
def test_what_is_drawn_at_random_does_not_depend_on_workers(layer: Any) -> None:
    def drawn(workers: Any) -> list[Any]:
        hb.utils.set_random_seed(2)
        if layer is not None:
            layer.seed_generator.state.assign(np.array([5, 0], "uint32"))

        def function(x: Any) -> Any:
            time.sleep(1e-4)
            if layer is not None:
                return layer(ops.ones((3,)), training=True)
            return ops.stack([hb.random.normal(()), hb.random.uniform(())]) + ops.cast(x, "float32") * 0

        dataset = Dataset.range(12).map(function, num_parallel_calls=workers)
        if workers is None:
            assert dataset.element_spec.dtype == "float32"  # looking draws nothing
        return [listed(dataset) for _ in range(2)]

    alone = drawn(None)
    assert alone == drawn(1) == drawn(4)
    assert alone[0] != alone[1]  # every pass anew
    assert len({tuple(row) for row in alone[0]}) > 6


# -- shuffles and caches -----------------------------------------------------------------------------------


def test_every_order_of_a_full_shuffle_is_as_likely() -> None:
    seen = collections.Counter(tuple(listed(Dataset.range(3).shuffle(3, seed=seed))) for seed in range(1200))
    assert len(seen) == 6
    assert min(seen.values()) > 150


def test_shuffles_follow_the_global_seed() -> None:
    def drawn() -> list[int]:
        hb.utils.set_random_seed(4)
        return listed(Dataset.range(30).shuffle(30))

    assert drawn() == drawn() != listed(Dataset.range(30).shuffle(30))


@pytest.mark.parametrize("in_file", [False, True])
def test_a_cache_is_filled_by_a_whole_pass(in_file: bool, tmp_path: Path) -> None:
    numbers = []

    def counted() -> Any:
        for number in range(4):
            numbers.append(number)
            yield {
                "x": np.full((number, 2), number, "float16"),
                "t": b"\0" if number % 2 else "\u00e9",
                "n": number,
            }

    dataset = Dataset.from_generator(counted).cache(str(tmp_path / "kept") if in_file else "")
    next(iter(dataset))
    passes = [list(dataset.as_numpy_iterator()) for _ in range(3)]
    assert numbers == [0, 0, 1, 2, 3]
    for first, *others in zip(*passes, strict=True):
        for other in others:
            assert first["x"].dtype == other["x"].dtype
            assert first["x"].tolist() == other["x"].tolist()
            assert (first["t"], first["n"]) == (other["t"], other["n"])
    if in_file:
        assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]
        again = Dataset.from_generator(counted).cache(str(tmp_path / "kept"))
        assert [x["n"] for x in again.as_numpy_iterator()] == [0, 1, 2, 3]
        assert numbers == [0, 0, 1, 2, 3]


def rewritten(path: Path, name: str, content: bytes) -> None:
    """Replace an entry of a cache, with a right checksum."""
    with zipfile.ZipFile(path) as file:
        entries = {entry: file.read(entry) for entry in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for entry, old in entries.items():
            file.writestr(entry, content if entry == name else old)


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (800000000000,), }"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.json", b"[" * 100_000),
        ("index.json", b"{}"),
        ("index.json", b'{"count": 9, "form": ["float64"]}'),
        ("0/0", b""),
        ("0/0", b"\x93NUMPY\x01\x00" + len(HUGE).to_bytes(2, "little") + HUGE),
        ("none", b""),
    ],
)
def test_a_damaged_cache_says_what_to_do(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "kept.npz"
    dataset = Dataset.from_tensor_slices((np.arange(4.0),)).cache(str(path))
    list(dataset)
    if name == "none":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        rewritten(path, name, content)
    with pytest.raises(CorruptFileError, match=r"kept\.npz' cannot be read: .*Delete it: the next pass"):
        list(dataset)
    path.unlink()
    assert len(list(dataset)) == 4


# -- threads and memory ------------------------------------------------------------------------------------


def ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("hornbeam")]


def test_threads_end_when_an_iterator_is_dropped() -> None:
    dataset = Dataset.range(10_000).map(lambda x: x + 1, num_parallel_calls=3).prefetch(4)
    run = iter(dataset)
    next(run)
    assert ours()
    del run
    until = time.perf_counter() + 10
    while ours() and time.perf_counter() < until:
        time.sleep(0.01)
    assert not ours()


def test_memory_stays_bounded() -> None:
    """50 MB go through a pipeline that may hold 16 elements of 50 kB, and copies of them."""

    def images() -> Any:
        for number in range(1000):
            yield np.full((50_000,), number % 256, "uint8")

    dataset = Dataset.from_generator(images).shuffle(16).map(lambda x: x + 1, 4).prefetch(4)
    tracemalloc.start()
    for _ in dataset.as_numpy_iterator():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6


def test_lengths_print_as_numbers() -> None:
    assert f"{Dataset.range(7).cardinality()} elements" == "7 elements"
