"""Reads ONNX files byte by byte: Protocol Buffers' wire format, as much of ONNX's schema as a graph needs,
and never more than a budget of fields.

No library is needed for it, so nothing but this page has to be trusted with a stranger's bytes. The wire
format is described at protobuf.dev (Encoding), the numbers of fields in onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError
from hornbeam.saving.files import how_to_raise

# A field costs a Python object, a number half as much, a message of several fields a dict and lists: as much
# as eight more. In halves, a graph of 20,000 nodes has about a million, and so has a forest of 100,000.
FIELDS = 300  # for every member that a file may have
MESSAGE = 16
# Numbers written one after the other in as many bytes as each needs: small arrays. Others are `raw_data`.
MAX_VARINT_BYTES = 4 << 20

# Message -> number of a field -> (its name, its kind). "*" marks repeated fields.
SCHEMA: dict[str, dict[int, tuple[str, str]]] = {
    "model": {
        1: ("ir_version", "int"), 7: ("graph", "graph"), 8: ("opset_import", "*opset"),
        25: ("functions", "*function"),
    },
    "function": {
        1: ("name", "text"), 4: ("input", "*text"), 5: ("output", "*text"), 7: ("node", "*node"),
        9: ("opset_import", "*opset"), 10: ("domain", "text"), 11: ("attribute_proto", "*attribute"),
        13: ("overload", "text"),
    },
    "opset": {1: ("domain", "text"), 2: ("version", "int")},
    "graph": {
        1: ("node", "*node"), 2: ("name", "text"), 5: ("initializer", "*tensor"), 11: ("input", "*value"),
        12: ("output", "*value"), 15: ("sparse_initializer", "*other"),
    },
    "node": {
        1: ("input", "*text"), 2: ("output", "*text"), 3: ("name", "text"), 4: ("op_type", "text"),
        5: ("attribute", "*attribute"), 7: ("domain", "text"), 8: ("overload", "text"),
    },
    "attribute": {
        1: ("name", "text"), 2: ("f", "float"), 3: ("i", "int"), 4: ("s", "bytes"), 5: ("t", "tensor"),
        6: ("g", "graph"), 7: ("floats", "*float"), 8: ("ints", "*int"), 9: ("strings", "*bytes"),
        20: ("type", "int"), 21: ("ref_attr_name", "text"),
    },
    "tensor": {
        1: ("dims", "*int"), 2: ("data_type", "int"), 3: ("segment", "other"), 4: ("float_data", "*float"),
        5: ("int32_data", "*int"), 6: ("string_data", "*bytes"), 7: ("int64_data", "*int"),
        8: ("name", "text"), 9: ("raw_data", "bytes"), 10: ("double_data", "*double"),
        11: ("uint64_data", "*int"), 13: ("external_data", "*entry"), 14: ("data_location", "int"),
    },
    "entry": {1: ("key", "text"), 2: ("value", "text")},
    "value": {1: ("name", "text"), 2: ("type", "type")},
    "type": {
        1: ("tensor_type", "tensor_type"), 4: ("sequence_type", "sequence"), 5: ("map_type", "other"),
    },
    "sequence": {1: ("elem_type", "type")},
    "tensor_type": {1: ("elem_type", "int"), 2: ("shape", "shape")},
    "shape": {1: ("dim", "*dim")},
    "dim": {1: ("dim_value", "int"), 2: ("dim_param", "text")},
}  # fmt: skip

_LISTS = {
    kind: [name for name, field_kind in s.values() if field_kind[0] == "*"] for kind, s in SCHEMA.items()
}
_FIXED = {"float": (5, "<f4"), "double": (1, "<f8")}


@dataclass
class Reader:
    """Reads messages out of `data`, and counts their cost."""

    data: memoryview
    fields: int = 0
    varint_bytes: int = 0
    most_fields: int = field(default_factory=lambda: FIELDS * current_budget().members)
    most_deep: int = field(default_factory=lambda: current_budget().nesting * 3 // 10)
    _depth: int = field(default=0, repr=False)

    def message(self, kind: str, start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """A message as a dict; fields that the schema does not name are skipped."""
        schema = SCHEMA[kind]
        message: dict[str, Any] = {name: [] for name in _LISTS[kind]}
        self._depth += 1
        self.fields += MESSAGE
        if self._depth > self.most_deep:
            raise ModelFileError(
                f"messages are nested more than {self.most_deep} deep. {how_to_raise('nesting')}"
            )
        for number, wire, value in self._fields(start, len(self.data) if stop is None else stop):
            if number not in schema:
                continue
            name, field_kind = schema[number]
            if field_kind[0] == "*":
                message[name].extend(self._values(field_kind[1:], wire, value, name))
            else:
                # Readers differ in how they treat a second one.
                self._expect(name not in message, name)
                message[name] = self._values(field_kind, wire, value, name)[-1]
        self._depth -= 1
        return message

    def _fields(self, at: int, stop: int) -> Iterator[tuple[int, int, Any]]:
        """Number, wire type and value of each field: a number, or the borders of its bytes."""
        while at < stop:
            self.fields += 1
            if self.fields > self.most_fields:
                raise ModelFileError(
                    f"the file has more than {self.most_fields // 2} fields. {how_to_raise('members')}"
                )
            key, at = self._varint(at, stop)
            number, wire = key >> 3, key & 7
            self.fields += wire == 2
            if wire == 0:
                value, at = self._varint(at, stop)
                yield number, wire, value
                continue
            if wire not in (1, 2, 5):
                raise ModelFileError(f"a field has the wire type {wire}, which ONNX files do not have")
            size = 8 if wire == 1 else 4
            if wire == 2:
                size, at = self._varint(at, stop)
            if size > stop - at:
                raise ModelFileError("a field is longer than what is left of the file")
            yield number, wire, (at, at + size)
            at += size
        if at != stop:
            raise ModelFileError("a field is longer than the message that it is in")

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        if at < stop and (byte := self.data[at]) < 0x80:  # nearly all of them
            return byte, at + 1
        result = shift = 0
        while at < stop and shift < 70:
            byte = self.data[at]
            at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result & (1 << 64) - 1, at
            shift += 7
        raise ModelFileError("a number is cut off, or longer than ten bytes")

    def _values(self, field_kind: str, wire: int, value: Any, name: str) -> list[Any]:
        """The value of a field, or the values of one that holds several."""
        if field_kind == "int":
            return self._integers(wire, value, name)
        if field_kind in _FIXED:
            one, dtype = _FIXED[field_kind]
            self._expect(wire in (one, 2), name)
            part = self.data[value[0] : value[1]]
            self._expect(len(part) % np.dtype(dtype).itemsize == 0 and (len(part) > 0 or wire == 2), name)
            array = np.frombuffer(part, dtype)
            return [array] if wire == 2 and name.endswith("_data") else array.tolist()
        self._expect(wire == 2, name)
        if field_kind == "text":
            try:
                return [str(self.data[value[0] : value[1]], "utf-8")]
            except UnicodeDecodeError:
                raise ModelFileError(f"{name} is not a text") from None
        if field_kind in ("bytes", "other"):
            return [self.data[value[0] : value[1]]]
        return [self.message(field_kind, *value)]

    def _integers(self, wire: int, value: Any, name: str) -> list[Any]:
        self._expect(wire in (0, 2), name)
        if wire == 0:
            return [value - (1 << 64) if value >> 63 else value]
        start, stop = value
        self.varint_bytes += stop - start
        if self.varint_bytes > MAX_VARINT_BYTES:
            raise ModelFileError(
                f"numbers of variable length take more than {MAX_VARINT_BYTES} bytes: save large arrays as "
                "raw_data"
            )
        array = packed_integers(np.frombuffer(self.data[start:stop], np.uint8))
        return [array] if name.endswith("_data") else array.tolist()

    def _expect(self, holds: bool, name: str) -> None:
        if not holds:
            raise ModelFileError(f"the field {name} is not written as ONNX files write it")


def packed_integers(data: np.ndarray) -> np.ndarray:
    """The int64 numbers of a packed field: seven bits a byte, the lowest first, the last byte below 128."""
    if not data.size:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(data < 0x80)
    if not ends.size or ends[-1] != data.size - 1:
        raise ModelFileError("a list of numbers is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise ModelFileError("a number is longer than ten bytes")
    values = np.zeros(ends.size, np.uint64)
    for i in range(int(lengths.max())):
        longer = lengths > i
        bits = (data[starts[longer] + i] & 0x7F).astype(np.uint64)
        values[longer] |= bits << np.uint64(7 * i)
    return values.view(np.int64)


def read_model(data: bytes) -> dict[str, Any]:
    """The model in the bytes of an ONNX file. Raises ModelFileError."""
    try:
        return Reader(memoryview(data)).message("model")
    except (struct.error, ValueError, OverflowError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"not an ONNX file, or damaged: {error}") from None
