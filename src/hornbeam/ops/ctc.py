"""Connectionist temporal classification: labels aligned with longer sequences. Graves et al., 2006."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hornbeam import primitives as p
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, zeros_like
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.ops._common import float_node, node_of

if TYPE_CHECKING:
    from hornbeam._internal.typing import TensorLike

__all__ = ["ctc_decode", "ctc_loss"]

# Represents log(0): adding to it does not overflow, and gradients stay finite.
_NEVER = -1e30


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
        Tensor (batch,).

    Example:
        >>> x = hornbeam.ops.zeros((1, 2, 3))
        >>> round(float(hornbeam.ops.ctc_loss([[1]], x, [1], [2])[0]), 4)
        1.0986
    """
    logits, labels = float_node(output), p.convert(node_of(target), "int32")
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
    logs = p.log_softmax(p.convert(logits, "float64" if logits.dtype == "float64" else "float32"))
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
    return Tensor(p.convert(-p.logsumexp(reached), logits.dtype))


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
    """Decode logits to labels: the most likely class of each step, repetitions merged, blanks dropped.

    Args:
        inputs: Tensor (batch, time, classes) of logits.
        sequence_lengths: Tensor (batch,) of integers, how many time steps count.
        strategy: "greedy", the only strategy that is supported.
        beam_width: Accepted for Keras's signature; it belongs to beam search.
        top_paths: Accepted for Keras's signature; it belongs to beam search.
        merge_repeated: Merge repeated classes of neighboring steps.
        mask_index: Integer, the class that means "no label"; None for the last one.

    Returns:
        Pair of labels (1, batch, time), int32, filled with -1, and scores (batch, 1), the sum of the negated
        largest logits.
    """
    if strategy != "greedy":
        raise NotImplementedError(f'ctc_decode: only strategy="greedy" is supported, got {strategy!r}')
    logits, steps = float_node(inputs), p.convert(node_of(sequence_lengths), "int32")
    if logits.rank != 3:
        raise ShapeError(f"ctc_decode needs logits (batch, time, classes), got shape {logits.shape}")
    batch, time, classes = logits.shape
    blank = classes - 1 if mask_index is None else mask_index
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
