"""Global settings, and the old helpers of `keras.backend`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import hornbeam
from hornbeam import backend, config, engines
from tests.helpers.builders import compiled_model


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    before = dict(config._settings)
    engine = config.engine()
    yield
    config._settings.update(before)
    engines.set_engine(engine)


def test_floatx() -> None:
    assert config.floatx() == "float32"
    for name in ("float64", "float16", "bfloat16"):
        config.set_floatx(name)
        assert config.floatx() == name
        assert hornbeam.Variable("zeros", shape=(1,)).dtype == name
    for wrong in ("int32", "bool"):
        with pytest.raises(
            ValueError, match="floatx must be one of bfloat16, float16, float32, float64, got"
        ):
            config.set_floatx(wrong)
    with pytest.raises(TypeError, match="unknown dtype 'float99'"):
        config.set_floatx("float99")


def test_epsilon() -> None:
    assert config.epsilon() == 1e-7
    config.set_epsilon(1e-3)
    assert config.epsilon() == backend.epsilon() == 1e-3
    for wrong in (0, -1.0, 2.0):
        with pytest.raises(ValueError, match="epsilon must be a small number"):
            config.set_epsilon(wrong)


def test_image_data_format() -> None:
    assert config.image_data_format() == "channels_last"
    config.set_image_data_format("channels_first")
    assert config.image_data_format() == backend.image_data_format() == "channels_first"
    assert config.standard_data_format(None) == "channels_first"
    assert config.standard_data_format("channels_last") == "channels_last"
    with pytest.raises(ValueError, match='"channels_last" or "channels_first", got \'last\''):
        config.set_image_data_format("last")


def test_engines_by_name() -> None:
    config.set_engine("reference")
    assert config.engine() == config.backend() == backend.backend() == "reference"
    config.set_backend("native")
    assert config.engine() == "native"
    with pytest.raises(ValueError, match=r"unknown engine 'jaxx'\. Did you mean 'jax'\? This version has: "):
        config.set_engine("jaxx")


def test_values_move_between_engines() -> None:
    x = hornbeam.ops.arange(3.0) * 2
    v = hornbeam.Variable([1.0, 2.0, 3.0])
    for engine in ("reference", "native", "reference"):
        config.set_engine(engine)
        v.assign_add(x)
        assert (x + v).tolist()[0] == 1.0
    assert v.numpy().tolist() == [1.0, 8.0, 15.0]


def test_dtype_policy() -> None:
    assert config.dtype_policy().name == "float32"
    try:
        config.set_dtype_policy("mixed_float16")
        assert config.dtype_policy().compute_dtype == "float16"
    finally:
        config.set_dtype_policy(None)


def test_backend_helpers() -> None:
    """Facts of Keras 3.15.1."""
    assert [backend.is_float_dtype(d) for d in ("float16", "int32", "bfloat16", np.float64)] == [
        True,
        False,
        True,
        True,
    ]
    assert [backend.is_int_dtype(d) for d in ("float16", "int32", "uint8", "bool")] == [
        False,
        True,
        True,
        False,
    ]
    assert [backend.standardize_dtype(d) for d in (None, float, bool, "half")] == [
        "float32", "float32", "bool", "float16",
    ]  # fmt: skip
    for kinds, expected in [
        ((int, "float16"), "float16"), (("int64", float), "float32"), ((int, int), "int32"),
        ((float,), "float32"),
        (("uint8", "int8"), "int16"), ((bool, int), "int32"), ((), "float32"),
    ]:  # fmt: skip
        assert backend.result_type(*kinds) == expected
    assert not backend.is_keras_tensor(np.ones(1))
    assert backend.is_keras_tensor(hornbeam.Input((1,)))


def test_unique_numbers() -> None:
    backend.clear_session()
    assert [backend.get_uid("a"), backend.get_uid("a"), backend.get_uid("b")] == [1, 2, 1]
    assert hornbeam.layers.Dense(1).name == "dense"
    assert hornbeam.layers.Dense(1).name == "dense_1"
    backend.clear_session()
    assert hornbeam.layers.Dense(1).name == "dense"


def test_limits_for_a_short_run() -> None:
    model = compiled_model((1,), [hornbeam.layers.Dense(1)], "sgd", "mse")
    x = np.ones((40, 1), "float32")
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    with pytest.warns(UserWarning, match="fit\\(\\) makes 2 of 5 epochs"):
        history = model.fit(x, x, epochs=5, batch_size=4, verbose=0, validation_data=(x, x))
    assert (history.epoch, int(model.optimizer.iterations)) == ([0, 1], 6)
    assert model.predict(x, batch_size=4, verbose=0).shape == (12, 1)
    config.set_max_steps_per_epoch(100)
    assert model.predict(x, batch_size=4, verbose=0).shape == (40, 1)
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (2, 100)
    for setter in (config.set_max_epochs, config.set_max_steps_per_epoch):
        for wrong in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="positive integer"):
                setter(wrong)
        setter(None)


def test_interactive_logging_decides_about_the_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from hornbeam.training import progress

    monkeypatch.setattr(progress, "is_terminal", lambda stream: True)
    assert progress.Bar(3).live
    config.disable_interactive_logging()
    assert not hornbeam.utils.is_interactive_logging_enabled()
    assert not progress.Bar(3).live


def test_settings_without_an_effect_say_what_was_set() -> None:
    assert config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    assert config.is_flash_attention_enabled() is None
    config.enable_flash_attention()
    assert config.is_flash_attention_enabled()
    assert not config.is_nnx_enabled()
