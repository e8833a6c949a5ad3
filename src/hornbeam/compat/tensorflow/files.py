"""tf.io, tf.train and tf.summary: files, images, checkpoints and events."""

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
    "summary": "SummaryWriter create_file_writer flush histogram image scalar text",
}


# -- tf.io ---------------------------------------------------------------------------------------------------


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _path(filename: Any) -> Path:
    return Path(str(StringTensor(filename).texts()[()]))


def read_file(filename: Any, name: str | None = None) -> StringTensor:
    """The bytes of a file."""
    return StringTensor(_path(filename).read_bytes())


def write_file(filename: Any, contents: Any, name: str | None = None) -> None:
    """Write bytes to a file."""
    _path(filename).write_bytes(StringTensor(contents).numpy())


def matching_files(pattern: Any, name: str | None = None) -> StringTensor:
    """Files that match a pattern such as `data/*.png`, in order."""
    return StringTensor(glob(str(StringTensor(pattern).texts()[()])))


def decode_image(
    contents: Any,
    channels: int | None = None,
    dtype: Any = "uint8",
    name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:
    """A picture of any format that pillow reads: (height, width, channels), 0 ... 255; floats from 0 to 1.

    channels: 1, 3 or 4; those of the file if 0 or None.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading pictures needs pillow: pip install hornbeam[image]") from None
    data = contents.numpy() if hasattr(contents, "numpy") else contents
    with Image.open(_io.BytesIO(data)) as picture:
        palette = "RGBA" if "transparency" in picture.info else "RGB"
        mode = _MODES[channels] if channels else palette if picture.mode == "P" else picture.mode
        array = np.array(picture.convert(mode))
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    made = as_tensor(array)
    return made if str(dtype) == "uint8" else ops.cast(made, dtype) / 255


def decode_jpeg(
    contents: Any, channels: int = 0, ratio: int = 1, name: str | None = None, **options: Any
) -> Tensor:
    """A picture as uint8 (height, width, channels)."""
    return decode_image(contents, channels)


def decode_png(contents: Any, channels: int = 0, dtype: Any = "uint8", name: str | None = None) -> Tensor:
    """A picture as uint8 (height, width, channels)."""
    return decode_image(contents, channels, dtype)


def _encoded(image: Any, format: str, **options: Any) -> StringTensor:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("writing pictures needs pillow: pip install hornbeam[image]") from None
    array = np.asarray(image)
    made = _io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(made, format, **options)
    return StringTensor(made.getvalue())


def encode_png(image: Any, compression: int = -1, name: str | None = None) -> StringTensor:
    """The bytes of a PNG file."""
    return _encoded(image, "PNG")


def encode_jpeg(
    image: Any, format: str = "", quality: int = 95, name: str | None = None, **options: Any
) -> StringTensor:
    """The bytes of a JPEG file."""
    return _encoded(image, "JPEG", quality=quality)


def decode_raw(
    input_bytes: Any, out_type: Any, little_endian: bool = True, name: str | None = None
) -> Tensor:
    """The numbers that bytes hold."""
    array = np.frombuffer(StringTensor(input_bytes).numpy(), np.dtype(str(out_type)))
    return as_tensor(array if little_endian else array.byteswap())


# -- tf.io.gfile ---------------------------------------------------------------------------------------------


def GFile(name: str, mode: str = "r") -> Any:
    """An open file."""
    return open(name, mode)


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return Path(path).exists()


def isdir(path: str) -> bool:
    """Whether it is a folder."""
    return Path(path).is_dir()


def glob(pattern: str) -> list[str]:
    """The files that match."""
    return sorted(_glob.glob(pattern))


def listdir(path: str) -> list[str]:
    """Names in a folder."""
    return sorted(part.name for part in Path(path).iterdir())


def makedirs(path: str) -> None:
    """A folder and those around it."""
    Path(path).mkdir(parents=True, exist_ok=True)


def mkdir(path: str) -> None:
    """A folder."""
    Path(path).mkdir()


def remove(path: str) -> None:
    """Take a file away."""
    Path(path).unlink()


def rmtree(path: str) -> None:
    """Take a folder away with what is in it."""
    shutil.rmtree(path)


def copy(src: str, dst: str, overwrite: bool = False) -> None:
    """Copy a file. Raises FileExistsError rather than overwrite it unasked."""
    if Path(dst).exists() and not overwrite:
        raise FileExistsError(f"{dst} is there already: pass overwrite=True")
    shutil.copyfile(src, dst)


# -- tf.train ------------------------------------------------------------------------------------------------


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


# -- tf.summary ----------------------------------------------------------------------------------------------


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
