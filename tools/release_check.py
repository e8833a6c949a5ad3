"""Try a release as far as one machine can, without publishing it: `make release-check`.

    python tools/release_check.py [--built] [FOLDER]

The sdist is built, unpacked outside of the checkout, and compiled there to the wheel that is checked, so that
both are tried. The wheel is installed into a fresh environment of every Python on this machine, with no
compiler on the path, and used as the README says. Files stay in FOLDER (by default target/release-check);
with --built those that were built there before are checked.
RELEASING.md says what is left to do by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Programs of this environment, whose Python runs this file.
TOOLS = Path(sys.executable).parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.14t")
# The oldest glibc of systems that are still maintained: Debian 10, Ubuntu 20.04, RHEL 8.
GLIBC = "2.28"
MAXIMUM_MEGABYTES = {"wheel": 24, "sdist": 20}
# Of each crate one of these must be granted.
LICENSES = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "Zlib", "Unicode-3.0", "Unlicense"}
NOTEBOOK = "08_the_tutorial_net.ipynb"


class CheckError(Exception):
    """A check that failed, with the reason."""


def run(*command: object, folder: Path = ROOT, **variables: str) -> str:
    """Run a command, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise CheckError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Release:
    """The files of a release, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.dist, self.unpacked, self.folder = folder / "dist", folder / "unpacked", folder

    def file(self, pattern: str) -> Path:
        (path,) = self.dist.glob(pattern)
        return path

    def sdist(self) -> str:
        """Build the sdist, and unpack it outside of version control."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.dist.mkdir(parents=True)
        run(TOOLS / "maturin", "sdist", "--out", self.dist)
        path = self.file("*.tar.gz")
        with tarfile.open(path) as archive:
            top = os.path.commonpath(archive.getnames())
            archive.extractall(self.folder, filter="data")
        (self.folder / top).rename(self.unpacked)
        return _size(path, "sdist")

    def wheel(self) -> str:
        """Compile the sdist to a wheel for old systems, with the C library inside."""
        target = f"{os.uname().machine}-unknown-linux-gnu"
        variables = {"CARGO_TARGET_DIR": str(self.folder.parent / "release-check-build")}
        zig = ["--zig", "--compatibility", f"manylinux_{GLIBC.replace('.', '_')}"]
        library = ["tools/build_c_library.py", "--target", target, "--glibc", GLIBC]
        run(sys.executable, *library, folder=self.unpacked, **variables)
        command = ["build", "--profile", "release", "--target", target, *zig, "--interpreter", sys.executable]
        run(TOOLS / "maturin", *command, "--out", self.dist, folder=self.unpacked, **variables)
        return _size(self.file("*.whl"), "wheel")

    def contents(self) -> str:
        """Check the names in the wheel: platform, C library, start file, licenses."""
        path = self.file("*.whl")
        if not re.search(rf"-cp310-abi3-manylinux_{GLIBC.replace('.', '_')}_\w+\.whl$", path.name):
            raise CheckError(f"{path.name} is not for Python 3.10 and later on glibc {GLIBC} and later")
        names = _names(path)
        needed = ["hornbeam/_native.abi3.so", "hornbeam/_c/libhornbeam.so", "hornbeam/_c/hornbeam.h"]
        needed += [
            "hornbeam/py.typed",
            "hornbeam/web/engine.wasm.gz",
            "keras_hornbeam.pth",
            "licenses/LICENSE",
        ]
        missing = [name for name in needed if not any(entry.endswith(name) for entry in names)]
        if missing:
            raise CheckError(f"the wheel lacks {', '.join(missing)}")
        library = self.folder / "libhornbeam.so"
        with zipfile.ZipFile(path) as archive:
            library.write_bytes(archive.read("hornbeam/_c/libhornbeam.so"))
        versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())
        newest = max((int(major), int(minor)) for major, minor in versions)
        if newest > tuple(map(int, GLIBC.split("."))):
            raise CheckError(f"the C library needs glibc {newest[0]}.{newest[1]}")
        return f"{len(names)} files, {path.name}"

    def crates(self) -> str:
        """Check that the wheel lists its crates (CycloneDX), with licenses that allow to pass them on."""
        with zipfile.ZipFile(self.file("*.whl")) as archive:
            names = [name for name in archive.namelist() if re.search(r"/sboms/.*\.cyclonedx\.json$", name)]
            if not names:
                raise CheckError("the wheel has no SBOM in its dist-info/sboms")
            components = [c for name in names for c in json.loads(archive.read(name))["components"]]
        for crate in components:
            words = " ".join(_license(entry) for entry in crate.get("licenses", ()))
            if not any(all(map(LICENSES.__contains__, _terms(each))) for each in _alternatives(words)):
                raise CheckError(f"crate {crate['name']}: the license {words or 'is missing'!r}")
        return f"{len(components)} crates"

    def metadata(self) -> str:
        """Check what PyPI shows: metadata, and a README whose links need no repository."""
        report = run(TOOLS / "twine", "check", "--strict", *self.dist.iterdir())
        text = (self.unpacked / "README.md").read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)]+)\)|^\[[^\]]+\]: (\S+)", text, re.M)
        relative = [link for pair in links for link in pair if link and not re.match(r"https?://|#", link)]
        if relative:
            raise CheckError(f"README.md links to files of the repository: {', '.join(relative)}")
        return f"{report.count('PASSED')} files, {len(links)} links"

    def install(self, python: str) -> str:
        """Install the wheel for a Python, and use it as the README says, without a compiler."""
        home = self.folder / f"python{python}"
        bare = _environment(python, home)
        start = time.monotonic()
        run(home / "bin/python", "-m", "pip", "install", "--quiet", self.file("*.whl"), folder=home)
        seconds = time.monotonic() - start
        readme = (self.unpacked / "README.md").read_text(encoding="utf-8")
        program = re.findall(r"```python\n(.*?)```", readme, re.S)[0]
        (home / "readme.py").write_text(program.replace("epochs=3", "epochs=1"))
        if not bare("python", "readme.py").endswith("the first test digit is a 7\n"):
            raise CheckError("the program of the README")
        said = bare("hornbeam", "mnist", "--speedrun")
        if "of 10,000 test" not in " ".join(said.split()):
            raise CheckError(f"hornbeam mnist --speedrun printed:\n{said}")
        if "-lhornbeam" not in bare("hornbeam", "link"):
            raise CheckError("hornbeam link finds no C library")
        size = sum(
            path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink()
        )
        return f"pip install took {seconds:.0f} s, the environment has {size / 1e6:.0f} MB"

    def c_program(self, python: str) -> str:
        """Compile the example in C against the library of the wheel."""
        home = self.folder / f"python{python}"
        bare = _environment(python, home)
        bare("hornbeam", "mnist", "--epochs", "1", "--train-samples", "20000", "--output", ".")
        (home / "digits.c").write_text(bare("hornbeam", "link", "--example"))
        flags = bare("hornbeam", "link").split()
        run("cc", "digits.c", *flags, "-o", "digits", folder=home)
        answer = run("./digits", "mnist.hornbeam", folder=home)
        if not answer.startswith("7 ("):
            raise CheckError(f"the program answered {answer!r}")
        return answer.strip()

    def notebook(self, python: str) -> str:
        """Run a notebook of the course in a kernel that has Hornbeam and what Colab has."""
        home = self.folder / f"notebook{python}"
        bare = _environment(python, home)
        packages = ["ipykernel", "nbclient", "nbformat", "matplotlib"]
        run(
            home / "bin/python", "-m", "pip", "install", "--quiet", self.file("*.whl"), *packages, folder=home
        )
        bare("hornbeam", "course", ".")
        program = (
            "import nbformat; from nbclient import NotebookClient; "
            f"book = nbformat.read({NOTEBOOK!r}, 4); NotebookClient(book, timeout=600).execute(); "
            "print(sum(cell.cell_type == 'code' for cell in book.cells), 'cells')"
        )
        return f"{NOTEBOOK}: {bare('python', '-c', program).strip()}"


def _size(path: Path, kind: str) -> str:
    megabytes = path.stat().st_size / 1e6
    if megabytes > MAXIMUM_MEGABYTES[kind]:
        raise CheckError(f"{path.name} has {megabytes:.1f} MB, {MAXIMUM_MEGABYTES[kind]} are allowed")
    return f"{megabytes:.1f} MB"


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _license(entry: dict[str, object]) -> str:
    license_ = entry.get("license")
    return str(entry.get("expression") or (isinstance(license_, dict) and (license_.get("id") or "")) or "")


def _alternatives(expression: str) -> list[str]:
    return re.split(r" OR |/", expression.replace("(", "").replace(")", ""))


def _terms(alternative: str) -> list[str]:
    """Return the licenses of one alternative. An exception grants more than its license."""
    return [re.sub(r" WITH .*", "", term).strip() for term in alternative.split(" AND ")]


def _interpreter(python: str) -> str | None:
    """Return the path of a Python, on the path or of pyenv, None if this machine has none that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    threads = "t" if python.endswith("t") else ""
    installed = sorted(root.glob(f"versions/{python.removesuffix('t')}.*{threads}/bin/python"))
    for path in (shutil.which(f"python{python}"), *map(str, installed)):
        if path is not None and not subprocess.run([path, "-c", ""], capture_output=True).returncode:
            return path
    return None


def _environment(python: str, home: Path) -> Callable[..., str]:
    """Create an environment if it is not there; return a function that runs its programs, and no others."""
    if not home.exists():
        run(_interpreter(python), "-m", "venv", home)
    return lambda name, *words: run(home / "bin" / name, *words, folder=home, PATH=str(home / "bin"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "target" / "release-check")
    parser.add_argument("--built", action="store_true", help="check what the folder has, and build nothing")
    arguments = parser.parse_args()
    release, failed = Release(arguments.folder.resolve()), 0
    pythons = [python for python in PYTHONS if _interpreter(python) is not None]
    checks: list[tuple[str, Callable[[], str]]] = [
        *([] if arguments.built else [("sdist", release.sdist), ("wheel from the sdist", release.wheel)]),
        ("contents", release.contents),
        ("licenses of the crates", release.crates),
        ("metadata and README", release.metadata),
        *((f"Python {python}", lambda python=python: release.install(python)) for python in pythons),
        ("C program", lambda: release.c_program(pythons[0])),
        ("notebook", lambda: release.notebook(pythons[0])),
    ]
    for name, check in checks:
        start = time.monotonic()
        try:
            print(f"{name}: ", end="", flush=True)
            print(f"{check()} ({time.monotonic() - start:.0f} s)")
        except CheckError as error:
            failed += 1
            print(f"FAILED\n{error}")
            if check in (release.sdist, release.wheel):
                break
    absent = [python for python in PYTHONS if python not in pythons]
    if absent:
        print(f"not tried: Python {', '.join(absent)} (not on this machine)")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
