//! Recurrent layers and attention.

use hornbeam_kernels::attention::{Attention, AttentionElement, AttentionGrad, AttentionShape, Bias, Dropout};
use hornbeam_kernels::dispatch;
use hornbeam_kernels::rnn::{Gru, GruGrad, Lstm, LstmGrad, RnnElement, SequenceShape};

use crate::execute::Context;
use crate::graph::{self, Cell, Recurrent};
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let dtype = instruction.writes[0].dtype;
    match &instruction.kind {
        Kind::Recurrent { layer, shape } => dispatch!(wide, dtype, T => {
            recurrent::<T>(layer, shape, instruction, memory, context)
        }, else unreachable!("a recurrent layer of {dtype}")),
        Kind::Attention { layer, shape, bias } => dispatch!(float, dtype, T => {
            attention::<T>(layer, shape, *bias, instruction, memory, context)
        }, else unreachable!("attention of {dtype}")),
        other => unreachable!("{} is not a composite", other.name()),
    }
}

fn attention<T: AttentionElement>(
    layer: &graph::Attention,
    shape: &AttentionShape,
    bias: Option<[usize; 3]>,
    instruction: &Instruction,
    memory: Memory,
    context: &Context,
) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let read = |i: usize| memory.read::<T>(&reads[i]);
    let write = |i: usize| memory.write::<T>(&writes[i]);
    let (q, k, v) = (read(0), read(1), read(2));
    let bias = bias.map(|strides| Bias { data: memory.read(&reads[3]), strides });
    let output = layer.output_operand();
    // Its key lies before.
    let dropout = layer.drops().then(|| {
        let key = memory.read::<u32>(&reads[output - 1]);
        Dropout { key: [key[0], key[1]], rate: f64::from_bits(layer.rate) }
    });
    if !layer.backward {
        let (out, row_max, row_sum) = (write(0), memory.write(&writes[1]), memory.write(&writes[2]));
        return T::attention(pool, shape, Attention { q, k, v, bias, dropout, out, row_max, row_sum });
    }
    let (out, dout) = (read(output), read(output + 3));
    let (row_max, row_sum) = (memory.read(&reads[output + 1]), memory.read(&reads[output + 2]));
    let (dq, dk, dv, dbias) = (write(0), write(1), write(2), writes.get(3).map(|to| memory.write(to)));
    T::attention_grad(
        pool,
        shape,
        AttentionGrad { q, k, v, bias, dropout, out, row_max, row_sum, dout, dq, dk, dv, dbias },
    )
}

fn recurrent<T: RnnElement>(
    layer: &Recurrent,
    shape: &SequenceShape,
    instruction: &Instruction,
    memory: Memory,
    context: &mut Context,
) {
    let (reads, writes, pool, scratch) = (&instruction.reads, &instruction.writes, context.pool, &mut *context.scratch);
    let read = |i: usize| memory.read::<T>(&reads[i]);
    let write = |i: usize| memory.write::<T>(&writes[i]);
    let optional = |i: usize| writes.get(i).map(|to| memory.write::<T>(to));
    let mask = layer.masked.then(|| memory.read(&reads[reads.len() - 1]));
    let output_grads = |i: usize| layer.has_output_grads(reads.len()).then(|| read(i));
    match (layer.cell, layer.backward) {
        (Cell::Lstm, false) => {
            let (x, w, h0, c0) = (read(0), read(1), read(2), read(3));
            T::lstm(pool, shape, Lstm { x, w, h0, c0, mask, h: write(0), c: write(1), gates: optional(2) }, scratch)
        }
        (Cell::Lstm, true) => {
            let (w, c0, c, gates, dh_last, dc_last) = (read(0), read(1), read(2), read(3), read(4), read(5));
            let (dx, dh0, dc0) = (write(0), write(1), write(2));
            let grad = LstmGrad { w, c0, c, gates, dh_last, dc_last, dh: output_grads(6), mask, dx, dh0, dc0 };
            T::lstm_grad(pool, shape, grad, scratch)
        }
        (Cell::Gru, false) => {
            let (x, w, b, h0) = (read(0), read(1), read(2), read(3));
            T::gru(pool, shape, Gru { x, w, b, h0, mask, h: write(0), gates: optional(1) }, scratch)
        }
        (Cell::Gru, true) => {
            let (w, h0, h, gates, dh_last) = (read(0), read(1), read(2), read(3), read(4));
            let (dx, ds, dh0) = (write(0), write(1), write(2));
            T::gru_grad(
                pool,
                shape,
                GruGrad { w, h0, h, gates, dh_last, dh: output_grads(5), mask, dx, ds, dh0 },
                scratch,
            )
        }
    }
}
