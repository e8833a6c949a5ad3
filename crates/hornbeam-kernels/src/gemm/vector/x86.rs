//! AVX-512 and AVX2 registers.

use super::Vector;
use crate::dtype::{bf16, f16};
use std::arch::x86_64::*;

/// Implements [`Vector`] by intrinsics; `first` are the bodies of the partial load and store.
macro_rules! register {
    ($name:ident, $raw:ty, $element:ty, $lanes:literal, [$set1:ident $zero:ident $load:ident $store:ident $fma:ident
     $add:ident $sub:ident $mul:ident $max:ident $min:ident], load_first |$p:ident, $n:ident| $load_first:expr,
     store_first |$self:ident, $to:ident, $m:ident| $store_first:expr
     , sum |$vector:ident| $sum:expr
     $(, permute |$this:ident, $order:ident| $permute:expr,
     bf16 |$bf16:ident| $load_bf16:expr, f16 |$f16:ident| $load_f16:expr)?
     $(, bf16_first |$part:ident, $count:ident| $part_bf16:expr, f16_first |$half:ident, $left:ident| $part_f16:expr)?) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $raw);

        // SAFETY of every block below: the contract of the trait (ISA enabled, pointers valid) is that of the intrinsic.
        impl Vector for $name {
            type Element = $element;
            const LANES: usize = $lanes;
            methods! {
                splat(value: $element) -> Self { Self($set1(value)) }
                zero() -> Self { Self($zero()) }
                load(p: *const $element) -> Self { Self($load(p)) }
                store(self, p: *mut $element) { $store(p, self.0) }
                // `n <= LANES`, and other lanes are not accessed.
                load_first($p: *const $element, $n: usize) -> Self { Self($load_first) }
                // `n <= LANES`, and other lanes are not accessed.
                store_first($self, $to: *mut $element, $m: usize) { $store_first }
                mul_add(self, b: Self, c: Self) -> Self { Self($fma(self.0, b.0, c.0)) }
                add(self, other: Self) -> Self { Self($add(self.0, other.0)) }
                sub(self, other: Self) -> Self { Self($sub(self.0, other.0)) }
                mul(self, other: Self) -> Self { Self($mul(self.0, other.0)) }
                // x86 max and min return their second operand when one is NaN.
                relu(self, limit: Self) -> Self { Self($min(limit.0, $max($zero(), self.0))) }
            }
            #[inline(always)]
            unsafe fn sum($vector) -> $element {
                // SAFETY: see above.
                unsafe { $sum }
            }
            $(
                methods! {
                    // `LANES` indices are valid.
                    permute($this, $order: *const u32) -> Self { Self($permute) }
                    load_bf16($bf16: *const bf16) -> Self { Self($load_bf16) }
                    load_f16($f16: *const f16) -> Self { Self($load_f16) }
                }
            )?
            $(
                methods! {
                    // `n <= LANES`, and other elements are not accessed.
                    load_bf16_first($part: *const bf16, $count: usize) -> Self { Self($part_bf16) }
                    load_f16_first($half: *const f16, $left: usize) -> Self { Self($part_f16) }
                }
            )?
        }
    };
}

register!(F32x16, __m512, f32, 16,
    [_mm512_set1_ps _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps
     _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_max_ps _mm512_min_ps],
    load_first |p, n| _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p),
    store_first |self, p, n| _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, self.0),
    sum |self| F32x8(_mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0))).sum(),
    permute |self, lanes| _mm512_permutexvar_ps(_mm512_loadu_si512(lanes.cast()), self.0),
    bf16 |p| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))),
    f16 |p| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())),
    bf16_first |p, n| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(first_halves(p.cast(), n)))),
    f16_first |p, n| _mm512_cvtph_ps(first_halves(p.cast(), n)));

/// Loads `n` numbers of 16 bits, and zeros.
///
/// # Safety
/// As for [`Vector`].
#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
unsafe fn first_halves(p: *const i16, n: usize) -> __m256i {
    // SAFETY: the caller's contract; `n <= 16`, and other elements are not accessed.
    unsafe { _mm256_maskz_loadu_epi16(((1u32 << n) - 1) as __mmask16, p) }
}

register!(F64x8, __m512d, f64, 8,
    [_mm512_set1_pd _mm512_setzero_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd
     _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_max_pd _mm512_min_pd],
    load_first |p, n| _mm512_maskz_loadu_pd(((1u32 << n) - 1) as __mmask8, p),
    store_first |self, p, n| _mm512_mask_storeu_pd(p, ((1u32 << n) - 1) as __mmask8, self.0),
    sum |self| F64x4(_mm256_add_pd(_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd::<1>(self.0))).sum());

// Masked moves are slow on some AVX2 machines: partial access goes through the stack.

register!(F32x8, __m256, f32, 8,
[_mm256_set1_ps _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps
 _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_max_ps _mm256_min_ps],
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
sum |self| {
    let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
},
permute |self, lanes| _mm256_permutevar8x32_ps(self.0, _mm256_loadu_si256(lanes.cast())),
bf16 |p| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))),
f16 |p| _mm256_cvtph_ps(_mm_loadu_si128(p.cast())));

register!(F64x4, __m256d, f64, 4,
[_mm256_set1_pd _mm256_setzero_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd
 _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_max_pd _mm256_min_pd],
load_first |p, n| {
    let mut lanes = [0.0; 4];
    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
    _mm256_loadu_pd(lanes.as_ptr())
},
store_first |self, p, n| {
    let mut lanes = [0.0; 4];
    _mm256_storeu_pd(lanes.as_mut_ptr(), self.0);
    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
},
sum |self| {
    let two = _mm_add_pd(_mm256_castpd256_pd128(self.0), _mm256_extractf128_pd::<1>(self.0));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
});

/// Sixteen pairs of bfloat16 as operands of `mul_add`, sixteen floats in all other operations.
#[derive(Clone, Copy)]
pub(crate) struct Pairs(F32x16);

// SAFETY of every block below: the contract of [`F32x16`], with AVX512-BF16 on.
impl Vector for Pairs {
    type Element = f32;
    const LANES: usize = 16;
    methods! {
        splat(value: f32) -> Self { Self(F32x16::splat(value)) }
        zero() -> Self { Self(F32x16::zero()) }
        load(p: *const f32) -> Self { Self(F32x16::load(p)) }
        store(self, p: *mut f32) { self.0.store(p) }
        load_first(p: *const f32, n: usize) -> Self { Self(F32x16::load_first(p, n)) }
        store_first(self, p: *mut f32, n: usize) { self.0.store_first(p, n) }
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
    methods! {
        add(self, other: Self) -> Self { Self(self.0.add(other.0)) }
        sub(self, other: Self) -> Self { Self(self.0.sub(other.0)) }
        mul(self, other: Self) -> Self { Self(self.0.mul(other.0)) }
        relu(self, limit: Self) -> Self { Self(self.0.relu(limit.0)) }
    }
}
