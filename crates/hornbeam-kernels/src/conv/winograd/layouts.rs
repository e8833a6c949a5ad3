//! How points lie in memory: as floats here; those of `super::rounded` lie in pairs.

use super::lanes::Lanes;
use super::transforms::Points;
use super::IN;

/// Where a row of six points of a tile goes, or of two tiles that lie together.
pub(super) trait Layout<V> {
    /// Tiles that lie together.
    const TILES: usize;

    /// Stores row `i` of points of `tile` and, if two lie together, of the one behind it.
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, rows: [[V; IN]; 2]);
}

/// Floats: tile, channel.
pub(super) struct Floats;

impl<V: Lanes> Layout<V> for Floats {
    const TILES: usize = 1;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [row, _]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile * t.step + c + i * IN * t.stride);
        for (j, point) in row.into_iter().enumerate() {
            // SAFETY: the caller vouches for the ISA and the extents.
            unsafe { point.store(to.wrapping_add(j * t.stride)) };
        }
    }
}
