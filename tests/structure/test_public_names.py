"""`dir` of public modules has public names alone, which notebooks complete; misspelled ones get a hint."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from types import ModuleType

import pytest

import hornbeam
from hornbeam._internal import other_libraries as tables


def _public_modules() -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    queue = ["hornbeam"]
    while queue:
        name = queue.pop()
        modules[name] = importlib.import_module(name)
        queue += [f"{name}.{part}" for part in modules[name].__all__ if _is_submodule(modules[name], part)]
    return modules


def _is_submodule(module: ModuleType, name: str) -> bool:
    try:
        value = getattr(module, name)
    except ImportError:  # it needs a library that is not installed
        return False
    return isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{name}"


MODULES = _public_modules()
# Names of Keras 2, outside of `__all__`.
LEGACY = {"hornbeam.preprocessing.image": {"ImageDataGenerator"}}


@pytest.mark.parametrize("name", MODULES)
def test_dir_has_public_names_alone(name: str) -> None:
    module = MODULES[name]
    assert dir(module) == sorted({*module.__all__, *LEGACY.get(name, ())})
    assert all(not part.startswith("_") or part == "__version__" for part in module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_a_misspelled_name_gets_a_hint(name: str) -> None:
    module = MODULES[name]
    longest = max((part for part in module.__all__ if not part.startswith("_")), key=len)
    wrong = longest[:-2] + "q" + longest[-2:]
    with pytest.raises(AttributeError) as caught:
        getattr(module, wrong)
    assert str(caught.value) == f"{name} has no {wrong!r}. Did you mean {longest!r}?"


def test_python_adds_no_second_hint() -> None:
    program = [sys.executable, "-c", "import hornbeam; hornbeam.optimizers.Adan"]
    shown = subprocess.run(program, capture_output=True, text=True).stderr
    assert "has no 'Adan'. Did you mean 'Adam'?" in shown
    assert shown.count("Did you mean") == 1


@pytest.mark.parametrize("name", MODULES)
def test_completion_in_notebooks(name: str) -> None:
    """Jedi reads live objects there."""
    jedi = pytest.importorskip("jedi")
    offered = {c.name for c in jedi.Interpreter("module.", [{"module": MODULES[name]}]).complete()}
    unexpected = {part for part in offered - set(MODULES[name].__all__) if not part.startswith("_")}
    assert unexpected == LEGACY.get(name, set())


def test_completion_of_a_model() -> None:
    assert {"parameters", "to", "state_dict"}.isdisjoint(dir(hornbeam.Sequential()))


@pytest.mark.parametrize("module", tables.NAMES)
def test_hints_for_names_of_other_libraries(module: str) -> None:
    for name, hint in tables.NAMES[module].items():
        with pytest.raises(AttributeError, match="Here it is " + re.escape(hint)):
            getattr(MODULES[module], name)


def _mentioned(hint: str) -> list[str]:
    """Names of Hornbeam in a hint, such as `ops.concatenate`."""
    names = re.findall(r"\b(?:hornbeam\.)?((?:[a-z_]+\.)+\w+)", hint)
    return [name for name in names if name.split(".")[0] in hornbeam.__all__]


@pytest.mark.parametrize(
    "hints",
    [
        *tables.NAMES.values(),
        tables.TENSORS,
        tables.MODELS,
        tables.NO_ARGUMENTS,
    ],
)
def test_hints_name_what_exists(hints: dict[str, str]) -> None:
    for hint in hints.values():
        for name in _mentioned(hint):
            value: object = hornbeam
            for part in name.split("."):
                value = getattr(value, part)
        for method in re.findall(r"\bmodel\.([a-z]\w*)", hint):
            assert hasattr(hornbeam.Model, method) or method == "optimizer", hint


@pytest.mark.parametrize(("kind", "names"), tables.IDENTIFIERS.items())
def test_identifiers_of_other_libraries(kind: str, names: dict[str, tuple[str, ...]]) -> None:
    module = {"loss": "losses", "metric": "metrics", "activation": "activations"}.get(kind, f"{kind}s")
    get = getattr(hornbeam, module).get
    for name, meanings in names.items():
        with pytest.raises(hornbeam.errors.UnknownObjectError) as caught:
            get(name)
        for meaning in meanings:
            assert repr(meaning) in str(caught.value)
            assert get(meaning) is not None
