"""Frozen models: what `predict` computes, from a file; files that are damaged or strange."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError
from hornbeam.export.frozen import freeze
from hornbeam.runtime import FrozenModel, TensorSpec
from tests.helpers.model_zoo import ZOO, perceptron, random_weights


def run(frozen: FrozenModel, inputs: list[np.ndarray]) -> list[np.ndarray]:
    names = [x.name for x in frozen.signatures["predict"].inputs]
    return list(frozen.run(dict(zip(names, inputs, strict=True))).values())


@pytest.mark.parametrize("case", ZOO)
def test_the_bits_of_predict(case: str) -> None:
    model, inputs = ZOO[case]()
    random_weights(model)
    frozen = FrozenModel.from_bytes(freeze(model))
    for rows in (1, len(inputs[0])):
        some = [x[:rows] for x in inputs]
        expected = model.predict(hb.tree.pack_sequence_as(model.input, some), verbose=0, batch_size=rows)
        for got, wanted in zip(run(frozen, some), hb.tree.flatten(expected), strict=True):
            assert got.shape == wanted.shape
            np.testing.assert_array_equal(got, wanted.astype(got.dtype))


def test_names_types_and_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = hb.Input((None, 4), name="x")
    model = hb.Model(x, {"a": layers.LSTM(3, name="a")(x), "b": layers.Dense(2, name="b")(x)}, name="two")
    about = {"x": {"kind": "table"}}
    model.export(tmp_path / "m.hornbeam", format="hornbeam", labels=["cat", "dog"], preprocessing=about)
    assert capsys.readouterr().out == f"Saved to {tmp_path / 'm.hornbeam'}\n"
    frozen = FrozenModel(tmp_path / "m.hornbeam")
    assert frozen.metadata == {
        "name": "two",
        "hornbeam_version": hb.__version__,
        "labels": ["cat", "dog"],
        "preprocessing": about,
    }
    signature = frozen.signatures["predict"]
    assert signature.inputs == (TensorSpec("x", "float32", (None, None, 4)),)
    assert signature.outputs == (
        TensorSpec("a", "float32", (None, 3)),
        TensorSpec("b", "float32", (None, None, 2)),
    )
    assert {name: y.shape for name, y in frozen.run({"x": np.zeros((5, 7, 4))}).items()} == {
        "a": (5, 3),
        "b": (5, 7, 2),
    }


def test_safetensors_reads_the_weights(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    model, _ = perceptron()
    model.export(tmp_path / "m.hornbeam", format="hornbeam", verbose=False)
    tensors = numpy_files.load_file(tmp_path / "m.hornbeam")
    np.testing.assert_array_equal(tensors["dense/kernel"], model.layers[0].kernel)
    assert {"model", "graph/predict"} < tensors.keys()


def test_a_process_that_imports_the_runtime_alone(tmp_path: Path) -> None:
    model, inputs = perceptron()
    model.export(tmp_path / "m.hornbeam", format="hornbeam", verbose=False)
    np.save(tmp_path / "x.npy", inputs[0])
    code = (
        "import sys, numpy as np; from hornbeam.runtime import FrozenModel;"
        "model = FrozenModel(sys.argv[1]); (x,) = model.signatures['predict'].inputs;"
        "(y,) = model.run({x.name: np.load(sys.argv[2])}).values(); np.save(sys.argv[3], y);"
        "assert not {'hornbeam.ir', 'hornbeam.core', 'hornbeam.layers'} & sys.modules.keys()"
    )
    files = [str(tmp_path / name) for name in ("m.hornbeam", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    np.testing.assert_array_equal(np.load(files[2]), model.predict(inputs[0], verbose=0))


def test_many_threads_and_more_sizes_than_are_kept() -> None:
    model, _ = perceptron()
    frozen = FrozenModel.from_bytes(freeze(model))
    arrays = [np.random.default_rng(n).normal(size=(n, 13)).astype("float32") for n in range(1, 21)]
    expected = [model.predict(x, verbose=0, batch_size=len(x)) for x in arrays]
    differ: list[int] = []

    def work(first: int) -> None:
        for n in range(60):
            k = (first + 7 * n) % len(arrays)
            if not np.array_equal(run(frozen, [arrays[k]])[0], expected[k]):
                differ.append(k)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differ


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, ValueError, "the inputs are x, got none"),
        ({"x": np.zeros((2, 3)), "z": 1}, ValueError, "the inputs are x, got x, z"),
        ({"x": np.zeros((2, 3))}, ValueError, r'"x" is int32\[2,3\], it must be int32\[batch, 4\]'),
        ({"x": np.zeros(4)}, ValueError, r'"x" is int32\[4\], it must be int32\[batch, 4\]'),
        ({"x": np.zeros((0, 4))}, ValueError, "the size batch is 0, it must be at least 1"),
        ({"x": np.full((2, 4), 0.5)}, TypeError, "'x' takes int32, got float64"),
        ({"x": [["a"] * 4]}, TypeError, "'x' takes int32, got <U1"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(inputs: dict[str, Any], error: type[Exception], message: str) -> None:
    inputs = {
        k: v.astype("int32") if isinstance(v, np.ndarray) and (v == 0).all() else v for k, v in inputs.items()
    }
    x = hb.Input((4,), dtype="int32", name="x")
    frozen = FrozenModel.from_bytes(freeze(hb.Model(x, layers.Embedding(5, 2)(x))))
    with pytest.raises(error, match=message):
        frozen.run(inputs)


def test_unknown_signature() -> None:
    frozen = FrozenModel.from_bytes(freeze(perceptron()[0]))
    with pytest.raises(ValueError, match="no signature 'serve', it has predict"):
        frozen.run({}, signature="serve")


@pytest.mark.parametrize("is_symbolic", [True, False])
def test_a_model_of_texts_takes_word_numbers(is_symbolic: bool) -> None:
    vocabulary = ["good", "bad", "film"]
    numbering = layers.TextVectorization(vocabulary=vocabulary, output_sequence_length=5)
    start = [hb.Input((1,), dtype="string")] if is_symbolic else []
    parts = [numbering, layers.Embedding(5, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    model = hb.Sequential([*start, *parts])
    texts = np.array([["A good, good film!"], ["bad"]])
    expected = model.predict(texts, verbose=0)
    frozen = FrozenModel.from_bytes(freeze(model))
    assert frozen.metadata["preprocessing"] == {
        "text": {
            "kind": "text",
            "vocabulary": ["", "[UNK]", *vocabulary],
            "standardize": "lower_and_strip_punctuation",
            "split": "whitespace",
            "output_sequence_length": 5,
        }
    }
    (got,) = frozen.run({"text": np.asarray(numbering(texts))}).values()
    np.testing.assert_array_equal(got, expected)


# -- what cannot be frozen -----------------------------------------------------------------------------------


def test_refusals(tmp_path: Path) -> None:
    hashed = hb.Sequential([hb.Input((1,), dtype="string"), layers.Hashing(8), layers.Embedding(8, 2)])
    with pytest.raises(ValueError, match=r"layers for strings.*Hashing"):
        hashed.export(tmp_path / "m", format="hornbeam")
    pairs = layers.TextVectorization(vocabulary=["a"], ngrams=2)
    words = hb.Sequential([hb.Input((1,), dtype="string"), pairs, layers.Embedding(3, 2)])
    with pytest.raises(ValueError, match=r"text_vectorization.*no n-grams"):
        words.export(tmp_path / "m", format="hornbeam")
    stateful = hb.Sequential([hb.Input((3, 2), batch_size=2), layers.LSTM(2, stateful=True)])
    with pytest.raises(ValueError, match=r"assigns .* during inference, which a frozen model cannot do"):
        stateful.export(tmp_path / "m", format="hornbeam")
    model, _ = perceptron()
    with pytest.raises(ValueError, match=r"names of the \[3\] classes"):
        model.export(tmp_path / "m", format="hornbeam", labels=["a", "b"])
    with pytest.raises(ValueError, match=r"names of inputs \(input_layer"):
        model.export(tmp_path / "m", format="hornbeam", preprocessing={"kind": "image"})
    with pytest.raises(NotImplementedError, match=r"classes=.*takes labels, preprocessing"):
        model.export(tmp_path / "m", format="hornbeam", classes=["a", "b"])
    with pytest.raises(NotImplementedError, match="takes no further arguments"):
        model.export(tmp_path / "m", format="stablehlo", labels=["a", "b"])
    assert not (tmp_path / "m").exists()


# -- files ---------------------------------------------------------------------------------------------------


def rewritten(data: bytes, change: Any) -> bytes:
    """The file with another header, which `change` edits, and the right checksum."""
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header, body = change(header, body)
    header["__metadata__"]["crc32"] = f"{zlib.crc32(body):08x}"
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_damaged_bytes_are_found() -> None:
    data = bytearray(freeze(perceptron()[0]))
    for position in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[position] ^= 4
        try:
            frozen = FrozenModel.from_bytes(bytes(damaged))
        except ModelFileError:
            continue
        # A bit of the padding, or one that JSON does not care for.
        assert frozen.signatures == FrozenModel.from_bytes(bytes(data)).signatures


def test_files_that_are_cut_short_or_something_else(tmp_path: Path) -> None:
    data = freeze(perceptron()[0])
    for end in (0, 7, 8, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.hornbeam").write_bytes(data[:end])
        with pytest.raises(ModelFileError, match=r"cut.hornbeam: (not a frozen model|the file is damaged)"):
            FrozenModel(tmp_path / "cut.hornbeam")
    perceptron()[0].save(tmp_path / "m.keras")
    with pytest.raises(ModelFileError, match="not a frozen model"):
        FrozenModel(tmp_path / "m.keras")
    with pytest.raises(FileNotFoundError):
        FrozenModel(tmp_path / "missing.hornbeam")
    with pytest.raises(ModelFileError, match="is not a file"):
        FrozenModel(tmp_path)


def test_a_file_of_a_newer_version() -> None:
    def newer(header: Any, body: bytes) -> Any:
        header["__metadata__"]["version"] = "2"
        return header, body

    with pytest.raises(ModelFileError, match="version 2; this Hornbeam reads version 1"):
        FrozenModel.from_bytes(rewritten(freeze(perceptron()[0]), newer))


def test_tables_that_lie() -> None:
    data = freeze(perceptron()[0])

    def renamed(header: Any, body: bytes) -> Any:
        header["dense/kernels"] = header.pop("dense/kernel")
        return header, body

    with pytest.raises(ModelFileError, match='no tensor "dense/kernel"'):
        FrozenModel.from_bytes(rewritten(data, renamed))

    def reshaped(header: Any, body: bytes) -> Any:
        header["dense/kernel"]["shape"].reverse()
        return header, body

    frozen = FrozenModel.from_bytes(rewritten(data, reshaped))
    with pytest.raises(
        ValueError, match=r"input 0 is float32\[32,13\], the executable takes float32\[13,32\]"
    ):
        run(frozen, [np.zeros((1, 13), "float32")])


def test_inspect_and_verify(tmp_path: Path) -> None:
    model, _ = perceptron()
    path = tmp_path / "m.hornbeam"
    model.export(path, format="hornbeam", verbose=False, labels=["a", "b", "c"])
    inspection = hb.saving.inspect_model(path)
    assert inspection.kind == "frozen model"
    assert inspection.parameters == model.count_params()
    assert f"written by Hornbeam {hb.__version__}" in str(inspection)
    assert "labels: a, b, c" in str(inspection)
    assert "float32 (None, 13) ->" in " ".join(str(inspection).split())
    assert hb.saving.verify_model(path) == []
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    assert "checksum" in hb.saving.verify_model(path)[0]
