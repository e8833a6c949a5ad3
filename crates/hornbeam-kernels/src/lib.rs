//! Compute kernels over slices: SIMD by run-time dispatch, threads from one pool. No graph, no Python.
//!
//! Results do not depend on the number of threads: sums are partitioned by the shape of the problem alone, and partial
//! results are combined in a fixed order. See [`simd`] for differences between instruction sets.

// `multiversion!` optimizes some kernels for size there. tools/build_web.py enables the attribute.
#![cfg_attr(target_arch = "wasm32", feature(optimize_attribute))]
// Where kernels are compiled for the baseline alone, nothing chooses between copies.
#![cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code, unused_imports))]

pub mod attention;
pub mod conv;
pub mod dtype;
pub mod elementwise;
pub mod gemm;
pub mod index;
pub mod linalg;
pub mod math;
pub mod movement;
mod named;
pub mod norm;
pub mod pages;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod resample;
pub mod rnn;
pub mod roofline;
pub mod scratch;
pub mod simd;
pub mod softmax;
mod sums;
mod tiles;
pub mod window;

#[cfg(test)]
mod testing;
