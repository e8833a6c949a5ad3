"""The policy of `hornbeam run`: the changes of a process, and their undoing."""

from __future__ import annotations

import json
import subprocess
import sys

# Submodules become attributes of their package when they are first imported.
IMPORTED = {"host", "native"}

CODE = """
import json, sys, warnings
import hornbeam as hb
from hornbeam import callbacks, engines, layers, models, optimizers
from hornbeam_compat.policy import policy
from hornbeam._internal import warning_policy

TARGETS = [warning_policy, warnings, engines, models.Model, callbacks.History, hb.metrics.Metric,
           layers.Layer, layers.Dense, optimizers.SGD, optimizers.Optimizer,
           hb.Tensor, hb.Variable, hb.data.Strings]

def state():
    return [dict(vars(target)) for target in TARGETS] + [list(sys.meta_path)]

def changed(before):
    return [{key for key in {*a, *b} if a.get(key) is not b.get(key)} for a, b in zip(before[:-1], state())]

before = state()
policy.install()
policy.install()
import keras
import tensorflow
model = keras.models.Sequential([keras.layers.Dense(output_dim=2, input_dim=3)])
model.compile(keras.optimizers.SGD(lr=0.1), "mse")
installed = [sorted(keys) for keys in changed(before)]
policy.uninstall()
remaining = [sorted(keys) for keys in changed(before)]
try:
    layers.Dense(output_dim=2)
    refused = False
except TypeError:
    refused = True
policy.install()
same_hooks = before[-1] == sys.meta_path[1:-1]
print(json.dumps([installed, remaining, refused, same_hooks, "keras" in sys.modules]))
"""


def test_all_changes_are_undone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    installed, remaining, refused, same_hooks, imported = json.loads(done.stdout)
    assert installed[0] == ["keeps_trainable_of_compile", "on_warning"]
    assert "showwarning" in installed[1]
    assert "host_libraries" in installed[2]
    assert {"fit", "fit_generator", "compiled_loss", "__init__"} <= set(installed[3])
    assert installed[4] == ["__module__", "on_train_begin"]
    assert installed[5] == ["__module__", "reset_states"]
    assert {"lr"} <= set(installed[9])
    assert {"shape", "numpy", "get_shape"} <= set(installed[10])
    assert {"shape", "read_value"} <= set(installed[11])
    assert installed[12] == ["numpy", "of"]
    assert [set(keys) - IMPORTED for keys in remaining if set(keys) - IMPORTED] == []
    assert refused
    assert same_hooks
    assert not imported
