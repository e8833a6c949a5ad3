//! Vector registers of floats for each instruction set, under one trait.
//!
//! Kernels are written once over [`Vector`] as `#[inline(always)]` bodies, then instantiated inside functions that
//! carry the matching `#[target_feature]`; the trait's methods are never called outside them.

/// Prefetches the cache line at `p`, which need not be valid.
#[inline(always)]
pub(crate) fn prefetch<E>(p: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint available on every x86-64 CPU.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Prefetches into the L2 cache, so that the L1 cache keeps its contents.
#[inline(always)]
pub(crate) fn prefetch_far<E>(p: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Register of `LANES` floats.
///
/// # Safety
/// The methods use instructions of one ISA: callers run inside a function compiled for it, on a machine that has it.
/// Pointers need no alignment; `*_first` accesses only the first `n` elements.
#[allow(dead_code)] // A complete set of operations, of which each target uses a part.
pub(crate) trait Vector: Copy {
    type Element: Copy;
    const LANES: usize;

    unsafe fn splat(value: Self::Element) -> Self;
    unsafe fn zero() -> Self;
    unsafe fn load(p: *const Self::Element) -> Self;
    unsafe fn store(self, p: *mut Self::Element);
    unsafe fn load_first(p: *const Self::Element, n: usize) -> Self;
    unsafe fn store_first(self, p: *mut Self::Element, n: usize);
    /// Computes `self * b + c`, fused if the ISA supports it.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// Computes `max(self, 0)`; NaN stays NaN.
    unsafe fn relu(self) -> Self;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{F32x16, F32x8, F64x4, F64x8, Pairs};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! wide {
        ($name:ident, $raw:ty, $element:ty, $lanes:literal, $mask:ty, $set1:ident, $zero:ident, $load:ident,
         $store:ident, $mload:ident, $mstore:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $max:ident) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name(pub(crate) $raw);

            // SAFETY of every block below: the trait's contract (AVX-512F on, pointers valid) is the intrinsic's.
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
                unsafe fn load_first(p: *const $element, n: usize) -> Self {
                    // SAFETY: see above; masked-off lanes are not accessed.
                    Self(unsafe { $mload(((1u32 << n) - 1) as $mask, p) })
                }
                #[inline(always)]
                unsafe fn store_first(self, p: *mut $element, n: usize) {
                    // SAFETY: see above; masked-off lanes are not accessed.
                    unsafe { $mstore(p, ((1u32 << n) - 1) as $mask, self.0) }
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
            }
        };
    }

    wide!(
        F32x16,
        __m512,
        f32,
        16,
        __mmask16,
        _mm512_set1_ps,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_maskz_loadu_ps,
        _mm512_mask_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_max_ps
    );
    wide!(
        F64x8,
        __m512d,
        f64,
        8,
        __mmask8,
        _mm512_set1_pd,
        _mm512_setzero_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_maskz_loadu_pd,
        _mm512_mask_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_max_pd
    );

    macro_rules! middle {
        ($name:ident, $raw:ty, $element:ty, $lanes:literal, $set1:ident, $zero:ident, $load:ident, $store:ident,
         $fma:ident, $add:ident, $sub:ident, $mul:ident, $max:ident) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name(pub(crate) $raw);

            // SAFETY of every block below: the trait's contract (AVX2 and FMA on, pointers valid) is the intrinsic's.
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
                unsafe fn load_first(p: *const $element, n: usize) -> Self {
                    // Masked moves are slow on some AVX2 machines: edges go through the stack.
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
            }
        };
    }

    middle!(
        F32x8,
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_max_ps
    );
    middle!(
        F64x4,
        __m256d,
        f64,
        4,
        _mm256_set1_pd,
        _mm256_setzero_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_max_pd
    );

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
                let (left, right) = (
                    std::mem::transmute::<__m512, __m512bh>(self.0 .0),
                    std::mem::transmute::<__m512, __m512bh>(b.0 .0),
                );
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
}

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::{F32x4, F64x2};

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Vector;
    use std::arch::aarch64::*;

    macro_rules! neon {
        ($name:ident, $raw:ty, $element:ty, $lanes:literal, $set1:ident, $load:ident, $store:ident, $fma:ident,
         $add:ident, $sub:ident, $mul:ident, $max:ident) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name(pub(crate) $raw);

            // SAFETY of every block below: the trait's contract (NEON on, pointers valid) is the intrinsic's.
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
                unsafe fn relu(self) -> Self {
                    // SAFETY: see above. NEON max gives NaN when either operand is NaN.
                    Self(unsafe { $max($set1(0.0), self.0) })
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
        vmaxq_f32
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
        vmaxq_f64
    );
}

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
            unsafe fn relu(self) -> Self {
                // NaN fails the comparison and stays.
                Self(self.0.map(|v| if v < 0.0 { 0.0 } else { v }))
            }
        }
    };
}

portable!(f32, 4);
portable!(f64, 2);
