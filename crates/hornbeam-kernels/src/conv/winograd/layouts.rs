//! Layout of points as floats; `super::bf16_pairs` has the layouts of pairs.

use super::lanes::Lanes;
use super::traits::{Layout, Points};
use super::IN;

/// Floats in the order tile, channel.
pub(super) struct Floats;

impl<V: Lanes> Layout<V> for Floats {
    const TILES: usize = 1;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [row, _]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile * t.step + c + i * IN * t.stride);
        for (j, point) in row.into_iter().enumerate() {
            // SAFETY: the caller guarantees the ISA and the extents.
            unsafe { point.store(to.wrapping_add(j * t.stride)) };
        }
    }
}
