//! Register operations of the transforms beyond arithmetic: partial access, and the selections of relu and pooling.

use crate::conv::MASKED;
use crate::gemm::vector::Vector;

/// Lanes of the widest register.
const MAX_LANES: usize = 16;

/// Register of `f32` with selections, which are computed through memory by default.
///
/// # Safety
/// As for [`Vector`].
pub(super) trait Lanes: Vector<Element = f32> {
    /// Loads the first `n` values.
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            if n == Self::LANES {
                Self::load(p)
            } else {
                Self::load_first(p, n)
            }
        }
    }

    /// Stores the first `n` values.
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            if n == Self::LANES {
                self.store(p)
            } else {
                self.store_first(p, n)
            }
        }
    }

    /// Loads all values if `FULL`, otherwise the first `n`.
    #[inline(always)]
    unsafe fn load_if<const FULL: bool>(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            if FULL {
                Self::load(p)
            } else {
                Self::load_first(p, n)
            }
        }
    }

    /// Stores all values if `FULL`, otherwise the first `n`.
    #[inline(always)]
    unsafe fn store_if<const FULL: bool>(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            if FULL {
                self.store(p)
            } else {
                self.store_first(p, n)
            }
        }
    }

    /// Returns the values as an array.
    #[inline(always)]
    unsafe fn array(self) -> [f32; MAX_LANES] {
        let mut values = [0.0; MAX_LANES];
        // SAFETY: no register is wider than the array.
        unsafe { self.store(values.as_mut_ptr()) };
        values
    }

    /// Returns `self` where `y > 0`, else 0.
    #[inline(always)]
    unsafe fn where_positive(self, y: Self) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            let (mut values, y) = (self.array(), y.array());
            for (value, y) in values.iter_mut().zip(y) {
                *value = if y > 0.0 { *value } else { 0.0 };
            }
            Self::load(values.as_ptr())
        }
    }

    /// Expands pooled values to the four positions of their windows by the first `n` codes; other positions are 0.
    #[inline(always)]
    unsafe fn by_code(self, codes: *const u8, n: usize) -> [Self; 4] {
        // SAFETY: the caller's contract: `n` codes are valid.
        unsafe {
            let values = self.array();
            let mut codes_of_lanes = [[0.0; MAX_LANES]; 4];
            for (i, value) in values.into_iter().enumerate().take(n) {
                if let Some(code_of_tap) = codes_of_lanes.get_mut(usize::from(*codes.add(i))) {
                    code_of_tap[i] = value;
                }
            }
            codes_of_lanes.map(|code_of_tap| Self::load(code_of_tap.as_ptr()))
        }
    }

    /// Returns the maximum of a window, after a relu if requested, and stores its argmax to the first `n` codes: [`MASKED`]
    /// where the relu is inactive.
    #[inline(always)]
    unsafe fn pool(window: [Self; 4], relu: bool, codes: *mut u8, n: usize) -> Self {
        // SAFETY: the caller's contract: `n` codes are valid.
        unsafe {
            let [first, rest @ ..] = window;
            let mut best = first.array();
            let mut codes_of_lanes = [0u8; MAX_LANES];
            for (code_of_tap, values) in (1..).zip(rest) {
                for ((best, code), value) in best.iter_mut().zip(&mut codes_of_lanes).zip(values.array()) {
                    if value > *best || (value.is_nan() && !best.is_nan()) {
                        (*best, *code) = (value, code_of_tap);
                    }
                }
            }
            if relu {
                for (best, code) in best.iter_mut().zip(&mut codes_of_lanes) {
                    *code = if *best > 0.0 { *code } else { MASKED };
                    *best = if *best < 0.0 { 0.0 } else { *best };
                }
            }
            std::ptr::copy_nonoverlapping(codes_of_lanes.as_ptr(), codes, n);
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
            let active = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(y.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(active, self.0))
        }
    }

    #[inline(always)]
    unsafe fn by_code(self, codes: *const u8, n: usize) -> [Self; 4] {
        use std::arch::x86_64::*;
        // SAFETY: the trait's contract; masked-inactive codes are not accessed.
        unsafe {
            let codes = _mm_maskz_loadu_epi8(((1u32 << n) - 1) as __mmask16, codes.cast());
            [0, 1, 2, 3].map(|code_of_tap| {
                let matches = _mm_cmpeq_epi8_mask(codes, _mm_set1_epi8(code_of_tap));
                Self(_mm512_maskz_mov_ps(matches, self.0))
            })
        }
    }

    #[inline(always)]
    unsafe fn pool(window: [Self; 4], relu: bool, codes: *mut u8, n: usize) -> Self {
        use std::arch::x86_64::*;
        // SAFETY: the trait's contract; masked-inactive codes are not accessed.
        unsafe {
            let [first, rest @ ..] = window;
            let (mut best, mut codes_of_lanes) = (first.0, _mm_setzero_si128());
            for (code_of_tap, value) in (1..).zip(rest) {
                // Not less or equal: greater, or one is NaN; a NaN maximum is kept.
                let wins =
                    _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(value.0, best) & _mm512_cmp_ps_mask::<_CMP_ORD_Q>(best, best);
                best = _mm512_mask_mov_ps(best, wins, value.0);
                codes_of_lanes = _mm_mask_mov_epi8(codes_of_lanes, wins, _mm_set1_epi8(code_of_tap));
            }
            if relu {
                let inactive = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(best, _mm512_setzero_ps());
                codes_of_lanes = _mm_mask_mov_epi8(codes_of_lanes, inactive, _mm_set1_epi8(MASKED as i8));
                best = _mm512_max_ps(_mm512_setzero_ps(), best);
            }
            _mm_mask_storeu_epi8(codes.cast(), ((1u32 << n) - 1) as __mmask16, codes_of_lanes);
            Self(best)
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for crate::gemm::vector::F32x8 {}
#[cfg(target_arch = "aarch64")]
impl Lanes for crate::gemm::vector::F32x4 {}
impl Lanes for crate::gemm::vector::Lanes<f32, 4> {}
