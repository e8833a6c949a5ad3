"""Weights in several HDF5 files, and the `.weights.json` that lists them, in the format of Keras.

`model.weights.json` has the files' names by the paths of groups. A file has a part of the groups, laid out as
in one file of weights; a large group may be in several files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack

from hornbeam._internal.limits import current_budget
from hornbeam._internal.resume_point import ResumePoint
from hornbeam._internal.validation import check_number
from hornbeam._internal.warn import warn_user
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise, parse_json, replace_file
from hornbeam.saving.formats import check_exists
from hornbeam.saving.hdf5 import H5Group, create_hdf5, write_groups
from hornbeam.saving.resume_point import write_resume_point

ENDING = ".weights.json"
_GIB = 1 << 30


def write_shards(
    groups: Sequence[H5Group], point: ResumePoint | None, path: str, max_shard_size: float, overwrite: bool
) -> None:
    """Write groups to files of at most `max_shard_size` GiB each, and the list of them to `path`.

    All files are staged before the first is renamed.

    Raises:
        ValueError: For another ending, or an array that is larger than a file may be.
        FileExistsError: If `path` exists and `overwrite` is False.
    """
    path = _list_path(path)
    largest = check_number("max_shard_size", max_shard_size, minimum=0) * _GIB
    base = os.path.basename(path).removesuffix(ENDING)
    shards = {f"{base}_{number:05}.weights.h5": part for number, part in enumerate(_divided(groups, largest))}
    files_of: dict[str, list[str]] = {}
    for name, part in shards.items():
        for group in part:
            files_of.setdefault(f"/{group.path}", []).append(name)
    contents = {
        "metadata": {"total_size": sum(map(_size, groups))},
        "weight_map": {key: names if len(names) > 1 else names[0] for key, names in files_of.items()},
    }
    with ExitStack() as files:  # it leaves the list, which refers to the others, last
        files.enter_context(replace_file(path, overwrite)).write(json.dumps(contents, indent=4).encode())
        for number, (name, part) in enumerate(shards.items()):
            file = files.enter_context(replace_file(os.path.join(os.path.dirname(path), name)))
            with create_hdf5(file) as store:
                write_groups(part, store)
                if not number:
                    write_resume_point(point, store)


def _list_path(path: str) -> str:
    """Return the path of the list of files. Raises ValueError for another kind of name."""
    if path.endswith(ENDING):
        return path
    if not path.endswith(".weights.h5"):
        raise ValueError(f"with max_shard_size the name must end in {ENDING!r}, got {path!r}")
    new = path.removesuffix(".weights.h5") + ENDING
    warn_user(f"weights in several files are listed in {new!r}, not {path!r}: load them by that name")
    return new


def _size(group: H5Group) -> int:
    return sum(array.nbytes for array in group.values.values())


def _divided(groups: Sequence[H5Group], largest: float) -> list[list[H5Group]]:
    """Divide groups, and the arrays of a group, into parts of at most `largest` bytes, in their order."""
    parts: list[list[H5Group]] = [[]]
    room = largest
    for group in groups:
        if not group.values:
            continue
        parts[-1].append(H5Group(group.path, group.name, {}))
        for key, array in group.values.items():
            if array.nbytes > largest:
                raise ValueError(
                    f"max_shard_size={largest / _GIB:g} is {largest:,.0f} bytes, and the array "
                    f"{group.path}/{key} has {array.nbytes:,}: choose a larger one (in GiB)"
                )
            if array.nbytes > room:
                if not parts[-1][-1].values:
                    parts[-1].pop()
                parts.append([H5Group(group.path, group.name, {})])
                room = largest
            parts[-1][-1].values[key] = array
            room -= array.nbytes
    return parts


def shard_paths(path: str) -> list[str]:
    """Return the paths of the files that a list of weights names, which are in its folder.

    Raises:
        ModelFileError: If it is not such a list.
        FileNotFoundError: If the list or a file does not exist.
    """
    check_exists(path)
    if os.path.getsize(path) > current_budget().short_text:
        raise ModelFileError(f"{path!r} is too long for a list of files. {how_to_raise('text')}")
    with open(path, "rb") as file:
        contents = parse_json(file.read(), repr(path))
    listed = contents.get("weight_map") if isinstance(contents, dict) else None
    if not isinstance(listed, dict):
        raise ModelFileError(f"{path!r} does not list files of weights: it has no weight_map")
    names: dict[str, None] = {}
    for entry in listed.values():
        for name in entry if isinstance(entry, list) else [entry]:
            if not isinstance(name, str) or name != os.path.basename(name) or not name.endswith(".h5"):
                raise ModelFileError(f"{path!r} lists {name!r:.80}, which is not a .h5 file in its folder")
            names[name] = None
    paths = [os.path.join(os.path.dirname(path), name) for name in names]
    for shard in paths:
        check_exists(shard)
    return paths
