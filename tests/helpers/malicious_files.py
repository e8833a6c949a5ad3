"""Model files that attack the process that loads them: one for each rule, after published cases."""

from __future__ import annotations

import base64
import io
import json
import marshal
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

GIB = 1 << 30


def dense(units: Any = 3, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": "Dense", "config": {"units": units, **config}}


def layer(kind: str, /, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": config}


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def sequential(*layers: Any, shape: Any = (None, 4), **more: Any) -> dict[str, Any]:
    first = layer("InputLayer", batch_shape=list(shape), dtype="float32", name="in")
    config = {"name": "net", "layers": [first, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, **more}


def metric(name: str, **config: Any) -> dict[str, Any]:
    """A compile config with one metric."""
    result = {"module": "keras.metrics", "class_name": name, "config": config}
    return {"optimizer": "adam", "loss": "mse", "metrics": [result]}


def tensor(name: str, *shape: Any, number: int = 0) -> dict[str, Any]:
    history = {"shape": list(shape), "dtype": "float32", "keras_history": [name, number, 0]}
    return {"class_name": "__keras_tensor__", "config": history}


def functional(layers: list[Any], output: list[Any], dtype: str = "float32") -> dict[str, Any]:
    first = layer("InputLayer", batch_shape=[None, 4], name="in", dtype=dtype)
    first.update(name="in", inbound_nodes=[])
    config = {
        "name": "net", "layers": [first, *layers], "input_layers": ["in", 0, 0], "output_layers": output,
    }  # fmt: skip
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def operation(name: str, after: Any, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.src.ops.numpy", "class_name": name, "config": {"name": name, **config}, "name": name,
        "inbound_nodes": [{"args": [after], "kwargs": {}}],
    }  # fmt: skip


GOOD = sequential(dense(3))
ARRAYS = {"layers/dense/vars/0": np.ones((4, 3), "float32"), "layers/dense/vars/1": np.zeros(3, "float32")}


def weights(change: Callable[[h5py.File], None] | None = None, arrays: Any = None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as store:
        for name, array in (ARRAYS if arrays is None else arrays).items():
            store[name] = array
        if change is not None:
            change(store)
    return buffer.getvalue()


def write(path: Path, config: Any = GOOD, h5: bytes | None = None, **zip_options: Any) -> Path:
    text = config if isinstance(config, (bytes, str)) else json.dumps(config)
    with zipfile.ZipFile(path, "w", **zip_options) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", weights() if h5 is None else h5)
    return path


# -- code ----------------------------------------------------------------------------------------------------


def code(folder: Path) -> Iterator[tuple[str, Any]]:
    """Configs that ask for code to be run, or for functions that read, write or fetch."""
    sentinel = folder / "executed"
    body = compile(f"open({str(sentinel)!r}, 'w')", "attack", "exec")
    packed = base64.b64encode(marshal.dumps(body)).decode()
    bytecode = {"class_name": "__lambda__", "config": {"value": [packed, None, None]}}
    yield "lambda bytecode", sequential(dense(), layer("Lambda", function=bytecode))
    yield (
        "lambda of Keras 2",
        sequential(layer("Lambda", function=[packed, None, None], function_type="lambda")),
    )
    yield "lambda as text", sequential(layer("Lambda", function=f"open({str(sentinel)!r}, 'w')"))
    yield "lambda in a loss", sequential(dense(), compile_config={"loss": bytecode})
    for module, name in [
        ("os", "system"), ("builtins", "exec"), ("builtins", "eval"), ("subprocess", "run"),
        ("posix", "system"),
        ("importlib", "import_module"), ("keras.utils", "get_file"), ("keras.models", "load_model"),
        ("keras.saving", "load_model"), ("keras.models", "model_from_json"), ("keras.config", "set_floatx"),
        ("keras.config", "enable_unsafe_deserialization"), ("hornbeam_compat.programs", "run_script"),
        ("hornbeam.saving.archive", "load_model"), ("numpy", "load"), ("pickle", "loads"),
    ]:  # fmt: skip
        yield f"{module}.{name} as activation", sequential(dense(activation=function(module, name)))
        lambda_layer = layer("Lambda", function=function(module, name), arguments={"a": str(sentinel)})
        yield f"{module}.{name} in a Lambda", sequential(lambda_layer)
        results = {"module": module, "class_name": name, "config": {}, "registered_name": name}
        yield f"{module}.{name} as a class", sequential(dense(), results)
        yield f"{module}.{name} as an initializer", sequential(dense(kernel_initializer=results))
    yield "a model class of another format", sequential(layer("TFSMLayer", filepath=str(folder)))
    yield "a pickle in a layer", sequential(layer("TorchModuleWrapper", module=packed))
    yield "a vocabulary in a file", sequential(layer("StringLookup", vocabulary="/etc/passwd"))
    yield (
        "a callback",
        sequential({"module": "keras.callbacks", "class_name": "CSVLogger", "config": {"filename": "x"}}),
    )
    yield (
        "an object array",
        sequential(
            dense(kernel_initializer={"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}})
        ),
    )
    yield (
        "attributes of attributes",
        {"module": "keras", "class_name": "Model.__init__.__globals__", "config": {}},
    )


# -- size ----------------------------------------------------------------------------------------------------


def unrolled() -> Any:
    return sequential(layer("RepeatVector", n=10**7), layer("LSTM", units=1, unroll=True))


def laughs() -> Any:
    """Models that call the model inside them twice: 30 levels are a billion calls."""
    inner: Any = layer("Activation", activation="linear", name="m0")
    for level in range(1, 31):
        twice = [
            {"args": [tensor("in", None, 4)], "kwargs": {}},
            {"args": [tensor(f"m{level - 1}", None, 4)], "kwargs": {}},
        ]
        part = {**inner, "name": f"m{level - 1}", "inbound_nodes": twice}
        number = 2 if inner["class_name"] == "Functional" else 1
        inner = functional([part], [f"m{level - 1}", number, 0])
        inner["config"]["name"] = f"m{level}"
    return inner


def wrapped(levels: int) -> Any:
    inner = layer("SimpleRNN", units=1, return_sequences=True)
    for _ in range(levels):
        inner = layer("Bidirectional", layer=inner, merge_mode="sum")
    return sequential(inner, shape=(None, 3, 1))


def sizes() -> Iterator[tuple[str, Any]]:
    """Small configs of huge models, or of models that take for ever to build."""
    yield "six hundred million units", sequential(dense(600_000_000))
    yield "orthogonal", sequential(dense(600_000_000, kernel_initializer="orthogonal"))
    yield "an identity", sequential(dense(40_000, kernel_initializer="identity"), shape=(None, 40_000))
    yield "an embedding", sequential(layer("Embedding", input_dim=10**9, output_dim=10**4))
    yield (
        "a convolution",
        sequential(layer("Conv2D", filters=10**6, kernel_size=[1000, 1000]), shape=(None, 2000, 2000, 9)),
    )
    yield "a flattened image", sequential(layer("Flatten"), dense(9), shape=(None, 10**6, 10**6))
    yield "a repeated vector", sequential(layer("RepeatVector", n=10**12), layer("Flatten"), dense(9))
    yield "many small weights", sequential(*[dense(4000) for _ in range(300)])
    yield "an unrolled loop", unrolled()
    yield "models in models", laughs()
    yield "wrappers in wrappers", wrapped(40)
    yield "a split into a billion", functional(
        [
            operation("Tile", tensor("in", None, 4), repeats=[1, 25 * 10**6]),
            operation("Split", tensor("Tile", None, 10**8), indices_or_sections=10**8, axis=1),
        ],
        ["Split", 0, 0],
    )  # fmt: skip
    image = (None, 8, 8, 1)
    yield "a resized image", sequential(layer("Resizing", height=10**9, width=10**9), shape=image)
    yield (
        "an upsampled image",
        sequential(layer("UpSampling2D", size=[10**8, 10**8], interpolation="bilinear"), shape=image),
    )
    yield (
        "a nearest image",
        sequential(layer("Resizing", height=10**9, width=9, interpolation="nearest"), shape=image),
    )
    rgb = (None, 8, 8, 3)
    for name, result in {
        "a random crop": layer("RandomCrop", height=10**9, width=10**9),
        "tiles": layer("ContrastLimitedAdaptiveHistogramEqualization", tile_grid_size=[10**9, 1]),
        "a blur": layer("RandomGaussianBlur", kernel_size=[10**9 + 1, 1]),
        "bins": layer("Equalization", bins=10**9),
        "chains": layer("AugMix", num_chains=10**9),
        "a chain": layer("AugMix", chain_depth=10**9),
        "operations on images": layer("RandAugment", num_ops=10**9),
    }.items():
        yield name, sequential(result, layer("Flatten"), dense(9), shape=rgb)
    yield "adaptive pooling", sequential(layer("AdaptiveMaxPooling2D", output_size=[10**9, 1]), shape=image)
    yield (
        "a reflection",
        functional(
            [operation("Pad", tensor("in", None, 4), pad_width=[[0, 0], [10**9, 0]], mode="reflect")],
            ["Pad", 0, 0],
        ),
    )
    yield (
        "repeated by counts",
        functional(
            [operation("Repeat", tensor("in", None, 4), repeats=[10**9] * 4, axis=1)], ["Repeat", 0, 0]
        ),
    )
    yield "thresholds", sequential(dense(1), compile_config=metric("AUC", num_thresholds=10**9))
    yield (
        "thresholds of recall",
        sequential(dense(1), compile_config=metric("RecallAtPrecision", precision=0.5, num_thresholds=10**9)),
    )
    yield "classes", sequential(dense(1), compile_config=metric("MeanIoU", num_classes=10**9))
    yield "a confusion matrix", sequential(dense(1), compile_config=metric("MeanIoU", num_classes=10**6))
    yield (
        "positions",
        functional([operation("Repeat", tensor("in", None, 4), repeats=10**12, axis=1)], ["Repeat", 0, 0]),
    )
    yield (
        "one-hot",
        functional(
            [
                {
                    **operation("OneHot", tensor("in", None, 4), num_classes=10**13),
                    "module": "keras.src.ops.nn",
                }
            ],
            ["OneHot", 0, 0],
            dtype="int32",
        ),
    )


# -- HDF5 ----------------------------------------------------------------------------------------------------


KERNEL = "layers/dense/vars/0"
VALUES = ARRAYS[KERNEL]


def external_storage(store: h5py.File, folder: Path) -> None:
    (folder / "raw.bin").write_bytes(VALUES.tobytes())
    store.create_dataset(KERNEL, (4, 3), "float32", external=[(str(folder / "raw.bin").encode(), 0, 48)])


def other_file(folder: Path) -> str:
    with h5py.File(folder / "other.h5", "w") as store:
        store["x"] = VALUES
    return str(folder / "other.h5")


def external_link(store: h5py.File, folder: Path) -> None:
    store[KERNEL] = h5py.ExternalLink(other_file(folder), "x")


def virtual(store: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource(other_file(folder), "x", (4, 3))
    store.create_virtual_dataset(KERNEL, layout)


def soft_link(store: h5py.File, folder: Path) -> None:
    store["elsewhere"] = VALUES
    store[KERNEL] = h5py.SoftLink("/elsewhere")


def loop(store: h5py.File, folder: Path) -> None:
    store[KERNEL] = store["layers"]


def petabyte(store: h5py.File, folder: Path) -> None:
    store.create_dataset(KERNEL, (1 << 25, 1 << 25), "float32", chunks=(1024, 1024))


def bomb_chunk(store: h5py.File, folder: Path) -> None:
    """Half a gigabyte of zeros in the one chunk of a small array."""
    result = store.create_dataset(
        KERNEL, (4, 3), "float32", maxshape=(None, None), chunks=(1 << 14, 1 << 13), compression="gzip"
    )
    result.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 29), 9))


def other_filter(store: h5py.File, folder: Path) -> None:
    store.create_dataset(KERNEL, data=VALUES, compression="lzf")


def unwritten(store: h5py.File, folder: Path) -> None:
    store.create_dataset(KERNEL, (4, 3), "float32")


def strings(store: h5py.File, folder: Path) -> None:
    store.create_dataset(KERNEL, data=[["a"] * 3] * 4, dtype=h5py.string_dtype())


def references(store: h5py.File, folder: Path) -> None:
    store.create_dataset(KERNEL, data=np.full((4, 3), store.ref), dtype=h5py.ref_dtype)


def stored(values: Any) -> Callable[[h5py.File, Path], None]:
    def change(store: h5py.File, folder: Path) -> None:
        store[KERNEL] = values

    return change


CHANGES: dict[str, Callable[[h5py.File, Path], Any]] = {
    "external link": external_link,
    "soft link": soft_link,
    "loop of hard links": loop,
    "external storage": external_storage,
    "virtual dataset": virtual,
    "petabyte": petabyte,
    "bomb in a chunk": bomb_chunk,
    "other filter": other_filter,
    "unwritten": unwritten,
    "strings": strings,
    "references": references,
    "compound": stored(np.zeros((4, 3), [("a", "f4"), ("b", "f4")])),
    "complex": stored(np.ones((4, 3), complex)),
    "long double": stored(np.ones((4, 3), "longdouble")),
    "named type": stored(np.dtype("f4")),
    "other shape": stored(np.ones((3, 4), "float32")),
    "group": lambda store, folder: store.create_group(KERNEL),
}


def hdf5(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Weights that point elsewhere, lie about their size, or unpack to far more than they take."""
    for name, change in CHANGES.items():

        def replace(store: h5py.File, change: Any = change) -> None:
            del store[KERNEL]
            change(store, folder)

        yield name, weights(replace)
    yield "nothing", weights(arrays={})
    yield "no file", b""
    yield "text", b"not a file at all" * 100
    yield "only the signature", b"\x89HDF\r\n\x1a\n"


# -- zip -----------------------------------------------------------------------------------------------------


def keys_twice(text: str) -> dict[str, str]:
    """A config that says two things, of which a reader sees one: at its top, inside, and in other letters."""
    return {
        "key_twice": f'{{"class_name": "Functional", {text[1:]}',
        "inner_key_twice": text.replace('"units": 3', '"units": 3, "activation": "relu", "units": 3'),
        "key_in_other_letters": text.replace('"config": {', '"config": {"n": 1, "\\u006e": 2, ', 1),
    }


def archives(folder: Path) -> Iterator[str]:
    """Names of files in `folder` whose zip is what is wrong."""
    zeros = bytes(GIB)

    def put(name: str, members: list[tuple[Any, Any]], **options: Any) -> str:
        with zipfile.ZipFile(folder / name, "w", **options) as archive:
            for member, data in members:
                archive.writestr(member, data)
        return name

    good = [("metadata.json", "{}"), ("config.json", json.dumps(GOOD)), ("model.weights.h5", weights())]
    packed = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 9}
    yield put("weights_bomb.keras", [*good[:2], ("model.weights.h5", zeros)], **packed)
    yield put("config_bomb.keras", [("config.json", b" " * (GIB // 4)), good[2]], **packed)
    lists = b"[" + b"[]," * (50 << 20) + b"[]]"
    yield put("config_of_lists.keras", [("config.json", lists), good[2]], **packed)
    yield put("lzma.keras", good, compression=zipfile.ZIP_LZMA)
    yield put("bzip2.keras", good, compression=zipfile.ZIP_BZIP2)
    yield put("no_config.keras", [good[0], good[2]])
    yield put("no_weights.keras", good[:2])
    yield put("deep.keras", [("config.json", "[" * 100_000 + "]" * 100_000), good[2]])
    yield put("deeper.keras", [("config.json", '{"a":' * 300 + "1" + "}" * 300), good[2]])
    yield put("a_list.keras", [("config.json", "[1]"), good[2]])
    yield put("utf16.keras", [("config.json", b"\xff\xfe\x00"), good[2]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile notices
        yield put("duplicates.keras", [*good, good[1]])
        yield put("metadata_twice.keras", [*good, good[0]])
        words = ("assets/layers/string_lookup/vocabulary.txt", "a")
        yield put("words_twice.keras", [*good, words, words])
    for name, text in keys_twice(json.dumps(GOOD)).items():
        yield put(f"{name}.keras", [good[0], ("config.json", text), good[2]])
    write(folder / "many_members.keras")
    with zipfile.ZipFile(folder / "many_members.keras", "a") as archive:
        for index in range(40_000):
            archive.writestr(f"{index}", b"")
    yield "many_members.keras"
    raw = bytearray(write(folder / "lying.keras").read_bytes())
    result = raw.rindex(b"model.weights.h5")  # its entry in the table of contents
    raw[result - 26 : result - 18] = struct.pack("<LL", GIB, 3 * GIB)  # compressed and unpacked size
    (folder / "lying.keras").write_bytes(raw)
    yield "lying.keras"
    raw = bytearray(write(folder / "encrypted.keras").read_bytes())
    result = raw.rindex(b"model.weights.h5")
    raw[result - 38] |= 1
    (folder / "encrypted.keras").write_bytes(raw)
    yield "encrypted.keras"
    raw = write(folder / "commented.keras").read_bytes()
    (folder / "commented.keras").write_bytes(raw[:-2] + b"\x05\x00hello")
    yield "commented.keras"
    raw = write(folder / "broken_stream.keras", compression=zipfile.ZIP_DEFLATED).read_bytes()
    result = raw.index(b"config.json") + 20
    (folder / "broken_stream.keras").write_bytes(raw[:result] + bytes(40) + raw[result + 40 :])
    yield "broken_stream.keras"
    (folder / "a_pickle.keras").write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n")
    yield "a_pickle.keras"
    (folder / "empty.keras").write_bytes(b"")
    yield "empty.keras"
    (folder / "only_hdf5.keras").write_bytes(weights())
    yield "only_hdf5.keras"
