"""Namespaces about the process: tf.config, tf.debugging, tf.errors and small ones."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from logging import debug as debug
from logging import error as error
from logging import fatal as fatal
from logging import info as info
from logging import warning as warning
from typing import Any, NamedTuple

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.config import disable_traceback_filtering as disable_traceback_filtering
from hornbeam.config import enable_traceback_filtering as enable_traceback_filtering
from hornbeam.config import is_traceback_filtering_enabled as is_traceback_filtering_enabled
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import Running
from hornbeam.tree import flatten as flatten
from hornbeam.tree import map_structure as map_structure
from hornbeam.tree import pack_sequence_as as pack_sequence_as
from hornbeam_compat.messages import log_once
from hornbeam_compat.tensorflow import functions
from hornbeam_compat.tensorflow.random import set_seed
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text

# Namespace -> its names.
NAMESPACES = {
    "autograph": "do_not_convert set_verbosity to_code to_graph",
    "compat": (
        "as_bytes as_str as_text enable_eager_execution enable_v2_behavior executing_eagerly logging "
        "set_random_seed"
    ),
    "config": (
        "LogicalDeviceConfiguration PhysicalDevice VirtualDeviceConfiguration enable_op_determinism "
        "functions_run_eagerly get_visible_devices gpu_device_name is_built_with_cuda is_gpu_available "
        "list_logical_devices list_physical_devices run_functions_eagerly "
        "set_inter_op_parallelism_threads set_intra_op_parallelism_threads set_jit "
        "get_experimental_options set_experimental_options set_logical_device_configuration "
        "set_virtual_device_configuration set_memory_growth set_soft_device_placement set_visible_devices"
    ),
    "debugging": (
        "Assert assert_all_finite assert_equal assert_greater assert_greater_equal assert_less "
        "assert_less_equal assert_near assert_non_negative assert_positive assert_rank assert_shapes "
        "assert_type check_numerics disable_traceback_filtering enable_check_numerics "
        "enable_traceback_filtering is_traceback_filtering_enabled set_log_device_placement"
    ),
    "errors": (
        "AlreadyExistsError DeadlineExceededError FailedPreconditionError InternalError InvalidArgumentError "
        "NotFoundError OpError OutOfRangeError PermissionDeniedError ResourceExhaustedError "
        "UnimplementedError UnknownError"
    ),
    "device_lib": "list_local_devices",
    "tf_logging": "debug error fatal info set_verbosity warn warning",
    "nest": "flatten map_structure pack_sequence_as",
    "types": "SupportsTracingProtocol TensorLike TraceType TracingContext",
    "profiler.experimental": "Profile Trace start stop",
    "version": "COMPILER_VERSION GIT_VERSION VERSION",
}


# -- tf.version, tf.types, tf.errors -------------------------------------------------------------------------


# The version of TensorFlow whose names are followed.
VERSION = "2.19.0"
GIT_VERSION = "hornbeam"
COMPILER_VERSION = "hornbeam"
TensorLike = Any


class TraceType:
    """Base class of the user's types of arguments of tf.function, which are not asked: a function is traced
    anew for each object of another class than tensors and Python's values."""


class SupportsTracingProtocol:
    """Base class of objects with a type of their own, see `TraceType`."""


class TracingContext:
    """Context of a trace, see `TraceType`."""


InvalidArgumentError = ValueError  # ShapeError, and text that holds no value
AlreadyExistsError = FileExistsError
DeadlineExceededError = TimeoutError
FailedPreconditionError = InternalError = UnknownError = RuntimeError
PermissionDeniedError = PermissionError
NotFoundError = FileNotFoundError
OutOfRangeError = StopIteration
ResourceExhaustedError = MemoryError
UnimplementedError = NotImplementedError
OpError = Exception


# -- tf.config, tf.test --------------------------------------------------------------------------------------


class PhysicalDevice(NamedTuple):
    """Name and type of a device."""

    name: str
    device_type: str


_CPU = PhysicalDevice("/physical_device:CPU:0", "CPU")


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the CPU, the only device here."""
    return [_CPU] if device_type in (None, "CPU") else []


list_logical_devices = list_local_devices = list_physical_devices
get_visible_devices = list_physical_devices


def gpu_device_name() -> str:
    """Return an empty string: GPUs are not listed."""
    return ""


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: object = None) -> bool:
    """Return False."""
    return False


def is_built_with_cuda() -> bool:
    """Return False."""
    return False


def set_memory_growth(device: object, enable: bool) -> None:
    """Do nothing: only GPUs have memory of their own."""


def set_visible_devices(devices: object, device_type: str | None = None) -> None:
    """Do nothing: the CPU is the only device."""


def set_soft_device_placement(enabled: bool) -> None:
    """Do nothing: the CPU is the only device."""


def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """Do nothing: HORNBEAM_THREADS sets the number of threads."""


set_inter_op_parallelism_threads = set_intra_op_parallelism_threads


class LogicalDeviceConfiguration(NamedTuple):
    """Settings of a part of a device, which are ignored."""

    memory_limit: Any = None
    experimental_priority: Any = None
    experimental_device_ordinal: Any = None


VirtualDeviceConfiguration = LogicalDeviceConfiguration


def set_logical_device_configuration(device: object, logical_devices: object) -> None:
    """Do nothing: devices are not divided here."""


set_virtual_device_configuration = set_logical_device_configuration


def set_experimental_options(options: object) -> None:
    """Do nothing: the passes of the compiler have no switches."""


def get_experimental_options() -> dict[str, Any]:
    """Return an empty dict: the passes of the compiler have no switches."""
    return {}


def set_log_device_placement(enabled: bool) -> None:
    """Do nothing: the CPU is the only device."""


def set_jit(enabled: object) -> None:
    """Do nothing: tf.function compiles in any case."""


def enable_op_determinism() -> None:
    """Do nothing: results are deterministic in any case."""


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Run functions of tf.function line by line from now on, or compile them again."""
    functions.run_eagerly = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """Return the setting of `run_functions_eagerly`."""
    return functions.run_eagerly


# -- tf.profiler ---------------------------------------------------------------------------------------------


def start(logdir: object, options: object = None) -> None:
    """Say that TensorFlow's profiler is missing, and do nothing."""
    log_once("tf.profiler.experimental records nothing here: hornbeam.profiler shows where the time goes")


def stop(save: bool = True) -> None:
    """Do nothing."""


class Profile(contextlib.nullcontext[None]):
    """Block that does nothing, after a line that says so."""

    def __init__(self, logdir: TensorLike, options: object = None) -> None:
        super().__init__()
        start(logdir)


class Trace(contextlib.nullcontext[None]):
    """Block that does nothing."""

    def __init__(self, name: str, **kwargs: object) -> None:
        super().__init__()


# -- tf.autograph, tf.compat ---------------------------------------------------------------------------------


def do_not_convert(func: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return `func`: nothing is converted here."""
    return do_not_convert if func is None else func


def set_verbosity(level: int, alsologtostdout: bool = False) -> None:
    """Do nothing: nothing is converted, and so nothing is reported."""


def to_code(
    entity: Callable[..., Any], recursive: bool = True, experimental_optional_features: object = None
) -> str:
    """Return the source code of a function: nothing is converted here."""
    return inspect.getsource(getattr(entity, "python_function", entity))


def to_graph(
    entity: Callable[..., Any], recursive: bool = True, experimental_optional_features: object = None
) -> Callable[..., Any]:
    """Return the function: nothing is converted here."""
    return getattr(entity, "python_function", entity)


set_random_seed = set_seed


def enable_eager_execution(*args: object, **kwargs: object) -> None:
    """Do nothing: execution is always eager."""


def enable_v2_behavior() -> None:
    """Do nothing: execution is always eager."""


def executing_eagerly() -> bool:
    """Return True outside of traced functions."""
    return Running.traces() == 0


def as_text(bytes_or_text: TensorLike, encoding: str = "utf-8") -> str:
    """Decode bytes to text."""
    return bytes_or_text.decode(encoding) if isinstance(bytes_or_text, bytes) else bytes_or_text


as_str = as_text


def as_bytes(bytes_or_text: TensorLike, encoding: str = "utf-8") -> bytes:
    """Encode text to bytes."""
    return bytes_or_text if isinstance(bytes_or_text, bytes) else bytes_or_text.encode(encoding)


warn = warning


class logging:
    """Log levels. They would apply to TensorFlow's own messages only."""

    DEBUG, ERROR, FATAL, INFO, WARN = 10, 40, 50, 20, 30

    @staticmethod
    def set_verbosity(level: object) -> None:
        """Do nothing."""


# -- tf.debugging --------------------------------------------------------------------------------------------


def _static_value(x: TensorLike) -> np.ndarray | None:
    """Return the value, or None during tracing."""
    if holds_text(x):
        return StringTensor(x).array
    tensor = as_tensor(x)
    return None if tensor.node.level else np.asarray(tensor)


def _comparison(test: Callable[[np.ndarray, np.ndarray], Any], text: str) -> Callable[..., None]:
    def check(
        x: TensorLike, y: TensorLike, message: str | None = None, summarize: object = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        a, b = _static_value(x), _static_value(y)
        if a is not None and b is not None and not np.all(test(a, b)):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x {text} y, x = {a}, y = {b}")

    return check


assert_equal = _comparison(np.equal, "==")
assert_greater = _comparison(np.greater, ">")
assert_greater_equal = _comparison(np.greater_equal, ">=")
assert_less = _comparison(np.less, "<")
assert_less_equal = _comparison(np.less_equal, "<=")


def assert_near(
    x: TensorLike, y: TensorLike, rtol: TensorLike | None = None, atol: TensorLike | None = None,
    message: str | None = None, **options: object,
) -> None:  # fmt: skip
    """Check |x - y| <= atol + rtol |y| elementwise."""
    a, b = _static_value(x), _static_value(y)
    tolerance = 10 * float(np.finfo(np.float32).eps)
    if a is not None and b is not None:
        relative, absolute = (tolerance if bound is None else float(bound) for bound in (rtol, atol))
        if not np.allclose(a, b, relative, absolute):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x is not near y, x = {a}, y = {b}")


def assert_positive(x: TensorLike, message: str | None = None, **options: object) -> None:
    """Check x > 0 elementwise."""
    assert_greater(x, 0, message)


def assert_non_negative(x: TensorLike, message: str | None = None, **options: object) -> None:
    """Check x >= 0 elementwise."""
    assert_greater_equal(x, 0, message)


def assert_rank(x: TensorLike, rank: int, message: str | None = None, name: str | None = None) -> None:
    """Check the number of axes."""
    ndim = len(as_tensor(x).shape)
    if ndim != rank:
        raise ValueError(f"{message or 'assertion failed'}: expected rank {rank}, got {ndim}")


def assert_shapes(shapes: TensorLike, message: str | None = None, **options: object) -> None:
    """Check pairs (tensor, sizes), where a name must have the same size everywhere."""
    sizes: dict[Any, int] = {}
    for x, expected in shapes.items() if isinstance(shapes, dict) else shapes:
        shape = tuple(as_tensor(x).shape)
        fits = len(shape) == len(expected) and all(
            size is None or actual == (size if isinstance(size, int) else sizes.setdefault(size, actual))
            for size, actual in zip(expected, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{message or 'assertion failed'}: expected shape {expected}, got {shape}")


def assert_type(
    tensor: TensorLike, tf_type: TensorLike, message: str | None = None, name: str | None = None
) -> None:
    """Check the dtype."""
    if as_tensor(tensor).dtype != tf_type:
        raise TypeError(f"{message or 'assertion failed'}: expected {tf_type}, got {tensor.dtype}")


def Assert(
    condition: TensorLike, data: TensorLike, summarize: object = None, name: str | None = None
) -> None:
    """Check a condition."""
    value = _static_value(condition)
    if value is not None and not value.all():
        raise InvalidArgumentError(f"assertion failed: {[_static_value(x) for x in data]}")


def check_numerics(tensor: TensorLike, message: str, name: str | None = None) -> Tensor:
    """Return `tensor`, or raise InvalidArgumentError if it contains NaN or infinity."""
    value = _static_value(ops.all(ops.isfinite(tensor)))
    if value is not None and not value:
        raise InvalidArgumentError(f"{message}: the tensor contains NaN or infinity")
    return as_tensor(tensor)


def assert_all_finite(x: TensorLike, message: str, name: str | None = None) -> Tensor:
    """Return `x`, or raise InvalidArgumentError if it contains NaN or infinity."""
    return check_numerics(x, message)


def enable_check_numerics(stack_height_limit: int = 30, path_length_limit: int = 50) -> None:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "enable_check_numerics is not supported. Use the callback keras.callbacks.TerminateOnNaN."
    )
