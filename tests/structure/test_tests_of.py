"""`tools/tests_of.py` finds the tests of a file, and `make check` and `--part` choose among them."""

from __future__ import annotations

import pytest

from tests.helpers.paths import ROOT, TESTS
from tools import tests_of as finder
from tools.tests_of import BY_FOLDER, OWN_USE, Tree

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


def test_a_name_is_found_behind_its_packages(tree: Tree) -> None:
    (layers, core) = sorted(tree.resolve("hornbeam", ("layers", "Dense")))
    assert (layers.name, core.relative_to(ROOT).as_posix()) == ("__init__.py", "src/hornbeam/layers/core.py")
    assert ROOT / "src/hornbeam/optimizers/rules.py" in tree.resolve("hornbeam.optimizers", ("Adam",))


@pytest.mark.parametrize(
    ("file", "first"),
    [("layers/core.py", "layers/test_core.py"), ("optimizers/rules.py", "optimizers/test_fine_tuning.py")],
)
def test_the_closest_tests_are_first(tree: Tree, file: str, first: str) -> None:
    ranks = finder.tests_of(tree, ROOT / "src" / "hornbeam" / file)
    assert next(iter(ranks.items())) == (TESTS / first, OWN_USE)
    assert list(ranks.values()) == sorted(ranks.values())


def test_a_file_that_no_test_names_is_held_by_its_folder(tree: Tree) -> None:
    ranks = finder.tests_of(tree, ROOT / "src/hornbeam/tuning/running.py")
    assert {path.parent.name for path, rank in ranks.items() if rank <= BY_FOLDER} >= {"tuning"}


def test_a_crate_is_held_by_the_tests_of_what_is_built_from_it(tree: Tree) -> None:
    kernels = finder.tests_of_files(tree, [ROOT / "crates/hornbeam-kernels/src/lib.rs"])
    assert TESTS / "engines/test_native_engine.py" in kernels
    assert all(path.exists() for path in kernels)


def test_a_new_public_name_is_held_by_the_rules_on_names(tree: Tree) -> None:
    files = [ROOT / "src/hornbeam/layers" / name for name in ("core.py", "__init__.pyi")]
    first = [path.relative_to(TESTS).as_posix() for path in finder.tests_of_files(tree, files)][:10]
    assert {"layers/test_cases.py", "layers/test_docs.py", "structure/test_public_docstrings.py"} <= {*first}


def test_parts_are_the_whole(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((TESTS / "conftest.py").read_text())
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('i', range(12))\ndef test_it(i): assert i % 10 == 0"
    )
    pytester.runpytest("-p", "no:cacheprovider", "--part", "quick").assert_outcomes(passed=2, deselected=10)
    pytester.runpytest("-p", "no:cacheprovider", "--part", "rest").assert_outcomes(failed=10, deselected=2)
    pytester.runpytest("-p", "no:cacheprovider", "--seconds", "-1").assert_outcomes(skipped=12)
