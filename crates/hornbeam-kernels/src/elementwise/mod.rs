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
mod float;
mod int;
mod loops;
mod select;
mod staged;
#[cfg(test)]
mod tests;
mod unary;

pub use binary::{binary, binary_with, Binary};
pub use chain::{chain, ChainFn, ChainOp, Link, BLOCK, MAX_LINKS};
pub use compare::{compare, compare_with, Compare};
pub use convert::{bitcast, convert};
pub use loops::{BinaryFn, TernaryFn, UnaryFn};
pub use select::{select, select_with};
pub use unary::{unary, Unary};
