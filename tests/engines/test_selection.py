"""Choosing engines: by variable, by call, several in one program; a model that moves while it is trained."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import config, layers
from hornbeam.engines import KERAS_BACKENDS, available, current_engine, installed, using
from tests.helpers.builders import compiled_model

HOSTS = [name for name in installed() if name != "native"]


@pytest.fixture(autouse=True)
def native() -> Any:
    yield
    config.set_engine("native")


def net() -> hornbeam.Model:
    hornbeam.utils.set_random_seed(5)
    return compiled_model(
        (10, 10, 2),
        [
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ],
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(48, 10, 10, 2)).astype("float32"), rng.integers(0, 3, 48)


def test_using_holds_for_its_block_and_its_thread() -> None:
    seen = []
    with using("reference"):
        assert current_engine().name == "reference"
        thread = threading.Thread(target=lambda: seen.append(current_engine().name))
        thread.start()
        thread.join()
        with using(None):
            assert current_engine().name == "reference"
        with pytest.raises(ValueError, match="unknown engine"), using("abacus"):
            pass
    assert seen == ["native"]
    assert config.engine() == "native"


def test_fit_evaluate_and_predict_on_an_engine() -> None:
    x, y = samples()
    alone, model = net(), net()
    alone.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    seen: list[str] = []
    watch = hornbeam.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(config.engine()))
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0, callbacks=[watch], engine="reference")
    assert seen == ["reference"]
    assert config.engine() == "native"
    np.testing.assert_allclose(
        model.evaluate(x, y, verbose=0, engine="reference"), alone.evaluate(x, y, verbose=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        model.predict(x, verbose=0, engine="reference"), alone.predict(x, verbose=0), atol=1e-3
    )
    with pytest.raises(ValueError, match="unknown engine 'abacus'"):
        model.fit(x, y, engine="abacus")
    assert config.engine() == "native"


def test_an_error_puts_the_engine_back() -> None:
    model = net()
    with pytest.raises(hornbeam.errors.ShapeError):
        model.fit(np.zeros((4, 3), "float32"), np.zeros(4), engine="reference")
    assert config.engine() == "native"


def state(model: hornbeam.Model) -> list[np.ndarray]:
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def random_state(model: hornbeam.Model) -> list[np.ndarray]:
    return [np.asarray(v) for v in model.variables if v.dtype == "uint32"]


@pytest.mark.skipif(not HOSTS, reason="no other engine is installed")
def test_a_model_moves_every_three_steps() -> None:
    """Weights, optimizer and random state move along: the same as all steps on the native engine."""
    x, y = samples()
    route = ["native", *HOSTS]
    moving, staying = net(), net()
    for number, engine in enumerate(route):
        for step in range(3):
            rows = slice(16 * step, 16 * step + 16)
            with using(engine):
                loss = moving.train_on_batch(x[rows], y[rows])
            expected = staying.train_on_batch(x[rows], y[rows])
            np.testing.assert_allclose(
                loss, expected, rtol=2e-4, err_msg=f"{engine}, step {step} of {number}"
            )
    assert int(np.asarray(moving.optimizer.iterations)) == 3 * len(route)
    assert len(random_state(moving)) == 1
    for mine, other in zip(random_state(moving), random_state(staying), strict=True):
        np.testing.assert_array_equal(mine, other)
    for mine, other in zip(state(moving), state(staying), strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-3)


@pytest.mark.skipif(not HOSTS, reason="no other engine is installed")
def test_dropout_masks_are_the_same_bits_on_the_way() -> None:
    x = np.ones((7, 9), "float32")
    moving, staying = layers.Dropout(0.4, seed=3), layers.Dropout(0.4, seed=3)
    for engine in ["native", *HOSTS] * 2:
        with using(engine):
            mask = np.asarray(moving(x, training=True))
        np.testing.assert_array_equal(mask, np.asarray(staying(x, training=True)), err_msg=engine)


@pytest.mark.parametrize("name", HOSTS)
def test_fit_on_a_device_of_an_engine(name: str) -> None:
    x, y = samples()
    model, alone = net(), net()
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, engine=f"{name}:cpu").history
    expected = alone.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=2e-4)
    assert config.engine() == "native"


# -- KERAS_BACKEND -------------------------------------------------------------------------------------------

SCRIPT = """
import os
{first}
import keras
{then}
import hornbeam
print(keras.config.backend(), hornbeam.config.engine())
"""


def run(
    path: Path, *options: str, first: str = "", then: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    script = path / "script.py"
    script.write_text(SCRIPT.format(first=first, then=then))
    environment = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "HORNBEAM_ENGINE")}
    return subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", *options, str(script)],
        capture_output=True,
        text=True,
        env={**environment, **variables},
    )


@pytest.mark.parametrize("backend", ["jax", "cntk", "openvino"])
def test_keras_backend_is_the_name_that_scripts_see(tmp_path: Path, backend: str) -> None:
    by_script = run(tmp_path, first=f"os.environ['KERAS_BACKEND'] = {backend!r}")
    by_user = run(tmp_path, KERAS_BACKEND=backend)
    by_function = run(tmp_path, then=f"keras.config.set_backend({backend!r})")
    for done in (by_script, by_user, by_function):
        assert done.stdout.split() == [backend, "native"], done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(
            f"hornbeam run: KERAS_BACKEND={backend} is the name that scripts see. Running on"
        )
        engine = KERAS_BACKENDS.get(backend)
        assert line.endswith(f"; --engine {engine} computes with it" if engine else "native engine")


@pytest.mark.parametrize("order", ["first", "then"])
@pytest.mark.parametrize("library", [name for name in ("jax", "torch") if name in HOSTS])
def test_a_program_that_computes_with_the_library_gets_its_engine(
    tmp_path: Path, library: str, order: str
) -> None:
    line = f"import {library}"
    done = run(tmp_path, **{order: line}, KERAS_BACKEND=library)
    assert done.stdout.split() == [library, library], done.stderr
    said = f"running on the {library} engine: KERAS_BACKEND={library}, and the script imports {library}"
    assert done.stderr.count(said) == 1
    other = run(tmp_path, **{order: line}, KERAS_BACKEND="tensorflow")
    assert other.stdout.split() == ["tensorflow", "native"], other.stderr


def test_names_of_engines(tmp_path: Path) -> None:
    assert run(tmp_path).stdout.split() == ["native", "native"]
    assert run(tmp_path, KERAS_BACKEND="hornbeam").stdout.split() == ["native", "native"]
    assert run(tmp_path, "--engine", "reference").stdout.split() == ["numpy", "reference"]


@pytest.mark.parametrize("how", ["variable", "option"])
def test_what_is_chosen_for_hornbeam_wins(tmp_path: Path, how: str) -> None:
    options = ("--engine", "reference") if how == "option" else ()
    variables = {"HORNBEAM_ENGINE": "reference"} if how == "variable" else {}
    done = run(tmp_path, *options, KERAS_BACKEND="jax", **variables)
    assert done.stdout.split() == ["jax", "reference"], done.stderr
    said = "hornbeam run: running on the reference engine, which was chosen over KERAS_BACKEND=jax"
    assert done.stderr.splitlines() == [said]


def test_what_is_no_backend_is_an_error(tmp_path: Path) -> None:
    for done in (
        run(tmp_path, KERAS_BACKEND="abacus"),
        run(tmp_path, then="keras.config.set_backend('abacus')"),
    ):
        assert done.returncode == 1
        assert "ValueError: " in done.stderr
        assert "abacus is no backend of Keras. Use one of jax, torch" in done.stderr


def test_it_has_no_say_outside_of_hornbeam_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import hornbeam; print(hornbeam.config.engine())"],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        check=True,
    )
    assert done.stdout.split() == [os.environ.get("HORNBEAM_ENGINE", "native")]


def test_every_engine_on_a_library_of_keras_has_its_name() -> None:
    assert {name for name in KERAS_BACKENDS.values() if name in available()} >= {"jax", "torch", "reference"}
