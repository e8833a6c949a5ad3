"""Writes ONNX files by hand, right ones and wrong ones, without the library that would refuse to."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from hornbeam.onnx.reading.wire import SCHEMA


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def lengthy(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(schema: str, /, **fields: Any) -> bytes:
    """A message; values that are bytes already stand for messages inside."""
    result = bytearray()
    numbers = {name: (number, kind) for number, (name, kind) in SCHEMA[schema].items()}
    for name, value in fields.items():
        number, kind = numbers[name]
        for each in value if kind[0] == "*" else [value]:
            if isinstance(each, int):
                result += varint(number << 3) + varint(each)
            elif isinstance(each, float):
                result += varint(number << 3 | 5) + struct.pack("<f", each)
            else:
                result += lengthy(number, each.encode() if isinstance(each, str) else bytes(each))
    return bytes(result)


def tensor(name: str, array: np.ndarray, **changed: Any) -> bytes:
    code = {"float32": 1, "uint8": 2, "int64": 7, "object": 8, "bool": 9, "float64": 11}[str(array.dtype)]
    fields = {"dims": list(array.shape), "data_type": code, "name": name, "raw_data": array.tobytes()}
    if code == 8:
        fields.update(raw_data=None, string_data=array.reshape(-1).tolist())
    fields.update(changed)
    return message("tensor", **{key: value for key, value in fields.items() if value is not None})


def external(name: str, shape: list[int], **entries: Any) -> bytes:
    listed = [message("entry", key=key, value=str(value)) for key, value in entries.items()]
    return message("tensor", dims=shape, data_type=1, name=name, data_location=1, external_data=listed)


def value(name: str, shape: list[Any], code: int = 1) -> bytes:
    dims = [message("dim", **({"dim_value": n} if isinstance(n, int) else {"dim_param": n})) for n in shape]
    inner = message("tensor_type", elem_type=code, shape=message("shape", dim=dims))
    return message("value", name=name, type=message("type", tensor_type=inner))


def node(op: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> bytes:
    kinds = {int: ("i", 2), float: ("f", 1), str: ("s", 3), bytes: ("g", 5), np.ndarray: ("t", 4)}
    lists = {float: ("floats", 6), int: ("ints", 7), str: ("strings", 8)}
    listed = []
    for key, x in attributes.items():
        field, code = lists[type(x[0])] if isinstance(x, list) else kinds[type(x)]
        content = tensor("", x) if isinstance(x, np.ndarray) else x
        listed.append(message("attribute", name=key, type=code, **{field: content}))
    return message(
        "node", input=inputs, output=outputs, name="n", op_type=op, domain=domain, attribute=listed
    )


def graph(nodes: list[bytes], arrays: list[bytes] = (), **changed: Any) -> bytes:  # type: ignore[assignment]
    fields = {
        "node": nodes, "name": "g", "initializer": list(arrays), "input": [value("x", ["n", 3])],
        "output": [value("y", ["n", 3])], **changed,
    }  # fmt: skip
    return message("graph", **fields)


def model(body: bytes, opset: int = 20, **changed: Any) -> bytes:
    fields = {"ir_version": 9, "graph": body, "opset_import": [message("opset", version=opset)], **changed}
    return message("model", **fields)
