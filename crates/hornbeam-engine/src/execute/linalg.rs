//! Decompositions and solvers, on batches of float32 or float64 matrices.

use hornbeam_kernels::dispatch;
use hornbeam_kernels::linalg::{self, Scalar};

use crate::execute::Context;
use crate::instruction::{Instruction, Kind};
use crate::memory::Memory;

pub fn run(instruction: &Instruction, memory: Memory, context: &Context) {
    let dtype = instruction.reads[0].dtype;
    dispatch!(wide, dtype, T => typed::<T>(instruction, memory, context), else unreachable!("linalg of {dtype}"))
}

fn typed<T: Scalar>(instruction: &Instruction, memory: Memory, context: &Context) {
    let (reads, writes, pool) = (&instruction.reads, &instruction.writes, context.pool);
    let x = memory.read::<T>(&reads[0]);
    let out = |i: usize| memory.write::<T>(&writes[i]);
    match &instruction.kind {
        Kind::Cholesky { n } => linalg::cholesky(pool, *n, x, out(0)),
        Kind::TriangularSolve { n, columns, lower, transpose, unit_diagonal } => {
            let b = memory.read::<T>(&reads[1]);
            linalg::triangular_solve(pool, [*n, *columns], *lower, *transpose, *unit_diagonal, x, b, out(0))
        }
        Kind::Lu { m, n } => {
            let (pivots, permutation) = (memory.write::<i32>(&writes[1]), memory.write::<i32>(&writes[2]));
            linalg::lu(pool, [*m, *n], x, out(0), pivots, permutation)
        }
        Kind::Qr { m, n } => linalg::qr(pool, [*m, *n], x, out(0), out(1)),
        Kind::Svd { m, n } => linalg::svd(pool, [*m, *n], x, out(0), out(1), out(2)),
        Kind::Eig { n } => {
            let parts = [x, memory.read::<T>(&reads[1])];
            linalg::eig(pool, *n, parts, [out(0), out(1)], [out(2), out(3)])
        }
        Kind::Eigh { n } => linalg::eigh(pool, *n, x, out(0), out(1)),
        other => unreachable!("{} is not a decomposition", other.name()),
    }
}
