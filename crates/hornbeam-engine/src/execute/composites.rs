//! Recurrent layers along whole sequences, and attention.

use hornbeam_kernels::attention::{Attention, AttentionElement, AttentionGrad, AttentionShape, Bias};
use hornbeam_kernels::dispatch;
use hornbeam_kernels::rnn::{Gru, GruGrad, Lstm, LstmGrad, RnnElement as Float, SequenceShape};

use crate::execute::Context;
use crate::graph::{Cell, Recurrent};
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let dtype = instruction.writes[0].dtype;
    dispatch!(wide, dtype, T => match &instruction.kind {
        Kind::Recurrent { layer, shape } => recurrent::<T>(layer, shape, instruction, memory, context),
        Kind::Attention { backward, heads, bias } => {
            attention::<T>(*backward, heads, *bias, instruction, memory, context)
        }
        other => unreachable!("{} is no composite", other.name()),
    }, else unreachable!("a composite of {dtype}"))
}

fn attention<T: AttentionElement>(
    backward: bool,
    heads: &AttentionShape,
    bias: Option<[usize; 3]>,
    instruction: &Instruction,
    memory: Memory,
    context: &Context,
) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let read = |i: usize| memory.read::<T>(&reads[i]);
    let write = |i: usize| memory.write::<T>(&writes[i]);
    let (q, k, v) = (read(0), read(1), read(2));
    let bias = bias.map(|strides| Bias { data: read(3), strides });
    if !backward {
        let (out, row_max, row_sum) = (write(0), write(1), write(2));
        return T::attention(pool, heads, Attention { q, k, v, bias, out, row_max, row_sum });
    }
    let rest = 3 + usize::from(bias.is_some());
    let (out, row_max, row_sum, dout) = (read(rest), read(rest + 1), read(rest + 2), read(rest + 3));
    let (dq, dk, dv, dbias) = (write(0), write(1), write(2), writes.get(3).map(|to| memory.write(to)));
    T::attention_grad(pool, heads, AttentionGrad { q, k, v, bias, out, row_max, row_sum, dout, dq, dk, dv, dbias })
}

fn recurrent<T: Float>(
    layer: &Recurrent,
    shape: &SequenceShape,
    instruction: &Instruction,
    memory: Memory,
    context: &mut Context,
) {
    let (reads, writes, pool, scratch) = (&instruction.reads, &instruction.writes, context.pool, &mut *context.scratch);
    let read = |i: usize| memory.read::<T>(&reads[i]);
    let write = |i: usize| memory.write::<T>(&writes[i]);
    let kept = |i: usize| writes.get(i).map(|to| memory.write::<T>(to));
    let mask = layer.masked.then(|| memory.read(&reads[reads.len() - 1]));
    let every = |i: usize| layer.every(reads.len()).then(|| read(i));
    match (layer.cell, layer.backward) {
        (Cell::Lstm, false) => {
            let (x, w, h0, c0) = (read(0), read(1), read(2), read(3));
            T::lstm(pool, shape, Lstm { x, w, h0, c0, mask, h: write(0), c: write(1), gates: kept(2) }, scratch)
        }
        (Cell::Lstm, true) => {
            let (w, c0, c, gates, dh_last, dc_last) = (read(0), read(1), read(2), read(3), read(4), read(5));
            let (dx, dh0, dc0) = (write(0), write(1), write(2));
            let back = LstmGrad { w, c0, c, gates, dh_last, dc_last, dh: every(6), mask, dx, dh0, dc0 };
            T::lstm_grad(pool, shape, back, scratch)
        }
        (Cell::Gru, false) => {
            let (x, w, b, h0) = (read(0), read(1), read(2), read(3));
            T::gru(pool, shape, Gru { x, w, b, h0, mask, h: write(0), gates: kept(1) }, scratch)
        }
        (Cell::Gru, true) => {
            let (w, h0, h, gates, dh_last) = (read(0), read(1), read(2), read(3), read(4));
            let (dx, ds, dh0) = (write(0), write(1), write(2));
            T::gru_grad(pool, shape, GruGrad { w, h0, h, gates, dh_last, dh: every(5), mask, dx, ds, dh0 }, scratch)
        }
    }
}
