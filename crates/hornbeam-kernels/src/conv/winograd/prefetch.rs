//! Prefetching of the next block while the products keep the arithmetic units busy.

use super::POINTS;
use std::ops::Range;

const LINE: usize = 64;

/// Range of memory that is accessed soon. A hint: the range need not be valid.
#[derive(Clone, Copy)]
pub(super) struct Prefetch {
    base: *const u8,
    bytes: usize,
}

impl Prefetch {
    /// Creates the range of `pixels` with `channels` values each, relative to `base`.
    pub fn new<T>(base: *const T, pixels: Range<usize>, channels: usize) -> Self {
        let bytes = pixels.len() * channels * size_of::<T>();
        Self { base: base.wrapping_add(pixels.start * channels).cast(), bytes }
    }

    /// Prefetches the fraction of the range for one point.
    #[inline]
    pub fn fetch<const WRITE: bool>(&self, point: usize) {
        let lines = self.bytes.div_ceil(LINE);
        for line in point * lines / POINTS..(point + 1) * lines / POINTS {
            let at = self.base.wrapping_add(line * LINE);
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_mm_prefetch, _MM_HINT_ET0, _MM_HINT_T1};
                // SAFETY: a prefetch of any address has no visible effect.
                unsafe {
                    if WRITE {
                        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
                    } else {
                        _mm_prefetch::<_MM_HINT_T1>(at.cast());
                    }
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = at;
        }
    }
}
