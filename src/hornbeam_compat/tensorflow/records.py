"""TFRecord files, and the messages in them: `tf.train.Example` and their parsing.

Messages are those of the library `protobuf`, by descriptors that are created here.
"""

from __future__ import annotations

import functools
import gzip
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

from hornbeam.data import Dataset, TensorSpec
from hornbeam.extensions.packages import install_command
from hornbeam_compat.tensorflow.dtypes import as_dtype
from hornbeam_compat.tensorflow.extension_types import stack_tensors
from hornbeam_compat.tensorflow.ragged import RaggedTensor, concatenate
from hornbeam_compat.tensorflow.sparse import SparseTensor
from hornbeam_compat.tensorflow.strings import StringTensor, from_list
from hornbeam_compat.tensorflow.typing import DTypeLike, FilePath, Message, TensorLike, TextOrTensor

# Namespace -> its names.
NAMESPACES = {
    "train": (
        "BytesList Example Feature FeatureList FeatureLists Features FloatList Int64List SequenceExample"
    ),
    "io": (
        "FixedLenFeature FixedLenSequenceFeature RaggedFeature TFRecordOptions TFRecordWriter "
        "VarLenFeature parse_example parse_sequence_example parse_single_example "
        "parse_single_sequence_example"
    ),
    "data": "TFRecordDataset",
}


# -- messages ------------------------------------------------------------------------------------------------


# Message -> its fields: (name, number, type, True for a list). A type in capitals is a message; "Map" is a
# dict from names to messages.
_MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "BytesList": [("value", 1, "bytes", True)],
    "FloatList": [("value", 1, "float", True)],
    "Int64List": [("value", 1, "int64", True)],
    "Feature": [
        ("bytes_list", 1, "BytesList", False), ("float_list", 2, "FloatList", False),
        ("int64_list", 3, "Int64List", False),
    ],
    "Features": [("feature", 1, "Map Feature", True)],
    "FeatureList": [("feature", 1, "Feature", True)],
    "FeatureLists": [("feature_list", 1, "Map FeatureList", True)],
    "Example": [("features", 1, "Features", False)],
    "SequenceExample": [("context", 1, "Features", False), ("feature_lists", 2, "FeatureLists", False)],
    "Dim": [("size", 1, "int64", False)],
    "TensorShapeProto": [("dim", 2, "Dim", True)],
    "TensorProto": [
        ("dtype", 1, "int32", False), ("tensor_shape", 2, "TensorShapeProto", False),
        ("tensor_content", 4, "bytes", False), ("string_val", 8, "bytes", True),
    ],
}  # fmt: skip


@functools.cache
def messages() -> dict[str, Any]:
    """Return the classes of the messages by name.

    Raises:
        ImportError: If protobuf is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError(f"tf.train.Example needs protobuf: {install_command('tfrecord')}") from None
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="hornbeam/example.proto", package="tensorflow", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == "Feature":
            message.oneof_decl.add(name="kind")
        for field_name, number, kind, repeated in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind.startswith("Map "):
                entry_name = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
                entry = message.nested_type.add(name=entry_name)
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
                value = entry.field.add(name="value", number=2, label=kinds.LABEL_OPTIONAL)
                value.type, value.type_name = kinds.TYPE_MESSAGE, f".tensorflow.{kind[4:]}"
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".tensorflow.{name}.{entry_name}"
            elif kind[0].isupper():
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".tensorflow.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
            if name == "Feature":
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name}"))
        for name in _MESSAGES
    }


def __getattr__(name: str) -> Any:
    if name in NAMESPACES["train"].split():
        return messages()[name]
    raise AttributeError(name)


# -- files ---------------------------------------------------------------------------------------------------


class TFRecordOptions:
    """Options of a writer.

    Args:
        compression_type: "", "GZIP" or "ZLIB".
        **unused: Ignored.
    """

    def __init__(self, compression_type: str | None = None, **unused: object) -> None:
        self.compression_type = compression_type or ""


class TFRecordWriter:
    """Writer of a file of records. Use it in a `with` block, or call `close`.

    Args:
        path: Path of the file.
        options: TFRecordOptions or the compression type, or None.
    """

    def __init__(self, path: FilePath, options: TFRecordOptions | str | None = None) -> None:
        kind = getattr(options, "compression_type", options) or ""
        self._file: gzip.GzipFile | io.BufferedWriter = (gzip.open if kind == "GZIP" else open)(path, "wb")
        self._compressor = zlib.compressobj() if kind == "ZLIB" else None

    def write(self, record: TensorLike) -> None:
        """Append a record."""
        data = record if isinstance(record, bytes) else StringTensor(record).numpy()
        length = struct.pack("<Q", len(data))
        block = length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))
        self._file.write(self._compressor.compress(block) if self._compressor else block)

    def flush(self) -> None:
        """Write what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._compressor and not self._file.closed:
            self._file.write(self._compressor.flush())
        self._file.close()

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C of bytes, as in TFRecord files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _stream(path: Path, compression: str) -> IO[bytes]:
    if compression == "GZIP":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if compression == "ZLIB":
        return io.BytesIO(zlib.decompress(path.read_bytes()))
    return path.open("rb")


def records(path: Path, compression: str = "") -> Iterator[bytes]:
    """Yield the records of a file.

    Raises:
        ValueError: If a length is damaged, or the file is cut off.
    """
    with _stream(path, compression) as file:
        while head := file.read(12):
            size = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
            if len(head) < 12 or masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
                raise ValueError(
                    f"{path} is no TFRecord file, or it is damaged: the length of a record is wrong"
                )
            data = file.read(size + 4)
            if len(data) < size + 4:
                raise ValueError(f"{path} ends inside of a record: it was not written to its end")
            yield data[:size]


def TFRecordDataset(
    filenames: TensorLike | Dataset, compression_type: str | None = None, buffer_size: object = None,
    num_parallel_reads: object = None, name: str | None = None,
) -> Dataset:  # fmt: skip
    """Create a dataset of the records of files, as strings."""
    if isinstance(filenames, Dataset):
        filenames = [name.numpy() if hasattr(name, "numpy") else name for name in filenames]
    listed = (
        filenames if isinstance(filenames, (list, tuple)) else np.atleast_1d(StringTensor(filenames).array)
    )
    paths = [
        Path(text) for text in StringTensor([str(x) if isinstance(x, Path) else x for x in listed]).texts()
    ]
    kind = compression_type or ""

    def read() -> Iterator[bytes]:
        for path in paths:
            yield from records(path, kind)

    return Dataset.from_generator(read, output_signature=TensorSpec((), "string"))


# -- parsing -------------------------------------------------------------------------------------------------


class FixedLenFeature(NamedTuple):
    """Feature of a known shape; `default_value` replaces a missing one."""

    shape: Any
    dtype: Any
    default_value: Any = None


class VarLenFeature(NamedTuple):
    """Feature of any number of values, parsed to a sparse tensor."""

    dtype: Any


class FixedLenSequenceFeature(NamedTuple):
    """Feature of any number of entries of a known shape."""

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


class RaggedFeature(NamedTuple):
    """Feature of any number of values, parsed to a tensor, or a ragged one for several examples."""

    dtype: Any
    value_key: str | None = None
    partitions: Any = ()
    row_splits_dtype: Any = "int32"


FeatureSpec: TypeAlias = FixedLenFeature | VarLenFeature | FixedLenSequenceFeature | RaggedFeature
Parsed: TypeAlias = TextOrTensor | SparseTensor | RaggedTensor


def _values(feature: Message, key: str, dtype: DTypeLike) -> list[Any]:
    """Return the values of a Feature message. Raise ValueError if they are of another type."""
    kind = feature.WhichOneof("kind")
    if kind is None:
        return []
    name = str(as_dtype(dtype))
    expected = "bytes_list" if name == "string" else "float_list" if "float" in name else "int64_list"
    if kind != expected:
        raise ValueError(f"feature {key!r} has a {kind}, which is no {name}")
    return list(getattr(feature, kind).value)


def _parse_one(spec: FeatureSpec, feature: Message | None, key: str) -> Parsed:
    values, dtype = [] if feature is None else _values(feature, key, spec.dtype), str(as_dtype(spec.dtype))
    if isinstance(spec, FixedLenFeature):
        shape = tuple(int(n) for n in spec.shape)
        if not values and int(np.prod(shape)):
            if spec.default_value is None:
                raise ValueError(f"the example has no feature {key!r}, and FixedLenFeature no default_value")
            default = np.asarray(spec.default_value, object if dtype == "string" else None)
            values = np.broadcast_to(default, shape).reshape(-1).tolist()
        return from_list(values, dtype, shape)
    if isinstance(spec, FixedLenSequenceFeature):
        return from_list(values, dtype, (-1, *spec.shape))
    flat = from_list(values, dtype)
    if isinstance(spec, VarLenFeature):
        return SparseTensor(np.arange(len(values))[:, None], flat, (len(values),))
    return flat


def _parse(serialized: TensorLike, features: Mapping[str, Any]) -> dict[str, Any]:
    example = messages()["Example"].FromString(StringTensor(serialized).numpy())
    entries = example.features.feature
    return {
        key: _parse_one(spec, _entry(entries, getattr(spec, "value_key", None) or key), key)
        for key, spec in features.items()
    }


def _entry(entries: Mapping[str, Message], key: str) -> Message | None:
    """Return a feature, or None. Reading a missing one would create it."""
    return entries[key] if key in entries else None  # noqa: SIM401


def parse_single_example(
    serialized: TensorLike, features: Mapping[str, Any], example_names: object = None, name: str | None = None
) -> dict[str, Parsed]:
    """Parse an Example to a dict of tensors."""
    return _parse(serialized, features)


def parse_example(
    serialized: TensorLike, features: Mapping[str, Any], example_names: object = None, name: str | None = None
) -> dict[str, Parsed]:
    """Parse several Examples to a dict of tensors with a first axis of examples."""
    array = StringTensor(serialized).array
    if array.ndim == 0:
        return _parse(serialized, features)
    parsed = [_parse(record, features) for record in array]
    return {key: _batch(spec, [row[key] for row in parsed]) for key, spec in features.items()}


def _batch(spec: FeatureSpec, rows: list[Any]) -> Parsed:
    if isinstance(spec, VarLenFeature):
        places = [[i, j] for i, row in enumerate(rows) for j in range(int(row.shape[0]))]
        flat: Any = concatenate([row.values for row in rows])
        return SparseTensor(
            np.array(places).reshape(-1, 2), flat, (len(rows), max(int(r.shape[0]) for r in rows))
        )
    if isinstance(spec, RaggedFeature):
        return RaggedTensor.from_row_lengths(concatenate(rows), [len(row) for row in rows])
    if isinstance(spec, FixedLenSequenceFeature):
        return RaggedTensor.from_row_lengths(concatenate(rows), [len(row) for row in rows]).to_tensor(
            spec.default_value
        )
    return stack_tensors(rows)


def parse_single_sequence_example(
    serialized: TensorLike, context_features: Mapping[str, FeatureSpec] | None = None,
    sequence_features: Mapping[str, FeatureSpec] | None = None, example_name: object = None,
    name: str | None = None,
) -> tuple[dict[str, Parsed], dict[str, Parsed]]:  # fmt: skip
    """Parse a SequenceExample to two dicts of tensors: the context, and sequences."""
    example = messages()["SequenceExample"].FromString(StringTensor(serialized).numpy())
    entries, lists = example.context.feature, example.feature_lists.feature_list
    context = {
        key: _parse_one(spec, _entry(entries, key), key) for key, spec in (context_features or {}).items()
    }
    return context, {
        key: _sequence(spec, list(lists[key].feature) if key in lists else [], key)
        for key, spec in (sequence_features or {}).items()
    }


def _sequence(spec: FeatureSpec, entries: list[Any], key: str) -> Parsed:
    rows, dtype = [_values(entry, key, spec.dtype) for entry in entries], str(as_dtype(spec.dtype))
    values = [value for row in rows for value in row]
    flat = from_list(values, dtype)
    if isinstance(spec, FixedLenSequenceFeature):
        return from_list(values, dtype, (len(rows), *spec.shape))
    if isinstance(spec, RaggedFeature):
        return RaggedTensor.from_row_lengths(flat, [len(row) for row in rows])
    places = [[i, j] for i, row in enumerate(rows) for j in range(len(row))]
    return SparseTensor(np.array(places).reshape(-1, 2), flat, (len(rows), max(map(len, rows), default=0)))


def parse_sequence_example(
    serialized: TensorLike, context_features: object = None, sequence_features: object = None,
    example_names: object = None, name: str | None = None,
) -> NoReturn:  # fmt: skip
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "parse_sequence_example is missing: map parse_single_sequence_example before batch()"
    )
