"""Scopes: variables held still, values computed again, names, devices."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import engines, layers, ops
from hornbeam.engines.reference import ReferenceEngine
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


# -- stateless -------------------------------------------------------------------------------------


def test_a_scope_holds_values_and_assignments() -> None:
    v, w = hb.Variable([1.0, 2.0]), hb.Variable(3.0)
    with hb.StatelessScope([(v, [5.0, 6.0])]) as scope:
        assert (v * w).tolist() == [15.0, 18.0]
        v.assign_add([1.0, 1.0])
        with hb.StatelessScope() as inner:
            v.assign([0.0, 0.0])
        assert v.tolist() == [6.0, 7.0]
    assert inner.get_current_value(v).tolist() == [0.0, 0.0]
    assert scope.get_current_value(v).tolist() == [6.0, 7.0]
    assert scope.get_current_value(w) is None
    assert v.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="pairs a Variable"):
        hb.StatelessScope([("v", 1.0)])
    with pytest.raises(ValueError, match="got a value of shape"):
        hb.StatelessScope([(v, 1.0)])


def test_layers_optimizers_metrics_and_losses_without_state() -> None:
    model = compiled_model(
        (3,), [layers.BatchNormalization(), layers.Dense(1)], "adam", "mse", metrics=["mae"]
    )
    y = np.ones((4, 1), "float32")
    trainable = [ops.ones(v.shape) for v in model.trainable_variables]
    states = [v.value for v in model.non_trainable_variables]
    before = model.get_weights()
    outputs, new = model.stateless_call(trainable, states, X, training=True)
    assert float(np.abs(new[0].numpy() - states[0].numpy()).max()) > 0
    loss, (same, _, totals) = model.stateless_compute_loss(
        trainable, states, [v.value for v in model.metrics_variables], X, y, outputs
    )
    assert float(loss) == pytest.approx(float(ops.mean(ops.square(outputs - y))))
    assert same is trainable
    assert len(totals) == len(model.metrics_variables)
    model.optimizer.build(model.trainable_variables)
    slots = [v.value for v in model.optimizer.variables]
    moved, slots = model.optimizer.stateless_apply(slots, trainable, trainable)
    assert int(slots[0]) == 1
    assert (moved[0].numpy() < 1).all()
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    mean = hb.metrics.Mean()
    values = mean.stateless_update_state(mean.stateless_reset_state(), [1.0, 3.0])
    assert float(mean.stateless_result(values)) == 2.0
    assert float(mean.result()) == 0.0
    with pytest.raises(ValueError, match="has 2 variables, got 1"):
        mean.stateless_result(values[:1])
    with pytest.raises(ValueError, match="4 trainable variables, got 3"):
        model.stateless_call(trainable[:3], states, X)


def test_losses_are_collected() -> None:
    layer = layers.ActivityRegularization(l2=1.0)
    with hb.StatelessScope(collect_losses=True) as scope:
        layer(X)
    assert len(scope.losses) == 1


# -- rematerialization -----------------------------------------------------------------------------


SCOPES = [
    hb.RematScope(),
    hb.RematScope("larger_than", output_size_threshold=20),
    hb.RematScope("list_of_layers", layer_names=["big"]),
    hb.RematScope("activations"),
]


def network(scope: hb.RematScope) -> hb.Model:
    """Layers with a state, a random number and a loss of their own."""
    hb.utils.set_random_seed(1)
    with scope:
        parts = [
            layers.Dense(6, "tanh", name="big", activity_regularizer="l2"), layers.BatchNormalization(),
            layers.Dropout(0.5, seed=3), layers.Dense(2, "softmax", name="small"),
        ]  # fmt: skip
    return compiled_model((3,), [*parts], "sgd", "mse")


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.mode)
def test_what_is_computed_again_gives_the_same(scope: hb.RematScope) -> None:
    plain, again = network(hb.RematScope(None)), network(scope)
    y = np.ones((4, 2), "float32")
    for _ in range(2):
        assert again.train_on_batch(X, y) == pytest.approx(plain.train_on_batch(X, y), rel=1e-6)
    for one, other in zip(plain.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_which_layers_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from hornbeam.layers import layer

    wrapped: set[str] = set()
    original = layer.rematerialized
    monkeypatch.setattr(
        layer, "rematerialized", lambda part, call: wrapped.add(part.name) or original(part, call)
    )

    def saved_by(scope: hb.RematScope) -> set[str]:
        model = network(scope)
        wrapped.clear()
        model(X, training=True)
        return wrapped & {"big", "small"}

    assert saved_by(SCOPES[0]) == {"big", "small"}
    assert saved_by(SCOPES[1]) == {"big"}
    assert saved_by(hb.RematScope("list_of_layers", layer_names=["small"])) == {"small"}
    assert saved_by(SCOPES[3]) == set()
    with pytest.raises(ValueError, match="mode must be one of"):
        hb.RematScope("some")


# -- names and devices -----------------------------------------------------------------------------


def test_names() -> None:
    with hb.name_scope("a"), hb.name_scope("b"):
        v = hb.Variable(1.0, name="w")
        dense = layers.Dense(2, name="d")
        dense.build((None, 3))
    assert (v.path, dense.path, dense.kernel.path) == ("a/b/w", "a/b/d", "a/b/d/kernel")
    assert hb.Variable(1.0, name="w").path == "w"
    with pytest.raises(ValueError, match="without '/'"):
        hb.name_scope("a/b")


def test_devices() -> None:
    for name in ("cpu", "CPU:0", "/cpu:0", "/device:CPU:0"):
        with hb.device(name):
            assert float(ops.sum(ops.ones(2))) == 2.0
    with hb.device("reference"):
        assert hb.config.engine() == "reference"
    with pytest.raises(ValueError, match="must be a string"):
        hb.device(0)  # type: ignore[arg-type]
    for name in ("gpu:0", "cuda", "tpu:1", "cpu:a"):
        with (
            engines.using("native"),
            pytest.raises(ValueError, match=r"native engine has cpu:0;.*torch:cuda:0"),
        ):
            hb.device(name)


def test_devices_of_engines() -> None:
    """A device without an engine is one of the current engine; one with an engine selects it."""
    result: list[str] = []

    class OnDevices(ReferenceEngine):
        def __init__(self, device: str = "cpu:0") -> None:
            super().__init__()
            if device not in ("cpu:0", "cpu", "gpu:1"):
                raise RuntimeError(f"no {device}")
            self.name = f"ondevices:{device}"
            result.append(device)

        def devices(self, kind: str | None = None) -> list[str]:
            return ["gpu:0", "gpu:1"]

    engines.register("ondevices", OnDevices)
    try:
        with hb.device("ondevices:gpu:1"):
            assert hb.config.engine() == "ondevices:gpu:1"
            with hb.device("cpu"):
                assert hb.config.engine() == "ondevices:cpu"
            with pytest.raises(ValueError, match="gpu:0, gpu:1"):
                hb.device("/device:GPU:7")
        assert result == ["gpu:1", "cpu"]
    finally:
        del engines._known["ondevices"]
        for name in ("ondevices:gpu:1", "ondevices:cpu"):
            engines._loaded.pop(name, None)


def test_symbolic_scope() -> None:
    with hb.SymbolicScope():
        assert hb.Input((3,)).shape == (None, 3)
