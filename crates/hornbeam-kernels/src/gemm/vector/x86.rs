//! AVX-512 and AVX2 registers.

use super::Vector;
use std::arch::x86_64::*;

/// Implements [`Vector`] by intrinsics; `first` are the bodies of the partial load and store.
macro_rules! register {
    ($name:ident, $raw:ty, $element:ty, $lanes:literal, [$set1:ident $zero:ident $load:ident $store:ident $fma:ident
     $add:ident $sub:ident $mul:ident $max:ident], load_first |$p:ident, $n:ident| $load_first:expr,
     store_first |$self:ident, $to:ident, $m:ident| $store_first:expr
     $(, permute |$this:ident, $order:ident| $permute:expr)?) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $raw);

        // SAFETY of every block below: the contract of the trait (ISA enabled, pointers valid) is that of the intrinsic.
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
                Self(unsafe { $zero() })
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
            unsafe fn load_first($p: *const $element, $n: usize) -> Self {
                // SAFETY: see above; `n <= LANES`, and other lanes are not accessed.
                Self(unsafe { $load_first })
            }
            #[inline(always)]
            unsafe fn store_first($self, $to: *mut $element, $m: usize) {
                // SAFETY: see above; `n <= LANES`, and other lanes are not accessed.
                unsafe { $store_first }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $fma(self.0, b.0, c.0) })
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
            unsafe fn relu(self) -> Self {
                // SAFETY: see above. x86 max returns its second operand when one is NaN.
                Self(unsafe { $max($zero(), self.0) })
            }
            $(
                #[inline(always)]
                unsafe fn permute($this, $order: *const u32) -> Self {
                    // SAFETY: see above; `LANES` indices are valid.
                    Self(unsafe { $permute })
                }
            )?
        }
    };
}

register!(F32x16, __m512, f32, 16,
    [_mm512_set1_ps _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps
     _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_max_ps],
    load_first |p, n| _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p),
    store_first |self, p, n| _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, self.0),
    permute |self, lanes| _mm512_permutexvar_ps(_mm512_loadu_si512(lanes.cast()), self.0));

register!(F64x8, __m512d, f64, 8,
    [_mm512_set1_pd _mm512_setzero_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd
     _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_max_pd],
    load_first |p, n| _mm512_maskz_loadu_pd(((1u32 << n) - 1) as __mmask8, p),
    store_first |self, p, n| _mm512_mask_storeu_pd(p, ((1u32 << n) - 1) as __mmask8, self.0));

// Masked moves are slow on some AVX2 machines: partial access goes through the stack.

register!(F32x8, __m256, f32, 8,
[_mm256_set1_ps _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps
 _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_max_ps],
load_first |p, n| {
    let mut lanes = [0.0; 8];
    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
    _mm256_loadu_ps(lanes.as_ptr())
},
store_first |self, p, n| {
    let mut lanes = [0.0; 8];
    _mm256_storeu_ps(lanes.as_mut_ptr(), self.0);
    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
},
permute |self, lanes| _mm256_permutevar8x32_ps(self.0, _mm256_loadu_si256(lanes.cast())));

register!(F64x4, __m256d, f64, 4,
[_mm256_set1_pd _mm256_setzero_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd
 _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_max_pd],
load_first |p, n| {
    let mut lanes = [0.0; 4];
    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
    _mm256_loadu_pd(lanes.as_ptr())
},
store_first |self, p, n| {
    let mut lanes = [0.0; 4];
    _mm256_storeu_pd(lanes.as_mut_ptr(), self.0);
    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
});

/// Sixteen pairs of bfloat16 as operands of `mul_add`, sixteen floats in all other operations.
#[derive(Clone, Copy)]
pub(crate) struct Pairs(F32x16);

// SAFETY of every block below: the contract of [`F32x16`], with AVX512-BF16 on.
impl Vector for Pairs {
    type Element = f32;
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { F32x16::splat(value) })
    }
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        Self(unsafe { F32x16::zero() })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { F32x16::load(p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: see above.
        unsafe { self.0.store(p) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: see above.
        Self(unsafe { F32x16::load_first(p, n) })
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: see above.
        unsafe { self.0.store_first(p, n) }
    }
    /// `self[2i] * b[2i] + self[2i + 1] * b[2i + 1] + c[i]`.
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see above; both types are 512 bits of plain data.
        unsafe {
            let (left, right) =
                (std::mem::transmute::<__m512, __m512bh>(self.0 .0), std::mem::transmute::<__m512, __m512bh>(b.0 .0));
            Self(F32x16(_mm512_dpbf16_ps(c.0 .0, left, right)))
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { self.0.add(other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { self.0.sub(other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { self.0.mul(other.0) })
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { self.0.relu() })
    }
}
