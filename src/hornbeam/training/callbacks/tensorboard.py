"""Event files for TensorBoard, by the extra `tensorboard`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.config import image_data_format
from hornbeam.core.registry import exported
from hornbeam.distribution.processes import is_first
from hornbeam.layers import Embedding
from hornbeam.training.callbacks.base import Callback, Logs, learning_rates
from hornbeam.training.callbacks.log_failures import LogFailures
from hornbeam.training.profiler import fresh_steps, profile_of
from hornbeam.visualization.event_files import EventFile, library

if TYPE_CHECKING:
    from hornbeam.models import Model


@exported("keras.callbacks")
class TensorBoard(Callback):
    """Write logs for TensorBoard: metrics and learning rate of every epoch, and what else is asked for.

    Files have the tags and the form of those that Keras writes. They are written by `tensorboard`, or by
    `tensorboardX` if that alone is installed; TensorFlow is not needed. A full disk ends no training: a
    warning says that events are missing.

    Args:
        log_dir: Folder: training goes to its folder `train`, validation to `validation`.
        histogram_freq: Epochs between histograms of the weights, 0 for none.
        write_graph: Write the layers, as Keras does (functional and Sequential models).
        write_images: With histograms, also write images of the weights (the first three of a kernel).
        write_steps_per_second: Write the speed.
        update_freq: "epoch", "batch", or a number of steps between further metrics.
        profile_batch: A step or a pair (first, last), counted from 1 over the whole training, to time kernel
            by kernel; the Chrome trace is written to `train`. 0 for none.
        embeddings_freq: Epochs between the vectors of Embedding layers for the projector, 0 for none.
        embeddings_metadata: A file with one label per line, or a dict of them by layer name.

    Raises:
        ImportError: With neither tensorboard nor tensorboardX.
        ValueError: For wrong arguments.

    Example:
        >>> board = hornbeam.callbacks.TensorBoard("logs", histogram_freq=1)  # doctest: +SKIP
    """

    checkpointed = ("_train_steps", "_test_steps")

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str | None] | None = None,
    ) -> None:
        super().__init__()
        library("the TensorBoard callback")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch" and not (isinstance(self.update_freq, int) and self.update_freq > 0):
            raise ValueError(
                f'update_freq must be "epoch", "batch" or a number of steps, got {update_freq!r}'
            )
        self.profile_batch = _steps_to_profile(profile_batch)
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        # With one write per epoch the steps are left to the engine.
        self.chunked = self.update_freq == "epoch" and self.profile_batch is None
        self._writers: dict[str, EventFile] = {}
        self._failures = LogFailures("TensorBoard")
        self._profiling = ExitStack()
        self._compiled: Mapping[Any, Any] = {}
        self._train_steps = self._test_steps = 0

    def set_model(self, model: Model) -> None:
        super().set_model(model)
        self._writers = {}
        self._labels = _labels(model, self.embeddings_metadata) if self.embeddings_freq else {}
        if self.write_graph and hasattr(model, "inputs"):
            self._writer("train").layers(model.to_json())

    def _writer(self, folder: str) -> EventFile:
        if folder not in self._writers:
            self._writers[folder] = EventFile(os.path.join(self.log_dir, folder), write=is_first())
        return self._writers[folder]

    @contextmanager
    def _failure_caught(self) -> Iterator[None]:
        """Warn of a full disk. What comes after it goes to new files: the last event of these may be cut."""
        with self._failures.caught(self.log_dir):
            try:
                yield
            except OSError:
                self._writers = {}
                raise

    # -- steps -------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._train_steps = 0
        self._failures = LogFailures("TensorBoard")
        if self.profile_batch is not None:
            self._compiled = self._profiling.enter_context(fresh_steps(self.model))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._train_steps += 1
        self._batch_began = time.perf_counter()
        if self.profile_batch is not None and self._train_steps == self.profile_batch[0]:
            for executable in self._compiled.values():
                executable.clear_profile()
            self._profile_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.chunked:
            return
        with self._failure_caught():
            if self.profile_batch is not None and self._train_steps == self.profile_batch[1]:
                self._write_profile()
            if self.update_freq == "epoch" or self._train_steps % self.update_freq:
                return
            if self.write_steps_per_second:
                speed = 1.0 / (time.perf_counter() - self._batch_began)
                self._writer("train").scalar("batch_steps_per_second", speed, self._train_steps)
            self._scalars("train", "batch_", logs or {}, self._train_steps)

    def _write_profile(self) -> None:
        assert self.profile_batch is not None
        first, last = self.profile_batch
        seconds = time.perf_counter() - self._profile_began
        folder = Path(self.log_dir, "train")
        folder.mkdir(parents=True, exist_ok=True)
        profile = profile_of(self._compiled, last - first + 1, seconds)
        profile.to_chrome_trace(folder / f"steps_{first}_to_{last}.trace.json")
        self._profiling.close()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._profiling.close()
        with self._failure_caught():
            for writer in self._writers.values():
                writer.close()
        self._writers = {}

    # -- epochs ------------------------------------------------------------------------------------

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._updates = getattr(self.model.optimizer, "iterations", None)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self._updates is None:
            return
        with self._failure_caught():
            for name, value in (logs or {}).items():
                tag = f"evaluation_{name}_vs_iterations"
                self._writer("validation").scalar(tag, value, int(self._updates))
            self._writer("validation").flush()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = time.perf_counter()
        if self.write_steps_per_second:
            self._updates_before = int(self.model.optimizer.iterations)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        trained = {name: x for name, x in (logs or {}).items() if not name.startswith("val_")}
        tested = {name[4:]: x for name, x in (logs or {}).items() if name.startswith("val_")}
        if trained or tested:
            trained.update(learning_rates(self.model.optimizer))
            if self.write_steps_per_second:
                done = int(self.model.optimizer.iterations) - self._updates_before
                trained["steps_per_second"] = done / (time.perf_counter() - self._epoch_began)
        with self._failure_caught():
            self._scalars("train", "epoch_", trained, epoch)
            if tested:
                self._scalars("validation", "epoch_", tested, epoch)
            if self.histogram_freq and epoch % self.histogram_freq == 0:
                self._write_weights(epoch)
            if self.embeddings_freq and epoch % self.embeddings_freq == 0:
                self._write_embeddings(epoch)

    def _scalars(self, folder: str, prefix: str, values: Mapping[str, Any], step: int) -> None:
        writer = self._writer(folder)
        for name, value in values.items():
            if np.ndim(value) == 0:
                writer.scalar(prefix + name, float(value), step)
        writer.flush()

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for layer in self.model.layers:
            for variable in layer.weights:
                value = np.array(variable.numpy(), "float32")
                writer.histogram(f"{variable.path}/histogram", value, epoch)
                images = _as_images(value) if self.write_images else None
                if images is not None:
                    writer.images(f"{variable.path}/image", images, epoch)
        writer.flush()

    def _write_embeddings(self, epoch: int) -> None:
        """Write tables for the projector, which reads their names from a file of its own."""
        if not is_first():
            return
        folder, entries = Path(self.log_dir, "train"), []
        for layer in _embeddings(self.model):
            parts = {"tensor": layer.embeddings.numpy(), "metadata": self._labels.get(layer.name)}
            entry = [f'  tensor_name: "{layer.name}:{epoch:05d}"']
            for name, rows in parts.items():
                if rows is None:
                    continue
                path = Path(f"{epoch:05d}", layer.name, "tensors.tsv" if name == "tensor" else "metadata.tsv")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                lines = rows if name == "metadata" else ["\t".join(map(str, row)) for row in rows]
                (folder / path).write_text("\n".join(lines) + "\n", encoding="utf-8")
                entry.append(f'  {name}_path: "{path.as_posix()}"')
            entries.append("embeddings {\n" + "\n".join(entry) + "\n}\n")
        if entries:
            with open(folder / "projector_config.pbtxt", "a", encoding="utf-8") as file:
                file.write("".join(entries))


def _steps_to_profile(value: Any) -> tuple[int, int] | None:
    """Return the first and the last step to profile, None for none."""
    try:
        parts = value.split(",") if isinstance(value, str) else value
        numbers = [int(x) for x in parts] if isinstance(parts, (list, tuple)) else [int(parts)] * 2
        first, last = numbers * 2 if len(numbers) == 1 else numbers
    except (TypeError, ValueError):
        first, last = -1, -1
    if first < 0 or last < first or (first == 0) != (last == 0):
        raise ValueError(
            f"profile_batch must be the number of a step or a pair (first, last), got {value!r}; 0 is none"
        )
    return (first, last) if first else None


def _as_images(value: np.ndarray) -> np.ndarray | None:
    """Scale a weight to images (count, height, width, channels) in 0 ... 1; None for more axes."""
    value = np.squeeze(value)
    if value.ndim == 1:
        images = value.reshape(1, -1, 1, 1)
    elif value.ndim == 2:
        transposed = value.T if value.shape[0] > value.shape[1] else value
        images = transposed[None, :, :, None]
    elif value.ndim == 3:
        transposed = value.transpose(2, 0, 1) if image_data_format() == "channels_last" else value
        images = transposed[..., None]
    elif value.ndim == 4 and value.shape[-1] in (1, 3, 4):
        images = value
    else:
        return None
    low, high = float(images.min()), float(images.max())
    scaled = (images - low) / ((high - low) or 1.0)
    return np.repeat(scaled, 3, axis=-1) if scaled.shape[-1] == 1 else scaled


def _embeddings(model: Model) -> Iterator[Any]:
    return (layer for layer in model.layers if isinstance(layer, Embedding))


def _labels(model: Model, metadata: Any) -> dict[str, list[str]]:
    """Read the labels of the rows of each Embedding from files."""
    names = [layer.name for layer in _embeddings(model)]
    files = metadata if isinstance(metadata, Mapping) else dict.fromkeys(names, metadata)
    for name in files:
        if name not in names:
            raise ValueError(
                f"embeddings_metadata names {name!r}, no Embedding of the model.{nearest(name, names)}"
            )
    return {name: Path(file).read_text().splitlines() for name, file in files.items() if file is not None}
