"""Gradual unfreezing: who is trained when, the optimizer's state, checkpoints."""

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.training.step import Step
from hornbeam.transfer import GradualUnfreezing, freeze

X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(48, 2)).astype("float32")


def network(optimizer="adam"):
    hb.utils.set_random_seed(3)
    model = hb.Sequential(
        [
            hb.Input((4,)),
            layers.Dense(6, "relu", name="one"),
            layers.Dropout(0.2),
            layers.BatchNormalization(name="norm"),
            layers.Dense(5, "relu", name="two"),
            layers.Dense(2, name="head"),
        ],
        name="net",
    )
    freeze(model, except_last=1)
    model.compile(optimizer, "mse")
    return model


class Record(hb.callbacks.Callback):
    """The layers that are trained, and the weights, at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.trained, self.weights = [], []

    def on_epoch_end(self, epoch, logs=None):
        names = [variable.path.split("/")[-2] for variable in self.model.trainable_variables]
        self.trained.append(list(dict.fromkeys(names)))
        self.weights.append(self.model.get_weights())


def fit(model, epochs, *callbacks, **options):
    record = Record()
    model.fit(X, Y, epochs=epochs, batch_size=8, verbose=0, callbacks=[*callbacks, record], **options)
    return record


def assert_equal_weights(a, b):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_layers_join_from_the_last_to_the_first():
    record = fit(network(), 7, GradualUnfreezing(every=2))
    stages = [["head"], ["two", "head"], ["norm", "two", "head"], ["one", "norm", "two", "head"]]
    assert record.trained == [stages[epoch // 2] for epoch in range(7)]


def test_groups():
    record = fit(network(), 3, GradualUnfreezing(groups=[["two", "norm"], ["one"]]))
    assert record.trained == [["head"], ["norm", "two", "head"], ["one", "norm", "two", "head"]]


def test_frozen_layers_do_not_change_and_joined_ones_do():
    model = network()
    start = model.get_weights()
    record = fit(model, 2, GradualUnfreezing())
    one = slice(0, 2)
    for a, b in zip(start[one], record.weights[-1][one], strict=True):
        np.testing.assert_array_equal(a, b)
    two = [v.path for v in model.weights].index("net/two/kernel")
    np.testing.assert_array_equal(start[two], record.weights[0][two])
    assert (start[two] != record.weights[1][two]).any()


def test_the_state_of_the_other_layers_stays():
    # The layer that joins has the rate 0, so that the head is trained as if it had not joined.
    alone = network()
    fit(alone, 4)
    joined = network(hb.optimizers.Adam(learning_rate_multipliers={"two": 0}))
    fit(joined, 4, GradualUnfreezing(every=2, groups=[["two"]]))
    assert_equal_weights(alone, joined)


def test_the_step_is_traced_once_for_each_stage(monkeypatch):
    traced = []
    init = Step.__init__
    monkeypatch.setattr(Step, "__init__", lambda self, *args: (traced.append(args[0]), init(self, *args))[1])
    fit(network(), 6, GradualUnfreezing(every=2, groups=[["two"], ["norm", "one"]]))
    assert len(traced) == 3


def test_the_first_update_of_a_layer_that_joins_has_the_size_of_the_rate():
    # Adam's first update is the learning rate in every entry, if the bias correction begins anew; with a
    # count of 600 updates it would be about three times that.
    model = network(hb.optimizers.Adam(1e-3))
    model.fit(X, Y, epochs=100, batch_size=8, verbose=0)
    callback = GradualUnfreezing(groups=[["two"]])
    before = model.get_layer("two").get_weights()[0]
    record = Record()
    model.fit(X, Y, epochs=2, batch_size=48, verbose=0, callbacks=[callback, record])
    change = np.abs(model.get_layer("two").get_weights()[0] - before)
    np.testing.assert_allclose(change[change > 1e-6].max(), 1e-3, rtol=1e-2)


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "adafactor"])
def test_a_training_that_is_resumed_is_the_same_to_the_bit(tmp_path, optimizer):
    def train(model, epochs):
        return fit(model, epochs, GradualUnfreezing(every=2), resume=str(tmp_path / f"{optimizer}"))

    for cut in (1, 3, 5):
        train(network(optimizer), cut)
    resumed = network(optimizer)
    record = train(resumed, 8)
    assert len(record.trained) == 3
    complete = network(optimizer)
    fit(complete, 8, GradualUnfreezing(every=2))
    assert_equal_weights(complete, resumed)


def test_resume_in_the_process_that_was_interrupted(tmp_path):
    model = network()
    for epochs in (3, 7):
        fit(model, epochs, GradualUnfreezing(every=2), resume=str(tmp_path))
    complete = network()
    fit(complete, 7, GradualUnfreezing(every=2))
    assert_equal_weights(complete, model)


def test_a_saved_model_goes_on_as_the_model(tmp_path):
    model = network()
    fit(model, 5, GradualUnfreezing())
    model.save(tmp_path / "model.keras")
    loaded = hb.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        hb.utils.set_random_seed(5)
        fit(each, 2)
    assert_equal_weights(model, loaded)


def test_without_frozen_layers():
    model = network()
    model.trainable = True
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="no layer of model 'net' is frozen that it could unfreeze"):
        fit(model, 1, GradualUnfreezing())


def test_unknown_layers():
    with pytest.raises(ValueError, match=r"has no layer 'tow'\. Did you mean 'two'"):
        fit(network(), 1, GradualUnfreezing(groups=[["tow"]]))


def test_what_it_prints(capsys):
    fit(network(), 2, GradualUnfreezing(verbose=1))
    assert "Epoch 2: 'net/two' trained from now on (2 weight arrays)" in capsys.readouterr().out
