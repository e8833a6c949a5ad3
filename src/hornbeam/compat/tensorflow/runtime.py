"""Namespaces about the process: devices, strategies, errors, assertions, versions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow import control_flow
from hornbeam.compat.tensorflow.random import set_seed
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import ShapeError
from hornbeam.tree import flatten as flatten
from hornbeam.tree import map_structure as map_structure
from hornbeam.tree import pack_sequence_as as pack_sequence_as

# Namespace -> its names.
NAMESPACES = {
    "autograph": "do_not_convert set_verbosity",
    "compat": (
        "as_bytes as_str as_text enable_eager_execution enable_v2_behavior executing_eagerly logging "
        "set_random_seed"
    ),
    "config": (
        "PhysicalDevice enable_op_determinism functions_run_eagerly get_visible_devices gpu_device_name "
        "is_built_with_cuda is_gpu_available list_logical_devices list_physical_devices "
        "run_functions_eagerly set_inter_op_parallelism_threads set_intra_op_parallelism_threads set_jit "
        "set_memory_growth set_soft_device_placement set_visible_devices"
    ),
    "debugging": (
        "Assert assert_all_finite assert_equal assert_greater assert_greater_equal assert_less "
        "assert_less_equal assert_near assert_non_negative assert_positive assert_rank assert_shapes "
        "assert_type check_numerics enable_check_numerics"
    ),
    "distribute": "MirroredStrategy OneDeviceStrategy Strategy get_strategy has_strategy",
    "distribute.cluster_resolver": "TPUClusterResolver",
    "errors": (
        "InvalidArgumentError NotFoundError OpError OutOfRangeError ResourceExhaustedError UnimplementedError"
    ),
    "nest": "flatten map_structure pack_sequence_as",
    "types": "TensorLike",
    "version": "COMPILER_VERSION GIT_VERSION VERSION",
}


# -- tf.version, tf.types, tf.errors -------------------------------------------------------------------------


# The version whose names the shim follows.
VERSION = "2.19.0"
GIT_VERSION = "hornbeam"
COMPILER_VERSION = "hornbeam"
TensorLike = Any
InvalidArgumentError = ShapeError
NotFoundError = FileNotFoundError
OutOfRangeError = StopIteration
ResourceExhaustedError = MemoryError
UnimplementedError = NotImplementedError
OpError = Exception


# -- tf.config, tf.test --------------------------------------------------------------------------------------


class PhysicalDevice(NamedTuple):
    """A device by name and type."""

    name: str
    device_type: str


_CPU = PhysicalDevice("/physical_device:CPU:0", "CPU")


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The processor; no GPU and no TPU."""
    return [_CPU] if device_type in (None, "CPU") else []


list_logical_devices = list_physical_devices
get_visible_devices = list_physical_devices


def gpu_device_name() -> str:
    """Empty: there is no GPU."""
    return ""


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """False."""
    return False


def is_built_with_cuda() -> bool:
    """False."""
    return False


def set_memory_growth(device: Any, enable: bool) -> None:
    """Accepted: only GPUs have memory of their own."""


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Accepted: the processor is all there is."""


def set_soft_device_placement(enabled: bool) -> None:
    """Accepted: the processor is all there is."""


def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """Accepted: HORNBEAM_THREADS says how many threads work."""


set_inter_op_parallelism_threads = set_intra_op_parallelism_threads


def set_jit(enabled: Any) -> None:
    """Accepted: tf.function compiles anyway."""


def enable_op_determinism() -> None:
    """Accepted: results are the same on every run anyway."""


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Whether tf.function runs line by line from here on."""
    control_flow.run_eagerly = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """What `run_functions_eagerly` was told."""
    return control_flow.run_eagerly


# -- tf.autograph, tf.compat ---------------------------------------------------------------------------------


def do_not_convert(func: Callable[..., Any] | None = None) -> Any:
    """`func` itself: nothing is converted here."""
    return do_not_convert if func is None else func


def set_verbosity(level: int, alsologtostdout: bool = False) -> None:
    """Accepted: there is no conversion that could report anything."""


set_random_seed = set_seed


def enable_eager_execution(*args: Any, **kwargs: Any) -> None:
    """Accepted: code runs as it is read."""


def enable_v2_behavior() -> None:
    """Accepted: code runs as it is read."""


def executing_eagerly() -> bool:
    """True outside of functions that are being traced."""
    return current_level() == 0


def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Text out of bytes."""
    return bytes_or_text.decode(encoding) if isinstance(bytes_or_text, bytes) else bytes_or_text


as_str = as_text


def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Bytes out of text."""
    return bytes_or_text if isinstance(bytes_or_text, bytes) else bytes_or_text.encode(encoding)


class logging:
    """Levels, and the setting of one, which TensorFlow's own messages alone would follow."""

    DEBUG, ERROR, FATAL, INFO, WARN = 10, 40, 50, 20, 30

    @staticmethod
    def set_verbosity(level: Any) -> None:
        """Accepted."""


# -- tf.distribute -------------------------------------------------------------------------------------------


class Strategy:
    """One replica: what runs under it runs once."""

    num_replicas_in_sync = 1

    @contextlib.contextmanager
    def scope(self) -> Iterator[Strategy]:
        """Variables made inside live where all others do."""
        yield self

    def run(self, fn: Callable[..., Any], args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
        """`fn`, called once."""
        return fn(*args, **(kwargs or {}))

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """The sum or mean over one replica: the value. Raises NotImplementedError for an axis."""
        if axis is not None:
            raise NotImplementedError(
                "Strategy.reduce(axis=) is not in `hornbeam run`: reduce the value first"
            )
        return value

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
        """The dataset, whose batches are for one replica."""
        return dataset


class OneDeviceStrategy(Strategy):
    """Everything on one device, the only one."""

    def __init__(self, device: Any) -> None:
        pass


class MirroredStrategy(Strategy):
    """Copies on all devices of this machine, of which there is one. Raises ValueError for several."""

    def __init__(self, devices: Any = None, cross_device_ops: Any = None) -> None:
        if devices is not None and len(devices) > 1:
            raise ValueError(f"`hornbeam run` has one device, MirroredStrategy asks for {list(devices)}")


_default = Strategy()


def get_strategy() -> Strategy:
    """The strategy of one replica."""
    return _default


def has_strategy() -> bool:
    """No: there is nothing to distribute."""
    return False


class TPUClusterResolver:
    """Looks for a TPU. Raises ValueError, as TensorFlow does on a machine without one."""

    def __init__(self, tpu: Any = None, **kwargs: Any) -> None:
        raise ValueError("there is no TPU here: `hornbeam run` has the strategy of one replica")

    @classmethod
    def connect(cls, tpu: Any = None, **kwargs: Any) -> TPUClusterResolver:
        """The same question."""
        return cls(tpu, **kwargs)


# -- tf.debugging --------------------------------------------------------------------------------------------


def _known(x: Any) -> np.ndarray | None:
    """The value, or None while a function is being traced."""
    made = as_tensor(x)
    return None if made.node.level else np.asarray(made)


def _comparison(test: Callable[[np.ndarray, np.ndarray], Any], text: str) -> Callable[..., None]:
    def check(
        x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None
    ) -> None:
        a, b = _known(x), _known(y)
        if a is not None and b is not None and not np.all(test(a, b)):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x {text} y, x = {a}, y = {b}")

    return check


assert_equal = _comparison(np.equal, "==")
assert_greater = _comparison(np.greater, ">")
assert_greater_equal = _comparison(np.greater_equal, ">=")
assert_less = _comparison(np.less, "<")
assert_less_equal = _comparison(np.less_equal, "<=")


def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: str | None = None, **options: Any
) -> None:
    """|x - y| <= atol + rtol |y| everywhere."""
    a, b = _known(x), _known(y)
    tolerance = 10 * float(np.finfo(np.float32).eps)
    if a is not None and b is not None:
        relative, absolute = (tolerance if bound is None else float(bound) for bound in (rtol, atol))
        if not np.allclose(a, b, relative, absolute):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x is not near y, x = {a}, y = {b}")


def assert_positive(x: Any, message: str | None = None, **options: Any) -> None:
    """x > 0 everywhere."""
    assert_greater(x, 0, message)


def assert_non_negative(x: Any, message: str | None = None, **options: Any) -> None:
    """x >= 0 everywhere."""
    assert_greater_equal(x, 0, message)


def assert_rank(x: Any, rank: int, message: str | None = None, name: str | None = None) -> None:
    """`x` has so many axes."""
    found = len(as_tensor(x).shape)
    if found != rank:
        raise ValueError(f"{message or 'assertion failed'}: rank {rank} was expected, got {found}")


def assert_shapes(shapes: Any, message: str | None = None, **options: Any) -> None:
    """Pairs (tensor, sizes): whole numbers must be met, names must mean the same size everywhere."""
    sizes: dict[Any, int] = {}
    for x, wanted in shapes.items() if isinstance(shapes, dict) else shapes:
        found = tuple(as_tensor(x).shape)
        fits = len(found) == len(wanted) and all(
            size is None or have == (size if isinstance(size, int) else sizes.setdefault(size, have))
            for size, have in zip(wanted, found, strict=True)
        )
        if not fits:
            raise ValueError(f"{message or 'assertion failed'}: shape {wanted} was expected, got {found}")


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """`tensor` has this dtype."""
    if as_tensor(tensor).dtype != tf_type:
        raise TypeError(f"{message or 'assertion failed'}: {tf_type} was expected, got {tensor.dtype}")


def Assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> None:
    """The condition holds."""
    value = _known(condition)
    if value is not None and not value.all():
        raise InvalidArgumentError(f"assertion failed: {[_known(x) for x in data]}")


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """`tensor`, if it holds neither NaN nor infinity."""
    value = _known(ops.all(ops.isfinite(tensor)))
    if value is not None and not value:
        raise InvalidArgumentError(f"{message}: the tensor has NaN or infinity")
    return as_tensor(tensor)


def assert_all_finite(x: Any, message: str, name: str | None = None) -> Tensor:
    """`x`, if it holds neither NaN nor infinity."""
    return check_numerics(x, message)


def enable_check_numerics(stack_height_limit: int = 30, path_length_limit: int = 50) -> None:
    """Not there: raises NotImplementedError that says what is."""
    raise NotImplementedError("enable_check_numerics: use the callback keras.callbacks.TerminateOnNaN")
