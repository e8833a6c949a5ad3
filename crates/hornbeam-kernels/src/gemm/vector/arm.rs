//! NEON registers.

use super::Vector;
use std::arch::aarch64::*;

macro_rules! neon {
    ($name:ident, $raw:ty, $element:ty, $lanes:literal, $set1:ident, $load:ident, $store:ident, $fma:ident,
     $add:ident, $sub:ident, $mul:ident, $max:ident, $min:ident) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $raw);

        // SAFETY of every block below: the contract of the trait (NEON enabled, pointers valid) is that of the intrinsic.
        impl Vector for $name {
            type Element = $element;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                // SAFETY: see above.
                Self(unsafe { $set1(value) })
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: see above.
                Self(unsafe { $set1(0.0) })
            }
            #[inline(always)]
            unsafe fn load(p: *const $element) -> Self {
                // SAFETY: see above.
                Self(unsafe { $load(p) })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $element) {
                // SAFETY: see above.
                unsafe { $store(p, self.0) }
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $element, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                // SAFETY: see above; `n <= LANES`.
                unsafe {
                    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
                    Self($load(lanes.as_ptr()))
                }
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $element, n: usize) {
                let mut lanes = [0.0; $lanes];
                // SAFETY: see above; `n <= LANES`.
                unsafe {
                    $store(lanes.as_mut_ptr(), self.0);
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
                }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: see above. NEON adds to its first operand.
                Self(unsafe { $fma(c.0, self.0, b.0) })
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn relu(self, limit: Self) -> Self {
                // SAFETY: see above. NEON max and min give NaN when either operand is NaN.
                Self(unsafe { $min(limit.0, $max($set1(0.0), self.0)) })
            }
        }
    };
}

neon!(
    F32x4,
    float32x4_t,
    f32,
    4,
    vdupq_n_f32,
    vld1q_f32,
    vst1q_f32,
    vfmaq_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    vmaxq_f32,
    vminq_f32
);
neon!(
    F64x2,
    float64x2_t,
    f64,
    2,
    vdupq_n_f64,
    vld1q_f64,
    vst1q_f64,
    vfmaq_f64,
    vaddq_f64,
    vsubq_f64,
    vmulq_f64,
    vmaxq_f64,
    vminq_f64
);
