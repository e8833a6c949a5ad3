"""tf.summary: event files for TensorBoard, written through tensorboardX."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam.compat.tensorflow.host import StringTensor

__all__ = ["SummaryWriter", "create_file_writer", "flush", "histogram", "image", "scalar", "text"]

_writers: list[SummaryWriter] = []


class SummaryWriter:
    """An event file. Inside `with writer.as_default():` the functions of tf.summary write to it."""

    def __init__(self, logdir: str) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError("tf.summary needs: pip install 'hornbeam[tensorboard]'") from error
        self.file = tensorboardX.SummaryWriter(str(logdir))
        self.step: Any = None

    @contextlib.contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """Inside, this is the writer, and `step` is the step unless one is given."""
        before, self.step = self.step, step
        _writers.append(self)
        try:
            yield self
        finally:
            _writers.remove(self)
            self.step = before
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        self.file.flush()

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self.file.close()


def create_file_writer(logdir: str, *args: Any, **kwargs: Any) -> SummaryWriter:
    """A writer of event files in a folder."""
    return SummaryWriter(logdir)


def _add(kind: str, name: str, data: Any, step: Any, **options: Any) -> bool:
    """False where there is no writer, as in TensorFlow."""
    if not _writers:
        return False
    writer = _writers[-1]
    step = writer.step if step is None else step
    if step is None:
        raise ValueError(f"tf.summary.{kind} needs a step: its own, or as_default(step=...)")
    getattr(writer.file, f"add_{kind}")(name, data, int(step), **options)
    return True


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """A number."""
    return _add("scalar", name, float(data), step)


def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """How values are spread."""
    return _add("histogram", name, np.asarray(data), step)


def image(
    name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None
) -> bool:
    """Pictures (count, height, width, channels), of which the first few are kept."""
    return _add("images", name, np.asarray(data)[:max_outputs], step, dataformats="NHWC")


def text(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """A text."""
    return _add("text", name, str(StringTensor(data).texts()), step)


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> None:
    """Write what is waiting, of one writer or of all that are in use."""
    for one in _writers if writer is None else [writer]:
        one.flush()
