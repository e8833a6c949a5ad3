"""Programs in C, C++, Rust and Go that run a frozen model, built as their comments say, against predict."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.cli import main
from hornbeam.cli.commands.link import FOLDER

EXAMPLES = Path(__file__).parents[2] / "examples" / "embed"
pytestmark = [
    pytest.mark.linux,
    pytest.mark.skipif(not (FOLDER / "hornbeam.h").exists(), reason="`make c-library` was not run"),
]


def link_flags(*arguments: str) -> list[str]:
    flags = [f"-I{FOLDER}", f"-L{FOLDER}", f"-Wl,-rpath,{FOLDER}", "-lhornbeam"]
    return {(): flags, ("--cflags",): flags[:1], ("--libs",): flags[1:]}[arguments]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, hb.Model, np.ndarray]:
    """A folder with a trained model and images, the model, and the images."""
    hb.utils.set_random_seed(0)
    (x, y), (x_test, _) = hb.datasets.mnist.load_data()
    parts = [layers.Conv2D(8, 3, 2, activation="relu"), layers.Flatten(), layers.Dense(10, "softmax")]
    model = hb.Sequential([hb.Input((28, 28, 1)), *parts])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:4000, ..., None] / 255.0, y[:4000], epochs=2, verbose=0)
    folder = tmp_path_factory.mktemp("digits")
    model.export(folder / "digits.hornbeam", format="hornbeam", verbose=False)
    for i, image in enumerate(x_test[:8]):
        (folder / f"{i}.pgm").write_bytes(b"P5 28 28 255\n" + image.tobytes())
    return folder, model, x_test[:8, ..., None].astype("float32") / np.float32(255)


def built(command: list[str], folder: Path, **variables: str) -> None:
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, **variables})


def in_c(folder: Path) -> Path:
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    built(["cc", *strict, str(EXAMPLES / "digits.c"), *link_flags(), "-o", "digits"], folder)
    return folder / "digits"


def in_go(folder: Path) -> Path:
    for name in ("digits.go", "go.mod"):
        shutil.copy(EXAMPLES / "go" / name, folder)
    flags = {"CGO_CFLAGS": link_flags("--cflags")[0], "CGO_LDFLAGS": " ".join(link_flags("--libs"))}
    built(["go", "build", "-o", "digits"], folder, **flags, GOFLAGS="-mod=mod", GOCACHE=str(folder / "cache"))
    return folder / "digits"


def in_rust(folder: Path) -> Path:
    target = os.environ.get("CARGO_TARGET_DIR", str(EXAMPLES.parents[1] / "target" / "embed"))
    built(["cargo", "build", "--release", "--quiet"], EXAMPLES / "rust", CARGO_TARGET_DIR=target)
    return Path(target) / "release" / "digits"


LANGUAGES = [
    pytest.param(in_c, "cc", id="c"),
    pytest.param(in_go, "go", id="go"),
    # It compiles the engine once more.
    pytest.param(in_rust, "cargo", id="rust", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("build", "compiler"), LANGUAGES)
def test_the_digits_of_predict(
    build: Callable[[Path], Path],
    compiler: str,
    digits: tuple[Path, hb.Model, np.ndarray],
    tmp_path: Path,
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    folder, model, images = digits
    program = build(tmp_path)
    for i, scores in enumerate(model.predict(images, verbose=0, batch_size=1)):
        command = [program, "digits.hornbeam", f"{i}.pgm"]
        ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        assert ran.stdout == f"{scores.argmax()} ({100 * scores.max():.2f}%)\n"


@pytest.mark.slow
def test_a_program_that_has_to_be_small(digits: tuple[Path, hb.Model, np.ndarray], tmp_path: Path) -> None:
    """Link the library without rare dtypes statically, as docs/frozen.md says; they are refused."""
    folder, model, images = digits
    target = Path(os.environ.get("CARGO_TARGET_DIR", EXAMPLES.parents[1] / "target"))
    command = "cargo build --profile small -p hornbeam-capi --no-default-features --quiet"
    built(command.split(), EXAMPLES.parents[1], CARGO_TARGET_DIR=str(target))
    library = str(target / "small" / "libhornbeam.a")
    flags = ["-O2", "-s", "-Wl,--gc-sections", "-lpthread", "-ldl", "-lm"]
    built(["cc", str(EXAMPLES / "digits.c"), f"-I{FOLDER}", library, *flags, "-o", "digits"], tmp_path)
    program = tmp_path / "digits"
    assert program.stat().st_size < 3.6e6
    for i, scores in enumerate(model.predict(images, verbose=0, batch_size=1)):
        ran = subprocess.run(
            [program, "digits.hornbeam", f"{i}.pgm"], cwd=folder, check=True, capture_output=True, text=True
        )
        assert ran.stdout == f"{scores.argmax()} ({100 * scores.max():.2f}%)\n"
    double = hb.Sequential([hb.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, dtype="float64")])
    double.export(folder / "double.hornbeam", format="hornbeam", verbose=False)
    ran = subprocess.run([program, "double.hornbeam", "0.pgm"], cwd=folder, capture_output=True, text=True)
    assert "has no kernels for float64: build it with the feature all-dtypes" in ran.stderr


def test_cpp_in_several_threads(digits: tuple[Path, hb.Model, np.ndarray], tmp_path: Path) -> None:
    folder, model, images = digits
    strict = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    built(["c++", *strict, str(EXAMPLES / "digits.cpp"), *link_flags(), "-o", "digits"], tmp_path)
    command = [tmp_path / "digits", "digits.hornbeam", *(f"{i}.pgm" for i in range(len(images)))]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert list(map(int, ran.stdout.split())) == model.predict(images, verbose=0).argmax(1).tolist()


def test_sanitizers_find_nothing(digits: tuple[Path, hb.Model, np.ndarray], tmp_path: Path) -> None:
    """AddressSanitizer, with leaks, and UndefinedBehaviorSanitizer on a program that uses every function."""
    folder, _, _ = digits
    source = Path(__file__).parent / "every_function.c"
    strict = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-pthread"]
    built(["cc", *strict, str(source), *link_flags(), "-o", "every"], tmp_path)
    # The threads of the pool live as long as the process.
    options = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1"}
    command = [tmp_path / "every", "digits.hornbeam"]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **options}, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("all functions agree\n")


@pytest.mark.parametrize("arguments", [(), ("--cflags",), ("--libs",)])
def test_link(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["link", *arguments]) == 0
    assert capsys.readouterr().out.split() == link_flags(*arguments)


def test_the_example_of_link_names_a_seven(
    digits: tuple[Path, hb.Model, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["link", "--example"]) == 0
    assert capsys.readouterr().out == (EXAMPLES / "digits.c").read_text()
    ran = subprocess.run(
        [in_c(tmp_path), "digits.hornbeam"], cwd=digits[0], check=True, capture_output=True, text=True
    )
    assert ran.stdout.startswith("7 (9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.hornbeam", "0.pgm"], "No such file or directory"),
        (["0.pgm", "0.pgm"], "0.pgm: not a frozen model"),
        (["digits.hornbeam", "digits.hornbeam"], "is not a PGM image"),
        ([], "usage: digits"),
    ],
)
def test_errors_of_the_program(
    arguments: list[str], message: str, digits: tuple[Path, hb.Model, np.ndarray], tmp_path: Path
) -> None:
    ran = subprocess.run([in_c(tmp_path), *arguments], cwd=digits[0], capture_output=True, text=True)
    assert ran.returncode in (1, 2)
    assert message in ran.stderr
