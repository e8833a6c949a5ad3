//! 16-bit floats: conversions from and to `f32`, in which they are computed.

use super::{bf16, f16, Element};
use crate::multiversion;
use crate::pool::ThreadPool;
use crate::scratch::Plain;

/// Elements that one task converts.
const CHUNK: usize = 1 << 16;

multiversion! {
    pub(crate) unsafe fn widen_slice[S, T: Half](from: &[T], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.to_acc();
        }
    }
    pub(crate) unsafe fn narrow_slice[S, T: Half](from: &[f32], to: &mut [T]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = T::from_acc(*from);
        }
    }
}

/// 16-bit float.
pub(crate) trait Half: Element<Acc = f32> + Plain {}
impl Half for f16 {}
impl Half for bf16 {}

/// Widens to `f32` in parallel.
pub(crate) fn widen<T: Half>(pool: &ThreadPool, from: &[T], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    let convert = widen_slice::<T>();
    pool.run_chunks(to, CHUNK, &|i, to| {
        let start = i * CHUNK;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { convert(&from[start..start + to.len()], to) }
    });
}

/// Rounds to a 16-bit float in parallel.
pub(crate) fn narrow<T: Half>(pool: &ThreadPool, from: &[f32], to: &mut [T]) {
    assert_eq!(from.len(), to.len());
    let convert = narrow_slice::<T>();
    pool.run_chunks(to, CHUNK, &|i, to| {
        let start = i * CHUNK;
        // SAFETY: the kernel is compiled for this machine and has no other precondition.
        unsafe { convert(&from[start..start + to.len()], to) }
    });
}
