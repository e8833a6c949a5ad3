"""The doctor finds what is wrong with trainings, is silent about healthy ones, and changes none of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.diagnostics.doctor import CHECKS, Finding
from tests.helpers.doctor_faults import FAULTS
from tests.helpers.doctor_healthy import HEALTHY
from tests.helpers.doctor_parts import Fit, X, Y, blobs, conv, images, net, sgd
from tools import doctor_table


def findings(make: Callable[[], Fit], seed: int = 0) -> list[Finding]:
    hb.random.set_random_seed(seed)
    doctor = hb.callbacks.Doctor(verbose=0)
    with warnings.catch_warnings():
        # What fit() itself says of some of the faults.
        warnings.simplefilter("ignore")
        make()(doctor)
    return doctor.findings


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FAULTS)
def test_finds(name: str, seed: int) -> None:
    make, wanted, others = FAULTS[name]
    actual = findings(make, seed)
    names = [finding.name for finding in actual]
    assert wanted in names, actual
    assert set(names) <= {wanted, *others}, actual


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", HEALTHY)
def test_is_silent(name: str, seed: int) -> None:
    assert findings(HEALTHY[name], seed) == []


def test_every_check_has_a_program() -> None:
    assert {check.name for check in CHECKS} == {wanted for _, wanted, _ in FAULTS.values()}


def with_everything() -> hb.Model:
    """Batch statistics, dropout, noise, metrics and an optimizer with slots."""
    return conv(extra=[layers.BatchNormalization(), layers.GaussianNoise(0.1)])


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_training_with_it_ends_in_the_same_bits(verbose: int) -> None:
    x, y = images()

    def state(callbacks: list) -> list[np.ndarray]:
        hb.random.set_random_seed(3)
        model = with_everything()
        model.fit(x, y, epochs=4, batch_size=30, verbose=0, callbacks=callbacks, validation_split=0.2)
        numbers = [*model.weights, *model.optimizer.variables, *model.metrics_variables]
        chance = hb.random.random_state()
        drawn = [chance["hornbeam"], chance["python"]["words"], chance["numpy"]["state"]["key"]]
        history = [np.array(values) for values in model.history.history.values()]
        return [np.array(v) for v in numbers] + history + [np.asarray(part) for part in drawn]

    doctor = hb.callbacks.Doctor(verbose=verbose)
    for left, right in zip(state([]), state([doctor]), strict=True):
        np.testing.assert_array_equal(left, right)
    assert doctor.seconds > 0


def test_bits_stay_where_it_predicts_too() -> None:
    """For wrong labels it asks the model about a thousand samples."""
    ends = []
    for watched in (True, False):
        hb.random.set_random_seed(0)
        x, y = blobs(1024, apart=6.0)
        y = np.where(np.random.default_rng(0).uniform(size=1024) < 0.25, 3 - y, y)
        model = net()
        doctor = hb.callbacks.Doctor(verbose=0)
        model.fit(x, y, epochs=8, verbose=0, callbacks=[doctor] if watched else [])
        ends.append(model.get_weights())
        assert [finding.name for finding in doctor.findings] == (["label_noise"] if watched else [])
    for left, right in zip(*ends, strict=True):
        np.testing.assert_array_equal(left, right)


def test_streams_keep_all_their_batches() -> None:
    def seen(callbacks: list) -> list[np.ndarray]:
        hb.random.set_random_seed(1)
        data = (
            hb.data.Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x, y)).shuffle(64, seed=2).batch(32)
        )
        model = net(optimizer=sgd(0.1))
        model.fit(data, epochs=3, verbose=0, callbacks=callbacks)
        return model.get_weights()

    for left, right in zip(seen([]), seen([hb.callbacks.Doctor()]), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", ["jax", "torch", "reference", "native"])
def test_engines_find_the_same(name: str) -> None:
    if name in ("jax", "torch"):
        pytest.importorskip(name)
    bad = net(bias_initializer=hb.initializers.Constant(-30.0))
    doctor = hb.callbacks.Doctor(verbose=0)
    bad.fit(X[:128], Y[:128], epochs=2, verbose=0, callbacks=[doctor], engine=name)
    assert [finding.name for finding in doctor.findings] == ["constant_output"]
    x, y = images(64)
    conv().fit(x, y, epochs=1, verbose=0, callbacks=[doctor], engine=name)
    assert doctor.findings == []


# Unscaled pixels, of which fit() itself warns, are the fault that the doctor finds here.
pixels_are_meant = pytest.mark.filterwarnings("ignore::hornbeam.errors.LikelyMistakeWarning")


@pixels_are_meant
def test_says_each_finding_once_with_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = images()
    conv(scaled=False).fit(x, y, epochs=3, verbose=0, callbacks=[hb.callbacks.Doctor()])
    text = " ".join(capsys.readouterr().out.split())
    assert text.count("doctor:") == text.count("doctor: unscaled_inputs.") == 1
    assert "inputs of up to 230" in text or "inputs of up to 229" in text
    assert "Divide images by 255" in text


@pixels_are_meant
def test_findings_are_data() -> None:
    x, y = images()
    doctor = hb.callbacks.Doctor(verbose=0)
    model = conv(scaled=False)
    model.fit(x, y, epochs=1, verbose=0, callbacks=[doctor])
    (finding,) = doctor.findings
    assert (finding.name, finding.epoch) == ("unscaled_inputs", 0)
    assert finding.layers == (model.layers[0].path,)
    assert str(finding) == f"unscaled_inputs: {finding.evidence}. {finding.advice}."


@pixels_are_meant
def test_ignores_what_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = images()
    ignore = ["unscaled_inputs", "saturated_outputs", "bad_start"]
    conv(scaled=False).fit(x, y, epochs=1, verbose=0, callbacks=[hb.callbacks.Doctor(ignore=ignore)])
    assert capsys.readouterr().out == ""


def test_refuses_unknown_findings() -> None:
    with pytest.raises(ValueError, match=r"no finding 'dead_unit' exists. Did you mean 'dead_units'"):
        hb.callbacks.Doctor(ignore=["dead_unit"])


def test_a_training_that_goes_on(tmp_path: Path) -> None:
    """Its weights are back before the first look, and epochs are counted as fit counts them."""
    bias = np.where(np.arange(32) < 24, -30.0, 0.0)
    for epochs, doctors in ((2, []), (4, [hb.callbacks.Doctor(verbose=0)])):
        model = net(hidden=(32,))
        if not doctors:
            model.layers[0].bias.assign(bias)
        model.fit(X, Y, epochs=epochs, verbose=0, resume=tmp_path, callbacks=doctors)
    assert [(finding.name, finding.epoch) for finding in doctors[0].findings] == [("dead_units", 3)]


def test_looks_early_into_a_long_epoch() -> None:
    bias = np.where(np.arange(32) < 24, -30.0, 0.0)
    model, doctor = net(hidden=(32,)), hb.callbacks.Doctor(verbose=0)
    model.layers[0].bias.assign(bias)
    data = hb.data.Dataset.from_tensor_slices((X, Y)).batch(32).repeat()
    model.fit(data, steps_per_epoch=400, verbose=0, callbacks=[doctor])
    assert [(finding.name, finding.epoch) for finding in doctor.findings] == [("dead_units", 0)]


def test_follows_layers_that_are_thawed() -> None:
    """The step that it looks into is the one that is trained now."""

    class Thaw(hb.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch == 2:
                self.model.layers[0].trainable = True

    model, doctor = net(), hb.callbacks.Doctor(verbose=0)
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.build([v for layer in model.layers for v in layer.weights])
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[Thaw(), doctor])
    assert doctor.findings == []


def test_the_page_has_the_table() -> None:
    assert doctor_table.text() == doctor_table.DOCS.read_text(), "run tools/doctor_table.py --write"
