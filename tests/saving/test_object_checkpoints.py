"""Files of tf.train.Checkpoint are read within the limits for strangers' files, and without pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.core.variable import Variable
from hornbeam.errors import ModelFileError
from hornbeam.saving import budget
from hornbeam_compat.tensorflow.checkpoints import _GRAPH, Checkpoint, CheckpointReader
from tests.helpers import malicious_formats as bad_others

LEAF = {"children": {}, "key": "v"}


def written(path: Path, graph: Any, **arrays: np.ndarray) -> str:
    text = graph if isinstance(graph, bytes) else json.dumps(graph).encode()
    np.savez(path, **{_GRAPH: np.frombuffer(text, np.uint8), **arrays})  # type: ignore[arg-type]
    return str(path.with_suffix(""))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "int64"])
def test_values_of_all_dtypes_there_and_back(dtype: str, tmp_path: Path) -> None:
    path = Checkpoint(v=Variable([1, 0, 1], dtype=dtype)).write(tmp_path / "good")
    restored = Variable([0, 0, 0], dtype=dtype)
    Checkpoint(v=restored).restore(path)
    assert np.asarray(restored, "float32").tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (b"not JSON", "is not JSON"),
        (b'[{"children": {}, "children": {}}]', "twice"),
        ({}, "not a list of objects"),
        ([], "not a list of objects"),
        ([1], "not a list of objects"),
        ([{"children": {"v": 7}}, LEAF], "objects that are not in the file"),
        ([{"children": {"v": -1}}, LEAF], "objects that are not in the file"),
        ([{"children": {"v": "1"}}, LEAF], "objects that are not in the file"),
        ([{"children": [1]}, LEAF], "objects that are not in the file"),
        ([{"children": {"v": 1}}, {"key": "w"}], "the value 'w', which is not in the file"),
        ([{"children": {"v": 1}}, {"key": [1]}], "which is not in the file"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(graph: Any, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "bad.npz", graph, v=np.ones(2, "float32"))
    with pytest.raises(ModelFileError, match=said):
        Checkpoint(v=Variable([0.0, 0.0])).restore(path)


def test_archives_are_read_as_files_of_weights(tmp_path: Path) -> None:
    small = {"pickled objects", "a pickle", "code in a header", "texts", "twice", "a petabyte"}
    for name, content in bad_others.npz_files(tmp_path):
        if name in small:
            small.remove(name)
            (tmp_path / "bad.npz").write_bytes(content)
            with pytest.raises(ModelFileError):
                CheckpointReader(tmp_path / "bad")
    assert not small
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("limit", [{"bytes": 20}, {"parameters": 5}, {"members": 1}, {"text": 5}])
def test_the_budget_holds(limit: dict[str, int], tmp_path: Path) -> None:
    path = Checkpoint(a=Variable(np.ones(8)), b=Variable(1.0)).write(tmp_path / "good")
    with budget(**limit), pytest.raises(ModelFileError, match=r"saving\.budget\("):
        CheckpointReader(path)
    assert len(CheckpointReader(path).values) == 3
