//! Composites over rows: softmax, cross-entropy, normalizations, the largest elements.

use hornbeam_kernels::dispatch;
use hornbeam_kernels::index;
use hornbeam_kernels::norm::{self, GroupShape};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::softmax::{self, FloatElement};

use crate::execute::Context;
use crate::graph::RowKernel;
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

pub fn run(instruction: &Instruction, memory: Memory, context: &mut Context) {
    let Kind::Rows { kernel, rows, n } = &instruction.kind else { unreachable!("called for row kernels") };
    let dtype = instruction.writes[0].dtype;
    dispatch!(float, dtype, T => typed::<T>(kernel, *rows, *n, instruction, memory, context), else unreachable!("{dtype}"))
}

fn typed<T: FloatElement>(
    kernel: &RowKernel,
    rows: usize,
    n: usize,
    instruction: &Instruction,
    memory: Memory,
    context: &mut Context,
) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let read = |i: usize| memory.read::<T>(&reads[i]);
    // A parameter of a normalization.
    let parameter = |i: usize| memory.read::<T::Acc>(&reads[i]);
    let out = memory.write::<T>(&writes[0]);
    match kernel {
        RowKernel::Softmax => softmax::softmax(pool, rows, n, read(0), out),
        RowKernel::LogSoftmax => softmax::log_softmax(pool, rows, n, read(0), out),
        RowKernel::SoftmaxVjp => softmax::softmax_grad(pool, rows, n, read(0), read(1), out),
        RowKernel::LogSoftmaxVjp => softmax::log_softmax_grad(pool, rows, n, read(0), read(1), out),
        RowKernel::CrossEntropy => softmax::softmax_cross_entropy(pool, rows, n, read(0), read(1), out),
        RowKernel::CrossEntropyVjp => {
            softmax::softmax_cross_entropy_grad(pool, rows, n, read(0), read(1), read(2), out)
        }
        RowKernel::SparseCrossEntropy | RowKernel::SparseCrossEntropyVjp => {
            sparse(pool, rows, n, instruction, memory, out)
        }
        RowKernel::LayerNorm { epsilon } => {
            let epsilon = f64::from_bits(*epsilon);
            norm::layer_norm(pool, rows, n, read(0), parameter(1), parameter(2), epsilon, out)
        }
        RowKernel::LayerNormVjp { epsilon } => {
            let epsilon = f64::from_bits(*epsilon);
            let (gamma, beta) = (memory.write(&writes[1]), memory.write(&writes[2]));
            norm::layer_norm_grad(
                pool,
                rows,
                n,
                read(0),
                parameter(1),
                epsilon,
                read(3),
                out,
                gamma,
                beta,
                context.scratch,
            )
        }
        RowKernel::RmsNorm { epsilon } => {
            norm::rms_norm(pool, rows, n, read(0), parameter(1), f64::from_bits(*epsilon), out)
        }
        RowKernel::RmsNormVjp { epsilon } => {
            let (epsilon, gamma) = (f64::from_bits(*epsilon), memory.write(&writes[1]));
            norm::rms_norm_grad(pool, rows, n, read(0), parameter(1), epsilon, read(2), out, gamma, context.scratch)
        }
        RowKernel::GroupNorm { batch, groups, epsilon } => {
            let shape = GroupShape { batch: *batch, positions: rows / batch, channels: n, groups: *groups };
            let epsilon = f64::from_bits(*epsilon);
            norm::group_norm(pool, shape, read(0), parameter(1), parameter(2), epsilon, out)
        }
        RowKernel::GroupNormGrad { batch, groups, epsilon } => {
            let shape = GroupShape { batch: *batch, positions: rows / batch, channels: n, groups: *groups };
            let (epsilon, of_parameters) = (f64::from_bits(*epsilon), [1, 2].map(|i| memory.write(&writes[i])));
            norm::group_norm_grad(pool, shape, read(0), parameter(1), epsilon, read(2), out, of_parameters)
        }
        RowKernel::TopK { k } => index::top_k(pool, n, *k, read(0), out, memory.write(&writes[1])),
    }
}

fn sparse<T: FloatElement>(
    pool: &ThreadPool,
    rows: usize,
    n: usize,
    instruction: &Instruction,
    memory: Memory,
    out: &mut [T],
) {
    let reads = &instruction.reads;
    let logits = memory.read::<T>(&reads[0]);
    dispatch!(int, reads[1].dtype, L => {
        let labels = memory.read::<L>(&reads[1]);
        match reads.get(2) {
            Some(ct) => {
                softmax::sparse_softmax_cross_entropy_grad(pool, rows, n, logits, labels, memory.read(ct), out)
            }
            None => softmax::sparse_softmax_cross_entropy(pool, rows, n, logits, labels, out),
        }
    }, else unreachable!("labels are integers"))
}
