"""`model.explain_training()`: formulas are computed beside the optimizers, schedules and losses that they
speak of.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, losses, optimizers
from hornbeam.insight.explanations.losses import baseline_loss, loss_description
from hornbeam.insight.explanations.training import explain_training, one_update
from hornbeam.insight.explanations.update_rules import schedule_formulas, update_rule
from hornbeam.optimizers import schedules
from hornbeam.random import random_state
from hornbeam.training.schedule import TrainingSchedule
from tests.helpers.builders import compiled_model

o = optimizers


def orthogonal(x: np.ndarray) -> np.ndarray:
    """Newton and Schulz's iteration, as Muon's docstring has it."""
    tall = x.shape[0] > x.shape[1]
    x = (x.T if tall else x) / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


FUNCTIONS = {
    "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "max": np.maximum, "min": np.minimum, "clip": np.clip,
    "norm": np.linalg.norm, "mean": lambda r: r.mean(), "rows": lambda q: q.mean(-1, keepdims=True),
    "columns": lambda q: q.mean(-2, keepdims=True), "rms": lambda u: np.sqrt(np.mean(u**2)),
    "longer_side": lambda w: max(w.shape), "orthogonal": orthogonal,
}  # fmt: skip

OPTIMIZERS = [
    o.SGD(0.1), o.SGD(0.1, momentum=0.9), o.SGD(0.1, momentum=0.8, nesterov=True), o.Adagrad(0.1),
    o.RMSprop(0.01), o.RMSprop(0.01, momentum=0.5), o.RMSprop(0.01, centered=True), o.Adadelta(),
    o.Lion(0.01), o.Adam(0.01), o.Adam(0.01, amsgrad=True), o.AdamW(0.01, weight_decay=0.1), o.Adamax(0.01),
    o.Nadam(0.01), o.Ftrl(0.1), o.ScheduleFreeAdamW(0.01), o.ScheduleFreeAdamW(0.01, warmup_steps=3),
    o.Ftrl(0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02, beta=0.1,
           l2_shrinkage_regularization_strength=0.03),
    o.Lamb(0.01), o.Adafactor(0.01), o.Muon(0.01, weight_decay=None), o.Muon(0.01, nesterov=False),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda opt: type(opt).__name__)
def test_the_formula_is_what_the_optimizer_does(optimizer: Any) -> None:
    rule = update_rule(optimizer)
    assert rule is not None
    rng = np.random.default_rng(0)
    start = rng.normal(size=(4, 3))
    variable = hb.Variable(start, dtype="float64")
    lines = list(rule.formulas)
    if optimizer.weight_decay:
        lines.insert(0, f"w <- w - lr * {optimizer.weight_decay:g} * w")
    state: dict[str, Any] = {name: np.zeros_like(start) for name in "mvacbhuzrcdsk"}
    for name, value in rule.initial:
        state[name] = start if value == "w" else np.full_like(start, value)
    state |= {"w": start, "lr": float(np.asarray(optimizer.learning_rate))}
    for t in range(1, 6):
        gradient = rng.normal(size=start.shape)
        optimizer.apply([hb.ops.convert_to_tensor(gradient)], [variable])
        state |= {"t": t, "g": gradient}
        for line in lines:
            name, _, expression = line.partition(" <- ")
            state[name] = eval(expression, {"__builtins__": {}, **FUNCTIONS}, state)
        np.testing.assert_allclose(np.asarray(variable), state["w"], rtol=2e-5, atol=1e-7)


def test_every_optimizer_has_a_rule() -> None:
    made_of_others = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "Optimizer"}
    tested = {type(optimizer).__name__ for optimizer in OPTIMIZERS}
    assert tested == {name for name in o.__all__ if isinstance(getattr(o, name), type)} - made_of_others


SCHEDULES = [
    schedules.ExponentialDecay(0.1, 7, 0.9), schedules.ExponentialDecay(0.1, 7, 0.9, staircase=True),
    schedules.InverseTimeDecay(0.1, 5, 0.5), schedules.InverseTimeDecay(0.1, 5, 0.5, staircase=True),
    schedules.PiecewiseConstantDecay([10, 20], [0.3, 0.2, 0.1]),
    schedules.PolynomialDecay(0.1, 30, 0.01, power=2.0), schedules.PolynomialDecay(0.1, 8, 0.01, cycle=True),
    schedules.CosineDecay(0.1, 30, alpha=0.1),
    schedules.CosineDecay(0.0, 30, warmup_target=0.1, warmup_steps=6),
]  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_the_formula_of_a_schedule(schedule: Any) -> None:
    names = {"floor": math.floor, "ceil": math.ceil, "min": min, "max": max, "cos": math.cos, "pi": math.pi}
    for step in range(0, 45, 2):
        scope = {"__builtins__": {}, **names, "step": step}
        formula = next(text for condition, text in schedule_formulas(schedule) if eval(condition, scope))
        assert eval(formula, scope) == pytest.approx(float(schedule(step)), rel=1e-5, abs=1e-9)


def test_the_formula_of_restarts() -> None:
    schedule = schedules.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.5, alpha=0.1)
    ((_, formula),) = schedule_formulas(schedule)
    for step in range(0, 35, 3):
        scope = {"cos": math.cos, "pi": math.pi, "i": step // 10, "f": step % 10 / 10}
        assert eval(formula, {"__builtins__": {}}, scope) == pytest.approx(float(schedule(step)), rel=1e-4)
    model = _model(optimizers.SGD(schedule))
    assert "i the number of past restarts" in model.explain_training(samples=10)["The optimizer: SGD"].entry(
        "rate"
    )


# -- losses ------------------------------------------------------------------------------------------------


CLASSES = 7
GUESSES = [
    (losses.SparseCategoricalCrossentropy(), math.log(CLASSES)),
    (losses.SparseCategoricalCrossentropy(from_logits=True), math.log(CLASSES)),
    (losses.CategoricalCrossentropy(label_smoothing=0.1), math.log(CLASSES)),
    (losses.CategoricalFocalCrossentropy(gamma=2.0), 0.25 * (1 - 1 / CLASSES) ** 2 * math.log(CLASSES)),
    (losses.CategoricalGeneralizedCrossEntropy(q=0.5), (1 - (1 / CLASSES) ** 0.5) / 0.5),
    (losses.KLDivergence(), math.log(CLASSES)),
    (losses.CategoricalHinge(), 1.0),
    (losses.BinaryCrossentropy(), math.log(2)),
    (losses.BinaryCrossentropy(from_logits=True), math.log(2)),
    (losses.BinaryFocalCrossentropy(), 0.25 * math.log(2)),
    (losses.Hinge(), 1.0),
    (losses.SquaredHinge(), 1.0),
    (losses.CosineSimilarity(), 0.0),
]


@pytest.mark.parametrize(("loss", "value"), GUESSES, ids=lambda x: getattr(x, "name", ""))
def test_what_guessing_gives(loss: Any, value: float) -> None:
    result = baseline_loss(loss, loss_description(loss), CLASSES, None)
    assert result is not None
    assert result[0] == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_guesses_that_need_targets() -> None:
    targets = np.random.default_rng(1).gamma(2.0, size=(400, 1)).astype("float32")
    middle = np.median(targets)
    for loss, value in (
        (losses.MeanSquaredError(), targets.var()),
        (losses.MeanAbsoluteError(), np.abs(targets - middle).mean()),
        (losses.Poisson(), (targets.mean() - targets * np.log(targets.mean())).mean()),
    ):
        kind = loss_description(loss)
        assert baseline_loss(loss, kind, 1, None) is None
        assert baseline_loss(loss, kind, 1, targets)[0] == pytest.approx(value, rel=1e-4)
    for loss in (losses.Huber(), losses.LogCosh(), losses.MeanSquaredLogarithmicError(), losses.Dice()):
        assert baseline_loss(loss, loss_description(loss), 1, (targets > 2).astype("float32")) is not None


def test_every_loss_has_a_kind() -> None:
    for name in losses.__all__:
        value = getattr(losses, name)
        if isinstance(value, type) and value not in (losses.Loss, losses.LossFunctionWrapper):
            assert loss_description(value()) is not None, name
    assert loss_description(losses.LossFunctionWrapper(lambda a, b: a, name="own")) is None


# -- the loop ----------------------------------------------------------------------------------------------


def test_the_arithmetic_of_the_loop() -> None:
    plan = TrainingSchedule(60_000, 128, 469, 12)
    assert plan.sentence() == "60,000 samples / 128 = 469 updates per epoch, 5,628 in total"
    assert plan.epoch() == (
        "60,000 / 128 = 468.75, so 469 batches: 468 of 128 and one of 96; each batch is one update"
    )
    assert plan.all() == "12 × 469 = 5,628 updates; each sample is used 12 times"
    assert TrainingSchedule(64, 32, 2, 1).epoch() == "64 / 32 = 2; each batch is one update"
    assert TrainingSchedule(20, 32, 1, 1).epoch() == (
        "20 samples are one batch, smaller than 32; each batch is one update"
    )
    assert "makes 10 updates" in TrainingSchedule(1000, 10, 10, 2, one_pass=False).epoch()
    assert "0.2 times" in TrainingSchedule(1000, 10, 10, 2, one_pass=False).all()
    assert "stream" in TrainingSchedule(None, None, None, 2).epoch()
    assert TrainingSchedule(None, None, None, 2).sentence() == ""
    assert TrainingSchedule(None, None, 5, 2).sentence() == "5 updates per epoch, 10 in total"


def _model(optimizer: Any = "adam") -> Any:
    return compiled_model(
        (4,),
        [layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(3, activation="softmax")],
        optimizer,
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        name="net",
    )


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(100, 4)).astype("float32"), rng.integers(0, 3, 100)


def test_before_and_after_a_run() -> None:
    model, (x, y) = _model(), _data()
    with pytest.raises(ValueError, match="after fit"):
        model.explain_training()
    explanation = model.explain_training(samples=60_000, batch_size=128, epochs=12)
    assert "468.75, so 469 batches" in explanation["The loop"].entry("epoch")
    assert "ln 3 = 1.099" in explanation["The loss: sparse_categorical_crossentropy"].entry("baseline")
    assert explanation["The optimizer: Adam"].entry("state") == "2 × 67 = 134 numbers besides the weights"
    history = model.fit(x, y, batch_size=30, epochs=2, validation_split=0.2, verbose=0)
    explanation = history.explain()
    assert explanation["The loop"].entry("epoch").startswith("80 / 30 = 2.66")
    assert explanation["The loop"].entry("so far") == "6 updates"
    assert "134 numbers besides 67 weights" in explanation["The optimizer: Adam"].entry("state")
    run = explanation["This run"]
    assert f"{history.history['loss'][0]:.4g} in the first epoch" in run.entry("loss")
    assert "the baseline is 1.099" in run.entry("loss")
    assert "of 2:" in run.entry("validation")
    assert "on validation data" in run.entry("accuracy")


def test_one_update_is_measured_and_taken_back() -> None:
    model, (x, y) = _model(optimizers.SGD(0.5)), _data()
    model.fit(x, y, verbose=0)
    before, state = [np.array(v) for v in model.variables], random_state()["hornbeam"]
    steps = np.array(model.optimizer.iterations)
    explanation = model.explain_training(x, y)
    norms, loss = one_update(model, x[:32], y[:32])
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    np.testing.assert_array_equal(state, random_state()["hornbeam"])
    assert np.array(model.optimizer.iterations) == steps
    # The same update, made for good.
    old = {v.path: np.array(v) for v in model.trainable_variables}
    model.train_on_batch(x[:32], y[:32])
    for variable in model.trainable_variables:
        moved = np.linalg.norm(np.array(variable) - old[variable.path])
        assert norms[variable.path] == pytest.approx((np.linalg.norm(old[variable.path]), moved), rel=1e-4)
    assert f"{loss:.4g} on 32 samples" in explanation["One update, measured"].entry("loss")
    shares = np.bincount(y) / len(y)
    entropy = -(shares * np.log(shares)).sum()
    assert f"{entropy:.4g}" in explanation["The loss: sparse_categorical_crossentropy"].entry("frequencies")


def test_schedules_wrappers_and_extras() -> None:
    rate = schedules.CosineDecay(0.1, 100)
    adam = optimizers.Adam(rate, weight_decay=0.01, clipnorm=1.0, use_ema=True, gradient_accumulation_steps=4)
    note = _model(adam).explain_training(samples=100, batch_size=1)["The optimizer: Adam"]
    assert note.entry("formula").startswith("w <- w - lr * 0.01 * w; m <- 0.9 * m + 0.1 * g")
    assert f"{float(rate(99)):.4g} at update 100" in note.entry("rate")
    assert "1 / (1 - 0.9) = 10 updates" in note.entry("averages")
    assert "4 batches" in note.entry("accumulates")
    assert note.entry("clips")
    assert note.entry("EMA")
    assert "m begins at 0, v begins at 0" in note.entry("letters")
    scaled = optimizers.LossScaleOptimizer(optimizers.SGD(0.1))
    explanation = _model(scaled).explain_training(samples=10)
    assert [n.title for n in explanation.sections if "optimizer" in n.title] == [
        "The optimizer: LossScaleOptimizer", "The optimizer: SGD",
    ]  # fmt: skip
    assert "32,768" in explanation["The optimizer: LossScaleOptimizer"].entry("does")

    class Mine(optimizers.Optimizer):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            variable.assign(variable - gradient * learning_rate)

    explanation = _model(Mine(0.1)).explain_training(samples=10)
    assert "custom update rule" in explanation["The optimizer: Mine"].entry("does")


def test_losses_of_several_outputs() -> None:
    i = hb.Input((4,))
    model = hb.Model(i, [layers.Dense(1, name="size")(i), layers.Dense(5, name="kind")(i)])
    model.compile("sgd", {"size": "mse", "kind": losses.SparseCategoricalCrossentropy(from_logits=True)})
    x, y = np.ones((50, 4), "float32"), {"size": np.arange(50.0)[:, None], "kind": np.arange(50) % 5}
    explanation = explain_training(model, x, y)
    titles = [note.title for note in explanation.sections if "loss" in note.title]
    assert titles == [
        "The loss: mean_squared_error of size",
        "The loss: sparse_categorical_crossentropy of kind",
    ]
    assert f"{np.arange(50.0).var():.4g}" in explanation[titles[0]].entry("baseline")
    assert "ln 5 = 1.609" in explanation[titles[1]].entry("baseline")
    own = compiled_model(
        (2,), [layers.Dense(1)], "sgd", lambda y_true, y_pred: hb.ops.mean(hb.ops.square(y_true - y_pred))
    )
    assert "custom function" in own.explain_training(samples=5).sections[-1].entry("measures")
