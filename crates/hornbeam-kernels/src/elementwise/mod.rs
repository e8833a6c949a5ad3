//! Elementwise kernels: a function pointer over contiguous elements for each operation and dtype.
//!
//! All kernels of one arity have the same signature, so that a fused loop is a list of function pointers run block by block
//! over scratch lanes. `dst` may equal an operand of the same element size; other overlaps are not allowed. Buffers need no
//! alignment.
//!
//! Integers wrap; `x / 0` and `x % 0` are 0; shifts by the width or more give 0, or the sign. 16-bit floats compute in
//! `f32` and round once.

mod binary;
mod chain;
mod compare;
mod convert;
mod int;
mod loops;
mod named;
#[cfg(test)]
mod tests;
mod unary;

pub use binary::{binary, binary_with, Binary};
pub use chain::{chain, ChainFn, ChainOp, Link, CONSTANT, MAX_LINKS};
pub use compare::{compare, compare_with, Compare};
pub use convert::{bitcast, convert};
pub use loops::{BinaryFn, TernaryFn, UnaryFn};
pub use unary::{unary, Unary};

use crate::dtype::DType;
use loops::{select as select_kernel, Array, Bits, Scalar};

/// Kernel of `select(condition, x, y)` for arrays `x` and `y` of `dtype`.
pub fn select(dtype: DType) -> TernaryFn {
    select_with(dtype, [false; 2])
}

/// Kernel like [`select`]; `scalars` marks operands that point to a single, broadcast element.
pub fn select_with(dtype: DType, scalars: [bool; 2]) -> TernaryFn {
    fn pick<T: Bits>(scalars: [bool; 2]) -> TernaryFn {
        match scalars {
            [false, false] => select_kernel::<T, Array, Array>(),
            [true, false] => select_kernel::<T, Scalar, Array>(),
            [false, true] => select_kernel::<T, Array, Scalar>(),
            [true, true] => select_kernel::<T, Scalar, Scalar>(),
        }
    }
    // Elements are only moved: one kernel per size.
    match dtype.size() {
        1 => pick::<u8>(scalars),
        2 => pick::<u16>(scalars),
        4 => pick::<u32>(scalars),
        _ => pick::<u64>(scalars),
    }
}
