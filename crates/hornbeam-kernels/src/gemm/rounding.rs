//! Epilogue of products of 16-bit floats.

use super::FusedEpilogue;
use crate::dtype::half::{narrow_slice, Half};
use crate::pool::SharedMut;

/// Epilogue that rounds final sums into `c` and passes them to `fused`. The sums need no memory beyond their block.
pub(super) fn rounding<'a, T: Half>(
    c: &'a mut [T],
    fused: Option<&'a dyn FusedEpilogue<T>>,
) -> impl Fn(usize, &mut [f32]) + Sync + 'a {
    let (convert, c) = (narrow_slice::<T>(), SharedMut::new(c));
    move |start, sums| {
        // SAFETY: the kernel is compiled for this machine; each element is written once.
        unsafe {
            let c = c.range(start..start + sums.len());
            convert(sums, c);
            if let Some(fused) = fused {
                fused.apply(start, c);
            }
        }
    }
}
