//! Sums in registers of AVX-512 and AVX2, with and without the instructions for quads (VNNI).

use super::rows::{multiply, Rows, Sums};
use super::Panel;
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
struct Wide(__m512i);

impl Sums for Wide {
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller's contract, here and below.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }
    #[inline(always)]
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_dpbusd_epi32(self.0, _mm512_set1_epi32(a), _mm512_loadu_si512(b.cast())) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) };
    }
}

#[derive(Clone, Copy)]
struct Narrow(__m256i);

impl Sums for Narrow {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller's contract, here and below.
        Self(unsafe { _mm256_loadu_si256(from.cast()) })
    }
    #[inline(always)]
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_dpbusd_avx_epi32(self.0, _mm256_set1_epi32(a), _mm256_loadu_si256(b.cast())) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.cast(), self.0) };
    }
}

/// Eight columns: for each, two sums of 32 bits that are added at the end.
#[derive(Clone, Copy)]
struct Pairs([__m256i; 2]);

impl Sums for Pairs {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the caller's contract, here and below. A correction is the first of its two sums.
        unsafe {
            let part = |at| _mm256_cvtepu32_epi64(_mm_loadu_si128(from.add(at).cast()));
            Self([part(0), part(4)])
        }
    }
    #[inline(always)]
    unsafe fn add_products(self, a: i32, b: *const i32) -> Self {
        // SAFETY: as above. Products of 16 bits, so that sums of two fit 32.
        unsafe {
            let a = _mm256_cvtepu8_epi16(_mm_set1_epi32(a));
            let add = |sums, at| {
                let b = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(at).cast()));
                _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))
            };
            Self([add(self.0[0], 0), add(self.0[1], 4)])
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: as above. The horizontal sum works on halves of registers.
        unsafe {
            let sums = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(self.0[0], self.0[1]));
            _mm256_storeu_si256(to.cast(), sums);
        }
    }
}

// Tiles fill the registers: 24 or 28 sums of 32, 12 of 16.

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) unsafe fn avx512_vnni(rows: &Rows, panel: &Panel, c: &mut [i32], stride: usize) {
    // SAFETY: compiled for the instructions, here and below.
    unsafe {
        match panel.width {
            16 => multiply::<Wide, 24, 6, 1>(rows, panel, c, stride),
            _ => multiply::<Wide, 14, 4, 2>(rows, panel, c, stride),
        }
    }
}

#[target_feature(enable = "avxvnni,avx2,fma")]
pub(super) unsafe fn avx_vnni(rows: &Rows, panel: &Panel, c: &mut [i32], stride: usize) {
    // SAFETY: as above.
    unsafe { multiply::<Narrow, 6, 2, 2>(rows, panel, c, stride) }
}

#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2(rows: &Rows, panel: &Panel, c: &mut [i32], stride: usize) {
    // SAFETY: as above.
    unsafe { multiply::<Pairs, 2, 1, 2>(rows, panel, c, stride) }
}
