"""All changes of a process in which Hornbeam replaces Keras, as one object that can undo them."""

from __future__ import annotations

import functools
import importlib.util
import multiprocessing.spawn
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from hornbeam import config, engines
from hornbeam.extensions.packages import KEEPS_TRAINABLE, ON_WARNING, set_module_names
from hornbeam_compat import legacy_api, messages, seeds, source_paths
from hornbeam_compat.child_processes import preparation_data
from hornbeam_compat.import_hook import ColabFinder, Finder, find_spec
from hornbeam_compat.keras_backend import backend_name, set_backend
from hornbeam_compat.legacy_api import trainable
from hornbeam_compat.messages import log_once
from hornbeam_compat.patch import Patch
from hornbeam_compat.real_keras import real_libraries
from hornbeam_compat.warning_filter import located_showwarning

_MISSING = object()


class Policy:
    """The changes of a process in which Hornbeam replaces Keras and TensorFlow.

    - `import keras` and `import tensorflow` find Hornbeam (`sys.meta_path`), and so does
      `importlib.metadata`; `google.colab` explains itself.
    - Implausible training data are reported on stderr instead of refused, and GANs of Keras 2 train what was
      trainable at `compile()` (`_internal.warning_policy`).
    - Warnings of Hornbeam name the line of the script (`warnings.showwarning`).
    - `importlib.util.find_spec` has no TensorFlow for packages (`import_hook.is_hidden_tensorflow`).
    - `keras.backend.backend()` follows KERAS_BACKEND (`compat.keras_backend`).
    - `random.seed` and `np.random.seed` seed Hornbeam's generators as well (`compat.seeds`).
    - Child processes of `multiprocessing` install the same (`compat.child_processes`).
    - Engines whose library imports the real Keras or TensorFlow get it (`engines.host_libraries`).
    - Classes accept the arguments and methods of Keras 1 and 2 (`compat.legacy_api`), once Keras is imported,
      and their `__module__` is a path of Keras's sources (`compat.source_paths`).
    - Tensors, variables and strings have the methods of TensorFlow, once it is imported.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._has_legacy_api = False
        self._has_tensorflow_methods = False

    @property
    def is_installed(self) -> bool:
        """True between `install` and `uninstall`."""
        return bool(self._undo)

    def install(self, speaker: str = "hornbeam run") -> None:
        """Apply the changes, once.

        Args:
            speaker: Name of the program, with which its lines on stderr begin.

        Raises:
            RuntimeError: If Keras or TensorFlow has already been imported.
        """
        if self.is_installed:
            return
        for name in ("keras", "tensorflow"):
            if name in sys.modules:
                raise RuntimeError(
                    f"{name} is already imported here, as the installed library. Begin again (in a notebook: "
                    f"restart the kernel), and let Hornbeam take its place before the first `import {name}`"
                )
        finder, last = Finder(self.install_legacy_api, self.install_tensorflow_methods), ColabFinder()
        sys.meta_path[:] = [finder, *sys.meta_path, last]
        self._undo.append(lambda: sys.meta_path.remove(finder))
        self._undo.append(lambda: sys.meta_path.remove(last))
        self._undo.append(_forget_modules)

        def host_libraries() -> AbstractContextManager[None]:
            return real_libraries(lambda hook: isinstance(hook, Finder))

        self._apply(
            [
                Patch(messages, "speaker", speaker),
                Patch(*ON_WARNING, log_once),
                Patch(*KEEPS_TRAINABLE, trainable.keeps_trainable_of_compile),
                Patch(warnings, "showwarning", located_showwarning(warnings.showwarning)),
                Patch(engines, "host_libraries", host_libraries),
                Patch(config, "backend_name", backend_name),
                Patch(config, "set_backend", set_backend),
                Patch(importlib.util, "find_spec", find_spec),
                Patch(multiprocessing.spawn, "get_preparation_data", _preparation_data),
                *seeds.patches(),
            ]
        )

    def install_legacy_api(self) -> None:
        """Let classes accept the arguments and methods of Keras 1 and 2, once."""
        if not self._has_legacy_api:
            self._has_legacy_api = True
            self._apply(legacy_api.patches())
            self._apply(source_paths.patches())
            set_module_names(source_paths.path_of)
            self._undo.append(set_module_names)

    def install_tensorflow_methods(self) -> None:
        """Give tensors, variables and strings the methods of TensorFlow, once."""
        if not self._has_tensorflow_methods:
            from hornbeam_compat.tensorflow import checkpoints, data, sparse, tensors

            self._has_tensorflow_methods = True
            for module in (tensors, data, checkpoints, sparse):
                self._apply(module.patches())

    def uninstall(self) -> None:
        """Undo all changes, in reverse order."""
        while self._undo:
            self._undo.pop()()
        self._has_legacy_api = self._has_tensorflow_methods = False

    def _apply(self, patches: Iterable[Patch]) -> None:
        """Set attributes in order: a later patch may wrap the value of an earlier one."""
        for target, name, value in patches:
            earlier = vars(target).get(name, _MISSING)
            setattr(target, name, value)
            self._undo.append(functools.partial(_restore, target, name, earlier))


def _preparation_data(name: str) -> dict[str, Any]:
    return preparation_data(name, _install)


def _install(speaker: str) -> None:
    policy.install(speaker)


def _restore(target: Any, name: str, value: Any) -> None:
    if value is _MISSING:
        delattr(target, name)
    else:
        setattr(target, name, value)


def _forget_modules() -> None:
    """Remove the modules that scripts imported as Keras and TensorFlow from `sys.modules`."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("keras", "tensorflow", "tf_keras")]:
        del sys.modules[name]
    if isinstance(getattr(sys.modules.get("google"), "__loader__", None), ColabFinder):
        del sys.modules["google"]


# The policy of this process.
policy = Policy()
