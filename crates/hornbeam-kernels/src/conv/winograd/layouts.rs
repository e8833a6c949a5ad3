//! How points lie in memory: as floats, or rounded to `bfloat16` in pairs for products that take two steps at a time.

use super::lanes::{Lanes, Rounding};
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

/// Pairs of channels: tile, half of the channels. For sums over channels.
pub(super) struct Channels;

impl<V: Rounding> Layout<V> for Channels {
    const TILES: usize = 1;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [row, _]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile * t.step + c / 2 + i * IN * t.stride);
        for (j, point) in row.into_iter().enumerate() {
            // SAFETY: the caller vouches for the ISA and the extents.
            unsafe { point.rounded::<true>(to.wrapping_add(j * t.stride).cast(), V::LANES) };
        }
    }
}

/// Pairs of tiles: half of the tiles of a row, channel. For sums over tiles.
pub(super) struct Tiles;

impl<V: Rounding> Layout<V> for Tiles {
    const TILES: usize = 2;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [first, second]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile / 2 * t.step + c + i * IN * t.stride);
        for (j, (first, second)) in first.into_iter().zip(second).enumerate() {
            // SAFETY: the caller vouches for the ISA and the extents.
            unsafe { first.pair(second).store(to.wrapping_add(j * t.stride)) };
        }
    }
}

/// Pairs of tiles and, at `t.beside`, pairs of channels.
pub(super) struct Both;

impl<V: Rounding> Layout<V> for Both {
    const TILES: usize = 2;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, rows: [[V; IN]; 2]) {
        // SAFETY: the caller vouches for the ISA and the extents.
        unsafe {
            <Tiles as Layout<V>>::put(t, tile, c, i, rows);
            let beside = Points { base: t.beside.base, stride: t.beside.stride, step: t.beside.step, ..*t };
            for (k, row) in rows.into_iter().enumerate().take(t.tiles - tile) {
                <Channels as Layout<V>>::put(&beside, tile + k, c, i, [row; 2]);
            }
        }
    }
}
