"""Requirements of a release: one version, complete metadata, pinned and minimal workflows."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import hornbeam

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CARGO = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
# Usual places of a second version.
PLACES = [
    ROOT / "src/hornbeam/__init__.py",
    ROOT / "pyproject.toml",
    ROOT / "CITATION.cff",
    ROOT / "docs/conf.py",
]
REPOSITORY = "https://github.com/hornbeam-dl/hornbeam"


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github/workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def test_cargo_has_the_only_version() -> None:
    (version,) = re.findall(r'^version = "([^"]+)"$', CARGO, re.M)
    assert hornbeam.__version__ == hornbeam.version() == version
    assert not any(version in path.read_text(encoding="utf-8") for path in PLACES)
    assert 'dynamic = ["version"]' in PYPROJECT
    for crate in (ROOT / "crates").glob("*/Cargo.toml"):
        assert "\nversion.workspace = true\n" in crate.read_text(encoding="utf-8"), crate


def test_type_checkers_find_the_annotations() -> None:
    assert (Path(hornbeam.__file__).parent / "py.typed").exists()
    assert '"Typing :: Typed"' in PYPROJECT


def test_all_places_name_the_same_repository() -> None:
    assert f'repository = "{REPOSITORY}"' in CARGO
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == REPOSITORY
    urls = re.findall(r'= "(https://github[^"]*)"', PYPROJECT)
    assert urls
    assert all(url.startswith(REPOSITORY) for url in urls)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    uses = re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), re.M)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_read_and_no_more(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    writing = {name for name, job in content["jobs"].items() if "permissions" in job}
    assert writing == ({"publish", "rehearse"} if path.stem == "release" else set())
    assert all("timeout-minutes" in job for job in content["jobs"].values())


def test_python_is_tested_on_every_supported_system() -> None:
    """By pull requests and nights together: on systems other than Linux, a pull request has one Python."""
    tested = {*_systems("ci", "python"), *_systems("nightly", "systems")}
    versions = ["3.10", "3.12", "3.14"]
    assert tested == {(system, version) for system in ("ubuntu", "macos", "windows") for version in versions}
    assert {f"Programming Language :: Python :: {version}" for version in versions} <= set(
        re.findall(r'"(Programming Language[^"]+)"', PYPROJECT)
    )


def _systems(name: str, job: str) -> set[tuple[str, str]]:
    """Return the systems and the versions of Python of a job."""
    matrix = workflow(name)["jobs"][job]["strategy"]["matrix"]
    pairs = [*itertools.product(matrix["os"], matrix["python"])]
    pairs += [(more["os"], more["python"]) for more in matrix.get("include", ())]
    return {(system.partition("-")[0], version) for system, version in pairs}


def test_every_fuzz_target_runs_every_night() -> None:
    targets = {path.stem for path in (ROOT / "fuzz/targets").glob("*.rs")}
    assert set(workflow("nightly")["jobs"]["fuzz"]["strategy"]["matrix"]["target"]) == targets
    (listed,) = re.findall(r"^FUZZ_TARGETS \?= (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert set(listed.split()) == targets


def test_only_tags_are_published() -> None:
    jobs = workflow("release")["jobs"]
    publish, rehearse = jobs["publish"], jobs["rehearse"]
    assert "refs/tags/v" in publish["if"]
    assert rehearse["if"] == "github.event_name == 'workflow_dispatch'"
    assert "test.pypi.org" in rehearse["steps"][-1]["with"]["repository-url"]
    for job in (publish, rehearse):
        assert set(job["needs"]) == {"wheels", "sdist"}
        assert job["permissions"]["id-token"] == "write"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_build_without_rust_names_the_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [shutil.which("make") or "make", "check-rust"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "cargo is not on the PATH: get it from https://rustup.rs" in done.stdout


def test_make_mnist_installs_no_tools() -> None:
    """maturin installs a group of this name, with a pip that may be too old to know groups."""
    groups = PYPROJECT.partition("[dependency-groups]")[2]
    assert "\ndevelop = [" in groups
    assert "\ndev = [" not in groups


def test_conda_needs_what_pip_needs() -> None:
    recipe = yaml.safe_load((ROOT / "tools/conda/recipe.yaml").read_text(encoding="utf-8"))
    (declared,) = re.findall(r"^dependencies = \[(.+)\]$", PYPROJECT, re.M)
    (python,) = re.findall(r'^requires-python = "(.+)"$', PYPROJECT, re.M)
    wanted = {f"python{python}", *re.findall(r'"([^"]+)"', declared)}
    assert {entry.replace(" ", "") for entry in recipe["requirements"]["run"]} == wanted
