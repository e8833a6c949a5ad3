//! Type rules of decompositions and solvers.

use hornbeam_kernels::dtype::DType;

use super::{ensure, expect_shape, same_dtype};
use crate::error::Result;
use crate::graph::Op;
use crate::types::TensorType;

pub fn check(op: &Op, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let a = x[0];
    ensure!(a.rank() >= 2, "{op:?} needs a matrix, got {a}");
    ensure!(matches!(a.dtype, DType::F32 | DType::F64), "{op:?} does not take {}", a.dtype);
    let lead = &a.shape[..a.rank() - 2];
    let (m, n) = (a.shape[a.rank() - 2], a.shape[a.rank() - 1]);
    let with = |tail: &[usize]| [lead, tail].concat();
    let square = matches!(op, Op::Cholesky | Op::TriangularSolve { .. } | Op::Eig | Op::Eigh);
    ensure!(!square || m == n, "{op:?} needs a square matrix, got {a}");
    let k = m.min(n);
    let shapes: Vec<Vec<usize>> = match op {
        Op::Cholesky => vec![with(&[n, n])],
        Op::Lu => vec![with(&[m, n]), with(&[k]), with(&[m])],
        Op::Qr => vec![with(&[m, k]), with(&[k, n])],
        Op::Svd => vec![with(&[m, k]), with(&[k]), with(&[k, n])],
        Op::Eig => {
            ensure!(*x[1] == *a, "{op:?} of {a} and {}", x[1]);
            vec![with(&[n]), with(&[n]), with(&[n, n]), with(&[n, n])]
        }
        Op::Eigh => vec![with(&[n]), with(&[n, n])],
        _ => {
            let b = x[1];
            ensure!(b.rank() == a.rank() && b.shape[..lead.len()] == *lead, "{op:?} of {a} and {b}");
            ensure!(b.shape[b.rank() - 2] == n, "{op:?} of {a} and {b}");
            same_dtype(op, &[a, b])?;
            vec![b.shape.clone()]
        }
    };
    for (index, (out, shape)) in outputs.iter().zip(&shapes).enumerate() {
        expect_shape(op, out, shape)?;
        let dtype = if matches!(op, Op::Lu) && index > 0 { DType::I32 } else { a.dtype };
        ensure!(out.dtype == dtype, "{op:?}: result {index} is {dtype}, declared is {out}");
    }
    Ok(())
}
