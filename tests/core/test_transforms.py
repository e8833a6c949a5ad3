from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.core import lazy
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import retain_graph
from hornbeam.core.variable import Variable
from hornbeam.engines import current_engine
from hornbeam.errors import ConcretizationError, DerivativeError
from hornbeam.ir.types import ShapeError

pytestmark = pytest.mark.usefixtures("engine")


def test_cs231n_loop():
    """The loop of the course notes, as written there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    truth = np.array([1.0, -2.0, 0.5], "float32")
    y = x @ truth

    def loss(weights, batch):
        images, targets = batch
        return ops.mean(ops.square(ops.matmul(images, weights) - targets))

    weights = as_tensor(np.zeros(3, "float32"))
    evaluate_gradient = hornbeam.grad(loss)
    for _ in range(150):
        weights_grad = evaluate_gradient(weights, (x, y))
        weights += -0.1 * weights_grad
    np.testing.assert_allclose(weights.numpy(), truth, atol=1e-3)


def test_value_and_grad_of_structures():
    def fn(params, scale):
        return ops.sum(params["w"] * params["w"]) * scale + params["b"]

    value, gradients = hornbeam.value_and_grad(fn)({"w": np.array([1.0, 2.0]), "b": 3.0}, 2.0)
    assert float(value) == 13.0
    assert gradients["w"].tolist() == [4.0, 8.0]
    assert float(gradients["b"]) == 1.0


def test_argnums_and_aux():
    gradients, aux = hornbeam.grad(lambda a, b: (a * b, a + b), argnums=(0, 1), has_aux=True)(2.0, 3.0)
    assert [float(s) for s in gradients] == [3.0, 2.0]
    assert float(aux) == 5.0


def test_second_derivative():
    assert float(hornbeam.grad(hornbeam.grad(lambda x: x**3))(2.0)) == 12.0


def test_vjp():
    value, pull = hornbeam.vjp(lambda a, b: (a * b, ops.sum(a)), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    da, db = pull((np.array([1.0, 10.0]), np.array(100.0)))
    assert value[0].tolist() == [3.0, 8.0]
    assert da.tolist() == [103.0, 140.0]
    assert db.tolist() == [1.0, 20.0]


def test_stop_gradient():
    assert float(hornbeam.grad(lambda x: x * hornbeam.stop_gradient(x))(3.0)) == 3.0


def test_grad_wants_a_float_scalar():
    with pytest.raises(ShapeError, match=r"returns a scalar, got shape \(2,\)"):
        hornbeam.grad(lambda x: x)(np.ones(2))
    with pytest.raises(TypeError, match="floating-point arguments, got int32"):
        hornbeam.grad(lambda x: x)(3)
    with pytest.raises(ValueError, match="called with 1 arguments"):
        hornbeam.grad(lambda x: x, argnums=1)(3.0)


def test_variables_are_updated_through_grad():
    calls = Variable(0, dtype="int32")

    def fn(x):
        calls.assign_add(1)
        return x * x

    assert float(hornbeam.grad(fn)(3.0)) == 6.0
    assert int(calls) == 1


def test_gradients_of_what_is_at_hand():
    v = Variable([1.0, 2.0])
    unused = Variable([5.0])
    gradient, none = hornbeam.gradients(ops.sum(v * v), [v, unused])
    assert gradient.tolist() == [2.0, 4.0]
    assert none.tolist() == [0.0]


def test_gradients_after_reading_say_so():
    v = Variable([1.0, 2.0])
    loss = ops.sum(v * v)
    float(loss)
    with pytest.raises(DerivativeError, match="already been read"):
        hornbeam.gradients(loss, [v])
    with retain_graph():
        loss = ops.sum(v * v)
        float(loss)
        assert hornbeam.gradients(loss, [v])[0].tolist() == [2.0, 4.0]


def test_gradients_through_what_was_read_say_so():
    v, other = Variable([1.0, 2.0]), Variable([1.0, 1.0])
    inner = v * v
    inner.tolist()
    with pytest.raises(DerivativeError, match=r"through a float32\[2\] that has been read"):
        hornbeam.gradients(ops.sum(inner * other), [other, v])
    # Other derivatives are not affected, nor is a call without derivatives.
    assert hornbeam.gradients(ops.sum(inner * other), [other])[0].tolist() == [1.0, 4.0]
    stopped = ops.stop_gradient(inner)
    stopped.tolist()
    gradients = hornbeam.gradients(ops.sum(stopped * other), [other, v])
    assert [s.tolist() for s in gradients] == [[1.0, 4.0], [0.0, 0.0]]
    later = inner + 1.0
    later.tolist()
    with pytest.raises(DerivativeError, match="has been read"):
        hornbeam.gradients(ops.sum(later), [v])


def test_tensors_of_equal_numbers_are_sources_of_their_own() -> None:
    x, y = ops.convert_to_tensor(3.0), ops.array(3.0)
    first, second = hornbeam.gradients(x * y + 3.0 * x, [x, y])
    assert (float(first), float(second)) == (6.0, 3.0)
    ones, others = ops.ones((2,)), ops.ones((2,))
    with pytest.raises(DerivativeError, match="made from the same numbers as another"):
        hornbeam.gradients(ops.sum(ones * others), [ones])
    v = Variable([1.0, 2.0])
    a, b = ops.exp(v), ops.exp(v)
    with pytest.raises(DerivativeError, match="tensor 1 of the variables"):
        hornbeam.gradients(ops.sum(a * b), [a, b])


def test_jit_compiles_once_a_signature():
    traces = []

    @hornbeam.jit
    def fn(x, flag):
        traces.append(x.shape)
        return x * 2 if flag else x

    assert fn(np.ones(2), True).tolist() == [2.0, 2.0]
    assert fn(np.zeros(2), True).tolist() == [0.0, 0.0]
    assert fn(np.ones(3), True).tolist() == [2.0, 2.0, 2.0]
    assert fn(np.ones(2), False).tolist() == [1.0, 1.0]
    assert traces == [(2,), (3,), (2,)]


def test_jit_reads_and_writes_variables():
    v, rate = Variable([1.0, 2.0]), as_tensor(0.5)

    @hornbeam.jit
    def step(x):
        loss = ops.sum(ops.square(v - x))
        (gradient,) = hornbeam.gradients(loss, [v])
        v.assign_sub(rate * gradient)
        return {"loss": loss, "note": "done"}

    logs = step(np.array([0.0, 0.0], "float32"))
    assert float(logs["loss"]) == 5.0
    assert logs["note"] == "done"
    assert v.numpy().tolist() == [0.0, 0.0]


def test_old_values_survive_donation():
    v = Variable([1.0, 2.0])
    before, view = v.value, v.numpy()

    @hornbeam.jit
    def step():
        v.assign(v * 10.0)

    step()
    step()
    assert before.tolist() == [1.0, 2.0]
    assert view.tolist() == [1.0, 2.0]
    assert v.numpy().tolist() == [100.0, 200.0]


def test_variables_that_start_alike_stay_apart():
    a, b = Variable(ops.zeros(3)), Variable(ops.zeros(3))

    @hornbeam.jit
    def step():
        a.assign_add(ops.ones(3))

    step()
    step()
    assert a.numpy().tolist() == [2.0] * 3
    assert b.numpy().tolist() == [0.0] * 3


def test_reading_a_value_while_compiling_says_what_to_do():
    @hornbeam.jit
    def fn(x):
        return x if x > 0 else -x

    with pytest.raises(ConcretizationError, match=r"ops\.cond"):
        fn(np.float32(1.0) * np.ones(()))


def test_assigning_inside_a_custom_gradient_is_refused():
    v = Variable(0.0)

    @ops.custom_gradient
    def fn(x):
        v.assign(x)
        return x * x, lambda upstream: upstream

    with pytest.raises(RuntimeError, match="inside a function of custom_gradient"):
        hornbeam.jit(fn)(np.float32(2.0))


def test_unread_loops_stay_small():
    x = as_tensor(np.zeros(2, "float32"))
    for _ in range(2000):
        x = x + 1.0
    assert x.tolist() == [2000.0, 2000.0]


def test_values_that_are_held_are_computed_once(monkeypatch):

    x = as_tensor(np.arange(3.0))
    y = x * 2
    z = y + 1
    assert z.tolist() == [1.0, 3.0, 5.0]

    def refuse(nodes):
        raise AssertionError("y was computed on the way to z and must not be computed again")

    monkeypatch.setattr(lazy, "evaluate", refuse)
    assert y.tolist() == [0.0, 2.0, 4.0]


def test_checkpoint_with_state_and_options():
    """Dropout masks and batch statistics are those of the plain function, and move on once."""
    from hornbeam import layers

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")

    def run(wrap):
        dense = layers.Dense(4, kernel_initializer=hornbeam.initializers.GlorotUniform(seed=1))
        norm, drop = layers.BatchNormalization(), layers.Dropout(0.5, seed=2)

        def block(parts, training=False):
            return {"out": drop(norm(dense(parts["x"]), training=training), training=training)}

        wrapped = wrap(block)
        gradient = hornbeam.grad(lambda v: ops.sum(ops.square(wrapped({"x": v}, training=True)["out"])))(x)
        state = [v.numpy() for v in (*norm.weights, drop.seed_generator.state)]
        return [gradient.numpy(), wrapped({"x": x})["out"].numpy(), *state]

    for plain, recomputed in zip(run(lambda f: f), run(hornbeam.remat), strict=True):
        np.testing.assert_array_equal(plain, recomputed)


def test_numpy_s_scalars_are_python_floats_in_compiled_code():
    fn = hornbeam.jit(lambda x, y: x * y)
    for x in (np.float32([2.0]), np.float64([2.0])):
        assert fn(x, np.float64(1.5)).dtype == (as_tensor(x) * np.float64(1.5)).dtype == x.dtype


def test_static_arguments_are_told_apart():
    fn = hornbeam.jit(lambda x, y: x / y if y else x)
    assert fn(np.float32(1.0), 0.0).item() == 1.0
    signs = hornbeam.jit(lambda x, y: x / y)
    with np.errstate(divide="ignore"):
        assert [signs(np.float32([1.0]), y).tolist()[0] for y in (0.0, -0.0)] == [np.inf, -np.inf]
    assert hornbeam.jit(lambda x, flag: x + 1 if flag is True else x)(np.float32(1), 1).item() == 1.0
    with pytest.raises(TypeError, match="must be an array or hashable, got set"):
        fn(np.float32(1.0), {1})


def test_a_loop_that_reads_its_loss_does_not_start_over(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actual = current_engine()
    sizes: list[int] = []
    compile = actual.compile
    monkeypatch.setattr(actual, "compile", lambda graph: (sizes.append(len(graph.nodes)), compile(graph))[1])
    x = as_tensor(np.arange(12.0, dtype="float32").reshape(4, 3))
    weights = as_tensor(np.ones(3, "float32"))
    expected = np.ones(3)
    for _ in range(30):
        loss, gradient = hornbeam.value_and_grad(lambda w: ops.mean(ops.square(ops.matmul(x, w))))(weights)
        weights -= 0.00390625 * gradient
        rows = np.arange(12.0).reshape(4, 3)
        np.testing.assert_allclose(float(loss), ((rows @ expected) ** 2).mean(), rtol=1e-4)
        expected = expected - 0.00390625 * 2 * rows.T @ (rows @ expected) / 4
    assert len(sizes) <= 5, "the first steps differ from the others, which are alike"
    assert max(sizes) < 40


def test_a_value_that_was_read_before_does_not_cut_the_same_computation_off() -> None:
    x, v = ops.array([1.0, 2.0]), hornbeam.Variable([1.0, 1.0])
    seen = x * v
    assert seen.tolist() == [1.0, 2.0]
    assert hornbeam.gradients(ops.sum(x * v), [v])[0].tolist() == [1.0, 2.0]


def test_jit_traces_once_for_arrays_and_tensors_of_a_type() -> None:
    traced = []

    def double(x: Any) -> Any:
        traced.append(getattr(x, "dtype", "float"))
        return x * 2

    compiled = hornbeam.jit(double)
    array = np.arange(6, dtype="float32").reshape(2, 3)
    for x in (array, ops.convert_to_tensor(array), array.T.copy().T):
        np.testing.assert_array_equal(compiled(x), array * 2)
    assert traced == ["float32"]
    compiled(array.astype("int32"))
    compiled(array.reshape(3, 2))
    compiled(x=array)
    compiled(2.5)
    assert len(traced) == 5
