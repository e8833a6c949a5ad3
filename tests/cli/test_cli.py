"""The command line as a user meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hornbeam
from hornbeam._internal import terminal
from hornbeam.certificate import read as read_certificate
from hornbeam.cli import main
from hornbeam.cli.commands import link
from hornbeam.cli.mnist import digits, speedrun, warp
from hornbeam.datasets import mnist
from hornbeam.insight import read_run
from hornbeam.insight.runs.layout import PARTS
from hornbeam_compat.import_hook import Alias

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
import keras
from keras.datasets import mnist
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten, Conv2D, MaxPooling2D
from keras import backend as K
from tensorflow import keras as other
from tensorflow.keras.layers import Dense as OtherDense

assert other.layers is keras.layers and OtherDense is Dense
(x, y), _ = mnist.load_data()
shape = (1, 28, 28) if K.image_data_format() == 'channels_first' else (28, 28, 1)
x = x[:512].reshape(512, *shape).astype('float32') / 255
y = keras.utils.to_categorical(y[:512], 10)
model = Sequential()
model.add(Conv2D(4, kernel_size=(3, 3), activation='relu', input_shape=shape))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(10, activation='softmax'))
model.compile(
    loss=keras.losses.categorical_crossentropy, optimizer=keras.optimizers.Adadelta(), metrics=['accuracy'])
model.fit(x, y, batch_size=128, epochs=1, verbose=1)
score = model.evaluate(x, y, verbose=0)
print('Test loss:', score[0])
print('arguments:', sys.argv[1:])
"""


def run(*command: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_run_a_keras_script(script: Path) -> None:
    done = run(sys.executable, "-m", "hornbeam", "run", script, "--its", "own")
    assert done.returncode == 0, done.stderr
    assert "Test loss:" in done.stdout
    assert "arguments: ['--its', 'own']" in done.stdout
    assert "512 samples / 128 = 4 updates per epoch" in done.stdout


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("import tensorflow as tf; tf.quantization.quantize", "tensorflow.quantization"),
        ("import tensorflow.lite", "tensorflow.lite"),
        ("import tensorflow as tf; tf.math.reduce_meen", "Did you mean 'reduce_mean'?"),
        ("from keras import nothing_like_it", "nothing_like_it"),
        ("import keras; keras.optimisers.Adam", "Did you mean 'optimizers'?"),
        ("import keras.nonsense", "keras.nonsense"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, line: str, text: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(line)
    done = run(sys.executable, "-m", "hornbeam", "run", script)
    assert done.returncode != 0
    assert text in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "import tensorflow as tf; print(tf.keras.layers.Dense._hb_module)",
        "import keras.layers as kl; print(kl.Dense._hb_module)",
        "import tf_keras; print(tf_keras.layers.Dense._hb_module)",
        "from keras.layers import *; print(Dense._hb_module)",
        "import importlib; print(importlib.import_module('keras.layers').Dense._hb_module)",
        "from keras import layers as kl; print(kl.Dense._hb_module)",
    ],
)
def test_ways_to_import(tmp_path: Path, line: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(line)
    done = run(sys.executable, "-m", "hornbeam", "run", script)
    assert done.stdout.strip() == "hornbeam.layers.core", done.stderr


def test_the_script_s_exit_status(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    for line, status in [("raise SystemExit(3)", 3), ("1/0", 1), ("print(__name__)", 0)]:
        script.write_text(line)
        assert run(sys.executable, "-m", "hornbeam", "run", script).returncode == status


def test_a_missing_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no_such_file.py"]) == 2
    assert "no script 'no_such_file.py'" in capsys.readouterr().err


def test_the_alias_is_never_active_by_itself() -> None:
    code = (
        "import sys, hornbeam, hornbeam_compat\n"
        "print(any('compat' in type(f).__module__ for f in sys.meta_path))\n"
        "print(hasattr(hornbeam.Tensor, 'set_shape'), hasattr(hornbeam.Model, 'fit_generator'))"
    )
    assert run(sys.executable, "-c", code).stdout.split() == ["False"] * 3
    assert "keras" not in sys.modules or not isinstance(sys.modules["keras"], Alias)


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for word in ("hornbeam", "python", "cpu", "threads", "engine", "native", "torch", "gpu"):
        assert word in shown
    assert shown.rstrip().endswith("All fine.")


def test_help_lists_the_commands_by_purpose(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "hornbeam" not in line) <= 60  # its path may be long
    assert [line for line in lines if re.fullmatch(r"[a-z ]+:", line)] == [
        "learn:", "train:", "look:", "give away:", "maintain:", "options:",
    ]  # fmt: skip
    listed = [line.split()[0] for line in lines if re.match(r"  [a-z]", line)]
    assert listed == [name for group in COMMANDS.values() for name in group]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mnist", "--epochs", "x"], "--epochs: expected an integer of at least 1, got 'x'"),
        (["mnist", "--epochs", "0"], "--epochs: expected an integer of at least 1, got 0"),
        (["mnist", "--seed", "1.5"], "--seed: expected an integer, got '1.5'"),
        (["serve", "x", "--port", "99999"], "--port: expected an integer from 0 to 65535, got 99999"),
        (["bench", "--runs", "0"], "--runs: expected an integer of at least 1, got 0"),
    ],
)
def test_options_say_what_number_they_take(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert expected in capsys.readouterr().err


@pytest.fixture
def recorded(tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a model, a recorded run, and a script with an argument."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speedrun, "STEPS", 5)
    model = hornbeam.Sequential([hornbeam.layers.Input((4,)), hornbeam.layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    model.fit(x, y, verbose=0, callbacks=[hornbeam.callbacks.RunRecorder("one", "runs", explain=False)])
    model.save("model.keras")
    rows = [f"{value},{value % 7}" for value in np.random.default_rng(0).normal(size=90)]
    Path("table.csv").write_text("\n".join(["x,y", *rows]))
    Path("tuned.py").write_text(
        "import argparse\nfrom hornbeam import Sequential, layers\nimport numpy as np\n"
        "parser = argparse.ArgumentParser()\nparser.add_argument('--units', type=int, default=2)\n"
        "model = Sequential([layers.Dense(parser.parse_args().units), layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "x = np.random.default_rng(0).normal(size=(40, 3)).astype('float32')\n"
        "model.fit(x, x.sum(1), validation_data=(x + 0.5, x.sum(1) + 1.5), verbose=0)\n"
    )


# All commands, by what they are for, and what each is tried with; None if it serves, waits or measures.
COMMANDS: dict[str, dict[str, str | None]] = {
    "learn": {"mnist": "--speedrun --train-samples 2000", "course": "notebooks"},
    "train": {
        "run": "script.py",
        "fit": "table.csv --target y --trials 2",
        "launch": None,
        "tune": "tuned.py --param units=2,3 --trials 2 --seeds 2",
    },
    "look": {"runs": "", "watch": None, "report": "", "inspect": "model.keras"},
    "give away": {"serve": None, "convert": "model.keras model.npz", "link": "--cflags"},
    "maintain": {
        "doctor": "",
        "devices": "--no-check",
        "verify": "model.keras",
        "bench": None,
        "keras-compat": "status",
        "keras-backend": "doctor",
    },
}
TRIED = [(name, words) for group in COMMANDS.values() for name, words in group.items() if words is not None]


@pytest.mark.parametrize(("name", "words"), TRIED, ids=[name for name, _ in TRIED])
def test_our_commands_never_print_our_warnings(
    recorded: None, name: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Warnings are errors in this process, and are printed by those that the command starts."""
    if name == "run":  # it replaces modules of this process
        status = run(sys.executable, "-W", "error", "-m", "hornbeam", name, words).returncode
    else:
        status = main([name, *words.split()])
    assert status == 0 or name in (
        "link",
        "keras-compat",
        "keras-backend",
    )  # they may report that nothing is installed
    assert "Warning" not in capfd.readouterr().err


def test_a_checkout_without_the_c_library_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "src" / "hornbeam" / "_c"
    monkeypatch.setattr(link, "FOLDER", folder)
    assert main(["link"]) == 1
    assert "Wheels contain it: `pip install" in capsys.readouterr().err
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "build_c_library.py").touch()
    assert main(["link"]) == 1
    assert f"`make -C {tmp_path} c-library` builds it" in " ".join(capsys.readouterr().err.split())


def test_a_short_speedrun(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the updates that it prints, and more than a pass over the digits."""
    models: list[hornbeam.Model] = []
    train = speedrun.train
    monkeypatch.setattr(speedrun, "STEPS", 60)
    monkeypatch.setattr(speedrun, "train", lambda *args: models.append(train(*args)) or models[-1])
    assert main(["mnist", "--speedrun", "--seed", "3", "--train-samples", "5000"]) == 0
    shown = capsys.readouterr().out
    match = re.match(r"seed 3: ([0-9.]+)% of 10,000 test digits right ([0-9.]+) s after", shown)
    assert match
    assert float(match[1]) > 85
    # Printed to hundredths.
    assert 0 < float(match[2]) <= digits.process_age() + 0.01
    assert int(models[0].optimizer.iterations) == 60 > 5000 // speedrun.BATCH
    assert "(60 updates of 125 digits;" in shown


def test_the_line_of_a_speedrun_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda stream: 80)
    assert speedrun.run(seed=0, train_samples=500, steps=2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "after the start of the process (2 updates" in " ".join(line.strip() for line in lines)


def test_a_recipe_is_chosen_without_the_test_digits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), (x_test, y_test) = mnist.load_data()
    trained: list[np.ndarray] = []
    train = speedrun.train
    monkeypatch.setattr(
        speedrun, "train", lambda images, *rest: trained.append(images) or train(images, *rest)
    )
    monkeypatch.setattr(speedrun.mnist, "load_data", lambda: ((x, y), (x_test[:0], y_test[:0])))
    assert speedrun.run(seed=0, validate=True, steps=5) == 0
    assert "of 5,000 validation digits right" in capsys.readouterr().out
    assert len(trained[0]) == 60_000 - 5_000


@pytest.mark.long
def test_mnist_at_a_small_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    tiny: list[hornbeam.Model] = []
    train = speedrun.train
    monkeypatch.setattr(speedrun, "train", lambda *args: tiny.append(train(*args)) or tiny[-1])
    words = ["mnist", "--epochs", "2", "--train-samples", "3000", "--output", str(tmp_path)]
    assert main([*words, "--certificate", "m.cert"]) == 0
    shown = capsys.readouterr().out
    assert "95% interval" in shown
    assert "taken for" in shown
    first = re.search(r"weights: ([0-9.]+)%\s+of\s+the\s+validation\s+digits\s+right\s+[0-9]+ s", shown)
    assert first
    assert float(first[1]) > 90
    assert int(tiny[0].optimizer.iterations) == 5 * 24  # all epochs, not one
    assert "conv2d (Conv2D)" in shown  # numbered as if it were the first net
    (use,) = (tmp_path / "test_uses.jsonl").read_text().splitlines()  # another run would be the second
    assert json.loads(use)["caller"] == "report"
    assert (tmp_path / "mnist.keras").exists()
    assert (tmp_path / "worst_digits.png").stat().st_size > 10_000
    (folder,) = (tmp_path / "runs").iterdir()
    recorded = read_run(folder)
    assert recorded.finished
    assert len(recorded.epochs) == 2
    assert recorded.info["seed"] == 0
    assert set(recorded.parts) == set(PARTS)
    assert main(["report"]) == 0
    assert "95% interval" in (folder / "report.html").read_text()
    (x, y) = mnist.load_data()[1]
    np.savez("test.npz", x_test=x[..., None].astype("float32") / 255, y_test=y)
    program = "hornbeam " + " ".join([*words, "--certificate", "m.cert"])
    capsys.readouterr()
    assert main(["verify", "m.cert", "--program", program, "--data", "test.npz"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "48 of 48 steps" in shown
    assert "evaluation on 10,000 test samples" in shown
    assert not read_certificate("m.cert")["predicate"]["caveats"]


def test_split_is_stratified_and_complete() -> None:
    labels = np.repeat(np.arange(10), np.arange(100, 1100, 100))
    train, held = digits.split(labels, 550, seed=3)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert np.bincount(labels[held]).tolist() == list(range(10, 110, 10))


def test_the_files_of_the_package_fit_into_a_small_wheel() -> None:
    files = [path for path in (ROOT / "src" / "hornbeam").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.suffix not in (".so", ".pyd", ".pyc")) < 18e6


def test_warped_digits() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((3, 6, 5, 1)).astype("float32")
    same, still = np.tile(np.eye(2, dtype="float32"), (3, 1, 1)), np.zeros((3, 2), "float32")
    np.testing.assert_allclose(warp.warp(images, same, still), images, atol=1e-6)
    down = warp.warp(images, same, still + np.float32([-1, 0]))
    np.testing.assert_allclose(down[:, 1:], images[:, :-1], atol=1e-6)
    assert not down[:, 0].any()
    half = warp.warp(images, same, still + np.float32([0, 0.5]))
    np.testing.assert_allclose(half[:, :, :-1], (images[:, :, :-1] + images[:, :, 1:]) / 2, atol=1e-6)
    turned = warp.warp(images[:, :5], same @ np.float32([[0, 1], [-1, 0]]), still)
    np.testing.assert_allclose(turned[..., 0], np.rot90(images[:, :5, :, 0], axes=(1, 2)), atol=1e-5)
    assert not warp.warp(images, same, still + 100).any()
