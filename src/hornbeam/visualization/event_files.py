"""Event files, which TensorBoard shows, as TensorFlow 2 writes them.

The messages and the framing of records come from `tensorboard`, or from `tensorboardX` where that alone is
installed. TensorFlow is not imported.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam.visualization.png import encode_pixels, to_uint8

_BUCKETS = 30
_MOST_IMAGES = 3
# Numbers of TensorFlow's types.
_FLOAT, _DOUBLE, _STRING = 1, 2, 7
_numbers = itertools.count()


def library(user: str) -> SimpleNamespace:
    """Return the messages and the writer of the library that is installed.

    Args:
        user: What needs it, for the message.

    Raises:
        ImportError: With neither tensorboard nor tensorboardX.
    """
    try:
        return _tensorboard()
    except ImportError:
        pass
    with required(f"{user} needs tensorboard or tensorboardX", "tensorboard"):
        messages = _tensorboardx()
    return messages


def _tensorboard() -> SimpleNamespace:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.summary.writer.record_writer import RecordWriter

    def create(path: str) -> Any:
        return RecordWriter(open(path, "wb"))

    return SimpleNamespace(
        Event=Event, Summary=Summary, SummaryMetadata=SummaryMetadata, TensorProto=TensorProto,
        HParamsPluginData=HParamsPluginData, create=create,
    )  # fmt: skip


def _tensorboardx() -> SimpleNamespace:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboardX.proto.tensor_pb2 import TensorProto
    from tensorboardX.record_writer import RecordWriter

    return SimpleNamespace(
        Event=Event, Summary=Summary, SummaryMetadata=SummaryMetadata, TensorProto=TensorProto,
        HParamsPluginData=HParamsPluginData, create=RecordWriter,
    )  # fmt: skip


class EventFile:
    """An event file in a folder; both are created with the first event.

    Args:
        folder: Folder of the file.
        write: False to write nothing, in processes other than the first.

    Raises:
        ImportError: With neither tensorboard nor tensorboardX.

    Example:
        >>> events = EventFile("logs/train")  # doctest: +SKIP
        >>> events.scalar("epoch_loss", 0.25, step=0)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], write: bool = True) -> None:
        self.folder = Path(folder)
        self._library = library("an event file")
        self._write = write
        self._records: Any = None

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number."""
        self._add(tag, step, "scalars", dtype=_FLOAT, tensor_shape={}, float_val=[float(value)])

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Write the finite ones of some values in 30 buckets of equal width."""
        buckets = _buckets(np.asarray(values, "float64"))
        shape = {"dim": [{"size": size} for size in buckets.shape]}
        content = buckets.astype("<f8").tobytes()
        self._add(tag, step, "histograms", dtype=_DOUBLE, tensor_shape=shape, tensor_content=content)

    def images(self, tag: str, images: np.ndarray, step: int) -> None:
        """Write the first three of some images (count, height, width, channels), uint8 or in 0 ... 1."""
        files = [encode_pixels(to_uint8(image)) for image in images[:_MOST_IMAGES]]
        height, width = images.shape[1:3]
        parts = [str(width).encode(), str(height).encode(), *files]
        shape = {"dim": [{"size": len(parts)}]}
        self._add(tag, step, "images", dtype=_STRING, tensor_shape=shape, string_val=parts)

    def text(self, tag: str, text: str, step: int) -> None:
        """Write a text, which TensorBoard shows as Markdown."""
        self._add(tag, step, "text", dtype=_STRING, tensor_shape={}, string_val=[text.encode()])

    def layers(self, config: str) -> None:
        """Write the JSON of a model, from which TensorBoard draws the layers."""
        text = [config.encode()]
        self._add("keras", 0, "graph_keras_model", b"1", dtype=_STRING, tensor_shape={}, string_val=text)

    def hparams(self, values: Mapping[str, bool | int | float | str], name: str = "") -> None:
        """Write the hyperparameters of a session, which the page HPARAMS shows beside its scalars.

        Args:
            values: Hyperparameters by name.
            name: Name of the group of sessions with the same values, by default one of its own.
        """
        data = self._library.HParamsPluginData()
        data.session_start_info.group_name = name
        data.session_start_info.start_time_secs = time.time()
        for key, value in values.items():
            hparam = data.session_start_info.hparams[key]
            if isinstance(value, (bool, np.bool_)):
                hparam.bool_value = bool(value)
            elif isinstance(value, str):
                hparam.string_value = value
            else:
                hparam.number_value = float(value)
        self._session("_hparams_/session_start_info", data)

    def end_hparams(self) -> None:
        """Write that the session of `hparams` ended in order."""
        data = self._library.HParamsPluginData()
        data.session_end_info.status = 1
        data.session_end_info.end_time_secs = time.time()
        self._session("_hparams_/session_end_info", data)

    def flush(self) -> None:
        """Write buffered events to the disk."""
        if self._records is not None:
            self._records.flush()

    def close(self) -> None:
        """Write buffered events and close the file."""
        if self._records is not None:
            self._records.close()
            self._records = None

    def _session(self, tag: str, data: Any) -> None:
        self._add(
            tag, 0, "hparams", data.SerializeToString(), dtype=_FLOAT, tensor_shape={"dim": [{"size": 0}]}
        )

    def _add(self, tag: str, step: int, plugin: str, content: bytes = b"", **tensor: Any) -> None:
        metadata = self._library.SummaryMetadata(plugin_data={"plugin_name": plugin, "content": content})
        value = {"tag": tag, "metadata": metadata, "tensor": self._library.TensorProto(**tensor)}
        summary = self._library.Summary(value=[value])
        self._append(self._library.Event(wall_time=time.time(), step=int(step), summary=summary))

    def _append(self, event: Any) -> None:
        if not self._write:
            return
        if self._records is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The form that TensorBoard looks for, with what distinguishes files of one second.
            unique = f"{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
            self._records = self._library.create(str(self.folder / f"events.out.tfevents.{unique}.v2"))
            self._append(self._library.Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._records.write(event.SerializeToString())


def _buckets(values: np.ndarray) -> np.ndarray:
    """Return rows of left edge, right edge and count."""
    values = values[np.isfinite(values)]
    if not values.size:
        return np.zeros((_BUCKETS, 3))
    low, high = values.min(), values.max()
    if low == high:
        counts = np.append(np.zeros(_BUCKETS - 1), values.size)
        return np.stack([np.full(_BUCKETS, low), np.full(_BUCKETS, low), counts], 1)
    counts, edges = np.histogram(values, _BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], 1)
