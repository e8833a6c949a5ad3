"""Graphs cut for several members, all of which run here on the references: the values stay the same."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam import primitives as p
from hornbeam.core.jit import trace_function
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.partition import Placement, partition, partition_for
from hornbeam.ir.partition.collectives import COLLECTIVES, all_reduce
from hornbeam.ir.partition.rewrite import nested
from hornbeam.ir.partition.rules import RULES
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import TensorType
from hornbeam.ir.verify import verify
from hornbeam.primitives.complex_numbers import LOWERED
from tests.helpers.builders import compiled_model
from tests.helpers.mesh_members import Meeting, assembled, pieces
from tests.helpers.primitive_cases import CASES, NAMES, dtypes_of, operands, types_of
from tests.helpers.random_programs import SHAPES, program
from tests.helpers.seeds import seeds

Arrays = Sequence[np.ndarray]


def counts(graph: Graph) -> dict[str, int]:
    """Count the collectives of a graph and its bodies by kind."""
    result = collections.Counter(
        node.name
        for body in nested(graph)
        for node in body.nodes
        if node.name in COLLECTIVES and node.name != "shard"
    )
    return dict(result)


def check(
    graph: Graph,
    arrays: Arrays,
    ins: Sequence[Placement],
    size: int,
    out_placements: Sequence[Placement] | None = None,
    kernels: Sequence[str] = (),
    tolerance: float = 1e-9,
) -> Graph:
    """Cuts a graph, runs all members, and compares. Returns what a member runs."""
    cut = partition(graph, ins, "batch", size, out_placements=out_placements, kernels=kernels)
    verify(cut.graph)
    if out_placements is not None:
        assert list(cut.placements) == list(out_placements)
    parts = [pieces(array, placement, size) for array, placement in zip(arrays, ins, strict=True)]
    results = Meeting(batch=size).run(cut.graph, [[part[n] for part in parts] for n in range(size)])
    for expected, placement, *actual in zip(reference(graph, arrays), cut.placements, *results, strict=True):
        close(expected, assembled(actual, placement), tolerance)
    return cut.graph


def close(expected: np.ndarray, actual: np.ndarray, tolerance: float) -> None:
    assert (expected.shape, expected.dtype) == (actual.shape, actual.dtype)
    if expected.dtype.kind in "biu":
        np.testing.assert_array_equal(actual, expected)
    else:
        expected, actual = expected.astype("float64"), actual.astype("float64")
        scale = 1 + np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
        np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance)


# -- rules -----------------------------------------------------------------------------------------


def test_every_primitive_has_a_rule_or_needs_none() -> None:
    plain = {name for name, primitive in PRIMITIVES.items() if not primitive.composite} - set(LOWERED)
    made_of_nothing = {"constant", "iota", "random_bits", "project"}
    assert set(RULES) == (plain - made_of_nothing) | set(COLLECTIVES)


@pytest.mark.parametrize("name", NAMES)
def test_operands_in_pieces(name: str) -> None:
    """Every sample with its operands in all placements that divide."""
    primitive = PRIMITIVES[name]
    for index in (i for n, i in CASES if n == name):
        dtypes = dtypes_of(primitive, primitive.samples[index])
        dtype = "float64" if "float64" in dtypes else dtypes[0]
        arrays = operands(primitive, index, dtype)
        inputs = [placeholder(type, 1) for type in types_of(arrays)]
        graph = Graph(inputs, outputs_of(bind(primitive, *inputs, **primitive.samples[index].params)))
        for size in (2, 3):
            placements = [[None, *dims_of(array.shape, size)] for array in arrays]
            for ins in itertools.islice(itertools.product(*placements), 1, 13):
                check(graph, arrays, ins, size)


def dims_of(shape: Sequence[int], size: int) -> list[int]:
    return [d for d, n in enumerate(shape) if n and n % size == 0]


@pytest.mark.parametrize("name", ["conv", "dot_general", "gather", "reduce_sum", "max_pool"])
def test_batches_are_not_gathered(name: str) -> None:
    types = {
        "conv": [(4, 5, 5, 2), (3, 3, 2, 4)],
        "dot_general": [(4, 3), (3, 5)],
        "gather": [(4, 3), (4, 2, 1)],
        "reduce_sum": [(4, 3)],
        "max_pool": [(4, 4, 4, 2)],
    }
    window = {"strides": (1, 1), "padding": ((1, 1), (1, 1))}
    params: dict[str, dict[str, Any]] = {
        "conv": {**window, "dilation": (1, 1), "groups": 1},
        "dot_general": {"contract": ((1,), (0,)), "batch": ((), ())},
        "gather": {"batch_dims": 0},
        "reduce_sum": {"axes": (1,)},
        "max_pool": {**window, "window": (3, 3)},
    }
    kinds = ["float32", "int32" if name == "gather" else "float32"]
    inputs = [placeholder(TensorType(s, k), 1) for s, k in zip(types[name], kinds, strict=False)]
    graph = Graph(inputs, [bind(PRIMITIVES[name], *inputs, **params[name])])
    ins: list[Placement] = [None, 0] if name == "gather" else [0, *[None] * (len(inputs) - 1)]
    cut = partition(graph, ins, "batch", 2)
    assert cut.placements == (0,)
    assert counts(cut.graph) == {}


# -- programs --------------------------------------------------------------------------------------


def check_program(seed: int) -> None:
    """A random program and its derivative, with inputs and outputs at random placements."""
    rng, choice = np.random.default_rng(seed), random.Random(seed)
    inputs = [rng.normal(size=shape) for shape in random.Random(seed).choices(SHAPES, k=3)]

    def both(*args: Any) -> Any:
        return hb.grad(lambda *a: program(seed)(*a)[0], argnums=(0, 1, 2))(*args), program(seed)(*args)

    traced = trace_function(both, inputs)
    values = [np.asarray(v) for v in traced.variables]
    arrays = [*values, *(np.asarray(hb.Tensor(node)) for node in traced.captured), *inputs]
    kernels = ("softmax", "softmax_vjp", "logsumexp", "relu", "checkpoint", "checkpoint_vjp") * (seed % 2)
    for size in (2, 3, 4):
        ins = [choice.choice([*dims_of(array.shape, size), None]) for array in arrays]
        outs = [choice.choice([*dims_of(node.shape, size), None]) for node in traced.graph.outputs]
        check(traced.graph, arrays, ins, size, outs if seed % 3 else None, kernels)


@pytest.mark.parametrize("seed", seeds(12, 25))
def test_programs_in_pieces(seed: int) -> None:
    check_program(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(5))
def test_many_programs_in_pieces(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check_program(seed)


# -- whole training steps --------------------------------------------------------------------------


def convnet() -> tuple[hb.Model, np.ndarray, np.ndarray]:
    model = compiled_model(
        (8, 8, 2),
        [
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(16, activation="relu", kernel_regularizer="l2"),
            layers.Dense(10, activation="softmax"),
        ],
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model, np.random.default_rng(0).normal(size=(8, 8, 8, 2)).astype("float32"), np.arange(8) % 10


def recurrent() -> tuple[hb.Model, np.ndarray, np.ndarray]:
    model = hb.Sequential(
        [
            hb.Input((6,), dtype="int32"),
            layers.Embedding(20, 8, mask_zero=True),
            layers.LSTM(8, return_sequences=True, dropout=0.2),
            layers.GRU(8),
            layers.Dense(4),
        ]
    )
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(hb.optimizers.Adam(1e-2, global_clipnorm=1.0), loss, metrics=["accuracy"])
    rng = np.random.default_rng(0)
    return model, rng.integers(0, 20, (8, 6)).astype("int32"), np.arange(8) % 4


def transformer() -> tuple[hb.Model, np.ndarray, np.ndarray]:
    tokens = hb.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    for block in range(2):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 2, dropout=0.1, name=f"attend_{block}")(h, h)
        h = layers.Dense(16, activation="gelu", name=f"widen_{block}")(layers.LayerNormalization()(x))
        x = x + layers.Dense(8, name=f"narrow_{block}")(h)
    model = hb.Model(tokens, layers.Dense(20)(x))
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adamw", loss, metrics=["accuracy"])
    rng = np.random.default_rng(0)
    return model, *(rng.integers(0, 20, (8, 6)).astype("int32") for _ in range(2))


Made = tuple[Graph, list[np.ndarray], list[Any]]


def step_of(make: Callable[[], tuple[hb.Model, np.ndarray, np.ndarray]]) -> Made:
    """A model's training step, the values of its inputs, and the variables among them."""
    hb.utils.set_random_seed(1)
    model, x, y = make()
    model.train_on_batch(x, y)
    (step,) = model._hb_trainer.steps.values()
    traced = step.traced
    captured = [np.asarray(hb.Tensor(node)) for node in traced.captured]
    state = [*(np.asarray(v) for v in traced.variables), *captured]
    return traced.step_graph, [*state, x, y], list(traced.variables)


STEPS = {"convnet": convnet, "recurrent": recurrent, "transformer": transformer}


@pytest.fixture(scope="module")
def steps() -> dict[str, Made]:
    return {name: step_of(make) for name, make in STEPS.items()}


def check_step(
    result: Made, placement: Callable[[Any], Placement], size: int, batch: Placement = 0
) -> dict[str, int]:
    """Run a step with variables placed by `placement`, and count its collectives."""
    graph, arrays, variables = result
    rest = len(arrays) - 2 - len(variables)
    state = [*(placement(v) for v in variables), *[None] * rest]
    logs: list[Placement] = [None] * (len(graph.outputs) - len(state))
    return counts(check(graph, arrays, [*state, batch, batch], size, [*state, *logs], tolerance=2e-5))


def on_first(size: int) -> Callable[[Any], Placement]:
    """Variables cut along their first dimension, where that divides."""
    return lambda v: 0 if v.dtype == "float32" and dims_of(v.shape, size)[:1] == [0] else None


@pytest.mark.parametrize(
    ("name", "sums"),
    # Batch normalization sums mean and variance on the way there, and twice as much in one call back. All
    # gradients and metrics are one.
    [("convnet", 4), ("recurrent", 1), ("transformer", 1)],
)
@pytest.mark.parametrize("size", [2, 4])
def test_the_same_variables_everywhere(steps: dict[str, Made], name: str, sums: int, size: int) -> None:
    assert check_step(steps[name], lambda v: None, size) == {"all_reduce": sums}


@pytest.mark.parametrize(
    ("name", "expected"),
    # Variables are gathered in one call, gradients come back in pieces in one, metrics in one.
    [
        ("convnet", {"all_gather": 1, "reduce_scatter": 1, "all_reduce": 4}),
        ("recurrent", {"all_gather": 1, "reduce_scatter": 1, "all_reduce": 1}),
        ("transformer", {"all_gather": 1, "reduce_scatter": 1, "all_reduce": 1}),
    ],
)
@pytest.mark.parametrize("size", [2, 4])
def test_variables_in_pieces(steps: dict[str, Made], name: str, expected: dict[str, int], size: int) -> None:
    assert check_step(steps[name], on_first(size), size) == expected


def test_heads_and_columns_in_pieces(steps: dict[str, Made]) -> None:
    """Two sums a block and direction, as in M. Shoeybi et al., "Megatron-LM", 2019."""
    assert check_step(steps["transformer"], by_heads, 2, batch=None) == {"all_reduce": 8}


def by_heads(variable: Any) -> Placement:
    """Attention cut by heads, the wide product by columns, what comes back from both by rows."""
    path = variable.path.replace("/", "_")
    for part, kernel, bias in (("query", 1, 0), ("key", 1, 0), ("value", 1, 0), ("widen", 1, 0)):
        for block in "01":
            name = f"widen_{block}" if part == "widen" else f"attend_{block}_{part}"
            if name in path:
                return kernel if "_kernel" in path else bias
    rows = "attention_output_kernel" in path or ("narrow" in path and "_kernel" in path)
    return 0 if rows else None


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("seed", range(3))
def test_variables_anywhere(steps: dict[str, Made], name: str, seed: int) -> None:
    choice = random.Random(seed)

    def placement(variable: Any) -> Placement:
        dims = dims_of(variable.shape, 2) if variable.dtype == "float32" else []
        return choice.choice([*dims, None])

    check_step(steps[name], placement, 2, batch=choice.choice([0, None]))


def test_two_axes(steps: dict[str, Made]) -> None:
    """Rows of the batch along one axis, heads and columns along another."""
    graph, arrays, variables = steps["transformer"]
    layouts: list[Any] = [
        ((None,) * d + ("model",) if (d := by_heads(v)) is not None else ()) for v in variables
    ]
    state = [*layouts, *[()] * (len(arrays) - 2 - len(variables))]
    out_placements = [*state, *[()] * (len(graph.outputs) - len(state))]
    ins = [*state, ("batch",), ("batch",)]
    member, actual = partition_for({"batch": 2, "model": 2}, graph, ins, out_placements)
    verify(member)
    assert actual == out_placements
    meeting = Meeting(batch=2, model=2)
    inputs = [
        [piece_of(a, layout, meeting, n) for a, layout in zip(arrays, ins, strict=True)] for n in range(4)
    ]
    results = meeting.run(member, inputs)
    for i, (expected, layout) in enumerate(zip(reference(graph, arrays), out_placements, strict=True)):
        for n in range(4):
            close(piece_of(expected, layout, meeting, n), results[n][i], 2e-5)


def piece_of(array: np.ndarray, layout: Any, meeting: Meeting, number: int) -> np.ndarray:
    for dim, axis in enumerate(layout):
        if axis is not None:
            array = np.split(array, meeting.shape[axis], dim)[meeting.coordinates(number)[axis]]
    return np.array(array)


def test_an_output_is_cut_once(steps: dict[str, Made]) -> None:
    """If two axes would shard the same dimension of an output, one of them replicates it."""
    with new_level() as level:
        x = placeholder(TensorType((4, 4), "float64"), level)
        w = placeholder(TensorType((4, 4), "float64"), level)
        graph = Graph([x, w], [x * p.transpose(w, (1, 0))])
    member, results = partition_for({"a": 2, "b": 2}, graph, [("a",), (None, "b")])
    assert results == [("a",)]
    meeting = Meeting(a=2, b=2)
    arrays = [np.arange(16.0).reshape(4, 4), np.arange(16.0).reshape(4, 4) ** 2]
    inputs = [
        [piece_of(arrays[0], ("a",), meeting, n), piece_of(arrays[1], (None, "b"), meeting, n)]
        for n in range(4)
    ]
    for n, (result,) in enumerate(meeting.run(member, inputs)):
        np.testing.assert_array_equal(result, piece_of(arrays[0] * arrays[1].T, ("a",), meeting, n))


# -- single points ---------------------------------------------------------------------------------


def traced(fn: Callable[..., Sequence[Node]], *shapes: tuple[int, ...]) -> tuple[Graph, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    with new_level() as level:
        inputs = [placeholder(TensorType(shape, "float64"), level) for shape in shapes]
        graph = Graph(inputs, fn(*inputs))
    return graph, [rng.normal(size=shape) for shape in shapes]


def test_sums_are_taken_once_and_late() -> None:
    """Two products of pieces are added and scaled before any communication."""

    def fn(x: Node, y: Node, s: Node) -> list[Node]:
        product = p.dot_general(x, x, contract=((0,), (0,))) + p.dot_general(y, y, contract=((0,), (0,)))
        return [p.tanh(p.reshape(product * s, (9,)))]

    graph, arrays = traced(fn, (4, 3), (4, 3), (3, 3))
    assert counts(check(graph, arrays, [0, 0, None], 2)) == {"all_reduce": 1}


def test_a_sum_is_taken_where_it_is_smallest() -> None:
    def fn(x: Node) -> list[Node]:
        return [p.tanh(p.broadcast(p.reduce_sum(x, (0,)), (5, 3), (1,)))]

    graph, arrays = traced(fn, (4, 3))
    (node,) = (n for n in check(graph, arrays, [0], 2).nodes if n.name == "all_reduce")
    assert node.shape == (3,)


def test_a_conversion_does_not_let_sums_through() -> None:
    graph, arrays = traced(lambda x: [p.convert(p.reduce_sum(x, (0,)), "float32")], (4, 3))
    (node,) = (n for n in check(graph, arrays, [0], 2, tolerance=1e-6).nodes if n.name == "all_reduce")
    assert node.dtype == "float64"


def test_a_sum_that_is_wanted_in_pieces_is_scattered() -> None:
    graph, arrays = traced(lambda x: [p.dot_general(x, x, contract=((0,), (0,)))], (4, 6))
    assert counts(check(graph, arrays, [0], 2, [1])) == {"reduce_scatter": 1}


def test_loops_gather_what_they_need_before_they_begin() -> None:
    def fn(x: Node, w: Node) -> list[Node]:
        def step(carry: Sequence[Node], xs: Sequence[Node]) -> Any:
            new = p.tanh(p.dot_general(carry[0], w, contract=((1,), (0,))) + xs[0])
            return [new], [new]

        (last,), (kept,) = p.scan(step, [p.full(0, TensorType((4, 2), "float64"))], [x], length=3)
        return [last, kept]

    graph, arrays = traced(fn, (3, 4, 2), (2, 2))
    member = check(graph, arrays, [1, 0], 2)
    assert [node.name for node in member.nodes if node.name in ("all_gather", "scan")] == [
        "all_gather",
        "scan",
    ]
    assert counts(member) == {"all_gather": 1}


def test_sums_over_steps_stay_sums() -> None:
    """The gradient of a weight that all steps read is summed over members once, after the loop."""

    def fn(x: Node, w: Node) -> list[Node]:
        def step(carry: Sequence[Node], xs: Sequence[Node]) -> Any:
            return [carry[0] + p.dot_general(xs[0], xs[0], contract=((0,), (0,))) * w], []

        (total,), _ = p.scan(step, [p.full(0, TensorType((2, 2), "float64"))], [x], length=3)
        return [p.tanh(total)]

    graph, arrays = traced(fn, (3, 4, 2), (2, 2))
    member = check(graph, arrays, [1, None], 2)
    assert counts(member) == {"all_reduce": 1}
    assert counts(next(n for n in member.nodes if n.name == "scan").params["body"]) == {}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_branches_agree_on_places(sign: float) -> None:
    def fn(x: Node, y: Node) -> list[Node]:
        return list(p.cond(p.gt(p.reduce_sum(y, (0,)), 0.0), lambda: [x * 2.0], lambda: [x + p.ones_like(x)]))

    graph, (x, _) = traced(fn, (4, 2), (3,))
    check(graph, [x, np.full(3, sign)], [0, None], 2)
    check(graph, [x, np.full(3, sign)], [1, None], 2, [0])


def test_loops_until_all_are_done() -> None:
    def fn(x: Node) -> list[Node]:
        return list(
            p.while_loop(
                lambda a: p.gt(p.reduce_sum(a * a, (0, 1)), 1.0),
                lambda a: [a * 0.5 + p.reverse(a, (0,)) * 0.1],
                x,
            )
        )

    graph, arrays = traced(fn, (4, 2))
    for placement in (0, 1):
        check(graph, arrays, [placement], 2)


def test_members_draw_their_own_rows() -> None:
    """Dropout is that of one process."""

    def fn(x: Any) -> Any:
        return hb.random.dropout(x, 0.5, seed=3)

    x = np.ones((4, 5))
    traced = trace_function(fn, [x])
    keys = [np.asarray(hb.Tensor(node)) for node in traced.captured]
    member = check(traced.graph, [*keys, x], [*[None] * len(keys), 0], 2)
    assert counts(member) == {}
    assert all(node.shape[0] == 2 for node in member.nodes if node.name == "lt")


def test_a_kernel_stays_one_where_members_need_no_others() -> None:
    graph = trace_function(lambda x: ops.softmax(x), [np.ones((4, 6), "float32")]).graph
    names = {
        placement: [
            n.name for n in partition(graph, [placement], "batch", 2, kernels=["softmax"]).graph.nodes
        ]
        for placement in (0, 1)
    }
    assert names[0] == ["softmax"]
    assert "softmax" not in names[1]
    assert names[1].count("all_reduce") == 2  # the largest, and the sum


def test_a_collective_of_one() -> None:
    x = np.arange(6.0).reshape(3, 2)
    for primitive in COLLECTIVES.values():
        result = primitive.reference(x, **primitive.samples[0].params)
        np.testing.assert_array_equal(result, x)


def test_a_member_alone_is_an_error() -> None:
    graph = Graph([x := placeholder(TensorType((2,), "float32"), 1)], [all_reduce(x, "batch", 2)])
    with pytest.raises(RuntimeError, match="2 ranks along 'batch' runs in a thread without a process group"):
        reference(graph, [np.ones(2, "float32")])


def test_pieces_that_do_not_divide_are_an_error() -> None:
    x = placeholder(TensorType((3,), "float32"), 1)
    with pytest.raises(ValueError, match="cannot divide dimension 0 of float32\\[3\\] into 2 equal shards"):
        partition(Graph([x], [p.neg(x)]), [None], "batch", 2, out_placements=[0])


def test_a_hint_says_where_a_value_is() -> None:
    """On the axes that it names; the values are the same, and so is what follows from them."""

    def fn(x: Node, w: Node) -> list[Node]:
        return [p.sharding_constraint(p.dot_general(x, w, contract=((1,), (0,))), axes=(None, "batch")) * 2.0]

    graph, arrays = traced(fn, (4, 2), (2, 6))
    assert counts(check(graph, arrays, [None, None], 2)) == {}
    assert partition(graph, [None, None], "batch", 2).placements == (1,)
    assert partition(graph, [0, None], "batch", 2).placements == (1,)
    assert partition(graph, [None, 0], "batch", 2).placements == (1,)
    assert counts(check(graph, arrays, [1, 0], 2)) == {"reduce_scatter": 1}
    assert partition(graph, [None, None], "other", 2).placements == (None,)
    member, result = partition_for({"other": 2, "batch": 2}, graph, [("other",), ()])
    verify(member)
    assert result == [("other", "batch")]
    assert not any(node.name == "sharding_constraint" for node in member.nodes)
