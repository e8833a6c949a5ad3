//! Registers of WebAssembly. Products are rounded before the sum: SIMD128 has no fused operation.

use std::arch::wasm32::*;
use std::marker::PhantomData;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Lanes<T, const N: usize>(v128, PhantomData<T>);

macro_rules! simd128 {
    ($element:ty, $lanes:literal, [$splat:ident $add:ident $sub:ident $mul:ident $max:ident $min:ident]) => {
        impl Vector for Lanes<$element, $lanes> {
            type Element = $element;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self($splat(value), PhantomData)
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                Self($splat(0.0), PhantomData)
            }
            #[inline(always)]
            unsafe fn load(p: *const $element) -> Self {
                // SAFETY: the caller's pointer holds `LANES` elements.
                Self(unsafe { v128_load(p.cast()) }, PhantomData)
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $element) {
                // SAFETY: the caller's pointer holds `LANES` elements.
                unsafe { v128_store(p.cast(), self.0) }
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $element, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller's pointer holds `n <= LANES` elements.
                unsafe {
                    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
                    Self::load(lanes.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $element, n: usize) {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller's pointer holds `n <= LANES` elements.
                unsafe {
                    self.store(lanes.as_mut_ptr());
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
                }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                Self($add($mul(self.0, b.0), c.0), PhantomData)
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self($add(self.0, other.0), PhantomData)
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self($sub(self.0, other.0), PhantomData)
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self($mul(self.0, other.0), PhantomData)
            }
            #[inline(always)]
            unsafe fn relu(self, limit: Self) -> Self {
                // The first operand, NaN included, unless it is below or above the second.
                Self($min($max(self.0, $splat(0.0)), limit.0), PhantomData)
            }
        }
    };
}

simd128!(f32, 4, [f32x4_splat f32x4_add f32x4_sub f32x4_mul f32x4_pmax f32x4_pmin]);
simd128!(f64, 2, [f64x2_splat f64x2_add f64x2_sub f64x2_mul f64x2_pmax f64x2_pmin]);
