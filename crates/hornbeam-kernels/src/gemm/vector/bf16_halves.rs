//! Registers of `f32` for bfloat16 numbers, which are read in pairs: a 32-bit word holds two, each the upper half of a float.

use super::{F32x16, F32x8, Vector};
use crate::dtype::bf16;
use std::arch::x86_64::*;

/// Register for the lower or the upper numbers of `LANES` words.
///
/// # Safety
/// As for [`Vector`].
pub(crate) trait Halves: Vector<Element = f32> {
    /// Loads and widens `2 * LANES` numbers: the lower of all words, and the upper.
    unsafe fn load_halves(p: *const bf16) -> [Self; 2];
    /// Rounds to nearest even and stores in the order of [`Halves::load_halves`]. The lower half of a NaN must be zero: it is in
    /// operands, and operations keep it.
    unsafe fn store_halves(halves: [Self; 2], p: *mut bf16);
}

macro_rules! halves {
    ($name:ident, [$set1:ident $load:ident $store:ident $shift_left:ident $shift_right:ident $and:ident $or:ident $add:ident
        $to_int:ident $to_float:ident]) => {
        // SAFETY of every block below: the contract of the trait is that of the intrinsics.
        impl Halves for $name {
            #[inline(always)]
            unsafe fn load_halves(p: *const bf16) -> [Self; 2] {
                // SAFETY: see above.
                unsafe {
                    let words = $load(p.cast());
                    let upper = $and(words, $set1(-0x1_0000));
                    [Self($to_float($shift_left::<16>(words))), Self($to_float(upper))]
                }
            }
            #[inline(always)]
            unsafe fn store_halves([lower, upper]: [Self; 2], p: *mut bf16) {
                // SAFETY: see above.
                unsafe {
                    let round = |Self(x): Self| {
                        let bits = $to_int(x);
                        let odd = $and($shift_right::<16>(bits), $set1(1));
                        $add(bits, $add(odd, $set1(0x7fff)))
                    };
                    let upper = $and(round(upper), $set1(-0x1_0000));
                    $store(p.cast(), $or($shift_right::<16>(round(lower)), upper));
                }
            }
        }
    };
}

halves!(F32x16, [_mm512_set1_epi32 _mm512_loadu_si512 _mm512_storeu_si512 _mm512_slli_epi32 _mm512_srli_epi32 _mm512_and_si512
    _mm512_or_si512 _mm512_add_epi32 _mm512_castps_si512 _mm512_castsi512_ps]);
halves!(F32x8, [_mm256_set1_epi32 _mm256_loadu_si256 _mm256_storeu_si256 _mm256_slli_epi32 _mm256_srli_epi32 _mm256_and_si256
    _mm256_or_si256 _mm256_add_epi32 _mm256_castps_si256 _mm256_castsi256_ps]);
