"""Every public name of the installed Keras: here with its signature, or listed as missing; and the record of
names that the other tests read says what this Keras has.
"""

from __future__ import annotations

import pytest

from tests.helpers.keras_signatures import (
    NAMES,
    keras_parameters,
    module_of,
    our_parameters,
    reasons,
    without_shared_options,
)
from tests.helpers.parity.comparison import Comparison
from tools import keras_names

INSTALLED = keras_names.names()


def here(namespace: str) -> bool:
    """Return True if the module exists; otherwise its parent says why not."""
    try:
        module_of(namespace)
    except ImportError:
        outer, _, name = namespace.rpartition(".")
        assert len(module_of(outer)._MISSING[name]) > 10
        return False
    return True


@pytest.mark.parametrize("namespace", INSTALLED)
def test_signatures(compare: Comparison, namespace: str) -> None:
    if not here(namespace):
        return
    module, missing = module_of(namespace), reasons(namespace)
    for name, signature in INSTALLED[namespace].items():
        if name in missing:
            continue
        ours = getattr(module, name)
        if not signature.startswith("("):
            compare.check(name, lambda ours=ours: None)
            continue
        mine, theirs = our_parameters(ours), keras_parameters(signature)
        if namespace == "keras.optimizers":
            mine, theirs = without_shared_options(mine), without_shared_options(theirs)
        compare.same(name, mine, theirs)


@pytest.mark.parametrize("namespace", NAMES)
def test_the_record_is_what_keras_has(namespace: str) -> None:
    if namespace not in INSTALLED:
        return
    assert sorted(NAMES[namespace]) == sorted(INSTALLED[namespace])
    for name, signature in NAMES[namespace].items():
        if signature.startswith("("):
            assert keras_parameters(signature) == keras_parameters(INSTALLED[namespace][name]), name
