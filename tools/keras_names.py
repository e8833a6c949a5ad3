"""Write the public names of Keras and their signatures: tests/hornbeam_compat/keras_names.json.

Run it with a Python that has keras and a backend, from the root of the repository:

    python tools/keras_names.py

The file maps namespace -> name -> signature; a sub-module's signature is "module", that of other values "".
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

PATH = Path(__file__).resolve().parent.parent / "tests" / "hornbeam_compat" / "keras_names.json"

# Where users look: the namespaces of the API, the root first.
NAMESPACES = (
    "keras keras.layers keras.ops keras.optimizers keras.optimizers.schedules keras.losses keras.metrics "
    "keras.callbacks keras.initializers keras.regularizers keras.constraints keras.activations "
    "keras.datasets keras.utils keras.preprocessing keras.preprocessing.image keras.preprocessing.sequence "
    "keras.applications keras.saving keras.export keras.distribution keras.quantizers keras.random "
    "keras.tree keras.config keras.models keras.dtype_policies keras.mixed_precision keras.backend "
    "keras.visualization keras.wrappers keras.legacy "
    "keras.ops.image keras.ops.linalg keras.ops.nn keras.ops.numpy"
)


def signature(value: Any) -> str:
    """Return the signature of a function or of a constructor, without annotations."""
    if isinstance(value, ModuleType):
        return "module"
    if not callable(value):
        return ""
    full = inspect.signature(value.__init__ if inspect.isclass(value) else value)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in full.parameters.values()]
    return str(full.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def names() -> dict[str, dict[str, str]]:
    """Return the signature of every public name of the installed Keras, by namespace."""
    return {
        namespace: {
            name: signature(value)
            for name, value in sorted(vars(importlib.import_module(namespace)).items())
            if not name.startswith("_")
        }
        for namespace in NAMESPACES.split()
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(names(), indent=1) + "\n")
    print(PATH)
