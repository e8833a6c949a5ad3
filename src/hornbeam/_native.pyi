"""The native engine's Python face (crates/hornbeam-python)."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np

__version__: str

@final
class Buffer:
    """An immutable value of the engine. Donated to a run, it is empty, and using it is an error."""

    @staticmethod
    def from_numpy(array: np.ndarray, dtype: str) -> Buffer:
        """The values of a C-contiguous array. Large arrays are borrowed: do not write to them again."""

    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def donated(self) -> bool:
        """Whether the buffer was donated and holds nothing any more."""

    def export(self) -> Export:
        """An object with `__array_struct__` that keeps the memory alive (bfloat16 as uint16)."""

    def item(self) -> bool | int | float:
        """The single element of a buffer, as a Python number."""

@final
class Export:
    """Read-only view of a buffer for NumPy."""

    @property
    def __array_struct__(self) -> Any: ...

@final
class Executable:
    """A compiled graph. Several threads may run it at once."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """The outputs for `inputs`. Those in `donate` are emptied, and overwritten if nobody holds them."""

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """The executable with its first inputs given, for many runs: what can be made of them beforehand
        is."""

    def run_steps(
        self, state: list[Buffer], data: list[Buffer], indices: Buffer
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run once per row of `indices` (int64, steps x batch): the inputs are `state`, then one batch per
        data array, made of its rows; the outputs are the new state, then logs, which come back stacked. The
        state is donated."""

    @property
    def text(self) -> str:
        """The compiled instructions as text."""

    @property
    def arena_bytes(self) -> int:
        """Bytes of working memory of one run."""

    def profile(self) -> str | None:
        """What the runs so far took, as JSON, if a profile is kept."""

    def clear_profile(self) -> None:
        """Begin the profile, if there is one, anew."""

class Bound:
    """An executable together with its first inputs. Several threads may run it at once."""

    def run(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """The outputs for the inputs that follow those given."""

def compile(text: str, constants: list[Buffer] = ..., profile: bool = False) -> Executable:
    """Compile a graph's text (see the engine's decoder for the format), and keep a profile if asked."""

def threads() -> int:
    """Number of threads that work on one job."""

def set_threads(threads: int) -> None:
    """Change the number of threads. Results do not depend on it."""

def cpu_features() -> dict[str, Any]:
    """The instruction set that kernels use here ("isa"), those that the machine has ("available"), "arch",
    and whether the CPU multiplies "bfloat16" itself."""

def roof() -> dict[str, Any]:
    """Peaks of the machine with all threads, measured now: "float32" and "bfloat16" (None without an
    instruction) in FLOPs a second, and for each level of memory its (bytes, read, copy) in bytes a second."""

def instructions() -> list[str]:
    """Names of the primitives and composites that the engine has kernels for."""

def resize(
    pixels: bytes,
    size: tuple[int, int],
    channels: int,
    box: tuple[float, float, float, float],
    into: tuple[int, int],
    method: str,
) -> bytes:
    """The part `box` (left, upper, right, lower) of a picture in a new size, antialiased. Sizes are (width,
    height), channels 1 or 3, method "bilinear", "hamming" or "box". Other threads run meanwhile.
    """
