"""Python binding of the native engine (crates/hornbeam-python)."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np

__all__ = [
    "Bound",
    "Buffer",
    "Call",
    "Executable",
    "Export",
    "FrozenModel",
    "NumberArray",
    "__version__",
    "available_cpus",
    "compile",
    "cpu_features",
    "instructions",
    "machine_peaks",
    "read_json",
    "resize",
    "set_single_threaded",
    "set_threads",
    "threads",
]

__version__: str

@final
class Buffer:
    """Immutable value of the engine.

    A buffer that was donated to a run is empty, and its use raises a RuntimeError.
    """

    @staticmethod
    def from_numpy(array: np.ndarray, dtype: str) -> Buffer:
        """Create a buffer from a C-contiguous array.

        Large arrays are borrowed, and must not be written again.
        """

    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def donated(self) -> bool:
        """True if the buffer was donated to a run and is empty."""

    def export(self) -> Export:
        """Return an object with `__array_struct__` that keeps the memory alive (bfloat16 as uint16)."""

    def item(self) -> bool | int | float:
        """Return the single element of a buffer as a Python number."""

@final
class NumberArray:
    """Numbers or booleans in a JSON document: nested arrays of equal lengths."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def to_bytes(self, dtype: str) -> bytes:
        """Return the elements in row-major order as values of a dtype, rounded to the nearest one.

        Raises:
            ValueError: If an element is out of range, a boolean for a number, a number for a boolean, or
                written with a fraction or an exponent for an integer.
        """

    def tolist(self) -> list[Any]:
        """Return the nested lists."""

@final
class FrozenModel:
    """A model in a file that `Model.export(format="hornbeam")` wrote."""

    @staticmethod
    def open(path: str) -> FrozenModel:
        """Read a file, which is mapped into memory: its bytes must not change while the model lives."""

    @staticmethod
    def from_bytes(data: bytes) -> FrozenModel:
        """Read the bytes of a file."""

    @property
    def description(self) -> str:
        """Signatures and metadata, as JSON."""

    @property
    def weights(self) -> list[tuple[str, str, list[int]]]:
        """Name, dtype and shape of every weight."""

    def run(self, signature: str, inputs: Sequence[Buffer]) -> list[Buffer]:
        """Run a signature on its inputs, and return its outputs."""

@final
class Export:
    """Read-only view of a buffer for NumPy."""

    @property
    def __array_struct__(self) -> Any: ...

@final
class Executable:
    """Compiled graph. Several threads can run it at once."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Run on `inputs` and return the outputs.

        Inputs marked in `donate` are emptied, and overwritten if they have no other owner.
        """

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """Bind the first inputs for many runs. Computations on them alone are done once."""

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: Buffer
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run once per row of `indices` (int64, steps x batch).

        The inputs are `state`, then one batch of rows of each array in `data`. The outputs are the new state,
        then logs, which are returned stacked. The state is donated.
        """

    @property
    def text(self) -> str:
        """Compiled instructions as text."""

    @property
    def arena_bytes(self) -> int:
        """Bytes of working memory of one run."""

    def profile(self) -> str | None:
        """Return the profile of the runs so far as JSON, or None if no profile is kept."""

    def clear_profile(self) -> None:
        """Clear the profile, if one is kept."""

@final
class Call:
    """An executable whose inputs are the arguments of a function: tensors of known types."""

    def __new__(cls, executable: Executable, tensor_class: type, engine: Any, types: list[Any]) -> Call: ...
    def buffers(self, tensors: tuple[Any, ...]) -> list[Buffer] | None:
        """Return the buffers of tensors; None unless each has its type, and a value on the engine."""

    def run(self, tensors: tuple[Any, ...]) -> list[Buffer] | None:
        """Return the outputs for tensors; None where `buffers` returns None."""

@final
class Bound:
    """Executable together with its first inputs. Several threads can run it at once."""

    def run(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """Run on the inputs that follow the bound ones, and return the outputs."""

def compile(text: str, constants: Sequence[Buffer] = ..., profile: bool = False) -> Executable:
    """Compile the text of a graph (see the engine's `decode` for the format), with a profile if asked."""

def available_cpus() -> int:
    """Return the number of CPUs that this process may use, by its affinity and the quota of its container."""

def threads() -> int:
    """Return the number of threads of one run."""

def set_threads(threads: int) -> None:
    """Set the number of threads of one run. Results do not depend on it."""

def set_single_threaded(single: bool) -> None:
    """Let runs of the calling thread use that thread alone, or all threads again.

    Results do not depend on it.
    """

def cpu_features() -> dict[str, Any]:
    """Return the instruction sets of the CPU.

    "isa" is the one that kernels use, "available" lists all that the machine supports, "arch" is the
    architecture, and "bfloat16" tells whether the CPU multiplies bfloat16 faster than float32.
    """

def machine_peaks() -> dict[str, Any]:
    """Measure the peaks of the machine with all threads.

    "float32" and "bfloat16" (None without a faster instruction) are in FLOPs per second. "memory" lists
    (bytes, read, copy) for each level, in bytes and bytes per second.
    """

def instructions() -> list[str]:
    """Return the names of the primitives and composites that the engine supports."""

def read_json(document: bytes) -> Any:
    """Read a JSON document into Python objects, but arrays of numbers into one object each.

    Non-empty arrays of numbers or of booleans, and such arrays in arrays of equal lengths, become a
    `NumberArray`. What they cannot hold (integers above 2**53 among them) becomes lists. Of equal names in an
    object the last one counts.

    Raises:
        ValueError: If the document is not JSON by RFC 8259 in UTF-8, or nested more than 1024 levels deep.
    """

def resize(
    pixels: bytes,
    size: tuple[int, int],
    channels: int,
    box: tuple[float, float, float, float],
    into: tuple[int, int],
    method: str,
) -> bytes:
    """Resize the part `box` (left, upper, right, lower) of an image, antialiased.

    Sizes are (width, height), `channels` is 1 or 3, `method` is "bilinear", "hamming" or "box". Other
    threads run meanwhile.
    """
