"""Event files, read record by record."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest


def events(folder: Path) -> dict[str, dict[int, Any]]:
    """Tag -> step -> value of every summary in a folder."""
    tensorboardx = pytest.importorskip("tensorboardX.proto.event_pb2")
    results: dict[str, dict[int, Any]] = {}
    for path in sorted(folder.glob("events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = tensorboardx.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                results.setdefault(value.tag, {})[event.step] = value
    return results


def number(value: Any) -> float:
    assert value.metadata.plugin_data.plugin_name == "scalars"
    (result,) = value.tensor.float_val
    return float(result)
