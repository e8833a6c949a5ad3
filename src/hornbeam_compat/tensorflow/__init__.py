"""Subset of TensorFlow for Keras scripts: the names that Keras tutorials use, each mapped to Hornbeam.

A namespace is a table of names. Other names raise an error that names them. Active under `hornbeam run` only.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from hornbeam.errors import MissingModuleError, MissingNameError
from hornbeam_compat.tensorflow.ragged_names import accepting_ragged

# Modules of `tensorflow.python.ops`, whose names `tf`, `tf.math`, `tf.nn` and others hand on.
_OPERATIONS = (
    "array_ops check_ops clip_ops control_flow_ops ctc_ops custom_gradient embedding_ops gen_array_ops "
    "gen_math_ops gen_nn_ops gradients image_ops linalg_ops map_fn math_ops nn nn_ops random_ops "
    "resource_variable_ops standard_ops state_ops tensor_array_ops variable_scope variables"
)
_PACKAGES = "client data data.ops eager framework ops platform training util"
# Modules of TensorFlow's sources that programs import -> those with its names that are public.
_PRIVATE = {
    "python": "",
    **{f"python.{name}": "" for name in _PACKAGES.split()},
    **{f"python.ops.{name}": "root math nn linalg random image" for name in _OPERATIONS.split()},
    "python.data.ops.dataset_ops": "data:data",
    "python.client.device_lib": "runtime:device_lib",
    "python.eager.backprop": "root",
    "python.eager.context": "runtime:compat",
    "python.eager.def_function": "root",
    "python.framework.constant_op": "root",
    "python.framework.dtypes": "dtypes root",
    "python.framework.errors": "runtime:errors",
    "python.framework.errors_impl": "runtime:errors",
    "python.framework.ops": "root",
    "python.framework.random_seed": "runtime:compat",
    "python.framework.sparse_tensor": "root",
    "python.framework.tensor_shape": "dtypes root",
    "python.framework.tensor_spec": "root",
    "python.framework.tensor_util": "root",
    "python.layers": "",
    "python.layers.utils": "hornbeam_compat.legacy_api.conv_utils",
    "python.ops.init_ops": "root hornbeam.initializers",
    "python.ops.init_ops_v2": "root hornbeam.initializers",
    "python.ops.lookup_ops": "data:lookup",
    "python.platform.gfile": "files:io.gfile",
    "python.platform.tf_logging": "runtime:tf_logging",
    "python.util.nest": "runtime:nest",
}

# Namespace -> modules with its names: those of `__all__`, or after a colon the key of its table NAMESPACES.
_NAMESPACES = {
    "": "root tensor_protos:tf distances",
    "audio": "signal_audio:audio",
    "autograph": "runtime:autograph",
    "autograph.experimental": "runtime:autograph",
    "compat": "runtime:compat",
    "compat.v1": "runtime:compat root",
    "compat.v1.image": "image_v1 image",
    "compat.v2": "root tensor_protos:tf distances",
    "config": "runtime:config",
    "config.experimental": "runtime:config",
    "config.optimizer": "runtime:config",
    "config.threading": "runtime:config",
    "data": "data:data records:data",
    "data.experimental": "data:data csv_files:data data_experimental",
    "debugging": "runtime:debugging",
    "distribute": "distribute:distribute",
    "distribute.cluster_resolver": "distribute:distribute.cluster_resolver",
    "distribute.experimental": "distribute:distribute.experimental",
    "dtypes": "dtypes",
    "errors": "runtime:errors",
    "experimental": "numpy_names:experimental extension_types:experimental dispatch:experimental",
    "experimental.numpy": "numpy_names",
    "experimental.numpy.random": "numpy_names:random",
    "image": "image",
    "io": "files:io records:io csv_files:io tensor_protos:io",
    "io.gfile": "files:io.gfile",
    "linalg": "linalg",
    "lookup": "data:lookup",
    "math": "math",
    "nest": "runtime:nest",
    "nn": "nn",
    "profiler": "",
    "profiler.experimental": "runtime:profiler.experimental",
    **_PRIVATE,
    "queue": "queues",
    "ragged": "ragged_names:ragged",
    "random": "random",
    "random.experimental": "random",
    "saved_model": "saved_model",
    "raw_ops": "raw_ops",
    "sets": "sparse:sets",
    "signal": "signal_audio:signal",
    "sparse": "sparse:sparse",
    "strings": "strings string_parts:strings",
    "summary": "files:summary",
    "test": "testing",
    "train": "checkpoints:train records:train",
    "types": "runtime:types",
    "types.experimental": "runtime:types",
    "version": "runtime:version",
}

# Modules of Keras that are in `tf` as well.
_KERAS_MODULES = {f"tensorflow.{name}" for name in ("initializers", "losses", "metrics", "optimizers")}

_SUPPORT = "which `hornbeam run` does not have. It supports the names of TensorFlow that Keras tutorials use."

# Parts of TensorFlow that are absent -> what to write instead.
_INSTEAD = {
    "Session": " Code is eager: read values by np.asarray(tensor), without a session.",
    "contrib": " It ended with TensorFlow 1.",
    "dtensor": " Devices and layouts are in hornbeam.distribution (docs/distribution.md).",
    "experimental.dtensor": " Devices and layouts are in hornbeam.distribution (docs/distribution.md).",
    "estimator": " Use a Keras model and fit().",
    "feature_column": " Use hornbeam.utils.FeatureSpace.",
    "lite": " Write the file with model.export('model.tflite', format='litert') (docs/interchange.md).",
    "placeholder": " Use keras.Input, or pass arrays to functions.",
    "distribute.coordinator": " hornbeam.distribution trains in several processes (docs/distribution.md).",
    "distribute.TPUStrategy": " TPUs are reached by the jax engine (docs/engines.md).",
    "tpu": " TPUs are reached by the jax engine (docs/engines.md).",
}


# Namespaces whose functions take ragged tensors.
_RAGGED = ("tensorflow", "tensorflow.math", "tensorflow.nn", "tensorflow.strings")


class Namespace(ModuleType):
    """A module of TensorFlow: names that are supported, and MissingNameError for others."""

    def __init__(self, name: str, sources: dict[str, ModuleType], doc: str | None) -> None:
        super().__init__(name, doc)
        self.__path__: list[str] = []
        self._sources = sources
        self.__all__ = list(sources)

    def __getattr__(self, name: str) -> Any:
        if name == "__version__" and _relative(self.__name__) in ("", "compat.v1", "compat.v2"):
            return importlib.import_module("hornbeam_compat.tensorflow.root").VERSION
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._sources:
            value = getattr(self._sources[name], name)
            return accepting_ragged(name, value, self.__name__) if self.__name__ in _RAGGED else value
        full_name = f"{self.__name__}.{name}"
        public = full_name
        if _relative(full_name) not in _NAMESPACES:
            public = full_name.replace(".compat.v1.", ".").replace(".compat.v2.", ".")
        if public in _KERAS_MODULES:
            return importlib.import_module(f"tensorflow.keras.{name}")
        if public in ("tensorflow.keras", "tensorflow.python.keras") or _relative(public) in _NAMESPACES:
            return importlib.import_module(public)
        hint = _INSTEAD.get(_relative(full_name)) or _typo(name, self.__all__)
        raise MissingNameError(f"the script uses {full_name}, {_SUPPORT}{hint}")

    def __dir__(self) -> list[str]:
        return self.__all__


def _relative(fullname: str) -> str:
    return fullname.partition(".")[2]


def _typo(name: str, known: Iterable[str]) -> str:
    """Return a hint only for what is hardly another name of TensorFlow, such as `reduce_sums`."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.85)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def namespace(fullname: str) -> ModuleType:
    """Create the module `tensorflow` or `tensorflow.x.y`. Raise MissingModuleError for unsupported ones."""
    relative = _relative(fullname)
    if relative not in _NAMESPACES:
        suggestion = _INSTEAD.get(relative) or _typo(relative, [*_NAMESPACES, "keras"])
        message = f"the script imports {fullname}, {_SUPPORT}{suggestion}"
        raise MissingModuleError(message)
    sources: dict[str, ModuleType] = {}
    docs = []
    for part in _NAMESPACES[relative].split():
        module, _, key = part.partition(":")
        own = module if "." in module else f"hornbeam_compat.tensorflow.{module}"
        target = importlib.import_module(own)
        docs.append(target.__doc__)
        names = target.NAMESPACES[key].split() if key else target.__all__
        sources.update((name, target) for name in names if name not in sources)
    return Namespace(fullname, sources, docs[0] if docs else None)
