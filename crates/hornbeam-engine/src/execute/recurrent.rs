//! Recurrent layers along whole sequences.

use hornbeam_kernels::dispatch;
use hornbeam_kernels::rnn::{Gru, GruGrad, Lstm, LstmGrad, Recurrent as Float, Sequence};

use crate::execute::Context;
use crate::graph::{Cell, Recurrent};
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let Kind::Recurrent { layer, shape } = &instruction.kind else { unreachable!("called for recurrent layers") };
    let dtype = instruction.writes[0].dtype;
    dispatch!(wide, dtype, T => {
        typed::<T>(layer, shape, instruction, memory, context)
    }, else unreachable!("a recurrent layer of {dtype}"))
}

fn typed<T: Float>(
    layer: &Recurrent,
    shape: &Sequence,
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
