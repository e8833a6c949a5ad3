//! Registers of the baseline target.

use super::{clamp, Vector};

/// Plain arrays, vectorised by the compiler on the baseline target. Products are rounded before the sum, because a fused
/// operation without hardware support is a library call.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<T, const N: usize>([T; N]);

macro_rules! portable {
    ($element:ty, $lanes:literal) => {
        impl Vector for Lanes<$element, $lanes> {
            type Element = $element;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self([value; $lanes])
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                Self([0.0; $lanes])
            }
            #[inline(always)]
            unsafe fn load(p: *const $element) -> Self {
                // SAFETY: the caller's pointer holds `LANES` elements.
                Self(unsafe { p.cast::<[$element; $lanes]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $element) {
                // SAFETY: the caller's pointer holds `LANES` elements.
                unsafe { p.cast::<[$element; $lanes]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $element, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller's pointer holds `n <= LANES` elements.
                unsafe { std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n) };
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $element, n: usize) {
                // SAFETY: the caller's pointer holds `n <= LANES` elements.
                unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), p, n) };
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                let mut out = c.0;
                for i in 0..$lanes {
                    out[i] += self.0[i] * b.0[i];
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                let mut out = self.0;
                for i in 0..$lanes {
                    out[i] += other.0[i];
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                let mut out = self.0;
                for i in 0..$lanes {
                    out[i] -= other.0[i];
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                let mut out = self.0;
                for i in 0..$lanes {
                    out[i] *= other.0[i];
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn relu(self, limit: Self) -> Self {
                let mut out = self.0;
                for (v, limit) in out.iter_mut().zip(limit.0) {
                    *v = clamp(*v, limit);
                }
                Self(out)
            }
        }
    };
}

portable!(f32, 4);
portable!(f64, 2);
