"""Connectionist temporal classification: labels aligned with longer sequences. Graves et al., 2006."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import primitives as p
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, zeros_like
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.ops._common import HALF, cut, float_node, node_of, static_int

__all__ = ["ctc_decode", "ctc_loss"]

# Represents log(0): adding to it does not overflow, and gradients stay finite.
_NEVER = -1e30


def _wide(logits: TensorLike) -> Node:
    """Return logits as floats of 32 bits at least: sums over many steps need them."""
    node = float_node(logits)
    return p.convert(node, "float32") if node.dtype in HALF else node


def _log_add(*terms: Node) -> Node:
    """Compute log(sum of exp) elementwise."""
    peak = terms[0]
    for term in terms[1:]:
        peak = p.maximum(peak, term)
    peak = p.stop_gradient(peak)
    total = None
    for term in terms:
        part = p.exp(term - peak)
        total = part if total is None else total + part
    assert total is not None
    return peak + p.log(total)


def _shifted(state: Node, by: int) -> Node:
    """Shift states to the right by `by` positions; none enter from the left."""
    never = full(_NEVER, TensorType((), state.dtype))
    return p.pad(state, never, (0, by), (0, -by))


@operation
def ctc_loss(
    target: TensorLike,
    output: TensorLike,
    target_length: TensorLike,
    output_length: TensorLike,
    mask_index: int = 0,
) -> Tensor:
    """Compute the CTC loss: -log of the probability that the outputs spell the target, over all alignments.

    A target that is too long for its outputs has a very large loss.

    Args:
        target: Tensor (batch, labels) of integers.
        output: Tensor (batch, time, classes) of logits.
        target_length: Tensor (batch,) of integers, how many labels count.
        output_length: Tensor (batch,) of integers, how many time steps count.
        mask_index: Integer, the class that means "no label".

    Returns:
        Tensor (batch,), float32 for outputs in half precision.

    Raises:
        ShapeError: If the tensors do not have these axes.

    Example:
        >>> x = hornbeam.ops.zeros((1, 2, 3))
        >>> round(float(hornbeam.ops.ctc_loss([[1]], x, [1], [2])[0]), 4)
        1.0986
    """
    logits, labels = _wide(output), p.convert(node_of(target), "int32")
    lengths, steps = (p.convert(node_of(n), "int32") for n in (target_length, output_length))
    if logits.rank != 3 or labels.rank != 2 or labels.shape[0] != logits.shape[0]:
        raise ShapeError(
            f"ctc_loss needs target (batch, labels) and output (batch, time, classes), got {labels.shape} "
            f"and {logits.shape}"
        )
    batch, time, _ = logits.shape
    count = labels.shape[1]
    states = 2 * count + 1
    blank = full(mask_index, TensorType((batch, count, 1), "int32"))
    # blank, label, blank, label, ..., blank
    path = p.reshape(p.concatenate(blank, p.reshape(labels, (batch, count, 1)), axis=2), (batch, 2 * count))
    path = p.concatenate(path, full(mask_index, TensorType((batch, 1), "int32")), axis=1)
    logs = p.log_softmax(logits)
    index = p.broadcast(p.reshape(path, (batch, 1, states, 1)), (batch, time, states, 1), (0, 1, 2, 3))
    emitted = p.transpose(p.gather(logs, index, batch_dims=2), (1, 0, 2))

    # From two states before, from label to label (odd positions), unless the labels are equal.
    before = p.pad(path, full(-1, TensorType((), "int32")), (0, 2), (0, -2))
    position = p.iota("int32", (batch, states), 1)
    is_label = p.eq(p.rem(position, full(2, position.type)), full(1, position.type))
    may_skip = p.bit_and(is_label, p.ne(path, before))
    never = full(_NEVER, TensorType((batch, states), logs.dtype))
    start = p.select(p.eq(position, zeros_like(position)), zeros_like(never), never)

    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        alpha, (emission, now) = carry[0], items
        skipped = p.select(may_skip, _shifted(alpha, 2), never)
        moved = p.maximum(_log_add(alpha, _shifted(alpha, 1), skipped) + emission, never)
        # Before the first step the sequence is before the first blank, which may be skipped.
        first = p.maximum(_log_add(alpha, _shifted(alpha, 1)) + emission, never)
        begun = p.eq(now, zeros_like(now))
        moved = p.select(p.broadcast(begun, moved.shape, ()), first, moved)
        running = p.broadcast(p.lt(p.broadcast(now, (batch,), ()), steps), moved.shape, (0,))
        return [p.select(running, moved, alpha)], []

    final = p.scan(step, [start], [emitted, p.iota("int32", (time,), 0)], length=time)[0][0]
    last = p.broadcast(lengths + lengths, (batch, states), (0,))
    ends = p.bit_or(p.eq(position, last), p.eq(position, last - 1))
    reached = p.select(ends, final, never)
    return Tensor(-p.logsumexp(reached))


@operation
def ctc_decode(
    inputs: TensorLike,
    sequence_lengths: TensorLike,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:
    """Decode logits to labels, by the most likely class of each step or by a beam search over labels.

    The greedy strategy merges repetitions and drops blanks. The beam search adds up the probabilities of all
    alignments that spell the same labels, and keeps the `beam_width` most likely ones in each step.

    Args:
        inputs: Tensor (batch, time, classes) of logits.
        sequence_lengths: Tensor (batch,) of integers, how many time steps count.
        strategy: "greedy" or "beam_search".
        beam_width: Integer, how many sequences of labels the beam search follows.
        top_paths: Integer, how many sequences the beam search returns, the most likely first.
        merge_repeated: Merge repeated classes of neighboring steps; the beam search always does.
        mask_index: Integer, the class that means "no label"; None for the last one.

    Returns:
        Pair of labels, int32, filled with -1, and scores. Greedy: (1, batch, time) and (batch, 1), the sum of
        the negated largest logits. Beam search: (top_paths, batch, time) and (batch, top_paths), the log of
        the probabilities, minus infinity where there are fewer sequences.

    Raises:
        ValueError: If the strategy is unknown, or `top_paths` exceeds `beam_width`.

    Example:
        >>> x = hornbeam.ops.array([[[0.0, 2.0], [0.0, 1.0]]])
        >>> hornbeam.ops.ctc_decode(x, [2], "beam_search", beam_width=2)[0].tolist()
        [[[1, -1]]]

    Source: Graves, "Supervised Sequence Labelling with Recurrent Neural Networks", 2012, section 7.5.
    """
    logits, steps = _wide(inputs), p.convert(node_of(sequence_lengths), "int32")
    if logits.rank != 3:
        raise ShapeError(f"ctc_decode needs logits (batch, time, classes), got shape {logits.shape}")
    blank = logits.shape[2] - 1 if mask_index is None else static_int(mask_index, "mask_index")
    if strategy == "greedy":
        return _greedy(logits, steps, blank, merge_repeated)
    if strategy != "beam_search":
        raise ValueError(f'ctc_decode: Invalid strategy {strategy!r}: it is "greedy" or "beam_search"')
    width, top = static_int(beam_width, "beam_width"), static_int(top_paths, "top_paths")
    if not 1 <= top <= width:
        raise ValueError(f"ctc_decode: needs 1 <= top_paths <= beam_width, got {top} and {width}")
    return _beam_search(p.log_softmax(logits), steps, blank, width, top)


def _greedy(logits: Node, steps: Node, blank: int, merge_repeated: bool) -> tuple[Tensor, Tensor]:
    batch, time, _ = logits.shape
    most_likely = p.argmax(logits, 2)
    position = p.iota("int32", (batch, time), 1)
    valid = p.lt(position, p.broadcast(steps, (batch, time), (0,)))
    peaks = p.reduce_max(logits, (2,))
    scores = -p.reduce_sum(p.select(valid, peaks, zeros_like(peaks)), (1,))
    before = p.pad(most_likely, full(-1, TensorType((), "int32")), (0, 1), (0, -1))
    is_label = p.bit_and(valid, p.ne(most_likely, full(blank, most_likely.type)))
    if merge_repeated:
        is_label = p.bit_and(is_label, p.ne(most_likely, before))
    # Move the is_label labels to the front, in order.
    order = p.argsort(p.select(is_label, position, position + time), 1)
    shown = p.select(is_label, most_likely, full(-1, most_likely.type))
    decoded = p.gather(shown, p.reshape(order, (batch, time, 1)), batch_dims=1)
    return Tensor(p.reshape(decoded, (1, batch, time))), Tensor(p.reshape(scores, (batch, 1)))


def _spread(node: Node, shape: tuple[int, ...]) -> Node:
    """Repeat values (batch, beams) along the further axes of a shape."""
    return p.broadcast(node, shape, (0, 1))


def _picked(node: Node, index: Node) -> Node:
    return p.gather(node, p.reshape(index, (*index.shape, 1)), batch_dims=1)


def _extensions(paths: Node, lengths: Node) -> Node:
    """Return for each pair of beams whether the first one is the second one and one label more."""
    batch, width, time = paths.shape
    position = p.iota("int32", paths.shape, 2)
    shorter = p.select(p.eq(position, _spread(lengths - 1, paths.shape)), full(-1, paths.type), paths)
    pairs = (batch, width, width)
    equal = p.eq(
        p.broadcast(shorter, (*pairs, time), (0, 1, 3)), p.broadcast(paths, (*pairs, time), (0, 2, 3))
    )
    return p.bit_and(p.reduce_and(equal, (3,)), _spread(p.gt(lengths, zeros_like(lengths)), pairs))


def _used_labels(follows: Node, is_last: Node, labels: Node, blank: int) -> Node:
    """Return the labels (batch, beams, classes) by which a beam would become another one, and the blank."""
    used = p.dot_general(
        p.convert(follows, "float32"),
        p.convert(is_last, "float32"),
        contract=((1,), (1,)),
        batch=((0,), (0,)),
    )
    return p.bit_or(p.gt(used, zeros_like(used)), p.eq(labels, full(blank, labels.type)))


def _beam_search(logs: Node, steps: Node, blank: int, width: int, top: int) -> tuple[Tensor, Tensor]:
    """Follow the `width` most likely sequences of labels, each by two log probabilities.

    `on_blank` is that of the alignments that end with a blank, `on_label` of those that end with the last
    label. Of the beams, unused ones included, no two are one sequence that has a probability.
    """
    batch, time, classes = logs.shape
    beams = (batch, width)
    never = full(_NEVER, TensorType(beams, logs.dtype))
    all_ints, every = TensorType((*beams, time), "int32"), (*beams, classes)
    position = p.iota("int32", all_ints.shape, 2)
    labels = p.iota("int32", every, 2)
    first = p.eq(p.iota("int32", beams, 1), full(0, TensorType(beams, "int32")))

    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        paths, lengths, last, on_blank, on_label = carry
        now_logs, now = items
        total = _log_add(on_blank, on_label)
        stays_blank = total + p.broadcast(cut(now_logs, 1, blank, blank + 1), beams, (0, 1))
        some_last = p.maximum(last, zeros_like(last))
        stays_label = on_label + _picked(now_logs, some_last)
        # A label after itself is a new one only after a blank.
        is_last = p.eq(labels, _spread(last, every))
        longer = p.broadcast(now_logs, every, (0, 2)) + p.select(
            is_last, _spread(on_blank, every), _spread(total, every)
        )
        # Where one beam is another one and a label, the longer one takes over what that path adds.
        follows = _extensions(paths, lengths)
        added = _picked(p.transpose(longer, (0, 2, 1)), some_last)
        added = p.reduce_max(p.select(follows, added, _spread(never, follows.shape)), (2,))
        stays_label = _log_add(stays_label, added)
        longer = p.select(_used_labels(follows, is_last, labels, blank), full(_NEVER, longer.type), longer)

        stays = _log_add(stays_blank, stays_label)
        scores = p.concatenate(stays, p.reshape(longer, (batch, width * classes)), axis=1)
        chosen = cut(p.argsort(-scores, 1), 1, 0, width)
        grows = p.ge(chosen, full(width, chosen.type))
        number = p.maximum(chosen - width, zeros_like(chosen))
        label = p.rem(number, full(classes, number.type))
        source = p.select(grows, p.div(number - label, full(classes, number.type)), chosen)
        location = p.bit_and(
            p.eq(position, _spread(_picked(lengths, source), all_ints.shape)), _spread(grows, all_ints.shape)
        )
        new = [
            p.select(location, _spread(label, all_ints.shape), _picked(paths, source)),
            _picked(lengths, source) + p.convert(grows, "int32"),
            p.select(grows, label, _picked(last, source)),
            p.select(grows, never, p.maximum(_picked(stays_blank, source), never)),
            p.maximum(p.select(grows, _picked(scores, chosen), _picked(stays_label, source)), never),
        ]
        running = p.lt(p.broadcast(now, (batch,), ()), steps)
        return [
            p.select(p.broadcast(running, x.shape, (0,)), x, old) for x, old in zip(new, carry, strict=True)
        ], []

    none = full(-1, TensorType(beams, "int32"))
    start = [full(-1, all_ints), zeros_like(none), none, p.select(first, zeros_like(never), never), never]
    by_time = [p.transpose(logs, (1, 0, 2)), p.iota("int32", (time,), 0)]
    paths, _, _, on_blank, on_label = p.scan(step, start, by_time, length=time)[0]
    scores = cut(_log_add(on_blank, on_label), 1, 0, top)
    absent = p.lt(scores, full(_NEVER / 2, scores.type))
    scores = p.select(absent, full(-float("inf"), scores.type), scores)
    return Tensor(p.transpose(cut(paths, 1, 0, top), (1, 0, 2))), Tensor(scores)
