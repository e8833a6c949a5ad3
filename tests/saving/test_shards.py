"""Weights in several files, with a list of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError
from tests.helpers.builders import compiled_model

KIB = 1 / 1024**2  # in the unit of max_shard_size, GiB
X, Y = np.ones((4, 30), "float32"), np.ones((4, 3), "float32")


def trained(seed: int) -> hb.Model:
    hb.utils.set_random_seed(seed)
    parts = [layers.Dense(40), layers.BatchNormalization(), layers.Dense(3)]
    model = compiled_model((30,), parts, "adam", "mse")
    model.fit(X, Y, verbose=0)
    return model


def same(a: hb.Model, b: hb.Model) -> bool:
    pairs = zip([*a.variables, *a.optimizer.variables], [*b.variables, *b.optimizer.variables], strict=True)
    return all(np.array_equal(one.numpy(), other.numpy()) for one, other in pairs)


def test_everything_comes_back_from_files_that_are_small_enough(tmp_path: Path) -> None:
    model, other = trained(1), trained(2)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=5 * KIB)
    contents = json.loads((tmp_path / "m.weights.json").read_text())
    shards = sorted(path.name for path in tmp_path.glob("*.h5"))
    assert len(shards) > 2
    assert shards[0] == "m_00000.weights.h5"
    assert isinstance(contents["weight_map"]["/optimizer/vars"], list)  # one group in several files
    assert not same(model, other)
    other.load_weights(tmp_path / "m.weights.json")
    assert same(model, other)


def test_a_limit_that_all_fit_gives_one_file(tmp_path: Path) -> None:
    trained(1).save_weights(str(tmp_path / "m.weights.json"), max_shard_size=1)
    assert sorted(os.listdir(tmp_path)) == ["m.weights.json", "m_00000.weights.h5"]


def test_the_name_of_one_file_becomes_that_of_the_list(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="listed in"):
        trained(1).save_weights(str(tmp_path / "m.weights.h5"), max_shard_size=1)
    assert (tmp_path / "m.weights.json").exists()


def test_layers_are_skipped(tmp_path: Path) -> None:
    model, other = trained(1), trained(2)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1, objects_to_skip=[model.layers[0]])
    before = other.layers[0].get_weights()
    other.load_weights(tmp_path / "m.weights.json", objects_to_skip=[other.layers[0]])
    assert np.array_equal(other.layers[0].get_weights()[0], before[0])
    assert np.array_equal(other.layers[2].get_weights()[0], model.layers[2].get_weights()[0])


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    model = trained(1)
    with pytest.raises(ValueError, match=r"layers/dense.*/vars/0 has 4,800: choose a larger one"):
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=KIB)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match=r"must end in '.weights.json'"):
        model.save_weights(tmp_path / "m.npz", max_shard_size=1)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    with pytest.raises(FileExistsError):
        model.save_weights(tmp_path / "m.weights.json", overwrite=False, max_shard_size=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "does not list files"),
        ('{"weight_map": []}', "does not list files"),
        ('{"weight_map": {"/a/vars": 3}}', "lists 3, which is not a .h5 file in its folder"),
        ('{"weight_map": {"/a/vars": "../w.weights.h5"}}', "which is not a .h5 file in its folder"),
        ('{"weight_map": {"/a/vars": ["/etc/x.h5"]}}', "which is not a .h5 file in its folder"),
        ('{"weight_map": {"/a/vars": "absent.weights.h5"}}', "absent.weights.h5' does not exist"),
        ('{"weight_map": {}}', "missing in the file"),
    ],
)
def test_lists_of_strangers(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.weights.json").write_text(text)
    with pytest.raises((ModelFileError, FileNotFoundError), match=words):
        trained(1).load_weights(tmp_path / "m.weights.json")
