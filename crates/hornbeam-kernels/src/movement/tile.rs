//! Transposition of tiles of 16 x 16 elements.
//!
//! LLVM does not generate the shuffles, so they are written with intrinsics on x86-64.

use crate::dtype::Element;
use crate::simd::Target;

/// Side of a tile: a row of four-byte elements is one cache line.
pub const TILE: usize = 16;

/// Transposes a tile with row strides `from` and `to`.
///
/// # Safety
/// The rows must be readable at `src` and writable at `dst`, without overlap.
#[inline(always)]
pub unsafe fn transpose<S: Target, T: Element>(src: *const T, from: isize, dst: *mut T, to: isize) {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::Isa;
        let wide = matches!(S::ISA, Isa::Avx2 | Isa::Avx512);
        // SAFETY: the tile is covered by blocks of N x N; SSE2 is part of x86-64, and AVX2 is checked.
        unsafe {
            match size_of::<T>() {
                1 => return blocks::<T, 16>(src, from, dst, to, x86::bytes16),
                2 => return blocks::<T, 8>(src, from, dst, to, x86::words8),
                4 if wide => return blocks::<T, 8>(src, from, dst, to, |s, f, d, t| x86::doubles8(s, f, d, t)),
                8 if wide => return blocks::<T, 4>(src, from, dst, to, |s, f, d, t| x86::quads4(s, f, d, t)),
                _ => {}
            }
        }
    }
    // SAFETY: the caller's contract.
    unsafe { plain(src, from, dst, to) }
}

/// Calls `block(src, from, dst, to)`, with strides in bytes, for each N x N block of the tile.
///
/// # Safety
/// As [`transpose`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn blocks<T: Element, const N: usize>(
    src: *const T,
    from: isize,
    dst: *mut T,
    to: isize,
    block: impl Fn(*const u8, isize, *mut u8, isize),
) {
    let size = size_of::<T>() as isize;
    for r in (0..TILE).step_by(N) {
        for c in (0..TILE).step_by(N) {
            let (r, c) = (r as isize, c as isize);
            // SAFETY: the block lies within the tile.
            let (s, d) = unsafe { (src.offset(r * from + c), dst.offset(c * to + r)) };
            block(s.cast(), from * size, d.cast(), to * size);
        }
    }
}

/// Transposes a tile without intrinsics.
///
/// # Safety
/// As [`transpose`].
#[inline(always)]
unsafe fn plain<T: Element>(src: *const T, from: isize, dst: *mut T, to: isize) {
    let mut tile = [[T::ZERO; TILE]; TILE];
    for (i, line) in tile.iter_mut().enumerate() {
        // SAFETY: row i of the tile.
        *line = unsafe { src.offset(i as isize * from).cast::<[T; TILE]>().read_unaligned() };
    }
    for j in 0..TILE {
        let mut line = [T::ZERO; TILE];
        for (out, row) in line.iter_mut().zip(&tile) {
            *out = row[j];
        }
        // SAFETY: row j of the transposed tile.
        unsafe { dst.offset(j as isize * to).cast::<[T; TILE]>().write_unaligned(line) };
    }
}

/// Transposition of blocks by interleaving: log2(N) rounds interleave row `i` with row `i + N/2`.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    macro_rules! interleaved {
        ($name:ident, $n:literal, $half:literal, $rounds:literal, $low:ident, $high:ident) => {
            /// Strides are in bytes; the caller guarantees valid memory (see `transpose`).
            #[inline(always)]
            pub fn $name(src: *const u8, from: isize, dst: *mut u8, to: isize) {
                // SAFETY: the block lies within a valid tile by the contract of `transpose`; SSE2 is always available.
                unsafe {
                    let mut rows: [__m128i; $n] =
                        std::array::from_fn(|i| _mm_loadu_si128(src.offset(i as isize * from).cast()));
                    for _ in 0..$rounds {
                        rows = std::array::from_fn(|i| {
                            let (a, b) = (rows[i / 2], rows[i / 2 + $half]);
                            if i % 2 == 0 {
                                $low(a, b)
                            } else {
                                $high(a, b)
                            }
                        });
                    }
                    for (i, row) in rows.into_iter().enumerate() {
                        _mm_storeu_si128(dst.offset(i as isize * to).cast(), row);
                    }
                }
            }
        };
    }

    interleaved!(bytes16, 16, 8, 4, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    interleaved!(words8, 8, 4, 3, _mm_unpacklo_epi16, _mm_unpackhi_epi16);

    /// Transposes eight rows of eight four-byte elements.
    ///
    /// # Safety
    /// The block must be readable and writable at its strides in bytes, and the CPU must have AVX2.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub unsafe fn doubles8(src: *const u8, from: isize, dst: *mut u8, to: isize) {
        // SAFETY: the caller's contract.
        unsafe {
            let r: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(src.offset(i as isize * from).cast()));
            let t: [__m256; 8] = std::array::from_fn(|i| {
                let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
                if i % 2 == 0 {
                    _mm256_unpacklo_ps(a, b)
                } else {
                    _mm256_unpackhi_ps(a, b)
                }
            });
            // Each register half holds one column of four rows.
            let u: [__m256; 8] = std::array::from_fn(|i| {
                let (a, b) = (t[i / 4 * 4 + i % 4 / 2], t[i / 4 * 4 + i % 4 / 2 + 2]);
                if i % 2 == 0 {
                    _mm256_shuffle_ps::<0x44>(a, b)
                } else {
                    _mm256_shuffle_ps::<0xee>(a, b)
                }
            });
            for i in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(u[i], u[i + 4]);
                let high = _mm256_permute2f128_ps::<0x31>(u[i], u[i + 4]);
                _mm256_storeu_ps(dst.offset(i as isize * to).cast(), low);
                _mm256_storeu_ps(dst.offset((i as isize + 4) * to).cast(), high);
            }
        }
    }

    /// Transposes four rows of four eight-byte elements.
    ///
    /// # Safety
    /// As [`doubles8`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub unsafe fn quads4(src: *const u8, from: isize, dst: *mut u8, to: isize) {
        // SAFETY: the caller's contract.
        unsafe {
            let r: [__m256d; 4] = std::array::from_fn(|i| _mm256_loadu_pd(src.offset(i as isize * from).cast()));
            let t = [
                _mm256_unpacklo_pd(r[0], r[1]),
                _mm256_unpackhi_pd(r[0], r[1]),
                _mm256_unpacklo_pd(r[2], r[3]),
                _mm256_unpackhi_pd(r[2], r[3]),
            ];
            for i in 0..2 {
                let low = _mm256_permute2f128_pd::<0x20>(t[i], t[i + 2]);
                let high = _mm256_permute2f128_pd::<0x31>(t[i], t[i + 2]);
                _mm256_storeu_pd(dst.offset(i as isize * to).cast(), low);
                _mm256_storeu_pd(dst.offset((i as isize + 2) * to).cast(), high);
            }
        }
    }
}
