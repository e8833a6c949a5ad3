//! What the transforms ask of a register beside arithmetic: parts of it, and the selections of relu and pooling.

use crate::conv::MASKED;
use crate::gemm::vector::Vector;

/// Lanes of the widest register.
const MOST: usize = 16;

/// A register of `f32` with selections, which by default go through memory.
///
/// # Safety
/// As for [`Vector`].
pub(super) trait Lanes: Vector<Element = f32> {
    /// The first `n` values.
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            if n == Self::LANES {
                Self::load(p)
            } else {
                Self::load_first(p, n)
            }
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if n == Self::LANES {
                self.store(p)
            } else {
                self.store_first(p, n)
            }
        }
    }

    /// [`Lanes::load_part`] where `FULL` tells beforehand.
    #[inline(always)]
    unsafe fn load_if<const FULL: bool>(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            if FULL {
                Self::load(p)
            } else {
                Self::load_first(p, n)
            }
        }
    }

    #[inline(always)]
    unsafe fn store_if<const FULL: bool>(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if FULL {
                self.store(p)
            } else {
                self.store_first(p, n)
            }
        }
    }

    #[inline(always)]
    unsafe fn array(self) -> [f32; MOST] {
        let mut values = [0.0; MOST];
        // SAFETY: no register is wider than the array.
        unsafe { self.store(values.as_mut_ptr()) };
        values
    }

    /// `self` where `y > 0`, else 0.
    #[inline(always)]
    unsafe fn where_positive(self, y: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let (mut values, y) = (self.array(), y.array());
            for (value, y) in values.iter_mut().zip(y) {
                *value = if y > 0.0 { *value } else { 0.0 };
            }
            Self::load(values.as_ptr())
        }
    }

    /// `self` at the places that the first `n` codes tell, else 0.
    #[inline(always)]
    unsafe fn by_code(self, codes: *const u8, n: usize) -> [Self; 4] {
        // SAFETY: the caller's promise: `n` codes are there.
        unsafe {
            let values = self.array();
            let mut places = [[0.0; MOST]; 4];
            for (i, value) in values.into_iter().enumerate().take(n) {
                if let Some(place) = places.get_mut(usize::from(*codes.add(i))) {
                    place[i] = value;
                }
            }
            places.map(|place| Self::load(place.as_ptr()))
        }
    }

    /// The maximum of a window, at least 0 behind a relu; its place goes to the first `n` codes, [`MASKED`] where the
    /// relu is off.
    #[inline(always)]
    unsafe fn pool(window: [Self; 4], relu: bool, codes: *mut u8, n: usize) -> Self {
        // SAFETY: the caller's promise: `n` codes are there.
        unsafe {
            let [first, rest @ ..] = window;
            let mut best = first.array();
            let mut places = [0u8; MOST];
            for (place, values) in (1..).zip(rest) {
                for ((best, code), value) in best.iter_mut().zip(&mut places).zip(values.array()) {
                    if value > *best || (value.is_nan() && !best.is_nan()) {
                        (*best, *code) = (value, place);
                    }
                }
            }
            if relu {
                for (best, code) in best.iter_mut().zip(&mut places) {
                    *code = if *best > 0.0 { *code } else { MASKED };
                    *best = if *best < 0.0 { 0.0 } else { *best };
                }
            }
            std::ptr::copy_nonoverlapping(places.as_ptr(), codes, n);
            Self::load(best.as_ptr())
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for crate::gemm::vector::F32x16 {
    #[inline(always)]
    unsafe fn where_positive(self, y: Self) -> Self {
        use std::arch::x86_64::*;
        // SAFETY: the trait's contract.
        unsafe {
            let on = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(y.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(on, self.0))
        }
    }

    #[inline(always)]
    unsafe fn by_code(self, codes: *const u8, n: usize) -> [Self; 4] {
        use std::arch::x86_64::*;
        // SAFETY: the trait's contract; masked-off codes are not touched.
        unsafe {
            let codes = _mm_maskz_loadu_epi8(((1u32 << n) - 1) as __mmask16, codes.cast());
            [0, 1, 2, 3].map(|place| {
                let here = _mm_cmpeq_epi8_mask(codes, _mm_set1_epi8(place));
                Self(_mm512_maskz_mov_ps(here, self.0))
            })
        }
    }

    #[inline(always)]
    unsafe fn pool(window: [Self; 4], relu: bool, codes: *mut u8, n: usize) -> Self {
        use std::arch::x86_64::*;
        // SAFETY: the trait's contract; masked-off codes are not touched.
        unsafe {
            let [first, rest @ ..] = window;
            let (mut best, mut places) = (first.0, _mm_setzero_si128());
            for (place, value) in (1..).zip(rest) {
                // Not below or equal: above, or one is NaN; if that is the best one already, it stays.
                let wins =
                    _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(value.0, best) & _mm512_cmp_ps_mask::<_CMP_ORD_Q>(best, best);
                best = _mm512_mask_mov_ps(best, wins, value.0);
                places = _mm_mask_mov_epi8(places, wins, _mm_set1_epi8(place));
            }
            if relu {
                let off = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(best, _mm512_setzero_ps());
                places = _mm_mask_mov_epi8(places, off, _mm_set1_epi8(MASKED as i8));
                best = _mm512_max_ps(_mm512_setzero_ps(), best);
            }
            _mm_mask_storeu_epi8(codes.cast(), ((1u32 << n) - 1) as __mmask16, places);
            Self(best)
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for crate::gemm::vector::F32x8 {}
#[cfg(target_arch = "aarch64")]
impl Lanes for crate::gemm::vector::F32x4 {}
impl Lanes for crate::gemm::vector::Lanes<f32, 4> {}
