"""Recurrent layers against plain loops in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam.core.jit import trace_function
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import Layer

States = list[np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def simple(x: np.ndarray, states: States, w: States) -> States:
    return [np.tanh(x @ w[0] + states[0] @ w[1] + w[2])]


def lstm(x: np.ndarray, states: States, w: States) -> States:
    i, f, g, o = np.split(x @ w[0] + states[0] @ w[1] + w[2], 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def gru(x: np.ndarray, states: States, w: States) -> States:
    (h,) = states
    x_z, x_r, x_g = np.split(x @ w[0] + w[2][0], 3, axis=-1)
    h_z, h_r, h_g = np.split(h @ w[1] + w[2][1], 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return [z * h + (1 - z) * np.tanh(x_g + r * h_g)]


KINDS = [(layers.SimpleRNN, simple, 1), (layers.LSTM, lstm, 2), (layers.GRU, gru, 1)]


def run(
    step: Any, x: np.ndarray, states: States, w: States, mask: np.ndarray | None = None
) -> tuple[np.ndarray, States]:
    """Outputs of all steps, and the last states; masked steps keep states and output."""
    outputs, last = [], np.zeros_like(states[0])
    for t in range(x.shape[1]):
        new = step(x[:, t], states, w)
        keep = np.ones((len(x), 1), bool) if mask is None else mask[:, t : t + 1]
        states = [np.where(keep, a, b) for a, b in zip(new, states, strict=True)]
        last = np.where(keep, new[0], last)
        outputs.append(last)
    return np.stack(outputs, 1), states


def build_layer(cls: Any, rng: np.random.Generator, **kwargs: Any) -> tuple[Any, States]:
    layer = cls(4, **kwargs)
    layer.build((2, 6, 3))
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer, layer.get_weights()


@pytest.mark.parametrize(("cls", "step", "count"), KINDS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
def test_is_the_loop(
    engine: str, rng: np.random.Generator, cls: Any, step: Any, count: int, masked: bool, unroll: bool
) -> None:
    layer, w = build_layer(cls, rng, return_sequences=True, return_state=True, unroll=unroll)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    mask = np.array([[1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 1]], bool) if masked else None
    start = [rng.normal(size=(2, 4)).astype("float32") for _ in range(count)]
    y, *states = layer(x, initial_state=start, mask=mask)
    expected, last = run(step, x, start, w, mask)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for ours, theirs in zip(states, last, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("cls", "step", "count"), KINDS)
def test_goes_backwards(rng: np.random.Generator, cls: Any, step: Any, count: int) -> None:
    layer, w = build_layer(cls, rng, return_sequences=True, go_backwards=True)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    expected, _ = run(step, x[:, ::-1], [np.zeros((2, 4))] * count, w)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize(("cls", "step", "count"), KINDS)
def test_stateful_goes_on_where_it_stopped(rng: np.random.Generator, cls: Any, step: Any, count: int) -> None:
    layer, w = build_layer(cls, rng, return_sequences=True)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    array = np.asarray(layer(x))
    carrying = cls(4, return_sequences=True, stateful=True)
    carrying.build((2, 3, 3))
    for variable, value in zip(carrying.cell.weights, w, strict=True):
        variable.assign(value)
    halves = [np.asarray(carrying(x[:, :3])), np.asarray(carrying(x[:, 3:]))]
    np.testing.assert_allclose(np.concatenate(halves, 1), array, atol=1e-6)
    carrying.reset_state()
    np.testing.assert_allclose(carrying(x[:, :3]), array[:, :3], atol=1e-6)


@pytest.mark.parametrize("cls", [kind[0] for kind in KINDS])
def test_gradients_are_differences(rng: np.random.Generator, cls: Any) -> None:
    layer = cls(2, dtype="float64")
    x = rng.normal(size=(1, 4, 3))
    mask = np.array([[True, False, True, True]])
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    kernel = layer.weights[1]
    (gradient,) = hornbeam.gradients(ops.sum(layer(x, mask=mask)), [kernel])
    before = np.asarray(kernel).copy()
    step = np.zeros_like(before)
    step[1, 1] = 1e-6
    values = []
    for sign in (1, -1):
        kernel.assign(before + sign * step)
        values.append(float(ops.sum(layer(x, mask=mask))))
    assert np.asarray(gradient)[1, 1] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_dropout_masks_are_shared_by_all_steps() -> None:
    layer = layers.SimpleRNN(
        3, activation="linear", dropout=0.5, kernel_initializer="ones", recurrent_initializer="zeros",
        return_sequences=True, seed=5,
    )  # fmt: skip
    y = np.asarray(layer(np.ones((20, 4, 6)), training=True))
    assert (y == y[:, :1]).all()
    assert len(np.unique(y)) > 2
    again = np.asarray(layer(np.ones((20, 4, 6)), training=True))
    assert (again != y).any()
    np.testing.assert_allclose(layer(np.ones((20, 4, 6))), np.full((20, 4, 3), 6.0))


@pytest.mark.parametrize("cls", [kind[0] for kind in KINDS])
def test_recurrent_dropout_runs_and_rests(rng: np.random.Generator, cls: Any) -> None:
    layer = cls(4, recurrent_dropout=0.5, dropout=0.2, seed=1)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    quiet = np.asarray(layer(x))
    assert np.abs(np.asarray(layer(x, training=True)) - quiet).max() > 0
    np.testing.assert_array_equal(np.asarray(layer(x)), quiet)
    assert layer.cell._state_mask is None


def test_a_cell_of_the_user() -> None:
    class Count(Layer):
        state_size = 2

        def call(self, inputs: Any, states: Any) -> Any:
            total = states[0] + inputs
            return total * 10, [total]

    y, state = layers.RNN(Count(), return_sequences=True, return_state=True)(np.ones((1, 3, 2)))
    assert np.asarray(y)[0, :, 0].tolist() == [10, 20, 30]
    assert np.asarray(state).tolist() == [[3, 3]]


@pytest.mark.parametrize("stacked", [False, True])
def test_cells_that_are_made_of_layers(stacked: bool) -> None:
    class Mixed(Layer):
        state_size = (2, 3)
        output_size = 3

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layers.Dense(2), layers.Dense(3)

        def call(self, inputs: Any, states: Any) -> Any:
            short = self.first(inputs) + states[0]
            long = self.second(short) + states[1]
            return long, [short, long]

    layer = layers.RNN([Mixed(), layers.GRUCell(4)] if stacked else Mixed())
    model = hornbeam.Sequential([hornbeam.Input((5, 4)), layer, layers.Dense(1)])
    assert layer.count_params() == 19 + (108 if stacked else 0)
    model.compile("sgd", "mse")
    before = np.asarray(layer.weights[0])
    model.fit(np.ones((6, 5, 4)), np.ones((6, 1)), verbose=0)
    assert not np.array_equal(before, layer.weights[0])


def test_stacked_cells_are_layers_on_top_of_each_other(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    stacked = layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True)
    y = np.asarray(stacked(x))
    first, second = layers.LSTM(4, return_sequences=True), layers.GRU(3, return_sequences=True)
    second(first(x))
    first.set_weights(stacked.cell.cells[0].get_weights())
    second.set_weights(stacked.cell.cells[1].get_weights())
    np.testing.assert_allclose(y, second(first(x)), atol=1e-6)
    dropped = layers.RNN([layers.LSTMCell(4, dropout=0.3), layers.GRUCell(3, recurrent_dropout=0.3)])
    assert dropped(x, training=True).shape == (2, 3)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional_merges_both_ways(rng: np.random.Generator, mode: str | None) -> None:
    layer = layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode=mode)
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    y = layer(x)
    forward = np.asarray(layer.forward_layer(x))
    backward = np.asarray(layer.backward_layer(x))[:, ::-1]
    expected = {
        "concat": np.concatenate([forward, backward], -1),
        "sum": forward + backward,
        "mul": forward * backward,
        "ave": (forward + backward) / 2,
    }
    if mode is None:
        np.testing.assert_allclose(y[0], forward, atol=1e-6)
        np.testing.assert_allclose(y[1], backward, atol=1e-6)
    else:
        np.testing.assert_allclose(y, expected[mode], atol=1e-6)


def test_bidirectional_takes_states_weights_and_another_layer(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    one = layers.Bidirectional(layers.LSTM(4, return_state=True))
    y, *states = one(x)
    assert (y.shape, len(states)) == ((2, 8), 4)
    moved = one(x, initial_state=states)
    assert np.abs(np.asarray(moved[0]) - np.asarray(y)).max() > 0
    same = layers.Bidirectional(layers.LSTM(4, return_state=True), weights=one.get_weights())
    np.testing.assert_array_equal(np.asarray(same(x)[0]), np.asarray(y))
    mixed = layers.Bidirectional(layers.LSTM(4), backward_layer=layers.GRU(4, go_backwards=True))
    assert mixed(x).shape == (2, 8)
    with pytest.raises(ValueError, match="opposite go_backwards"):
        layers.Bidirectional(layers.LSTM(4), backward_layer=layers.GRU(4))


def test_time_distributed_is_the_layer_at_every_step(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    layer = layers.TimeDistributed(layers.Dense(4))
    y = np.asarray(layer(x))
    for t in range(5):
        np.testing.assert_allclose(y[:, t], layer.layer(x[:, t]), atol=1e-6)
    masked = layer(layers.Masking()(x))
    assert np.asarray(masked._keras_mask).shape == (2, 5)
    with pytest.raises(ShapeError, match=r"expects an input \(batch, steps, ...\)"):
        layers.TimeDistributed(layers.Dense(4))(np.ones((2, 3)))


def test_masks_follow_sequences(rng: np.random.Generator) -> None:
    x = layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    inner = layers.LSTM(4, return_sequences=True)(x)
    assert np.asarray(inner._keras_mask).tolist() == [[True, True, False], [True, False, False]]
    outer = layers.GRU(2)(inner)
    assert outer._keras_mask is None


def test_reads_the_arguments_of_its_cell() -> None:
    layer = layers.LSTM(4, dropout=0.25, recurrent_activation="hard_sigmoid")
    assert (layer.units, layer.dropout, layer.cell.name) == (4, 0.25, layer.cell.name)
    with pytest.raises(AttributeError, match="LSTM has no attribute 'widgets'"):
        layer.widgets  # noqa: B018


def test_wrong_numbers_of_states() -> None:
    with pytest.raises(ShapeError, match="the cell has 2 states, initial_state has 1"):
        layers.LSTM(2)(np.ones((1, 2, 3)), initial_state=[np.zeros((1, 2))])


# Arguments of layers that run all steps as one operation.
VARIANTS: list[dict[str, Any]] = [
    {},
    {"go_backwards": True},
    {"use_bias": False},
    {"zero_output_for_mask": True},
    {"go_backwards": True, "zero_output_for_mask": True},
    {"dropout": 0.3},
]


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_one_operation_for_all_steps_is_the_loop(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    cls: Any,
    arguments: dict[str, Any],
    masked: bool,
) -> None:
    layer = cls(5, return_sequences=True, return_state=True, seed=3, **arguments)
    x = rng.normal(size=(3, 6, 4)).astype("float32")
    mask = rng.random((3, 6)) < 0.6 if masked else None
    count = 0 if masked else len(layer.cell.get_initial_state(3))
    start = [rng.normal(size=(3, 5)).astype("float32") for _ in range(count)]

    def results(x: Any, *states: Any) -> list[Any]:
        kwargs = {"initial_state": list(states)} if states else {}
        outputs = layer(x, mask=mask, training=True, **kwargs)
        loss = sum(ops.sum(ops.sin(y)) for y in outputs)
        gradients = hornbeam.gradients(loss, [w.value for w in layer.trainable_variables])
        return [*outputs, *gradients]

    layer(x)
    name = cls.__name__.lower()
    seeds = layer.cell.seed_generator.state.numpy()

    def run() -> tuple[list[np.ndarray], set[str]]:
        layer.cell.seed_generator.state.assign(seeds)
        values = [np.asarray(y) for y in results(x, *start)]
        traced = trace_function(lambda *a: results(*a), [ops.array(a) for a in (x, *start)])
        return values, {node.name for node in traced.graph.nodes}

    actual, names = run()
    assert name in names
    assert f"{name}_grad" in names
    monkeypatch.setattr(type(layer), "_run_fused", lambda *_: None)
    expected, names = run()
    assert name not in names
    for got, want in zip(actual, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (layers.LSTM, {"activation": "relu"}),
        (layers.LSTM, {"recurrent_activation": "hard_sigmoid"}),
        (layers.LSTM, {"recurrent_dropout": 0.5}),
        (layers.LSTM, {"unroll": True}),
        (layers.GRU, {"reset_after": False}),
    ],
)
def test_what_the_operation_is_not_goes_step_by_step(
    rng: np.random.Generator, cls: Any, arguments: dict[str, Any]
) -> None:
    layer = cls(5, **arguments)
    x = rng.normal(size=(3, 6, 4)).astype("float32")
    layer(x)
    traced = trace_function(lambda x: layer(x, training=True), [ops.array(x)])
    names = {node.name for node in traced.graph.nodes}
    assert not names & {"lstm", "gru"}


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_use_cudnn_is_kept(kind: Any) -> None:
    assert kind(1).use_cudnn == "auto"
    both = layers.Bidirectional(kind(1, use_cudnn=False))
    assert both.forward_layer.use_cudnn is both.backward_layer.use_cudnn is False
    assert "use_cudnn" not in kind(1).get_config()
    assert not hasattr(layers.SimpleRNN(1), "use_cudnn")


def test_a_subclass_may_give_its_own_cell():
    """`super(GRU, self).__init__(cell)` is the constructor of RNN, as in Keras."""

    class Own(layers.GRU):
        def __init__(self, units, **options):
            super(layers.GRU, self).__init__(layers.GRUCell(units, activation="relu"), **options)

    layer, plain = Own(3, return_sequences=True), layers.GRU(3, activation="relu", return_sequences=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    assert layer(x).shape == plain(x).shape == (2, 4, 3)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
@pytest.mark.parametrize("masked", [False, True])
def test_a_subclass_of_a_cell_may_change_the_step(kind: Any, masked: bool, rng: np.random.Generator) -> None:
    class Halved(kind.cell_class):  # type: ignore[misc, name-defined]
        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            output, new = super().call(inputs / 2, states, training=training)
            return output, new

    x = rng.normal(size=(2, 4, 5)).astype("float32")
    mask = np.array([[True, True, False, True]] * 2) if masked else None
    own, plain = layers.RNN(Halved(3), return_sequences=True), kind(3, return_sequences=True)
    own.build(x.shape)
    plain.build(x.shape)
    plain.set_weights(own.get_weights())
    np.testing.assert_allclose(own(x, mask=mask), plain(x / 2, mask=mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_cell_inside_of_a_user_s_draws_one_mask_for_each_sequence(option: str, compiled: bool) -> None:
    class Outer(layers.Layer):
        state_size = 5

        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.SimpleRNNCell(
                5, activation="linear", recurrent_initializer="identity", seed=1, **{option: 0.5}
            )

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any, states: Any, training: bool = False) -> Any:
            return self.inner(x, states, training=training)

    layer = layers.RNN(Outer(), return_sequences=True)
    x = np.ones((2, 6, 5), "float32")
    layer.build(x.shape)
    layer.cell.inner.kernel.assign(np.eye(5))
    call = hornbeam.jit(lambda x: layer(x, training=True)) if compiled else lambda x: layer(x, training=True)
    first, second = np.asarray(call(x)), np.asarray(call(x))
    assert not np.allclose(first, second)
    # y[t] = y[t-1] + mask, or mask * y[t-1] + 1, with the mask of the sequence.
    dropped = np.diff(first, axis=1) if option == "dropout" else (first[:, 1:] - 1) / first[:, :-1]
    assert set(np.unique(dropped.round(3))) == {0.0, 2.0}
    np.testing.assert_allclose(dropped, np.repeat(dropped[:, :1], 5, axis=1), atol=1e-4)
    assert layer.cell.inner._outside is None


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_half_precision_rounds_once(rng: np.random.Generator, kind: Any) -> None:
    """All steps are computed in float32: the results are those of a float32 layer, rounded at the end."""
    x = rng.normal(size=(2, 20, 3)).astype("float32")
    half, single = (kind(4, return_sequences=True, dtype=dtype) for dtype in ("bfloat16", "float32"))
    half.build(x.shape)
    single.build(x.shape)
    single.set_weights([np.asarray(w, "float32") for w in half.weights])
    # The projection of the inputs is in half precision, too: inputs of 0 leave the recurrent part.
    want = np.asarray(
        single(
            np.zeros_like(x), initial_state=[np.ones((2, 4), "float32")] * (2 if kind is layers.LSTM else 1)
        )
    )
    got = half(
        np.zeros_like(x), initial_state=[np.ones((2, 4), "float32")] * (2 if kind is layers.LSTM else 1)
    )
    assert got.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(got, "float32"), want, rtol=2**-8, atol=1e-6)
