"""Optimizers and schedules: numbers against Keras's, state and its order, wrappers, mistakes, configs."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import ops, optimizers
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.optimizers import schedules
from hornbeam.optimizers.updates import Updates
from tests.helpers.optimizer_cases import CASES, SCHEDULES, gradients, weights

EXPECTED = json.loads((Path(__file__).parent / "optimizer_expected.json").read_text())
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in CASES]

# Keras names these after nothing or after the variable alone; ours say what they are.
RENAMED = {
    "u_product": "variable",
    "kernel_row": "kernel",
    "kernel_column": "kernel",
    "bias_row": "bias",
    "bias_column": "bias",
}


def _variables() -> list[Variable]:
    return [Variable(w, name=name) for w, name in zip(weights(), ("kernel", "bias"), strict=True)]


def _train(optimizer: optimizers.Optimizer, compiled: bool = False) -> list[Variable]:
    variables = _variables()
    optimizer.build(variables)

    def apply(*grads: Any) -> None:
        optimizer.apply(list(grads), variables)

    step = hornbeam.jit(apply) if compiled else apply
    for grads in gradients():
        step(*map(as_tensor, grads))
    return variables


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("index", range(len(CASES)), ids=IDS)
def test_agrees_with_keras(index: int, compiled: bool) -> None:
    name, options = CASES[index]
    optimizer = getattr(optimizers, name)(**options)
    variables = _train(optimizer, compiled)
    expected = EXPECTED["optimizers"][index]
    for variable, value in zip(variables, expected["weights"], strict=True):
        np.testing.assert_allclose(np.asarray(variable), value, rtol=1e-5, atol=2e-6)
    state = optimizer.variables
    assert [[RENAMED.get(v.name, v.name), list(v.shape)] for v in state] == [s[:2] for s in expected["state"]]
    for variable, (_, _, value) in zip(state, expected["state"], strict=True):
        np.testing.assert_allclose(np.asarray(variable), value, rtol=2e-5, atol=2e-6)


def test_same_numbers_on_each_engine(engine: str) -> None:
    for index in (1, 8):
        name, options = CASES[index]
        variables = _train(getattr(optimizers, name)(**options), compiled=True)
        for variable, value in zip(variables, EXPECTED["optimizers"][index]["weights"], strict=True):
            np.testing.assert_allclose(np.asarray(variable), value, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("warmup", [0, 3])
def test_schedule_free_adam_follows_the_paper(warmup: int) -> None:
    rate, beta_1, beta_2, epsilon = 0.0025, 0.9, 0.999, 1e-8
    y = weights()[0].astype("float64")
    z, x, v = y.copy(), y.copy(), np.zeros_like(y)
    for t, (gradient, _) in enumerate(gradients(), start=1):
        v = beta_2 * v + (1 - beta_2) * gradient.astype("float64") ** 2
        step = rate * (min(1.0, t / warmup) if warmup else 1.0)
        z = z - step * gradient / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        x = (1 - 1 / t) * x + z / t
        y = (1 - beta_1) * z + beta_1 * x
    trained = _train(optimizers.ScheduleFreeAdamW(warmup_steps=warmup))
    np.testing.assert_allclose(np.asarray(trained[0]), y, rtol=1e-5)


def test_adadelta_takes_the_papers_rate() -> None:
    assert float(optimizers.Adadelta().learning_rate) == 1.0
    assert "1.0" in (inspect.getdoc(optimizers.Adadelta) or "")


@pytest.mark.parametrize("name", [n for n in optimizers.__all__ if inspect.isclass(getattr(optimizers, n))])
def test_every_optimizer_has_a_formula_or_says_what_it_does(name: str) -> None:
    assert len(inspect.getdoc(getattr(optimizers, name)) or "") > 60


def test_loss_scaling_skips_what_overflows() -> None:
    inner = optimizers.SGD(0.1)
    optimizer = optimizers.LossScaleOptimizer(inner, initial_scale=4.0, dynamic_growth_steps=2)
    variables = _variables()
    optimizer.build(variables)
    start = [np.array(v) for v in variables]
    good = [as_tensor(np.full(v.shape, 8.0, "float32")) for v in variables]
    bad = [good[0], as_tensor(np.full(4, np.inf, "float32"))]

    optimizer.apply(good, variables)
    np.testing.assert_allclose(np.asarray(variables[0]), start[0] - 0.1 * 2.0, rtol=1e-6)
    before = [np.array(v) for v in variables]
    optimizer.apply(bad, variables)
    np.testing.assert_array_equal(np.asarray(variables[0]), before[0])
    assert float(optimizer.dynamic_scale) == 2.0
    assert int(optimizer.iterations) == 1
    for _ in range(2):
        optimizer.apply(good, variables)
    assert float(optimizer.dynamic_scale) == 4.0
    assert float(optimizer.scale_loss(as_tensor(3.0))) == 12.0
    assert int(optimizer.iterations) == 3


def test_multi_optimizer_trains_each_variable_its_own_way() -> None:
    groups = optimizers.OptimizerMap(optimizers.SGD(0.1), {"bias": optimizers.SGD(1.0)})
    optimizer = optimizers.MultiOptimizer(groups)
    variables = _variables()
    start = [np.array(v) for v in variables]
    optimizer.apply([as_tensor(np.ones(v.shape, "float32")) for v in variables], variables)
    np.testing.assert_allclose(np.asarray(variables[0]), start[0] - 0.1, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(variables[1]), start[1] - 1.0, rtol=1e-5)
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert float(again.optimizer_map["bias"].learning_rate) == 1.0
    with pytest.raises(ValueError, match="already has an optimizer"):
        groups["bias"] = optimizers.SGD()


def test_updates_are_held_back_and_can_be_dropped() -> None:
    variable = Variable(np.ones(2, "float32"))
    for condition, expected in ((False, 1.0), (True, 4.0)):
        with Updates() as held:
            variable.assign(variable + 1)
            variable.assign(variable * 2)
            np.testing.assert_array_equal(np.asarray(variable), [4, 4])
        np.testing.assert_array_equal(np.asarray(variable), [1, 1])
        held.commit(when=as_tensor(condition))
        np.testing.assert_array_equal(np.asarray(variable), [expected] * 2)


def test_stateless_apply_leaves_variables_alone() -> None:
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    variables = _variables()
    optimizer.build(variables)
    start = [np.array(v) for v in variables]
    grads = [as_tensor(g) for g in gradients()[0]]
    values, state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], grads, [v.value for v in variables]
    )
    np.testing.assert_allclose(np.asarray(values[0]), start[0] - 0.1 * np.asarray(grads[0]), rtol=1e-5)
    assert int(state[0]) == 1
    np.testing.assert_array_equal(np.asarray(variables[0]), start[0])
    assert int(optimizer.iterations) == 0


def test_learning_rate_can_be_set_or_replaced() -> None:
    optimizer = optimizers.SGD(0.1)
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = schedules.PiecewiseConstantDecay([0], [1.0, 0.25])
    assert [v.name for v in optimizer.variables] == ["iteration"]
    variables = _variables()
    for expected in (1.0, 0.25):
        assert float(optimizer.learning_rate) == expected
        before = np.array(variables[0])
        optimizer.apply([as_tensor(np.ones(v.shape, "float32")) for v in variables], variables)
        np.testing.assert_allclose(np.asarray(variables[0]), before - expected, rtol=1e-5)
    with pytest.raises(TypeError, match="cannot be set"):
        optimizer.learning_rate = 0.5
    assert float(optimizers.SGD(lambda: 0.125).learning_rate) == 0.125


def test_weight_decay_leaves_out_what_it_is_told_to() -> None:
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    variables = _variables()
    start = [np.array(v) for v in variables]
    optimizer.apply([as_tensor(np.zeros(v.shape, "float32")) for v in variables], variables)
    np.testing.assert_allclose(np.asarray(variables[0]), start[0] * 0.95, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(variables[1]), start[1])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_constraints_hold_after_the_update() -> None:
    variable = Variable(np.array([1.0, 2.0], "float32"))
    variable.constraint = lambda w: ops.maximum(w, 0.0)
    optimizers.SGD(1.0).apply([as_tensor([5.0, 1.0])], [variable])
    np.testing.assert_array_equal(np.asarray(variable), [0.0, 1.0])


def test_missing_gradients() -> None:
    optimizer = optimizers.SGD(0.1)
    variables = _variables()
    start = np.array(variables[1])
    with pytest.warns(UserWarning, match="no gradient for bias"):
        optimizer.apply([as_tensor(gradients()[0][0]), None], variables)
    np.testing.assert_array_equal(np.asarray(variables[1]), start)
    with pytest.raises(ValueError, match="no gradient for any variable"):
        optimizer.apply([None, None], variables)


def test_half_precision_weights_keep_their_dtype() -> None:
    for name in ("SGD", "Adam", "Nadam", "Lamb", "Adafactor", "Muon", "Ftrl", "RMSprop", "ScheduleFreeAdamW"):
        variable = Variable(np.ones((2, 2)), dtype="float16", name="w")
        optimizer = getattr(optimizers, name)(
            0.01, **({"epsilon": 1e-4} if name in ("Adam", "Nadam", "RMSprop") else {})
        )
        optimizer.apply([as_tensor(np.full((2, 2), 0.5, "float32"))], [variable])
        assert variable.dtype == "float16"
        moved = np.asarray(variable).astype("float32")
        assert np.isfinite(moved).all(), name
        assert (moved < 1).all(), name


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: optimizers.SGD(-0.1), ValueError, "not negative"),
        (lambda: optimizers.SGD("fast"), ValueError, "must be a number"),
        (lambda: optimizers.SGD(float("nan")), ValueError, "finite"),
        (lambda: optimizers.SGD(lr=0.1), TypeError, "has no argument 'lr'"),
        (lambda: optimizers.SGD(decay=0.1), ValueError, "InverseTimeDecay"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "momentum must be"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ValueError, "only one of"),
        (lambda: optimizers.SGD(clipnorm=-1.0), ValueError, "clipnorm must be a positive number"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "at least 2"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=2.0), ValueError, "ema_momentum"),
        (
            lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0),
            ValueError,
            "ema_overwrite_frequency",
        ),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "without it use Adam"),
        (lambda: optimizers.Lion(beta_1=0.0), ValueError, "beta_1"),
        (lambda: optimizers.Ftrl(learning_rate_power=1.0), ValueError, "learning_rate_power"),
        (lambda: optimizers.SGD().apply([as_tensor(1.0)]), ValueError, "not built"),
        (lambda: optimizers.SGD().build([]), ValueError, "no variables to train"),
        (lambda: optimizers.SGD().build([Variable(np.zeros(2, "int32"))]), TypeError, "floating-point"),
        (
            lambda: optimizers.SGD().apply([as_tensor([1.0])], _variables()),
            ValueError,
            "1 gradients for 2 variables",
        ),
        (lambda: optimizers.SGD().apply([as_tensor([1.0])], _variables()[:1]), ShapeError, r"shape \(1,\)"),
        (lambda: optimizers.SGD().set_weights([]), ValueError, "not built"),
        (lambda: optimizers.get("adm"), registry.UnknownObjectError, "Did you mean"),
        (lambda: optimizers.get("mse"), ValueError, "unknown optimizer"),
        (lambda: optimizers.get(3), ValueError, "optimizer"),
        (
            lambda: optimizers.Optimizer(0.1).apply([as_tensor([1.0])], [Variable([1.0])]),
            NotImplementedError,
            "update_step",
        ),
        (
            lambda: schedules.ExponentialDecay(0.1, 0, 0.5),
            ValueError,
            "decay_steps must be a positive number",
        ),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), ValueError, "one more item"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), ValueError, "must increase"),
    ],
)
def test_mistakes_are_named(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_other_variables_than_it_was_built_on() -> None:
    optimizer = optimizers.SGD()
    optimizer.build(_variables())
    with pytest.raises(ValueError, match="was not built on other"):
        optimizer.apply([as_tensor([1.0])], [Variable([1.0], name="other")])


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_config_and_state_make_an_equal_optimizer(name: str, options: dict[str, Any]) -> None:
    optimizer = getattr(optimizers, name)(**options)
    _train(optimizer)
    config = json.loads(json.dumps(optimizers.serialize(optimizer)))
    assert config["module"] == "keras.optimizers"
    again = optimizers.deserialize(config)
    assert again.get_config() == optimizer.get_config()
    assert {key: again.get_config()[key] for key in options} == options
    again.build(_variables())
    store: dict[str, Any] = {}
    optimizer.save_own_variables(store)
    again.load_own_variables(store)
    for ours, theirs in zip(again.get_weights(), optimizer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.warns(UserWarning, match="was not loaded"):
        again.load_own_variables({})


def test_schedules_survive_the_config_of_their_optimizer() -> None:
    optimizer = optimizers.Adam(schedules.CosineDecay(0.1, 100))
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert float(again.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize("index", range(len(SCHEDULES)), ids=[f"{n}{o or ''}" for n, _, o in SCHEDULES])
def test_schedules_agree_with_keras(index: int) -> None:
    name, args, options = SCHEDULES[index]
    schedule = getattr(schedules, name)(*args, **options)
    compiled = hornbeam.jit(lambda step: schedule(step))
    rates = [float(compiled(as_tensor(step, "int64"))) for step in range(16)]
    np.testing.assert_allclose(rates, EXPECTED["schedules"][index], rtol=1e-5, atol=1e-7)
    assert float(schedule(3)) == pytest.approx(rates[3], rel=1e-6)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert again.get_config() == schedule.get_config()


def test_signatures_show_the_shared_arguments() -> None:
    parameters = inspect.signature(optimizers.Adam).parameters
    assert list(parameters)[:5] == ["learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad"]
    assert {"weight_decay", "clipnorm", "use_ema", "gradient_accumulation_steps", "name"} <= set(parameters)


def test_own_optimizers_as_in_keras() -> None:
    class Signs(optimizers.Optimizer):
        def build(self, variables: Any) -> None:
            super().build(variables)
            self.counts = self.add_optimizer_variables(variables, "count")

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.assign_sub(variable, ops.sign(gradient) * learning_rate)
            self.assign_add(self.counts[0], ops.ones_like(self.counts[0]))

    variable = Variable([1.0, 1.0], name="w")
    optimizer = Signs(learning_rate=0.5)
    optimizer.apply([as_tensor([3.0, -2.0])], [variable])
    np.testing.assert_array_equal(np.asarray(variable), [0.5, 1.5])
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate", "w_count"]
    np.testing.assert_array_equal(np.asarray(optimizer.counts[0]), [1.0, 1.0])


def test_optimizers_of_a_map_are_known_before_building() -> None:
    one, other, default = optimizers.Adam(), optimizers.SGD(0.1, loss_scale_factor=2.0), optimizers.SGD(0.3)
    groups = optimizers.OptimizerMap(default, {".*kernel": one, ".*bias": other})
    multi = optimizers.MultiOptimizer(groups, loss_scale_factor=5.0)
    assert multi.optimizers == [one, other, default]
    kernel, bias = Variable([2.0], name="kernel"), Variable([2.0], name="bias")
    multi.apply([ops.convert_to_tensor([10.0])] * 2, [kernel, bias])
    # The scale of the whole replaces that of the part.
    assert bias.tolist() == pytest.approx([2.0 - 0.1 * 10.0 / 5.0])
    assert [int(part.iterations) for part in multi.optimizers] == [1, 1, 0]


def test_a_schedule_begins_with_a_rate_of_an_optimizer() -> None:
    adam = optimizers.Adam(0.01)
    assert len(adam.variables) == 2
    adam.learning_rate = optimizers.schedules.ExponentialDecay(adam.learning_rate, 10, 0.5)
    assert len(adam.variables) == 1
    assert adam.learning_rate.item() == pytest.approx(0.01)
    assert adam.get_config()["learning_rate"]["config"]["initial_learning_rate"] == 0.01


def test_old_arguments_of_a_loss_scale() -> None:
    inner = optimizers.SGD(0.5)
    optimizer = optimizers.LossScaleOptimizer(
        inner, dynamic=True, clipnorm=None, use_ema=False, ema_momentum=0.99
    )
    assert optimizer.inner_optimizer is inner
    with pytest.raises(ValueError, match="clipnorm of a LossScaleOptimizer is set on its inner_optimizer"):
        optimizers.LossScaleOptimizer(inner, clipnorm=1.0)
    with pytest.raises(ValueError, match="dynamic=False is not LossScaleOptimizer's"):
        optimizers.LossScaleOptimizer(inner, dynamic=False)
    with pytest.raises(TypeError, match="foo"):
        optimizers.LossScaleOptimizer(inner, foo=1)


def test_identifiers() -> None:
    assert optimizers.get(None) is None
    adam = optimizers.get({"class_name": "adam", "config": {"weight_decay": 0.05}})
    assert (type(adam), adam.weight_decay) == (optimizers.Adam, 0.05)


def test_parts_of_muon() -> None:
    muon = optimizers.Muon(rms_rate=0.5)
    matrix = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(6, 3)).astype("float32"))
    assert np.allclose(muon.lr_adjust(matrix), np.asarray(matrix) * 0.5 * np.sqrt(6))
    assert optimizers.Muon(rms_rate=None).lr_adjust(matrix) is matrix
    values = np.linalg.svd(np.asarray(muon.zeropower_via_newtonschulz5(matrix, 5)), compute_uv=False)
    assert np.all(np.abs(values - 1) < 0.35)
