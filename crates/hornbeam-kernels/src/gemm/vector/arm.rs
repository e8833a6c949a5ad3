//! NEON registers.

use super::Vector;
use std::arch::aarch64::*;

macro_rules! neon {
    ($name:ident, $raw:ty, $element:ty, $lanes:literal, [$set1:ident $load:ident $store:ident $fma:ident
     $add:ident $sub:ident $mul:ident $max:ident $min:ident]) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $raw);

        // SAFETY of every block below: the contract of the trait (NEON enabled, pointers valid) is that of the intrinsic.
        impl Vector for $name {
            type Element = $element;
            const LANES: usize = $lanes;
            methods! {
                splat(value: $element) -> Self { Self($set1(value)) }
                zero() -> Self { Self($set1(0.0)) }
                load(p: *const $element) -> Self { Self($load(p)) }
                store(self, p: *mut $element) { $store(p, self.0) }
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
            methods! {
                // NEON adds to its first operand.
                mul_add(self, b: Self, c: Self) -> Self { Self($fma(c.0, self.0, b.0)) }
                add(self, other: Self) -> Self { Self($add(self.0, other.0)) }
                sub(self, other: Self) -> Self { Self($sub(self.0, other.0)) }
                mul(self, other: Self) -> Self { Self($mul(self.0, other.0)) }
                // NEON max and min give NaN when either operand is NaN.
                relu(self, limit: Self) -> Self { Self($min(limit.0, $max($set1(0.0), self.0))) }
            }
        }
    };
}

neon!(F32x4, float32x4_t, f32, 4,
    [vdupq_n_f32 vld1q_f32 vst1q_f32 vfmaq_f32 vaddq_f32 vsubq_f32 vmulq_f32 vmaxq_f32 vminq_f32]);
neon!(F64x2, float64x2_t, f64, 2,
    [vdupq_n_f64 vld1q_f64 vst1q_f64 vfmaq_f64 vaddq_f64 vsubq_f64 vmulq_f64 vmaxq_f64 vminq_f64]);
