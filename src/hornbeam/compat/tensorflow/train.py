"""tf.train: checkpoints of models, optimizers and variables, as .npz files of Hornbeam's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.core.variable import Variable
from hornbeam.saving.files import replace_file

__all__ = ["Checkpoint", "CheckpointManager", "latest_checkpoint"]

_ENDING = ".npz"


class Restored:
    """What `restore` gives: the checks that scripts ask for. Nothing is left for later here."""

    def assert_consumed(self) -> Restored:
        return self

    def assert_existing_objects_matched(self) -> Restored:
        return self

    def expect_partial(self) -> Restored:
        return self


class Checkpoint:
    """The variables of several objects in one file: `Checkpoint(model=model, optimizer=optimizer)`.

    TensorFlow's own files are not read, and TensorFlow does not read these.
    """

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        self._objects = {**({} if root is None else {"root": root}), **kwargs}
        self.save_counter = Variable(0, dtype="int64", trainable=False, name="save_counter")
        for name, value in kwargs.items():
            setattr(self, name, value)

    def _variables(self) -> dict[str, Variable]:
        found = {"save_counter": self.save_counter}
        for name, value in self._objects.items():
            listed = [value] if isinstance(value, Variable) else value.variables
            found.update({f"{name}/{index}": variable for index, variable in enumerate(listed)})
        return found

    def write(self, file_prefix: Any, options: Any = None) -> str:
        """Write all values to a file; returns its name without the ending."""
        with replace_file(f"{file_prefix}{_ENDING}") as file:
            np.savez(file, **{name: np.asarray(v) for name, v in self._variables().items()})  # type: ignore[arg-type]
        return str(file_prefix)

    def save(self, file_prefix: Any, options: Any = None) -> str:
        """Write all values to `file_prefix-N`, N one more each time."""
        Path(file_prefix).parent.mkdir(parents=True, exist_ok=True)
        self.save_counter.assign_add(1)
        return self.write(f"{file_prefix}-{int(self.save_counter)}")

    def read(self, save_path: Any, options: Any = None) -> Restored:
        """Assign what a file holds.

        Raises ValueError where it does not fit the objects: those that make their variables late (optimizers,
        models without an Input) have to be built first.
        """
        own = self._variables()
        with np.load(f"{save_path}{_ENDING}", allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        if values.keys() != own.keys():
            odd = sorted(values.keys() ^ own.keys())
            raise ValueError(
                f"{save_path}: {len(odd)} variables are not in both, among them {odd[0]!r}. Build models and "
                "optimizers before restoring: optimizer.build(model.trainable_variables)"
            )
        for name, variable in own.items():
            variable.assign(values[name])
        return Restored()

    def restore(self, save_path: Any, options: Any = None) -> Restored:
        """As `read`; None changes nothing."""
        return Restored() if save_path is None else self.read(save_path)


def _saved(folder: Path, name: str | None = None) -> list[str]:
    """Checkpoints in a folder, the oldest first, without their endings."""
    numbered = []
    for path in folder.glob(f"*-*{_ENDING}"):
        match = re.fullmatch(r"(.+)-(\d+)", path.stem)
        if match and (name is None or match[1] == name):
            numbered.append((int(match[2]), str(path.with_suffix(""))))
    return [path for _, path in sorted(numbered)]


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """The newest checkpoint in a folder, or None."""
    found = _saved(Path(checkpoint_dir))
    return found[-1] if found else None


class CheckpointManager:
    """Keeps the newest checkpoints in a folder and takes older ones away."""

    def __init__(
        self, checkpoint: Checkpoint, directory: Any, max_to_keep: int | None, checkpoint_name: str = "ckpt"
    ) -> None:
        self.checkpoint, self.directory = checkpoint, str(directory)
        self._kept, self._name = max_to_keep, checkpoint_name

    @property
    def checkpoints(self) -> list[str]:
        return _saved(Path(self.directory), self._name)

    @property
    def latest_checkpoint(self) -> str | None:
        found = self.checkpoints
        return found[-1] if found else None

    def save(self, checkpoint_number: int | None = None) -> str:
        """Write a checkpoint, and remove what is more than `max_to_keep`."""
        prefix = Path(self.directory) / self._name
        if checkpoint_number is None:
            path = self.checkpoint.save(prefix)
        else:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            path = self.checkpoint.write(f"{prefix}-{int(checkpoint_number)}")
        for old in self.checkpoints[: -self._kept] if self._kept else []:
            Path(old + _ENDING).unlink()
        return path

    def restore_or_initialize(self) -> str | None:
        """Restore the newest checkpoint if there is one; returns its name."""
        self.checkpoint.restore(self.latest_checkpoint)
        return self.latest_checkpoint
