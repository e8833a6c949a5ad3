"""The models of a server: their versions, and files that are replaced while it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hornbeam._internal.input_statistics import TRAINING_INPUTS, InputStatistics, from_config
from hornbeam.errors import ModelFileError
from hornbeam.serving import logs, tensors
from hornbeam.serving.batcher import Batcher, BatchLimits
from hornbeam.serving.metrics import Metrics, ModelMetrics
from hornbeam.serving.models import RunnableModel, Signature

SUFFIXES = (".hornbeam", ".keras", ".h5", ".onnx")
# The file that tells a folder of `hornbeam fit` from one of versions.
TABLE = "table.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Stamp = tuple[int, int, int]
# Times that a file is read that was replaced meanwhile.
_READS = 3


@dataclass(frozen=True)
class Source:
    """A name, and the file of a model, or a folder with a file for each version: `1.keras`, `2.keras`."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read `PATH` or `NAME=PATH`.

        Raises:
            ValueError: If the name has other characters than letters, digits, `_`, `-` and `.`.
            FileNotFoundError: If nothing is at the path, or no version in the folder.
        """
        name, separator, path = text.partition("=")
        if not separator or Path(text).exists():
            name, path = Path(text).name, text
            name = name.removesuffix(Path(text).suffix if Path(text).suffix in SUFFIXES else "")
        source = cls(name, Path(path))
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be part of a URL: choose a name by NAME={path}")
        if not source.path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        if not source.versions():
            raise FileNotFoundError(f"{path} has no version: expected files such as 1.keras or 2.hornbeam")
        return source

    def versions(self) -> dict[str, Path]:
        """Return the files by version; a model that is one file, or a saved folder, is version 1."""
        if not self.path.is_dir() or any((self.path / name).exists() for name in ("config.json", TABLE)):
            return {"1": self.path}
        files = [path for path in self.path.iterdir() if path.suffix in SUFFIXES and path.stem.isdecimal()]
        return {str(int(path.stem)): path for path in sorted(files, key=lambda path: int(path.stem))}


@dataclass(eq=False)
class Version:
    """A model that answers, and the state of the file that it was loaded from."""

    name: str
    number: str
    model: RunnableModel
    batcher: Batcher
    stamp: Stamp
    # Whether the log has that inputs are unlike those of the training.
    remarked: bool = False

    @cached_property
    def training_inputs(self) -> dict[str, InputStatistics]:
        """Statistics of the inputs that the model was trained on, if its file has them."""
        return from_config(self.model.metadata.get(TRAINING_INPUTS))


@dataclass(eq=False)
class ServedModel:
    """The versions of a model, oldest first; the newest one answers unless another is named."""

    source: Source
    metrics: ModelMetrics
    versions: dict[str, Version] = field(default_factory=dict)

    @property
    def newest(self) -> Version:
        """The version with the highest number."""
        return self.versions[max(self.versions, key=int)]


class Repository:
    """Loads models, and replaces them when their files change.

    Args:
        sources: The models.
        metrics: The server's metrics.
        limits: Limits of batches.
        executor: Threads that models run in.
        load: Function that reads a model's file.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        metrics: Metrics,
        limits: BatchLimits,
        executor: Executor,
        load: Callable[[Path], RunnableModel],
    ) -> None:
        self._limits = limits
        self._executor = executor
        self._load = load
        self._seen: dict[Path, Stamp] = {}
        self._refused: dict[Path, Stamp] = {}
        self.models: dict[str, ServedModel] = {}
        for source in sources:
            if source.name in self.models:
                raise ValueError(f"two models are named {source.name!r}: give one another name by NAME=PATH")
            model = self.models[source.name] = ServedModel(source, ModelMetrics(metrics, source.name))
            for number, path in source.versions().items():
                model.versions[number] = self._version(model, number, path)
            model.metrics.watch_queue(
                lambda model=model: sum(v.batcher.queued_rows for v in model.versions.values())  # type: ignore[misc]
            )

    def _version(self, served: ServedModel, number: str, path: Path) -> Version:
        """Load and verify a version.

        Raises:
            ModelFileError: If the file changes all the time, or its model does not compute.
        """
        for _ in range(_READS):
            stamp = _stamp(path)
            model = self._load(path)
            verify(model)
            if _stamp(path) == stamp:
                break
        else:
            raise ModelFileError(
                f"{path} changed each of {_READS} times that it was read: is it being written?"
            )
        batcher = Batcher(model, self._limits, self._executor, served.metrics.batch)
        served.metrics.load("loaded")
        logs.info("model loaded", model=served.source.name, version=number, file=str(path))
        return Version(served.source.name, number, model, batcher, stamp)

    async def refresh(self) -> bool:
        """Load files that are new or have changed; return whether a version was added, replaced or removed.

        A file is read once it was the same in two looks. The old version answers until the new one is
        verified, and goes on answering if that fails.
        """
        changed = False
        for served in self.models.values():
            files = await asyncio.to_thread(served.source.versions)
            for number, path in files.items():
                changed |= await self._refresh_version(served, number, path)
            # The last version stays: an empty folder is more likely an accident than a wish.
            for number in [number for number in served.versions if number not in files]:
                if len(served.versions) > 1:
                    del served.versions[number]
                    changed = True
                    logs.info("version removed", model=served.source.name, version=number)
        return changed

    async def _refresh_version(self, served: ServedModel, number: str, path: Path) -> bool:
        try:
            stamp = await asyncio.to_thread(_stamp, path)
        except FileNotFoundError:
            return False  # it is being replaced
        current = served.versions.get(number)
        if (current is not None and current.stamp == stamp) or self._refused.get(path) == stamp:
            return False
        if self._seen.get(path) != stamp:
            self._seen[path] = stamp
            return False
        try:
            served.versions[number] = await asyncio.to_thread(self._version, served, number, path)
        except Exception as error:  # any file may be at the path
            self._refused[path] = stamp
            served.metrics.load("refused")
            logs.warning(
                "model refused", model=served.source.name, version=number, file=str(path), reason=str(error)
            )
            return False
        return True


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def verify(model: RunnableModel) -> None:
    """Run each signature once, on zeros, where its sizes are known.

    Raises:
        ModelFileError: If a result is missing, not finite, or of another shape or dtype than declared.
    """
    for name, signature in model.signatures.items():
        shapes = [
            (1, *spec.shape[1:]) if spec.shape[:1] == (None,) else spec.shape for spec in signature.inputs
        ]
        if any(None in shape for shape in shapes):
            continue
        inputs = {
            spec.name: np.zeros([size or 0 for size in shape], tensors.numpy_dtype(spec.dtype))
            for spec, shape in zip(signature.inputs, shapes, strict=True)
        }
        _check_results(signature, model.run(inputs, name))


def _check_results(signature: Signature, results: dict[str, np.ndarray]) -> None:
    for spec in signature.outputs:
        array = results.get(spec.name)
        declared = f"output {spec.name!r} is declared as {spec.dtype} {spec.shape}"
        if array is None:
            raise ModelFileError(f"{declared}, but missing")
        if array.dtype != tensors.numpy_dtype(spec.dtype) or array.ndim != len(spec.shape):
            raise ModelFileError(f"{declared}, but is {array.dtype} of shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"output {spec.name!r} of zeros is not finite")
