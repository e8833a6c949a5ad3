"""tf.io, tf.train and tf.summary: files, images, checkpoints and event files. Arguments are TensorFlow's."""

from __future__ import annotations

import contextlib
import glob as _glob
import io as _io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.extras import install_command
from hornbeam.compat.messages import log_once
from hornbeam.compat.tensorflow.strings import StringTensor
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.saving.files import replace_file

# Namespace -> its names.
NAMESPACES = {
    "io": (
        "decode_image decode_jpeg decode_png decode_raw encode_jpeg encode_png matching_files read_file "
        "write_file"
    ),
    "io.gfile": "GFile copy exists glob isdir listdir makedirs mkdir remove rmtree",
    "train": "Checkpoint CheckpointManager latest_checkpoint",
    "summary": "SummaryWriter audio create_file_writer flush histogram image scalar text",
}


# -- tf.io ---------------------------------------------------------------------------------------------------


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _path(filename: Any) -> Path:
    return Path(str(StringTensor(filename).texts()[()]))


def read_file(filename: Any, name: str | None = None) -> StringTensor:
    """Return the bytes of a file."""
    return StringTensor(_path(filename).read_bytes())


def write_file(filename: Any, contents: Any, name: str | None = None) -> None:
    """Write bytes to a file."""
    _path(filename).write_bytes(StringTensor(contents).numpy())


def matching_files(pattern: Any, name: str | None = None) -> StringTensor:
    """Return the sorted paths that match a pattern such as `data/*.png`."""
    return StringTensor(glob(str(StringTensor(pattern).texts()[()])))


def decode_image(
    contents: Any,
    channels: int | None = None,
    dtype: Any = "uint8",
    name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:
    """Decode an image of any format that Pillow reads.

    Args:
        contents: Bytes of the file.
        channels: 1, 3 or 4. Those of the file if 0 or None.
        dtype: "uint8" for values from 0 to 255, a float dtype for values from 0 to 1.
        name: Ignored.
        expand_animations: Ignored.

    Returns:
        Tensor of shape (height, width, channels).

    Raises:
        ImportError: If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"decoding images needs Pillow: {install_command('image')}") from None
    data = contents.numpy() if hasattr(contents, "numpy") else contents
    with Image.open(_io.BytesIO(data)) as image:
        palette = "RGBA" if "transparency" in image.info else "RGB"
        mode = _MODES[channels] if channels else palette if image.mode == "P" else image.mode
        array = np.array(image.convert(mode))
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    pixels = as_tensor(array)
    return pixels if str(dtype) == "uint8" else ops.cast(pixels, dtype) / 255


def decode_jpeg(
    contents: Any, channels: int = 0, ratio: int = 1, name: str | None = None, **options: Any
) -> Tensor:
    """Decode an image to uint8, shape (height, width, channels)."""
    return decode_image(contents, channels)


def decode_png(contents: Any, channels: int = 0, dtype: Any = "uint8", name: str | None = None) -> Tensor:
    """Decode an image, shape (height, width, channels)."""
    return decode_image(contents, channels, dtype)


def _encode(image: Any, format: str, **options: Any) -> StringTensor:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"encoding images needs Pillow: {install_command('image')}") from None
    array = np.asarray(image)
    buffer = _io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, format, **options)
    return StringTensor(buffer.getvalue())


def encode_png(image: Any, compression: int = -1, name: str | None = None) -> StringTensor:
    """Encode an image as PNG."""
    return _encode(image, "PNG")


def encode_jpeg(
    image: Any, format: str = "", quality: int = 95, name: str | None = None, **options: Any
) -> StringTensor:
    """Encode an image as JPEG."""
    return _encode(image, "JPEG", quality=quality)


def decode_raw(
    input_bytes: Any, out_type: Any, little_endian: bool = True, name: str | None = None
) -> Tensor:
    """Interpret bytes as numbers."""
    array = np.frombuffer(StringTensor(input_bytes).numpy(), np.dtype(str(out_type)))
    return as_tensor(array if little_endian else array.byteswap())


# -- tf.io.gfile ---------------------------------------------------------------------------------------------


def GFile(name: str, mode: str = "r") -> Any:
    """Open a file."""
    return open(name, mode)


def exists(path: str) -> bool:
    """Return True if a file or folder exists."""
    return Path(path).exists()


def isdir(path: str) -> bool:
    """Return True for a folder."""
    return Path(path).is_dir()


def glob(pattern: str) -> list[str]:
    """Return the sorted paths that match a pattern."""
    return sorted(_glob.glob(pattern))


def listdir(path: str) -> list[str]:
    """Return the sorted names in a folder."""
    return sorted(part.name for part in Path(path).iterdir())


def makedirs(path: str) -> None:
    """Create a folder and its parents."""
    Path(path).mkdir(parents=True, exist_ok=True)


def mkdir(path: str) -> None:
    """Create a folder."""
    Path(path).mkdir()


def remove(path: str) -> None:
    """Delete a file."""
    Path(path).unlink()


def rmtree(path: str) -> None:
    """Delete a folder and its content."""
    shutil.rmtree(path)


def copy(src: str, dst: str, overwrite: bool = False) -> None:
    """Copy a file. Raise FileExistsError if `dst` exists, unless `overwrite` is True."""
    if Path(dst).exists() and not overwrite:
        raise FileExistsError(f"{dst} already exists. Pass overwrite=True to replace it.")
    shutil.copyfile(src, dst)


# -- tf.train ------------------------------------------------------------------------------------------------


_SUFFIX = ".npz"


class Restored:
    """Result of `restore`. Its checks always pass, since `restore` assigns everything at once."""

    def assert_consumed(self) -> Restored:
        return self

    def assert_existing_objects_matched(self) -> Restored:
        return self

    def expect_partial(self) -> Restored:
        return self


class Checkpoint:
    """Variables of several objects in one file: `Checkpoint(model=model, optimizer=optimizer)`.

    Files are .npz archives, which TensorFlow does not read. Those of TensorFlow are not read here.

    Args:
        root: Object with variables, saved as "root".
        **kwargs: Names, and objects with variables.
    """

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        self._objects = {**({} if root is None else {"root": root}), **kwargs}
        self.save_counter = Variable(0, dtype="int64", trainable=False, name="save_counter")
        for name, value in kwargs.items():
            setattr(self, name, value)

    def _variables(self) -> dict[str, Variable]:
        variables = {"save_counter": self.save_counter}
        for name, value in self._objects.items():
            if not isinstance(value, Variable) and not hasattr(value, "variables"):
                log_once(f"tf.train.Checkpoint: {name!r} has no variables, and is not saved")
                continue
            listed = [value] if isinstance(value, Variable) else value.variables
            variables.update({f"{name}/{index}": variable for index, variable in enumerate(listed)})
        return variables

    def write(self, file_prefix: Any, options: Any = None) -> str:
        """Write all variables to `file_prefix` with the suffix .npz, and return `file_prefix`."""
        with replace_file(f"{file_prefix}{_SUFFIX}") as file:
            np.savez(file, **{name: np.asarray(v) for name, v in self._variables().items()})  # type: ignore[arg-type]
        return str(file_prefix)

    def save(self, file_prefix: Any, options: Any = None) -> str:
        """Write all variables to `file_prefix-N`, where N increases by 1 at each call."""
        Path(file_prefix).parent.mkdir(parents=True, exist_ok=True)
        self.save_counter.assign_add(1)
        return self.write(f"{file_prefix}-{int(self.save_counter)}")

    def read(self, save_path: Any, options: Any = None) -> Restored:
        """Assign the values of a file.

        Args:
            save_path: Path without suffix.
            options: Ignored.

        Returns:
            Object with the checks of TensorFlow.

        Raises:
            ValueError: If the file has other variables than the objects. Optimizers, and models without an
                Input, must be built first.
        """
        variables = self._variables()
        with np.load(f"{save_path}{_SUFFIX}", allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        if values.keys() != variables.keys():
            unmatched = sorted(values.keys() ^ variables.keys())
            raise ValueError(
                f"{save_path}: {len(unmatched)} variables are in the file or in the objects only, among them "
                f"{unmatched[0]!r}. Build models and optimizers before restoring, for example by "
                "optimizer.build(model.trainable_variables)."
            )
        for name, variable in variables.items():
            variable.assign(values[name])
        return Restored()

    def restore(self, save_path: Any, options: Any = None) -> Restored:
        """Assign the values of a file; None changes nothing."""
        return Restored() if save_path is None else self.read(save_path)


def _list_checkpoints(folder: Path, name: str | None = None) -> list[str]:
    """Return the checkpoints in a folder without their suffixes, the oldest first."""
    numbered = []
    for path in folder.glob(f"*-*{_SUFFIX}"):
        match = re.fullmatch(r"(.+)-(\d+)", path.stem)
        if match and (name is None or match[1] == name):
            numbered.append((int(match[2]), str(path.with_suffix(""))))
    return [path for _, path in sorted(numbered)]


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """Return the newest checkpoint in a folder, or the newest file of `Model.save_weights`, or None."""
    folder = Path(checkpoint_dir)
    checkpoints = _list_checkpoints(folder)
    if checkpoints:
        return checkpoints[-1]
    weights = sorted(folder.glob("*.weights.h5"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return str(weights[-1]).removesuffix(".weights.h5") if weights else None


class CheckpointManager:
    """Numbered checkpoints in a folder, of which only the newest are kept.

    Args:
        checkpoint: The Checkpoint to save and restore.
        directory: Path of the folder.
        max_to_keep: Number of checkpoints to keep. All if None.
        checkpoint_name: Prefix of the file names.
    """

    def __init__(
        self, checkpoint: Checkpoint, directory: Any, max_to_keep: int | None, checkpoint_name: str = "ckpt"
    ) -> None:
        self.checkpoint, self.directory = checkpoint, str(directory)
        self._max_to_keep, self._name = max_to_keep, checkpoint_name

    @property
    def checkpoints(self) -> list[str]:
        return _list_checkpoints(Path(self.directory), self._name)

    @property
    def latest_checkpoint(self) -> str | None:
        checkpoints = self.checkpoints
        return checkpoints[-1] if checkpoints else None

    def save(self, checkpoint_number: int | None = None) -> str:
        """Write a checkpoint, and delete the oldest beyond `max_to_keep`."""
        prefix = Path(self.directory) / self._name
        if checkpoint_number is None:
            path = self.checkpoint.save(prefix)
        else:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            path = self.checkpoint.write(f"{prefix}-{int(checkpoint_number)}")
        for old in self.checkpoints[: -self._max_to_keep] if self._max_to_keep else []:
            Path(old + _SUFFIX).unlink()
        return path

    def restore_or_initialize(self) -> str | None:
        """Restore the newest checkpoint, if any, and return its path."""
        self.checkpoint.restore(self.latest_checkpoint)
        return self.latest_checkpoint


# -- tf.summary ----------------------------------------------------------------------------------------------


_writers: list[SummaryWriter] = []


class SummaryWriter:
    """Event file for TensorBoard. Inside `with writer.as_default():` the functions of tf.summary write to it.

    Args:
        logdir: Path of the folder.

    Raises:
        ImportError: If tensorboardX is not installed.
    """

    def __init__(self, logdir: str) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(f"tf.summary needs tensorboardX: {install_command('tensorboard')}") from error
        self.file = tensorboardX.SummaryWriter(str(logdir))
        self.step: Any = None

    @contextlib.contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """Make this the default writer inside the block, with `step` as the default step."""
        outer_step, self.step = self.step, step
        _writers.append(self)
        try:
            yield self
        finally:
            _writers.remove(self)
            self.step = outer_step
            self.flush()

    def flush(self) -> None:
        """Write buffered events."""
        self.file.flush()

    def close(self) -> None:
        """Write buffered events and close the file."""
        self.file.close()


def create_file_writer(logdir: str, *args: Any, **kwargs: Any) -> SummaryWriter:
    """Create a writer of event files in a folder."""
    return SummaryWriter(logdir)


def _add(kind: str, name: str, data: Any, step: Any, **options: Any) -> bool:
    """Write an event. Return False without a default writer, as TensorFlow does."""
    if not _writers:
        return False
    writer = _writers[-1]
    step = writer.step if step is None else step
    if step is None:
        raise ValueError(f"tf.summary.{kind} needs a step, as an argument or by as_default(step=...)")
    getattr(writer.file, f"add_{kind}")(name, data, int(step), **options)
    return True


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write a number."""
    return _add("scalar", name, float(data), step)


def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """Write a histogram of values."""
    return _add("histogram", name, np.asarray(data), step)


def image(
    name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None
) -> bool:
    """Write the first `max_outputs` images of a batch (count, height, width, channels)."""
    return _add("images", name, np.asarray(data)[:max_outputs], step, dataformats="NHWC")


def audio(
    name: str, data: Any, sample_rate: int, step: Any = None, max_outputs: int = 3, encoding: Any = None,
    description: str | None = None,
) -> bool:  # fmt: skip
    """Write the first `max_outputs` sounds of a batch (count, samples, channels)."""
    sounds = np.asarray(data)[:max_outputs]
    written = [
        _add("audio", f"{name}/{i}", sound, step, sample_rate=int(sample_rate))
        for i, sound in enumerate(sounds)
    ]
    return all(written)


def text(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write a text."""
    return _add("text", name, str(StringTensor(data).texts()), step)


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> None:
    """Write buffered events, of one writer or of all default writers."""
    for open_writer in _writers if writer is None else [writer]:
        open_writer.flush()
