"""Learning rates by layer, and variables that join a training."""

import inspect

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, optimizers
from hornbeam.core.variable import Variable

RULES = [
    rule
    for rule in (getattr(optimizers, name) for name in dir(optimizers))
    if inspect.isclass(rule)
    and issubclass(rule, optimizers.Optimizer)
    and rule not in (optimizers.Optimizer, optimizers.LossScaleOptimizer, optimizers.MultiOptimizer)
]
GRADIENTS = np.random.default_rng(0).normal(size=(6, 3, 2)).astype("float32")


def weights():
    low, high = Variable(np.ones((3, 2), "float32")), Variable(np.ones((3, 2), "float32"))
    low.path, high.path = "base/low/kernel", "net/head/kernel"
    return low, high


def updated(optimizer, steps=3):
    low, high = weights()
    for gradient in GRADIENTS[:steps]:
        optimizer.apply([hb.ops.array(gradient), hb.ops.array(-gradient)], [low, high])
    return low.numpy(), high.numpy()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_multiplies_its_learning_rate(rule):
    low, high = updated(rule(0.01, weight_decay=0.1, learning_rate_multipliers={"base": 0.5}))
    np.testing.assert_array_equal(low, updated(rule(0.005, weight_decay=0.1))[0])
    np.testing.assert_array_equal(high, updated(rule(0.01, weight_decay=0.1))[1])


@pytest.mark.parametrize("rule", [optimizers.SGD, optimizers.Adam])
def test_a_factor_of_0_stops_a_layer(rule):
    low, high = updated(rule(0.1, learning_rate_multipliers={"low": 0}))
    assert (low == 1).all()
    assert (high != 1).all()


@pytest.mark.parametrize(
    ("multipliers", "expected"),
    [
        ({"base": 0.1, "low": 0.2}, 0.2),  # the innermost layer
        ({"low": 0.1, "base/low": 0.2}, 0.2),  # the longer path
        ({"net": 0.1, "base/low": 1}, 1.0),
    ],
)
def test_the_innermost_layer_counts(multipliers, expected):
    assert optimizers.SGD(learning_rate_multipliers=multipliers).multiplier(weights()[0]) == expected


def model(multipliers=None, optimizer=optimizers.Adam):
    hb.utils.set_random_seed(0)
    net = hb.Sequential(
        [hb.Input((4,)), layers.Dense(5, "relu", name="low"), layers.Dense(3, name="head")], name="net"
    )
    net.compile(optimizer(0.01, learning_rate_multipliers=multipliers), "mse")
    return net


X, Y = np.random.default_rng(1).normal(size=(2, 32, 4)).astype("float32")
Y = Y[:, :3]


def test_factors_of_1_change_no_bit():
    plain, ones = model(), model({"low": 1.0, "head": 1})
    for each in (plain, ones):
        each.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(plain.get_weights(), ones.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_schedules_are_multiplied():
    schedule = optimizers.schedules.ExponentialDecay(0.01, 1, 0.5)
    low, high = updated(optimizers.SGD(schedule, learning_rate_multipliers={"low": 0.5}))
    np.testing.assert_allclose(1 - low, -(1 - high) / 2, atol=1e-6)


def test_unknown_layers_are_named_before_training():
    net = model({"hed": 0.1})
    with pytest.raises(ValueError, match=r"no weight belongs to a layer 'hed'\. Did you mean 'head'"):
        net.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="no weight belongs to a layer 'hat'"):
        updated(optimizers.SGD(learning_rate_multipliers={"hat": 0.1}))


def test_layers_that_are_frozen_are_known():
    net = model({"low": 0.1})
    net.get_layer("low").trainable = False
    net.compile(net.optimizer, "mse")
    net.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("multipliers", "error", "message"),
    [
        ({"low": -1.0}, ValueError, r"learning_rate_multipliers\['low'\] must be"),
        ([0.1], TypeError, "dict from names of layers to numbers"),
        ({3: 0.1}, TypeError, "dict from names of layers to numbers"),
    ],
)
def test_wrong_factors(multipliers, error, message):
    with pytest.raises(error, match=message):
        optimizers.SGD(learning_rate_multipliers=multipliers)


def test_wrappers_pass_them_on():
    rule = optimizers.SGD(0.1, learning_rate_multipliers={"low": 0.5})
    low, high = updated(optimizers.LossScaleOptimizer(rule, initial_scale=1.0))
    np.testing.assert_allclose(1 - low, -(1 - high) / 2, atol=1e-6)
    net = model()
    net.compile(optimizers.LossScaleOptimizer(optimizers.SGD(learning_rate_multipliers={"hed": 1})), "mse")
    with pytest.raises(ValueError, match="Did you mean 'head'"):
        net.fit(X, Y, verbose=0)


def test_they_are_saved(tmp_path):
    net = model({"low": 0.1})
    net.fit(X, Y, verbose=0)
    net.save(tmp_path / "model.keras")
    loaded = hb.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.learning_rate_multipliers == {"low": 0.1}
    assert "learning_rate_multipliers" not in optimizers.Adam().get_config()  # Keras can read it
    for each in (net, loaded):
        each.fit(X, Y, shuffle=False, verbose=0)
    for a, b in zip(net.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# -- variables that join ---------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_extend_keeps_the_state_and_the_order_of_a_build(rule):
    low, high = weights()
    optimizer, fresh = rule(0.01), rule(0.01)
    for gradient in GRADIENTS[:3]:
        optimizer.apply([hb.ops.array(gradient)], [high])
    before = {name: {v: s.numpy() for v, s in column.items()} for name, column in optimizer._slots.items()}
    optimizer.extend([low, high])
    fresh.build([low, high])
    assert [v.shape for v in optimizer.variables] == [v.shape for v in fresh.variables]
    assert [v.name for v in optimizer.variables] == [v.name for v in fresh.variables]
    assert int(optimizer._iterations) == 3
    for name, column in before.items():
        for variable, value in column.items():
            np.testing.assert_array_equal(optimizer.slot(variable, name).numpy(), value)


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r is not optimizers.Nadam], ids=lambda rule: rule.__name__
)
def test_a_variable_that_joins_is_updated_as_by_a_new_optimizer(rule):
    # Nadam has one product of its momenta for all variables, which goes on.
    low, high = weights()
    optimizer, alone = rule(0.01), rule(0.01)
    for gradient in GRADIENTS[:3]:
        optimizer.apply([hb.ops.array(gradient)], [high])
    optimizer.extend([low, high])
    optimizer._join([low])
    single = weights()[0]
    for gradient in GRADIENTS[3:]:
        optimizer.apply([hb.ops.array(gradient), hb.ops.array(gradient)], [low, high])
        alone.apply([hb.ops.array(gradient)], [single])
    np.testing.assert_array_equal(low.numpy(), single.numpy())


def test_counts_without_their_state_are_void():
    config = {**optimizers.Adam(0.1).get_config(), "joined": [600]}
    optimizer, variable = optimizers.Adam.from_config(config), weights()[0]
    optimizer.apply([hb.ops.ones((3, 2))], [variable])
    np.testing.assert_allclose(variable.numpy(), 0.9, rtol=1e-5)


def test_extend_needs_all_variables():
    low, high = weights()
    optimizer = optimizers.Adam()
    optimizer.build([high])
    with pytest.raises(ValueError, match="net/head/kernel is missing"):
        optimizer.extend([low])


def test_extend_of_wrappers():
    low, high = weights()
    scaled = optimizers.LossScaleOptimizer(optimizers.Adam(0.1), initial_scale=2.0)
    scaled.apply([hb.ops.ones((3, 2))], [high])
    scaled.extend([low, high])
    scaled.apply([hb.ops.ones((3, 2)), hb.ops.ones((3, 2))], [low, high])
    slow, fast = optimizers.Adam(), optimizers.SGD(0.1)
    several = optimizers.MultiOptimizer(optimizers.OptimizerMap(slow, {".*head.*": fast}))
    several.apply([hb.ops.ones((3, 2))], [high])
    several.extend([low, high])
    several.apply([hb.ops.ones((3, 2)), hb.ops.ones((3, 2))], [low, high])
    assert [v.path for v in slow._trainable_variables] == [low.path]
    assert [v.path for v in fast._trainable_variables] == [high.path]
    assert (low.numpy() < 1).all()
