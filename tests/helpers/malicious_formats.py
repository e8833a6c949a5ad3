"""Malicious files of formats besides `.keras`: complete models of Keras 2 in HDF5, `.npz`,
`.safetensors` and ONNX. One for each rule that the format could break.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.helpers import malicious_files as bad_files
from tests.helpers import onnx_bytes as onnx
from tests.helpers import pytorch_bytes
from tests.helpers.malicious_files import GIB, GOOD, VALUES, dense, layer, sequential
from tests.helpers.paths import GOLDEN

BIAS = np.zeros(3, "float32")


def write_good(folder: Path) -> None:
    """A right file of each format; `good.keras` is the model that weights are loaded into."""
    model = sequential(dense(3, name="dense"))
    bad_files.write(folder / "good.keras", model)
    (folder / "good.h5").write_bytes(keras2(model))
    shutil.copy(GOLDEN / "keras2" / "recurrent.h5", folder)
    (folder / "good.npz").write_bytes(npz([("dense/kernel.npy", npy(VALUES)), ("dense/bias.npy", npy(BIAS))]))
    (folder / "good.safetensors").write_bytes(safetensors(TENSORS))
    tensors = {"dense/kernel": VALUES, "dense/bias": BIAS}
    (folder / "good.pth").write_bytes(pytorch_bytes.archive(*pytorch_bytes.state_dict(tensors)))
    (folder / "old.pth").write_bytes(pytorch_bytes.legacy(*pytorch_bytes.state_dict(tensors)))
    (folder / "good.onnx").write_bytes(
        onnx.model(onnx.graph(GEMM, [onnx.tensor("w", np.eye(3, dtype="f4"))]))
    )


# -- whole models of Keras 2 ---------------------------------------------------------------------------------


def keras2(
    config: Any = GOOD,
    training: Any = None,
    change: Callable[[h5py.Group], None] | None = None,
    full: Callable[[h5py.File], None] | None = None,
) -> bytes:
    """A model of one Dense layer. change: is given the group of the layer's weights; whole: the file."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as store:
        store.attrs["keras_version"], store.attrs["backend"] = "2.11.0", "tensorflow"
        store.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        if training is not None:
            store.attrs["training_config"] = json.dumps(training)
        root = store.create_group("model_weights")
        root.attrs["layer_names"] = [b"dense"]
        group = root.create_group("dense")
        group.attrs["weight_names"] = [b"layers/dense/vars/0", b"layers/dense/vars/1"]
        group["layers/dense/vars/0"], group["layers/dense/vars/1"] = VALUES, BIAS
        if change is not None:
            change(group)
        if full is not None:
            full(store)
    return buffer.getvalue()


def _packed_code(folder: Path) -> str:
    body = compile(f"open({str(folder / 'executed')!r}, 'w')", "attack", "exec")
    return base64.b64encode(marshal.dumps(body)).decode()


def keras2_code(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Code where Keras 2 kept code, and everything that is tried in `.keras` files."""
    code = [_packed_code(folder), None, None]
    for name, config in bad_files.code(folder):
        yield name, keras2(config)
    for key in ("function", "output_shape", "mask"):
        settings = {"name": "l", key: code, f"{key}_type": "lambda", "module": "os"}
        yield f"code as {key}", keras2(sequential(layer("Lambda", **{"function": "relu", **settings})))
    by_name = {"function": "system", "function_type": "function", "module": "os", "arguments": {"a": "true"}}
    yield "a function of a module", keras2(sequential(layer("Lambda", **by_name)))
    yield "YAML", keras2("!!python/object/apply:os.system ['true']")
    yield "a pickle", keras2(base64.b64encode(pickle.dumps(Ellipsis)).decode())
    adam = {"class_name": "Adam", "config": {"learning_rate": 0.1}}
    lambdas = {"class_name": "__lambda__", "config": {"value": code}}
    wrapper = {"class_name": "MeanMetricWrapper", "config": {"name": "m", "fn": lambdas}}
    for name, training in {
        "a loss by name": {"loss": "os.system", "optimizer_config": adam},
        "a loss with code": {"loss": lambdas, "optimizer_config": adam},
        "a metric with code": {"loss": "mse", "metrics": [wrapper], "optimizer_config": adam},
        "an optimizer": {"loss": "mse", "optimizer_config": {"class_name": "os>system", "config": {}}},
        "a schedule": {
            "loss": "mse",
            "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": lambdas}},
        },
    }.items():
        yield name, keras2(training=training)


def keras2_sizes(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name, config in bad_files.sizes():
        yield name, keras2(config)
    for name, text in bad_files.keys_twice(json.dumps(GOOD)).items():
        yield name, keras2(text)
    yield "a deep config", keras2('{"a":' * 300 + "1" + "}" * 300)
    yield "a deeper config", keras2("[" * 100_000)


def keras2_places(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Weights elsewhere, larger than stored, and texts that HDF5 would allocate or walk for."""
    for name, change in bad_files.CHANGES.items():

        def replaced(group: h5py.Group, change: Any = change) -> None:
            del group[bad_files.KERNEL]
            change(group, folder)

        yield name, keras2(change=replaced)
    other = bad_files.other_file(folder)
    for index in ("model_weights", "model_weights/dense"):
        for kind, link in {
            "soft": h5py.SoftLink("/elsewhere"),
            "external": h5py.ExternalLink(other, "/"),
        }.items():

            def moved(store: h5py.File, index: str = index, link: Any = link) -> None:
                store.move(index, "elsewhere")
                store[index] = link

            yield f"{kind} link at {index}", keras2(full=moved)

    def pointing(store: h5py.File) -> None:
        store["model_weights"].attrs["layer_names"] = store.ref

    def numbers(store: h5py.File) -> None:
        store.attrs["model_config"] = np.arange(4)

    def nothing(store: h5py.File) -> None:
        for number in range(60):
            store.create_dataset(f"zeros{number}", (32 << 20,), "float32", chunks=(1 << 18,))

    yield "many arrays of nothing", keras2(full=nothing)
    yield "names that are references", keras2(full=pointing)
    yield "a config of numbers", keras2(full=numbers)
    yield "no model", keras2(full=lambda store: store.attrs.__delitem__("model_config"))
    yield from lying_texts((GOLDEN / "keras2" / "shared.h5").read_bytes())


def lying_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Found by fuzzing: a length that nothing is behind, a heap in which nothing comes after, and a datatype
    that is neither of texts nor of sequences, which HDF5 reads through a null pointer."""
    message = data.index(b"model_config\0") - 8
    name, kind, space = (
        -(-int.from_bytes(data[message + i : message + i + 2], "little") // 8) * 8 for i in (2, 4, 6)
    )
    value = message + 8 + name + kind + space
    yield "a huge text", data[:value] + (0x7FFFFFFF).to_bytes(4, "little") + data[value + 4 :]
    heap = int.from_bytes(data[value + 4 : value + 12], "little")
    assert data[heap : heap + 4] == b"GCOL"
    yield "an endless heap", data[: heap + 16] + bytes(16) + data[heap + 32 :]
    datatype = message + 8 + name
    assert data[datatype : datatype + 2] == b"\x19\1"
    for at, wrong in ((1, 3), (1, 0), (4, 8), (12, 2)):
        yield "a datatype of nothing", data[: datatype + at] + bytes([wrong]) + data[datatype + at + 1 :]


# -- .npz ----------------------------------------------------------------------------------------------------


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def declared(header: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An array with any header."""
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == b"\1\0" else "<L", len(text))
    return b"\x93NUMPY" + version + length + text + data


def npz(members: list[tuple[Any, bytes]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile notices names that come twice
        with zipfile.ZipFile(buffer, "w", **options) as archive:
            for member, data in members:
                archive.writestr(member, data)
    return buffer.getvalue()


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def npz_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    kernel, bias = ("dense/kernel.npy", npy(VALUES)), ("dense/bias.npy", npy(BIAS))

    def instead(data: bytes, **options: Any) -> bytes:
        return npz([("dense/kernel.npy", data), bias], **options)

    form = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}".format
    packed = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 9}
    bomb = Bomb(folder / "executed")
    yield "pickled objects", instead(npy(np.array([bomb], object)))
    yield "objects in a record", instead(npy(np.array([(1, bomb)], [("a", "i4"), ("b", "O")])))
    yield "a pickle", pickle.dumps(bomb)
    yield "a pickle as a member", instead(pickle.dumps(bomb))
    yield "a bomb", instead(declared(form("'<f4'", (GIB // 4,)), bytes(GIB)), **packed)
    yield "bombs", npz([(f"{i}.npy", npy(np.zeros(8 << 20, "f4"))) for i in range(8)], **packed)
    yield "a petabyte", instead(declared(form("'<f4'", (1 << 25, 1 << 25)), bytes(48)))
    yield "a number that overflows", instead(declared(form("'<f4'", (1 << 63, 1 << 63)), bytes(48)))
    yield "negative sizes", instead(declared(form("'<f4'", (-4, -3)), bytes(48)))
    yield "code in a header", instead(declared(form("__import__('os').system('true')", (4, 3)), bytes(48)))
    yield "a header of brackets", instead(declared("(" * 60_000))
    yield "a long header", instead(declared("'" + "a" * (32 << 20) + "'", version=b"\2\0"))
    yield "version 9", instead(declared(form("'<f4'", (4, 3)), bytes(48), b"\x09\0"))
    yield "texts", instead(npy(np.full((4, 3), "a")))
    yield "dates", instead(npy(np.zeros((4, 3), "M8[s]")))
    yield "a record", instead(npy(np.zeros((4, 3), [("a", "f4")])))
    yield "twice", npz([kernel, kernel, bias])
    yield "twice, once without an ending", npz([kernel, bias, ("dense/kernel", npy(VALUES))])
    yield "lzma", npz([kernel, bias], compression=zipfile.ZIP_LZMA)
    yield "many members", npz([kernel, bias, *((str(i), b"") for i in range(40_000))])
    yield "names of files elsewhere", npz([kernel, bias, ("../../evil.npy", npy(BIAS)), ("/evil", npy(BIAS))])
    link = zipfile.ZipInfo("link.npy")
    link.external_attr = 0o120777 << 16
    yield "a link", npz([kernel, bias, (link, b"/etc/passwd")])
    yield "a comment", npz([kernel, bias])[:-2] + b"\5\0hello"
    yield "nothing", b""
    raw = bytearray(npz([kernel, bias]))
    raw[raw.rindex(b"dense/bias.npy") - 38] |= 1
    yield "encrypted", bytes(raw)
    raw = bytearray(npz([kernel, bias]))
    index = raw.rindex(b"dense/bias.npy")
    raw[index - 26 : index - 18] = struct.pack("<LL", GIB, 3 * GIB)
    yield "lying sizes", bytes(raw)


# -- .safetensors --------------------------------------------------------------------------------------------

TENSORS: list[tuple[str, Any]] = [
    ("dense/kernel", {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]}),
    ("dense/bias", {"dtype": "F32", "shape": [3], "data_offsets": [48, 60]}),
]


def safetensors(tensors: list[tuple[str, Any]], data: bytes = bytes(60), length: int | None = None) -> bytes:
    header = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(about)}" for name, about in tensors) + "}"
    return struct.pack("<Q", len(header) if length is None else length) + header.encode() + data


def safetensors_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    def changed(**change: Any) -> bytes:
        return safetensors([("dense/kernel", {**TENSORS[0][1], **change}), TENSORS[1]])

    yield "a pickle", pickle.dumps(Bomb(folder / "executed"))
    yield "a petabyte", changed(shape=[1 << 25, 1 << 25])
    yield "a number that overflows", changed(shape=[1 << 63, 1 << 62])
    yield "sizes beyond 64 bits", changed(shape=[1 << 70, 3])
    yield "negative sizes", changed(shape=[-4, -3])
    yield "zeros of a huge row", changed(shape=[0, 1 << 62], data_offsets=[0, 0])
    yield "beyond the end", changed(data_offsets=[0, 1 << 40])
    yield "backwards", changed(data_offsets=[48, 0])
    yield (
        "on one another",
        safetensors([TENSORS[0], ("dense/bias", {**TENSORS[1][1], "data_offsets": [0, 12]})]),
    )
    yield (
        "a hole",
        safetensors([TENSORS[0], ("dense/bias", {**TENSORS[1][1], "data_offsets": [60, 72]})], bytes(72)),
    )
    good = safetensors(TENSORS)
    other = good[8:-60].replace(b'"dense/kernel"', b'"dense\\u002fkernel"')
    twice = b"{" + good[9:-61] + b", " + other[1:]
    yield "a name twice", safetensors([*TENSORS, TENSORS[0]])
    yield "a name twice in other letters", struct.pack("<Q", len(twice)) + twice + bytes(60)
    yield (
        "metadata twice",
        safetensors([("__metadata__", {"a": "b"}), *TENSORS, ("__metadata__", {"a": "c"})]),
    )
    yield "a header without end", safetensors([("__metadata__", {"a": "b" * (17 << 20)}), *TENSORS])
    yield "a strange dtype", changed(dtype="F8_E4M3", shape=[4, 12])
    yield "a dtype with a name of a function", changed(dtype="os.system")
    yield "a header as long as it likes", safetensors(TENSORS, length=(1 << 63) - 1)
    yield "a header longer than the file", safetensors(TENSORS, length=1 << 20)
    brackets = b"[" * (1 << 20)
    yield "a header of brackets", struct.pack("<Q", len(brackets)) + brackets
    yield "code as metadata", safetensors([*TENSORS, ("__metadata__", {"format": ["pt", {"a": 1}]})])
    yield "names of files elsewhere", safetensors([TENSORS[0], ("../../evil", TENSORS[1][1])])
    many = [(f"n{i}", {"dtype": "F32", "shape": [0], "data_offsets": [60, 60]}) for i in range(200_000)]
    yield "many arrays", safetensors([*TENSORS, *many])
    yield "nothing", b""


# -- ONNX ----------------------------------------------------------------------------------------------------

GEMM = [onnx.node("MatMul", ["x", "w"], ["y"])]


def onnx_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each in a folder of its own, as what lies beside a model belongs to it: see `write_onnx`."""
    eye = np.eye(3, dtype="float32")
    x = ["x"]

    def of(nodes: list[bytes], arrays: list[bytes] = (), **changed: Any) -> bytes:  # type: ignore[assignment]
        return onnx.model(onnx.graph(nodes, list(arrays), **changed))

    def number(name: str, *values: int) -> bytes:
        return onnx.tensor(name, np.array(values, "int64"))

    for index in (
        "/etc/passwd", "../secret", "sub/../../secret", "./secret", "link", "hard", "pipe", "folder", "",
        "..", "C:secret", "..\\secret", "file:///etc/passwd", "http://127.0.0.1/w", "secret\0",
    ):  # fmt: skip
        yield f"data in {index!r}", of(GEMM, [onnx.external("w", [3, 3], location=index)])
    yield (
        "one file many times",
        of(
            [onnx.node("Concat", [f"w{i}" for i in range(4000)], ["w"], axis=0), *GEMM],
            [onnx.external(f"w{i}", [1 << 20], location="data") for i in range(4000)],
        ),
    )
    yield "an operator of another domain", of([onnx.node("PythonOp", x, ["y"], domain="ai.onnx.contrib")])
    yield "a name of a function", of([onnx.node("os.system", x, ["y"])])
    yield "a petabyte", of(GEMM, [onnx.tensor("w", eye, dims=[1 << 25, 1 << 25])])
    yield "a number that overflows", of(GEMM, [onnx.tensor("w", eye, dims=[1 << 62, 1 << 62])])
    yield "negative sizes", of(GEMM, [onnx.tensor("w", eye, dims=[-3, -3])])
    yield "empty nodes", onnx.model(onnx.graph([b""] * 1_000_000))
    inner = onnx.graph([onnx.node("Neg", x, ["y"])])
    for _ in range(60):
        inner = onnx.graph([onnx.node("If", x, ["y"], then_branch=inner, else_branch=b"")])
    yield "graphs in graphs", onnx.model(inner)
    long = [onnx.node("Neg", [f"a{i}" if i else "x"], [f"a{i + 1}"]) for i in range(100_000)]
    yield "a chain that is too long", of([*long, onnx.node("Neg", ["a100000"], ["y"])])
    axes = [onnx.message("attribute", name="axis", type=2, i=i) for i in (0, 1)]
    softmax = onnx.message("node", input=x, output=["y"], op_type="Softmax", attribute=axes)
    yield "an attribute twice", of([softmax])
    entry = onnx.message("entry", key="location", value="data")
    where = onnx.message(
        "tensor", dims=[3, 3], data_type=1, name="w", data_location=1, external_data=[entry, entry]
    )
    yield "a place twice", of(GEMM, [where])
    yield "a circle", of([onnx.node("Add", ["x", "b"], ["a"]), onnx.node("Neg", ["a"], ["b"]),
                          onnx.node("Neg", ["b"], ["y"])])  # fmt: skip
    body = onnx.graph(
        [onnx.node("Neg", ["v"], ["u"]), onnx.node("Identity", ["c"], ["d"])],
        input=[onnx.value("i", [], 7), onnx.value("c", [], 9), onnx.value("v", ["n", 3])],
        output=[onnx.value("d", [], 9), onnx.value("u", ["n", 3])],
    )
    yield (
        "a loop without end",
        of([onnx.node("Loop", ["m", "", "x"], ["y"], body=body)], [number("m", 1 << 40)]),
    )
    huge = {
        "ConstantOfShape": (["s"], [number("s", 1 << 40)]),
        "Range": (["a", "b", "c"], [number("a", 0), number("b", 1 << 40), number("c", 1)]),
        "Expand": (["e", "s"], [onnx.tensor("e", np.ones(1, "float32")), number("s", 1 << 20, 1 << 20)]),
        "Tile": (["x", "s"], [number("s", 1 << 30, 1 << 30)]),
    }
    for op, (inputs, arrays) in huge.items():
        yield op, of([onnx.node(op, inputs, ["y"])], arrays)
    yield "a pickle", pickle.dumps(Bomb(folder / "executed"))
    yield "nothing", b""
    yield "text", b"import os; os.system('true')"


def write_onnx(folder: Path, number: int, content: bytes) -> Path:
    """The file, in a folder with everything that it could reach for."""
    home = folder / str(number)
    home.mkdir()
    secret = np.eye(3, dtype="float32").tobytes()
    (folder / "secret").write_bytes(secret)
    (home / "real").write_bytes(secret)
    (home / "link").symlink_to(folder / "secret")
    os.link(home / "real", home / "hard")
    os.mkfifo(home / "pipe")
    (home / "folder").mkdir()
    (home / "model.onnx").write_bytes(content)
    if b"data" in content:
        (home / "data").write_bytes(bytes(4 << 20))
    return home / "model.onnx"
