"""Files of torch.save: read to the bit, used as weights, refused by name, and mutated."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError
from hornbeam.saving.arrays import arrays_in
from tests.helpers import pytorch_bytes as torch_bytes
from tests.helpers import write_pytorch
from tests.helpers.malicious_pytorch import pytorch_files
from tests.helpers.paths import GOLDEN

FOLDER = GOLDEN / "pytorch"


def check(path: Path) -> None:
    arrays, expected = hb.saving.load_arrays(path), write_pytorch.expected(path.name)
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype, name
        assert arrays[name].shape == array.shape, name
        assert arrays[name].tobytes() == array.tobytes(), name


# -- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", write_pytorch.NAMES)
def test_files_that_pytorch_wrote(name: str) -> None:
    check(FOLDER / name)


def test_files_of_the_installed_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_pytorch.write(tmp_path)
    for name in write_pytorch.NAMES:
        check(tmp_path / name)


def test_dtypes_that_storages_do_not_name(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {
        "a": torch.tensor([1, 2, 65535], dtype=torch.uint16)[1:],
        "b": torch.tensor([7, 2**63], dtype=torch.uint64),
    }
    torch.save(tensors, tmp_path / "x.pt")
    arrays = hb.saving.load_arrays(tmp_path / "x.pt")
    assert arrays["a"].tolist() == [2, 65535]
    assert arrays["b"].tolist() == [7, 2**63]


def test_nested_names(tmp_path: Path) -> None:
    one = torch_bytes.tensor(torch_bytes.storage("0", "FloatStorage", 4), (2, 2))
    nested = torch_bytes.mapping({"net": torch_bytes.mapping({"w": one}), "ema": b"](" + one + b"Ne"})
    path = tmp_path / "x.bin"
    path.write_bytes(torch_bytes.archive(torch_bytes.pickle(nested), {"0": np.eye(2, dtype="f4").tobytes()}))
    assert list(hb.saving.load_arrays(path)) == ["net.w", "ema.0"]


# -- as weights ----------------------------------------------------------------------------------------------


def linear() -> hb.Model:
    return hb.Sequential([hb.Input((4,)), layers.Dense(3, name="dense")])


def test_weights_by_names() -> None:
    model = linear()
    names = {"dense/kernel": ("weight", np.transpose), "dense/bias": "bias"}
    model.load_weights(FOLDER / "checkpoint.pth", names=names)
    expected = write_pytorch.expected("checkpoint.pth")
    x = np.arange(8, dtype="float32").reshape(2, 4)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), x @ expected["weight"].T + expected["bias"], rtol=1e-6
    )


def test_weights_without_names_say_what_is_needed() -> None:
    model = linear()
    before = model.get_weights()
    with pytest.raises(
        ModelFileError, match=r"(?s)dense/kernel: missing.*names=\{.conv/kernel.*transpose"
    ) as raised:
        model.load_weights(FOLDER / "checkpoint.pth")
    assert "weight: no weight of the model uses it (shape (3, 4))" in str(raised.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_pytorch_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in .*safetensors"):
        linear().save_weights(tmp_path / "x.pth")


def test_inspection() -> None:
    text = str(hb.saving.inspect_model(FOLDER / "checkpoint.pth"))
    assert "weight  float32 (3, 4)" in text
    assert "15 parameters" in text
    assert hb.saving.verify_model(FOLDER / "legacy.pth") == []


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return dict(pytorch_files(tmp_path_factory.mktemp("attacks")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("os.system", r"asks for posix\.system: code is never run.*torch\.save\(model\.state_dict\(\)"),
        ("a whole model", r"torchvision\.models\.resnet\.ResNet"),
        ("a program", "TorchScript"),
        ("an instance", "opcode INST"),
        ("before version 1.6", r"posix\.system"),
        ("a petabyte", r"dense/kernel.*decompression bomb.*budget\(bytes=\.\.\.\)"),
        ("beyond the end", "'dense/kernel' reaches beyond the end of its storage '0'"),
        ("a storage of two kinds", "declared in two ways"),
        ("overlapping members", "members of the archive overlap"),
        ("lists of lists", r"more than 100,000 values.*budget\(members"),
        ("a deep list", "nested too deeply"),
        ("many empty dicts", "over 1,000,000 steps"),
        ("copies of dicts", "over 1,000,000 steps"),
        ("two values of a key", "two values for the key 'dense/kernel'"),
        ("nested and flat", r"two tensors are called 'a\.b'"),
        ("big-endian", "big-endian"),
        ("a tensor alone", r"torch\.save\(model\.state_dict\(\), path\)"),
        ("a bomb", "is compressed, which torch.save never does"),
    ],
)  # fmt: skip
def test_refusals(name: str, text: str, attacks: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(attacks[name])
    with pytest.raises(ModelFileError, match=f"(?s)x.pth.*{text}"):
        hb.saving.load_arrays(path)


def test_a_budget_admits_more(tmp_path: Path) -> None:
    program = torch_bytes.pickle(torch_bytes.mapping({"x": b"(" + b"N" * 200 + b"l"}))
    path = tmp_path / "x.pth"
    path.write_bytes(torch_bytes.archive(program, {}))
    with hb.saving.budget(members=3), pytest.raises(ModelFileError, match="budget"):
        hb.saving.load_arrays(path)
    assert hb.saving.load_arrays(path) == {}


def test_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.safetensors, \.npz, \.pth, \.pt, \.bin, got 'x\.h5'"):
        hb.saving.load_arrays("x.h5")
    with pytest.raises(FileNotFoundError):
        hb.saving.load_arrays(tmp_path / "x.pth")


# -- mutations -----------------------------------------------------------------------------------------------

EDITS = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6)


def read(data: bytes) -> None:
    """Read a file, or see it refused with an explanation."""
    with contextlib.suppress(ModelFileError):
        arrays_in(io.BytesIO(data), ".pth")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(write_pytorch.NAMES), EDITS, st.integers(0, 1 << 20), st.booleans())
def test_mutated_files(name: str, edits: list[tuple[int, int]], cut: int, shorter: bool) -> None:
    data = bytearray((FOLDER / name).read_bytes())
    for position, value in edits:
        data[position % len(data)] = value
    read(bytes(data[: cut % len(data)] if shorter else data))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["archive.pth", "checkpoint.pth"]), EDITS)
def test_mutated_pickles_under_right_checksums(name: str, edits: list[tuple[int, int]]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(FOLDER / name) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.namelist():
            data = bytearray(source.read(member))
            if member.endswith("data.pkl"):
                for position, value in edits:
                    data[position % len(data)] = value
            target.writestr(member, bytes(data))
    read(buffer.getvalue())
