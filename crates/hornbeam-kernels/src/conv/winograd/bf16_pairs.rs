//! Points rounded to `bfloat16`, in pairs for products of two steps at once (AVX-512 only).

use super::lanes::Lanes;
use super::traits::{Layout, LoadAs, Points};
use super::IN;
use crate::dtype::bf16;
use crate::gemm::vector::{F32x16, Vector};
use std::arch::x86_64::*;

/// Register with conversion to `bfloat16`.
///
/// # Safety
/// As for [`Vector`], with AVX512-BF16 on.
pub(super) trait Rounding: Lanes {
    /// Loads and widens all values if `FULL`, otherwise the first `n`.
    unsafe fn widened<const FULL: bool>(p: *const bf16, n: usize) -> Self;
    /// Rounds and stores all values if `FULL`, otherwise the first `n`.
    unsafe fn rounded<const FULL: bool>(self, p: *mut bf16, n: usize);
    /// Rounds `self` and `other` and interleaves them into pairs.
    unsafe fn pair(self, other: Self) -> Self;
}

impl Rounding for F32x16 {
    #[inline(always)]
    unsafe fn widened<const FULL: bool>(p: *const bf16, n: usize) -> Self {
        // SAFETY: the trait's contract; masked-off values are not accessed.
        unsafe {
            let narrow = if FULL {
                _mm256_loadu_si256(p.cast())
            } else {
                _mm256_maskz_loadu_epi16(((1u32 << n) - 1) as __mmask16, p.cast())
            };
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(narrow))))
        }
    }

    #[inline(always)]
    unsafe fn rounded<const FULL: bool>(self, p: *mut bf16, n: usize) {
        // SAFETY: the trait's contract; both types are 256 bits of plain data, masked-off values are not accessed.
        unsafe {
            let narrow = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(self.0));
            if FULL {
                _mm256_storeu_si256(p.cast(), narrow);
            } else {
                _mm256_mask_storeu_epi16(p.cast(), ((1u32 << n) - 1) as __mmask16, narrow);
            }
        }
    }

    #[inline(always)]
    unsafe fn pair(self, other: Self) -> Self {
        // SAFETY: the trait's contract; the types are 256 or 512 bits of plain data.
        unsafe {
            let [low, high] = [self, other].map(|part| {
                _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(part.0)))
            });
            Self(_mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32::<16>(high))))
        }
    }
}

impl<V: Rounding> LoadAs<V> for bf16 {
    #[inline(always)]
    unsafe fn load<const FULL: bool>(p: *const bf16, n: usize) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::widened::<FULL>(p, n) }
    }

    #[inline(always)]
    unsafe fn store<const FULL: bool>(value: V, p: *mut bf16, n: usize) {
        // SAFETY: the caller's contract.
        unsafe { value.rounded::<FULL>(p, n) }
    }
}

/// Pairs of channels in the order tile, channel pair, for sums over channels.
pub(super) struct Channels;

impl<V: Rounding> Layout<V> for Channels {
    const TILES: usize = 1;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [row, _]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile * t.step + c / 2 + i * IN * t.stride);
        for (j, point) in row.into_iter().enumerate() {
            // SAFETY: the caller guarantees the ISA and the extents.
            unsafe { point.rounded::<true>(to.wrapping_add(j * t.stride).cast(), V::LANES) };
        }
    }
}

/// Pairs of tiles in the order tile pair, channel, for sums over tiles.
pub(super) struct Tiles;

impl<V: Rounding> Layout<V> for Tiles {
    const TILES: usize = 2;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, [first, second]: [[V; IN]; 2]) {
        let to = t.base.wrapping_add(tile / 2 * t.step + c + i * IN * t.stride);
        for (j, (first, second)) in first.into_iter().zip(second).enumerate() {
            // SAFETY: the caller guarantees the ISA and the extents.
            unsafe { first.pair(second).store(to.wrapping_add(j * t.stride)) };
        }
    }
}

/// Pairs of tiles and, at `t.second`, pairs of channels.
pub(super) struct Both;

impl<V: Rounding> Layout<V> for Both {
    const TILES: usize = 2;

    #[inline(always)]
    unsafe fn put(t: &Points, tile: usize, c: usize, i: usize, rows: [[V; IN]; 2]) {
        // SAFETY: the caller guarantees the ISA and the extents.
        unsafe {
            <Tiles as Layout<V>>::put(t, tile, c, i, rows);
            let channels = Points { base: t.second.base, stride: t.second.stride, step: t.second.step, ..*t };
            for (k, row) in rows.into_iter().enumerate().take(t.tiles - tile) {
                <Channels as Layout<V>>::put(&channels, tile + k, c, i, [row; 2]);
            }
        }
    }
}

/// Interleaves two rows of floats into pairs.
///
/// # Safety
/// `to` must be valid for as many floats, and the CPU must have AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pairs(first: &[f32], second: &[f32], to: *mut f32) {
    for (i, (first, second)) in first.chunks_exact(F32x16::LANES).zip(second.chunks_exact(F32x16::LANES)).enumerate() {
        // SAFETY: the caller guarantees as many floats at `to`, and this function is compiled for the ISA.
        unsafe { F32x16::load(first.as_ptr()).pair(F32x16::load(second.as_ptr())).store(to.add(i * F32x16::LANES)) };
    }
}
