"""HDF5 files: written in memory, read from untrusted files without links, plug-ins or surprises of size."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import h5py
import ml_dtypes
import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import SizeBudget, how_to_raise

# An open file, or several that are read as one.
Store: TypeAlias = h5py.File | Sequence[h5py.File]

# Allowed HDF5 filters: gzip, shuffle, Fletcher's checksum. Others are plug-ins that HDF5 would search for on
# this machine.
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)


# A chunk is unpacked as a whole: it may be larger than its array, but not by much.
_CHUNK_SLACK = 1 << 20


# What follows the HDF5 file: this, and the CRC-32 of all before it. HDF5 passes over it, and cuts it off when
# it changes the file.
_MARK = b"hornbeam crc32 "
_MARK_BYTES = len(_MARK) + 8
_BLOCK = 1 << 20


class H5Group(NamedTuple):
    """The values of one part of a model: its path in a file, its name, and arrays by name."""

    path: str
    name: str
    values: dict[str, np.ndarray]


@contextmanager
def create_hdf5(file: BinaryIO, checksum: bool = True) -> Iterator[h5py.File]:
    """Create an HDF5 file, which is written to an open binary file when the block ends.

    It is built in memory: HDF5 can neither continue nor close a file after the disk is full.

    Args:
        file: Open binary file.
        checksum: Whether its checksum follows it; `check_sum` compares that.
    """
    image = file if isinstance(file, io.BytesIO) else io.BytesIO()
    store = h5py.File(image, "w")
    try:
        yield store
    except BaseException:
        with suppress(Exception):  # short of memory, the image is closed, and the error would hide the first
            store.close()
        raise
    store.close()
    if checksum:
        image.seek(0, os.SEEK_END)
        image.write(_MARK + b"%08x" % zlib.crc32(image.getbuffer()))
    if image is not file:
        file.write(image.getbuffer())


def check_sum(file: BinaryIO) -> bool:
    """Compare the checksum of a file of `create_hdf5`. Returns False if it has none, as files of others.

    Raises:
        ModelFileError: If the file is damaged.
    """
    content = file.seek(0, os.SEEK_END) - _MARK_BYTES
    file.seek(max(content, 0))
    mark = file.read()
    file.seek(40)  # of the end of the HDF5 file in its header
    end = int.from_bytes(file.read(8), "little")
    file.seek(0)
    if not mark.startswith(_MARK) and end != content:
        return False
    crc, left = 0, content
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        crc, left = zlib.crc32(block, crc), left - len(block)
    file.seek(0)
    if mark != _MARK + b"%08x" % crc:
        raise ModelFileError("the file is damaged: its checksum is wrong")
    return True


@contextmanager
def open_hdf5(file: BinaryIO) -> Iterator[h5py.File]:
    """Open the HDF5 file in an open binary file.

    Raises:
        ModelFileError: If the file is damaged, also when that shows inside the block.
    """
    with open_shards([file]) as (store,):
        yield store


@contextmanager
def open_shards(files: Sequence[BinaryIO]) -> Iterator[list[h5py.File]]:
    """Open several HDF5 files, as `open_hdf5` does."""
    for file in files:
        if not isinstance(file, io.BytesIO):  # what is in memory was compared when it was read
            check_sum(file)
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(h5py.File(file, "r")) for file in files]
    except ModelFileError:
        raise
    except Exception as error:  # h5py raises many types for damaged files
        raise ModelFileError(f"the weights are not a readable HDF5 file: {error}") from error


def write_groups(groups: Iterable[H5Group], store: h5py.File) -> None:
    """Write values to an open HDF5 file."""
    for group in groups:
        target = store.require_group(group.path)
        target.attrs["name"] = group.name
        for key, value in group.values.items():
            target[key] = value


def _files(store: Store) -> Sequence[h5py.File]:
    return [store] if isinstance(store, h5py.Group) else store


def stored_bytes(store: Store) -> int:
    """Return the number of bytes of all files."""
    return sum(file.id.get_filesize() for file in _files(store))


def names_at(store: Store, name: str) -> list[str]:
    """Return the names in a group, of all files; none if there is no such group."""
    groups = [_object_in(file, name) for file in _files(store)]
    return list(dict.fromkeys(key for group in groups if isinstance(group, h5py.Group) for key in group))


def checked_object(store: Store, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return the object at `name`, reached by hard links only, or None."""
    objects = (_object_in(file, name) for file in _files(store))
    return next((x for x in objects if x is not None), None)


def _object_in(store: h5py.File, name: str) -> h5py.Group | h5py.Dataset | None:
    current: Any = store
    for step in name.split("/"):
        link = current.get(step, getlink=True) if isinstance(current, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(
                f"the weights contain a link at {name!r}: links to other files are not followed"
            )
        current = current[step]
    return current


def checked_dataset(store: Store, name: str) -> h5py.Dataset | None:
    """Return the dataset at `name`, stored in this file, without filters or sizes that are unsafe to read."""
    dataset = checked_object(store, name)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.external or dataset.is_virtual:
        raise ModelFileError(f"the weights at {name!r} are stored in another file: refused")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if not filters.issubset(_FILTERS):
        raise ModelFileError(f"the weights at {name!r} use filters that are not allowed: {filters}")
    if dataset.chunks is None:
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ModelFileError(f"the weights at {name!r} are declared larger than their stored bytes")
    elif int(np.prod(dataset.chunks)) * dataset.dtype.itemsize > dataset.nbytes + _CHUNK_SLACK:
        raise ModelFileError(f"the weights at {name!r} are packed in chunks larger than themselves: refused")
    return dataset


def values_of(dataset: h5py.Dataset, budget: SizeBudget | None = None) -> np.ndarray:
    """Read a checked dataset whose size is known from the file alone.

    Args:
        dataset: A dataset from `checked_dataset`.
        budget: Limit of the whole file, if several datasets are kept.

    Raises:
        ModelFileError: If the values would take far more memory than is stored.
    """
    budget = SizeBudget(dataset.id.get_storage_size()) if budget is None else budget
    budget.take(str(dataset.name), dataset.size, dataset.nbytes)
    if dataset.dtype.kind not in "fiub" and not _is_bfloat16(dataset):
        raise ModelFileError(f"{dataset.name} has dtype {dataset.dtype}, which is not supported")
    return read_numbers(dataset)


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    """Return whether Keras stored bfloat16: two opaque bytes for each value, the dtype as an attribute."""
    if dataset.dtype != np.dtype("V2"):
        return False
    dtype = dataset.attrs.get("dtype")
    return isinstance(dtype, str) and dtype == "bfloat16"


def holds_numbers(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset has numbers of at most 8 bytes."""
    return (dataset.dtype.kind in "fiub" and dataset.dtype.itemsize <= 8) or _is_bfloat16(dataset)


def read_numbers(dataset: h5py.Dataset) -> np.ndarray:
    """Read a checked dataset that `holds_numbers`."""
    array = np.asarray(dataset[()])
    return array.view(ml_dtypes.bfloat16) if array.dtype.kind == "V" else array


def holds_arrays(data: bytes) -> bool:
    """Return whether a file of weights has any."""
    with open_hdf5(io.BytesIO(data)) as store:
        return next(stored_arrays(store), None) is not None


def stored_arrays(store: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the arrays stored in the file itself; links are skipped."""
    pending: list[tuple[str, Any]] = [("", store)]
    limit = 100 * current_budget().members
    visited: set[int] = set()  # two names of one group may form a cycle
    while pending:
        path, group = pending.pop()
        for name in sorted(group):
            full_name = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            entry = group[name]
            address = h5py.h5o.get_info(entry.id).addr
            if address in visited:
                continue
            visited.add(address)
            if len(visited) > limit:
                raise ModelFileError(
                    f"the file has more than {limit:,} entries, unlike any model. {how_to_raise('members')}"
                )
            if isinstance(entry, h5py.Group):
                pending.append((full_name, entry))
            elif (dataset := checked_dataset(store, full_name)) is not None:
                yield full_name, dataset


def layer_arrays(weights: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of layers by their paths."""
    with open_hdf5(io.BytesIO(weights)) as store:
        budget = SizeBudget(len(weights))
        datasets = [(name, x) for name, x in stored_arrays(store) if not name.startswith("optimizer")]
        return {name: values_of(x, budget) for name, x in datasets}
