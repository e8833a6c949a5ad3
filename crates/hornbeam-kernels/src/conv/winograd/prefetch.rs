//! Fetching what comes next while the products keep the arithmetic units busy and leave memory idle.

use super::POINTS;
use std::ops::Range;

const LINE: usize = 64;

/// A stretch of memory that will be read or written soon. Only a hint: it need not exist.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    base: *const u8,
    bytes: usize,
}

impl Ahead {
    /// `pixels` of `channels` values each, counted from `base`.
    pub fn new<T>(base: *const T, pixels: Range<usize>, channels: usize) -> Self {
        let bytes = pixels.len() * channels * size_of::<T>();
        Self { base: base.wrapping_add(pixels.start * channels).cast(), bytes }
    }

    /// Fetches the share of it that falls to one point.
    #[inline]
    pub fn fetch<const WRITE: bool>(&self, point: usize) {
        let lines = self.bytes.div_ceil(LINE);
        for line in point * lines / POINTS..(point + 1) * lines / POINTS {
            let at = self.base.wrapping_add(line * LINE);
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_mm_prefetch, _MM_HINT_ET0, _MM_HINT_T1};
                // SAFETY: a prefetch of any address does nothing that a program could see.
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
